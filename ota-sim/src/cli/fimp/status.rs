//! `ota-sim fimp status`

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::Device;
use crate::cli::{harmless, print};

/// How long a device has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    device: Device,
}

/// Prints the status, JSON.
pub(super) fn run(options: &Options) -> Result<()> {
    let status = options.device.hub()?.status(&options.device.address, PATIENCE)?;
    print(harmless(&format!("{status:#}")))
}
