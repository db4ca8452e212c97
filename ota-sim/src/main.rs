//! `ota-sim`: a simulated device with over-the-air updates, and the tools around it.

mod cli;
mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A simulated device with over-the-air updates, and the tools around it.
#[derive(Parser)]
#[command(name = "ota-sim", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the whole story: updates, trials, rollbacks, power cuts, on a device made for it
    Demo(demo::Options),
    /// Run a device whose flash is a file, with its RPC on HTTP, WebSocket, TCP, UDP, MQTT, serial
    Device(Box<cli::device::Options>),
    /// Call an RPC method of a device, as `mos call` does
    Call(cli::call::Options),
    /// Send an update to a device, over any transport
    Push(cli::push::Options),
    /// Drive updates by FIMP, as a smart-home hub does, over its broker
    #[command(subcommand)]
    Fimp(cli::fimp::Command),
    /// Make firmware bundles, and look into them
    #[command(subcommand)]
    Bundle(cli::bundle::Command),
    /// Compare the cost of an update with embassy-boot's, on the same counted flash
    #[cfg(feature = "compare")]
    Compare(cli::compare::Options),
    /// Cut power at every flash operation, in every way, and see what boots
    Cuts(cli::cuts::Options),
    /// Look into flash files
    #[command(subcommand)]
    Flash(cli::flash::Command),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Device(options) => cli::device::run(&options),
        Command::Call(options) => return cli::call::run(&options),
        Command::Push(options) => cli::push::run(&options),
        Command::Fimp(command) => cli::fimp::run(&command),
        Command::Bundle(command) => cli::bundle::run(&command),
        #[cfg(feature = "compare")]
        Command::Compare(options) => cli::compare::run(&options),
        Command::Cuts(options) => cli::cuts::run(&options),
        Command::Flash(command) => cli::flash::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
