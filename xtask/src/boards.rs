//! The boards: each a workspace of its own, built for its processor; then those that QEMU has are
//! run by the harness, which is a member of the main workspace. The closing line counts boards that
//! were built, scenarios, and power cuts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::cross::{self, Toolchain};
use crate::run::Process;
use crate::session::Session;
use crate::sizes::elf;
use crate::tools::QEMU_ARM;
use crate::{test, workspace};

/// `cargo xtask boards`
#[derive(Args)]
pub(crate) struct Options {
    /// Power cuts in an update, in QEMU
    #[arg(long, value_enum, default_value = "sample")]
    cuts: Cuts,
}

/// As a command of its own: with the closing line.
pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    let result = run_with(session, options.cuts);
    test::close(session, result)
}

/// All cuts of two boards take an hour on two idle cores.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// How many power cuts the harness makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cuts {
    None,
    /// 60 or more for each board, chosen by a seed
    Sample,
    /// Every write of an update, torn three ways: an hour
    All,
}

/// Builds every board, and runs those that QEMU has, with a sample of power cuts.
pub(crate) fn run(session: &mut Session) -> Result<()> {
    run_with(session, Cuts::Sample)
}

fn run_with(session: &mut Session, cuts: Cuts) -> Result<()> {
    let mut programs = BTreeSet::new();
    for folder in workspace::board_folders(session)? {
        programs.extend(build(session, &folder)?);
    }
    if !QEMU_ARM.ensure() {
        session.skip(QEMU_ARM.why, &QEMU_ARM.advice());
        return Ok(());
    }
    // No compiler for some board: that is counted as skipped already. Two compilers: never.
    let [programs] = &programs.into_iter().collect::<Vec<_>>()[..] else { return Ok(()) };
    let mut harness = Process::cargo("build").args(["--release", "--package", "harness"]);
    harness = harness.args(["--package", "flash-file", "--target-dir"]).arg(&session.target);
    harness.within(&session.root).run()?;
    let cuts = cuts.to_possible_value().context("a number of cuts")?;
    let process = Process::new(session.target.join("release/harness"))
        .arg("--programs")
        .arg(programs)
        .args(["--cuts", cuts.get_name()])
        .limit(LIMIT);
    let said = test::one(session, "boards in QEMU", process)?;
    print!("{said}");
    Ok(())
}

/// Builds a board; for one that the harness runs, what it wants to run too. Where the programs are.
fn build(session: &mut Session, folder: &Path) -> Result<Option<PathBuf>> {
    let target = processor(folder).context("a board names its processor")?;
    let what = format!("board {}", name(session, folder));
    let Some(toolchain) = cross::find_or_skip(session, &target, &what) else { return Ok(None) };
    toolchain.cargo(session, "build", &target).arg("--release").within(folder).run()?;
    println!("{what}: built for {target}");
    // That it builds is a check.
    session.counts.passed += 1;
    print_sizes(session, &toolchain, folder, &target)?;
    if toolchain == Toolchain::Rustup {
        let clippy =
            toolchain.cargo(session, "clippy", &target).args(["--release", "--all-features"]);
        clippy.args(["--", "--deny", "warnings"]).within(folder).run()?;
    }
    if !has_harness(folder) {
        return Ok(None);
    }
    let checked = toolchain.cargo(session, "build", &target);
    checked.args(["--profile", "checked", "--features", "harness"]).within(folder).run()?;
    Ok(Some(toolchain.root(session)))
}

/// A line for each program, in bytes.
fn print_sizes(
    session: &Session,
    toolchain: &Toolchain,
    folder: &Path,
    target: &str,
) -> Result<()> {
    const NAMES: [&str; 5] = [".vector_table", ".text", ".rodata", ".data", ".bss"];
    let programs = toolchain.folder(session, target, "release");
    for program in workspace::programs(folder)? {
        let sizes = elf::sections(&programs.join(&program), NAMES)?;
        let pairs = NAMES.iter().zip(sizes).map(|(name, size)| format!("{name} {size}"));
        println!("  {program:<8} {}", pairs.collect::<Vec<_>>().join("  "));
    }
    Ok(())
}

/// Whether the harness runs the board in QEMU.
fn has_harness(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.starts_with("harness = "))
}

/// `build.target` of the board's own cargo configuration; a host crate has none.
fn processor(folder: &Path) -> Option<String> {
    let configuration = fs::read_to_string(folder.join(".cargo/config.toml")).ok()?;
    let value = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "target").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    Some(value)
}

/// Its path within `boards`.
fn name(session: &Session, folder: &Path) -> String {
    let boards = session.root.join("boards");
    folder.strip_prefix(boards).unwrap_or(folder).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_names_its_processor_and_a_host_crate_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(processor(folder.path()), None);
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        let configuration = "[target.thumbv6m-none-eabi]\nrunner = \"qemu\"\n\
                             [build]\ntarget = \"thumbv6m-none-eabi\"\n";
        fs::write(folder.path().join(".cargo/config.toml"), configuration).unwrap();
        assert_eq!(processor(folder.path()).as_deref(), Some("thumbv6m-none-eabi"));
    }
}
