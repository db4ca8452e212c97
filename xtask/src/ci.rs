//! Every check that a change must pass, one line each; the closing line of the tests comes last.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::gist::gist;
use crate::session::Session;
use crate::{boards, campaign, fuzz, lint, no_std, sabotage, sizes, test};

/// How thorough.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each fuzz target
    #[arg(long, default_value_t = 10)]
    fuzz_seconds: u32,
}

type Step<'a> = (&'static str, &'a dyn Fn(&mut Session) -> Result<()>);

pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    let fuzz_options = fuzz::Options { seconds: options.fuzz_seconds, seed: fuzz::SEED };
    let steps: [Step; 12] = [
        ("lock files", &|session| lint::locks(session)),
        ("formatting", &|session| lint::format(session)),
        ("lints", &|session| lint::clippy(session)),
        ("oldest Rust", &lint::oldest_rust),
        ("tests", &|session| test::run(session, &test::Options::default())),
        ("documentation", &|session| lint::documentation(session)),
        ("no_std builds", &no_std::command),
        ("boards", &boards::run),
        ("sizes", &|session| sizes::command(session, &sizes::Options::default())),
        ("power cuts", &campaign::run),
        ("sabotage", &|session| sabotage::command(session, &sabotage::Options::default())),
        ("fuzzing", &|session| fuzz::command(session, &fuzz_options)),
    ];
    let failed = run(session, &steps);
    // Logs are read from their end.
    for Failed { step, error } in &failed {
        println!("== {step} FAILED, in short (all of it is above):");
        gist(error).iter().for_each(|line| println!("   {line}"));
    }
    session.close();
    if !failed.is_empty() {
        let names: Vec<&str> = failed.iter().map(|failed| failed.step).collect();
        bail!("failed: {}", names.join(", "));
    }
    Ok(())
}

/// A step that failed, and what it said.
struct Failed {
    step: &'static str,
    error: String,
}

/// Goes on after a failure: one run tells all that is wrong. Returns what failed.
fn run(session: &mut Session, steps: &[Step]) -> Vec<Failed> {
    let started = Instant::now();
    let mut failed = Vec::new();
    for (name, step) in steps {
        let began = Instant::now();
        let result = step(session);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("== {name:<16}{word:<8}{:6.1} s", began.elapsed().as_secs_f64());
        if let Err(error) = result {
            let error = format!("{error:#}");
            println!("{error}");
            failed.push(Failed { step: name, error });
        }
    }
    println!("== {:<24}{:6.1} s", "all", started.elapsed().as_secs_f64());
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_and_the_next_one_still_runs() {
        let mut session = Session::new().unwrap();
        let failed = run(
            &mut session,
            &[
                ("first", &|_| bail!("broken")),
                ("second", &|session| {
                    session.counts.passed += 1;
                    Ok(())
                }),
            ],
        );
        let [failed] = &failed[..] else { panic!("{} steps failed", failed.len()) };
        assert_eq!((failed.step, &*failed.error), ("first", "broken"));
        assert_eq!(session.counts.passed, 1);
    }
}
