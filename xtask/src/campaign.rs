//! The power-cut campaign, in release mode: the share of it that every change must pass, and the
//! comparison whose promises the README makes.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::run::Process;
use crate::session::Session;

/// Singles and pairs of cuts, over all scenarios, parts and rules; the seed fixes which.
const SHARE: [&str; 7] = ["cuts", "--depth", "2", "--budget", "150000", "--seed", "2026"];
/// A sabotaged or slow engine must not hold up everything else.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Runs both.
pub(crate) fn run(_: &mut Session) -> Result<()> {
    let program = ["--release", "--quiet", "--locked", "--package", "ota-sim"];
    let run = |arguments: &[&str]| {
        let process = Process::cargo("run").args(program).args(["--features", "compare", "--"]);
        process.args(arguments).limit(LIMIT).run()
    };
    let output = run(&SHARE).context("the power-cut campaign")?;
    for line in output.lines().filter(|line| line.contains("distinct points")) {
        println!("   {line}");
    }
    run(&["compare"]).context("the comparison")?;
    Ok(())
}
