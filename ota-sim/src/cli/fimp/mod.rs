//! `ota-sim fimp`: the hub's side of FIMP, for whoever stands before one.

mod install;
mod status;
mod watch;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use ota_rpc::fimp::{self, Address, AddressError};
use ota_sim::host::broker::Broker;
use ota_sim::host::client::fimp::Hub;

use super::broker::BrokerParser;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show what devices report, as it comes, until Ctrl-C
    Watch(watch::Options),
    /// Have a device install an update, and wait until it runs
    Install(install::Options),
    /// Ask a device how its last update is doing
    Status(status::Options),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Watch(options) => watch::run(options),
        Command::Install(options) => install::run(options),
        Command::Status(options) => status::run(options),
    }
}

/// The device that a command is for.
#[derive(Args)]
struct Device {
    /// The hub's broker: mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts:// for TLS
    #[arg(long, value_name = "URL", value_parser = BrokerParser)]
    broker: Broker,
    /// The device: /rt:dev/rn:NAME/ad:1/sv:ota/ad:THING, as its inclusion report and `ota-sim
    /// device --fimp` tell it
    #[arg(long, value_parser = address)]
    address: Address<'static>,
    /// Who vouches for a broker with TLS, PEM; without it the authorities that browsers trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Device {
    fn hub(&self) -> Result<Hub> {
        hub(&self.broker, self.ca.as_ref())
    }
}

/// Checks what is said of a broker.
fn hub(broker: &Broker, authorities: Option<&PathBuf>) -> Result<Hub> {
    ensure!(
        broker.path.is_empty(),
        "{broker}/...: no device is named there; leave the path out, and give --address \
         /rt:dev/rn:NAME/ad:1/sv:ota/ad:THING"
    );
    ensure!(
        broker.is_tls || authorities.is_none(),
        "--ca is for a broker with TLS: give mqtts://..."
    );
    Ok(Hub::new(broker.clone(), authorities.cloned()))
}

/// The wording of the service.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Revision {
    /// Command `cmd.ota_update.install`, a status, error `invalid_file`
    Draft,
    /// Of 2023: command `cmd.ota_update.start`, error `invalid_image`
    Current,
}

impl From<Revision> for fimp::Revision {
    fn from(revision: Revision) -> Self {
        match revision {
            Revision::Draft => Self::Draft,
            Revision::Current => Self::Current,
        }
    }
}

/// An address that lives as long as the process.
pub(crate) fn address(text: &str) -> Result<Address<'static>, AddressError> {
    Address::parse(super::forever(text))
}
