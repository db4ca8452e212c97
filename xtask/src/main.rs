//! `cargo xtask`: everything CI does, as ordinary commands for a developer too.
//!
//! One file per command. They share [`run`] (a process, quiet unless it fails), [`session`] (what
//! was counted and what had to be skipped), [`tools`] (what is installed when it is missing) and
//! [`cross`] (a compiler for the boards' processors).

mod boards;
mod campaign;
mod ci;
mod counts;
mod cross;
mod fuzz;
mod gist;
mod lint;
mod no_std;
mod run;
mod sabotage;
mod session;
mod sizes;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use session::Session;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests and measures this workspace")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test; ends with `N passed, N failed, N skipped`
    Test(test::Options),
    /// Run every check that a change must pass
    Ci(ci::Options),
    /// Check formatting and lints, for every feature by itself too
    Lint,
    /// Build the embedded crates for the boards' processors, without an allocator
    NoStd,
    /// Build the boards, and run those that QEMU has, with power cuts
    Boards(boards::Options),
    /// Measure code, RAM and stack of the boot path against the budget
    Sizes(sizes::Options),
    /// Break the engine on purpose and expect the power-cut campaign to notice
    Sabotage(sabotage::Options),
    /// Run each fuzz target for a short while
    FuzzSmoke(fuzz::Options),
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    match Session::new().and_then(|mut session| dispatch(command, &mut session)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `{:?}`: a backtrace of this program tells nothing about the step that failed.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command, session: &mut Session) -> Result<()> {
    match command {
        Command::Test(options) => test::command(session, &options),
        Command::Ci(options) => ci::command(session, &options),
        Command::Lint => lint::command(session),
        Command::NoStd => no_std::command(session),
        Command::Boards(options) => boards::command(session, &options),
        Command::Sizes(options) => sizes::command(session, &options),
        Command::Sabotage(options) => sabotage::command(session, &options),
        Command::FuzzSmoke(options) => fuzz::command(session, &options),
    }
}
