//! All tests: nextest where it is installed, else `cargo test`; documentation tests; fuzz seeds.
//!
//! A test that lacks something on this machine must not pass in silence. It appends a line
//! `SKIPPED: name: why` to the file that the environment variable `OTA_SKIP_LOG` names, and
//! returns. It is then counted as skipped, and the line is shown.
//!
//! Chance in tests of properties begins with a seed; `PROPTEST_RNG_SEED=7 cargo xtask test` takes
//! another one, and `cargo nextest run` one that differs each time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::counts::Counts;
use crate::fuzz;
use crate::run::Process;
use crate::session::Session;
use crate::tools::MOSQUITTO;

/// The variable that tells tests where to report what they cannot check.
const SKIP_LOG: &str = "OTA_SKIP_LOG";
/// What determines chance in tests of properties, with a value of its own if the environment has none:
/// the same change shall pass or fail each time.
const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "2026");

/// What to run.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only this package (may be repeated); leaves out documentation tests and fuzz seeds
    #[arg(short, long)]
    package: Vec<String>,
    /// Only tests whose names contain this; leaves out the same
    filter: Vec<String>,
}

/// As a command of its own: with the closing line.
pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    let result = run(session, options);
    close(session, result)
}

/// Shows what went wrong, then the closing line, last.
pub(crate) fn close(session: &Session, result: Result<()>) -> Result<()> {
    if let Err(error) = &result {
        println!("{error:#}");
    }
    session.close();
    result.map_err(|_| anyhow!("tests failed"))
}

/// Runs every runner, also when one fails: the closing line tells about all of them.
pub(crate) fn run(session: &mut Session, options: &Options) -> Result<()> {
    if !MOSQUITTO.ensure() {
        println!("note: {} ({})", MOSQUITTO.advice(), MOSQUITTO.why);
    }
    let mut failures = Vec::new();
    for (name, process) in runners(session, options) {
        if let Err(error) = one(session, name, process) {
            failures.push(format!("{error:#}"));
        }
    }
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    if session.counts.passed == 0 {
        bail!("no test was run");
    }
    Ok(())
}

/// Runs one test runner and adds up what it counted; hands out what it said. Used for the boards'
/// harness too.
pub(crate) fn one(session: &mut Session, name: &str, process: Process) -> Result<String> {
    let log = fresh_log(&session.target)?;
    let seed = std::env::var(SEED.0).unwrap_or_else(|_| SEED.1.to_owned());
    let outcome = process.env(SKIP_LOG, &log).env(SEED.0, seed).outcome()?;
    let mut counts = Counts::read(&outcome.output);
    if !outcome.succeeded() {
        // It may not have come as far as a closing line: a compile error, a crash.
        counts.failed = counts.failed.max(1);
    }
    let skipped = read_log(&log)?;
    counts.skip_passed(skipped.len() as u64);
    session.skipped_tests(skipped);
    session.counts += counts;
    if !outcome.succeeded() {
        bail!("{}", outcome.describe());
    }
    println!("{name}: {counts}");
    Ok(outcome.output)
}

fn runners(session: &Session, options: &Options) -> Vec<(&'static str, Process)> {
    let scope: Vec<String> = match options.package.as_slice() {
        [] => vec!["--workspace".into()],
        packages => packages.iter().map(|package| format!("--package={package}")).collect(),
    };
    let workspace = |process: Process| process.args(&scope).within(&session.root);
    let nextest = Process::cargo("nextest").arg("--version").works();
    let mut runners = vec![if nextest {
        let settings = format!("xtask:{}", session.root.join("xtask/nextest.toml").display());
        let process = Process::cargo("nextest").args(["run", "--tool-config-file", &settings]);
        // A failure's output shall not drown in hundreds of names of tests that passed.
        let process = process.arg("--status-level=slow");
        ("nextest", workspace(process).arg("--no-tests=pass").args(&options.filter))
    } else {
        let process = workspace(Process::cargo("test")).args(["--all-targets", "--no-fail-fast"]);
        // `cargo test` takes one filter in front of the dashes; the test programs take any number.
        ("cargo test", process.arg("--").args(&options.filter))
    }];
    // A package may have no library to document, and few documentation tests match a filter.
    if options.filter.is_empty() && options.package.is_empty() {
        runners.push(("documentation", workspace(Process::cargo("test").arg("--doc"))));
        runners.push(("fuzz seeds", fuzz::seeds(session)));
    }
    runners
}

fn fresh_log(target: &Path) -> Result<PathBuf> {
    let folder = target.join("xtask");
    fs::create_dir_all(&folder)?;
    let log = folder.join("skipped-tests.log");
    fs::write(&log, "").with_context(|| format!("cannot write {}", log.display()))?;
    Ok(log)
}

/// One line per test, however often it reported.
fn read_log(log: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(log)?;
    let mut lines: Vec<String> =
        text.lines().filter(|line| line.starts_with("SKIPPED: ")).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> (Session, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut session = Session::new().unwrap();
        session.target = folder.path().to_path_buf();
        (session, folder)
    }

    fn shell(script: &str) -> Process {
        Process::new("sh").args(["-c", script])
    }

    #[test]
    fn a_test_that_reports_a_skip_is_not_counted_as_passed() {
        let (mut session, _folder) = session();
        let script = "echo 'SKIPPED: broker: no mosquitto' | tee -a $OTA_SKIP_LOG $OTA_SKIP_LOG; \
                      echo 'test result: ok. 3 passed; 0 failed; 0 ignored'";
        one(&mut session, "toy", shell(script)).unwrap();
        assert_eq!(session.counts.to_string(), "2 passed, 0 failed, 1 skipped");
    }

    #[test]
    fn a_runner_that_breaks_before_its_closing_line_counts_as_a_failure() {
        let (mut session, _folder) = session();
        let error = one(&mut session, "toy", shell("echo does not compile; exit 101")).unwrap_err();
        assert!(error.to_string().contains("does not compile"));
        assert_eq!(session.counts.to_string(), "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_log_of_an_earlier_runner_is_not_counted_again() {
        let (mut session, _folder) = session();
        let result = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'";
        one(&mut session, "a", shell(&format!("echo 'SKIPPED: x: y' >>$OTA_SKIP_LOG; {result}")))
            .unwrap();
        one(&mut session, "b", shell(result)).unwrap();
        assert_eq!(session.counts.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
