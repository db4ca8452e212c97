//! `ota-sim cuts`: the power-cut campaign.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use ota_sim::campaign::{KINDS, Plan, Replay, Report, SCENARIOS, Unsteady, Where};
use serde_json::json;

/// The power-cut campaign: cuts power at every flash operation of every scenario, in many ways.
#[derive(Args)]
#[command(after_help = names())]
pub(crate) struct Options {
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Only this part; may be given several times
    #[arg(long, value_name = "NAME")]
    part: Vec<String>,
    /// Only these rules for programming twice: free, all-zero, never
    #[arg(long)]
    rule: Vec<String>,
    /// Cuts one after another, the second inside the recovery from the first: 1 or 2
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    depth: u8,
    /// About how many points to try, spread over all cases; 0: every single cut
    #[arg(long, default_value_t = 0)]
    budget: u64,
    /// Chooses points and rolls weak bits; the same seed tries the same points
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; all cores unless given
    #[arg(long)]
    threads: Option<usize>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Try one point again: a replay line of an earlier run
    #[arg(long, value_name = "LINE")]
    replay: Option<String>,
}

/// What may be named.
fn names() -> String {
    let scenarios = SCENARIOS.iter().map(|scenario| scenario.name);
    let parts = KINDS.iter().map(|kind| kind.name);
    format!("Scenarios:\n{}\n\nParts:\n{}", columns(scenarios), columns(parts))
}

/// Names in columns, line by line.
fn columns(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<String> = names.map(|name| format!("  {name:<22}")).collect();
    let lines: Vec<String> =
        names.chunks(4).map(|line| line.concat().trim_end().to_owned()).collect();
    lines.join("\n")
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(line) = &options.replay {
        return replay(line);
    }
    let rules = options.rule.iter().map(|rule| {
        rule.parse().map_err(|_| anyhow!("no rule {rule:?}; there are free, all-zero, never"))
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        scenarios: options.scenario.clone(),
        parts: options.part.clone(),
        rules: rules.collect::<Result<_>>()?,
        depth: options.depth,
        budget: options.budget,
        seed: options.seed,
        threads: options.threads.unwrap_or(cores).max(1),
        stop_at_failure: false,
    };
    let terminal = std::io::stderr().is_terminal() && !options.json;
    let report = plan.run(&|points| {
        if terminal {
            eprint!("\r{points} points");
        }
    });
    if terminal {
        eprint!("\r");
    }
    let report = report.map_err(|message| anyhow!(message))?;
    match options.json {
        true => println!("{:#}", as_json(&report)),
        false => print!("{}{}{}", table(&report), coverage(&report), summary(&report)),
    }
    let failed = report.total().failed;
    if failed > 0 {
        bail!(
            "{failed} points failed; each `replay:` line works with `ota-sim cuts --replay LINE`"
        );
    }
    Ok(())
}

fn replay(line: &str) -> Result<()> {
    if let Ok(device) = line.parse::<Unsteady>() {
        if let Err(failure) = device.run() {
            bail!("{device}: {}", failure.message);
        }
        println!("{device}: no failure");
        return Ok(());
    }
    let replay: Replay = line.parse().map_err(|message: String| anyhow!(message))?;
    match replay.run() {
        Ok(_) => println!("{replay}: no failure"),
        Err(failure) => bail!("{replay}: {}", failure.message),
    }
    Ok(())
}

/// Scenario x part x rule.
fn table(report: &Report) -> String {
    let mut text = format!(
        "{:<22}{:<17}{:<9}{:>9}{:>9}{:>7}{:>10}\n",
        "scenario", "part", "rule", "points", "pairs", "failed", "points/s"
    );
    for case in &report.cases {
        let (tally, rate) = (&case.tally, case.tally.points as f64 / case.seconds.max(1e-9));
        text += &format!(
            "{:<22}{:<17}{:<9}{:>9}{:>9}{:>7}{rate:>10.0}\n",
            case.case.scenario.name,
            case.case.kind.name,
            case.case.rule.to_string(),
            tally.points,
            tally.pairs,
            case.failed(),
        );
    }
    text
}

/// Operation x tear.
fn coverage(report: &Report) -> String {
    let total = report.total();
    let mut rows: BTreeMap<&str, BTreeMap<(Where, bool), u64>> = BTreeMap::new();
    for ((place, erase, tear), points) in &total.coverage {
        *rows.entry(tear).or_default().entry((*place, *erase)).or_default() += points;
    }
    let places = [Where::Record, Where::App, Where::Data, Where::Descriptor];
    let columns: Vec<(Where, bool)> =
        places.into_iter().flat_map(|place| [(place, true), (place, false)]).collect();
    let mut text = format!("\n{:<14}", "tear");
    for (place, erase) in &columns {
        let operation = if *erase { "erase" } else { "program" };
        text += &format!("{:>20}", format!("{place:?} {operation}").to_lowercase());
    }
    for (tear, row) in rows {
        text += &format!("\n{tear:<14}");
        for column in &columns {
            let points = row.get(column).map_or("-".to_owned(), u64::to_string);
            text += &format!("{points:>20}");
        }
    }
    text + "\n"
}

fn summary(report: &Report) -> String {
    let total = report.total();
    let mut text = String::from("\n");
    for case in &report.cases {
        for (replay, failure) in case.failures(report.seed) {
            text += &format!("replay: {replay}\n    {}\n", failure.message.replace('\n', "\n    "));
        }
    }
    text += &format!(
        "{} distinct points ({} pairs), {} failed; {} tears without an effect of their own are not \
         counted\n{:.1} s on {} threads, seed {}: {:.0} points per second and thread\n",
        total.points,
        total.pairs,
        total.failed,
        total.without_effect,
        report.seconds,
        report.threads,
        report.seed,
        rate(report)
    );
    text
}

/// Points per second of a thread's time.
fn rate(report: &Report) -> f64 {
    let busy: f64 = report.cases.iter().map(|case| case.seconds).sum();
    report.total().points as f64 / busy.max(1e-9)
}

fn as_json(report: &Report) -> serde_json::Value {
    let total = report.total();
    let failures = report.cases.iter().flat_map(|case| case.failures(report.seed));
    let failures: Vec<_> = failures
        .map(|(replay, failure)| json!({"replay": replay.to_string(), "message": failure.message}))
        .collect();
    let cases: Vec<_> = report
        .cases
        .iter()
        .map(|case| {
            json!({
                "scenario": case.case.scenario.name,
                "part": case.case.kind.name,
                "rule": case.case.rule.to_string(),
                "points": case.tally.points,
                "pairs": case.tally.pairs,
                "failures": case.failed(),
                "seconds": case.seconds,
            })
        })
        .collect();
    json!({
        "points": total.points,
        "pairs": total.pairs,
        "failures": total.failed,
        "seconds": report.seconds,
        "threads": report.threads,
        "seed": report.seed,
        "points_per_second_per_thread": rate(report),
        "replay": failures,
        "cases": cases,
    })
}
