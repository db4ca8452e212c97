//! Breaks the engine on purpose: a power-cut campaign that cannot fail proves nothing.
//!
//! The sources are copied to `target/sabotage/tree`. The untouched copy must pass the campaign;
//! then each edit of [`edits`] is made by itself, and the campaign must fail and print how to
//! replay the failure. The tree of an edit that was *not* noticed is kept: `target/sabotage/NAME`.

mod edits;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::run::{Outcome, Process};
use crate::session::Session;
use crate::workspace;
use edits::{EDITS, Edit};

/// The campaign, as arguments of `cargo build` and `cargo run`.
const CAMPAIGN: [&str; 6] =
    ["--release", "--package", "ota-sim", "--no-default-features", "--example", "cuts"];
/// Arguments of the campaign itself.
const CAMPAIGN_ARGUMENTS: [&str; 0] = [];
/// A failing campaign prints a line with this word: how to see the same failure again.
const REPLAY: &str = "replay";
/// A sabotaged engine may loop for ever: the campaign must bound its steps and say so itself.
const CAMPAIGN_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Folders besides the members whose files the members include.
const INCLUDED: [&str; 1] = ["docs"];

/// Which edits.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only these edits
    names: Vec<String>,
    /// List the edits
    #[arg(long)]
    list: bool,
}

/// How to build and run the campaign in a copied tree.
struct Campaign<'a> {
    build: &'a dyn Fn(&Path) -> Process,
    run: &'a dyn Fn(&Path) -> Process,
}

/// What the campaign made of one edit.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It failed, and said how to replay the failure.
    Noticed(String),
    /// It passed.
    Missed,
    /// It failed without a replay line, perhaps for another reason.
    Unexplained,
    /// It did not end.
    Hung,
}

pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    if options.list {
        EDITS.iter().for_each(|edit| println!("{}: {}", edit.name, edit.why));
        return Ok(());
    }
    let chosen = choose(EDITS, &options.names)?;
    if chosen.is_empty() {
        println!("there are no edits yet");
        return Ok(());
    }
    let folder = session.target.join("sabotage");
    let built = folder.join("target");
    let cargo = |subcommand: &str, tree: &Path| {
        let process = Process::cargo(subcommand).args(["--quiet", "--locked"]).args(CAMPAIGN);
        process.env("CARGO_TARGET_DIR", &built).within(tree)
    };
    let campaign = Campaign {
        build: &|tree| cargo("build", tree),
        run: &|tree| cargo("run", tree).arg("--").args(CAMPAIGN_ARGUMENTS).limit(CAMPAIGN_LIMIT),
    };
    run(&session.root, &folder, &parts(session)?, &chosen, &campaign)
}

fn choose<'a>(edits: &'a [Edit], names: &[String]) -> Result<Vec<&'a Edit>> {
    if let Some(unknown) = names.iter().find(|name| !edits.iter().any(|edit| edit.name == **name)) {
        bail!("no edit is called `{unknown}`: see `cargo xtask sabotage --list`");
    }
    let wanted = |edit: &&Edit| names.is_empty() || names.iter().any(|name| name == edit.name);
    Ok(edits.iter().filter(wanted).collect())
}

/// All members, since the workspace's manifest names them all, and what they include.
fn parts(session: &Session) -> Result<Vec<PathBuf>> {
    let mut parts = vec!["Cargo.toml".into(), "Cargo.lock".into()];
    for package in workspace::packages(session)? {
        let within = package.folder.strip_prefix(&session.root);
        parts.push(within.context("a member outside the workspace")?.to_path_buf());
    }
    let included = INCLUDED.iter().map(PathBuf::from);
    parts.extend(included.filter(|folder| session.root.join(folder).is_dir()));
    Ok(parts)
}

fn run(
    root: &Path,
    folder: &Path,
    parts: &[PathBuf],
    edits: &[&Edit],
    campaign: &Campaign,
) -> Result<()> {
    let tree = folder.join("tree");
    tree::synchronise(root, &tree, parts)?;
    (campaign.build)(&tree).run().context("the campaign does not build")?;
    let baseline = (campaign.run)(&tree).run();
    baseline.context("the campaign fails on the untouched engine: sabotage proves nothing")?;
    let mut missed = Vec::new();
    for edit in edits {
        let began = Instant::now();
        let kept = folder.join(edit.name);
        if kept.exists() {
            fs::remove_dir_all(&kept)?;
        }
        tree::synchronise(root, &tree, parts)?;
        tree::apply(&tree, edit)?;
        let built = (campaign.build)(&tree).run();
        built.with_context(|| format!("edit `{}` does not build", edit.name))?;
        let outcome = (campaign.run)(&tree).outcome()?;
        let verdict = judge(&outcome);
        let seconds = began.elapsed().as_secs_f64();
        if let Verdict::Noticed(replay) = &verdict {
            println!("{}: noticed, {seconds:.1} s: {replay}", edit.name);
            continue;
        }
        println!("{}: {verdict:?} ({})", edit.name, edit.why);
        tree::synchronise(&tree, &kept, parts)?;
        fs::write(kept.join("campaign.log"), outcome.describe())?;
        missed.push(edit.name);
    }
    ensure!(
        missed.is_empty(),
        "the campaign did not notice {}: see {}/NAME",
        missed.join(", "),
        folder.display()
    );
    println!("{} of {} edits noticed", edits.len(), edits.len());
    Ok(())
}

fn judge(outcome: &Outcome) -> Verdict {
    if outcome.status.is_none() {
        return Verdict::Hung;
    }
    if outcome.succeeded() {
        return Verdict::Missed;
    }
    match outcome.output.lines().find(|line| line.contains(REPLAY)) {
        Some(line) => Verdict::Noticed(line.trim().to_owned()),
        None => Verdict::Unexplained,
    }
}

#[cfg(test)]
mod tests;
