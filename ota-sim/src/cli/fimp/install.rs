//! `ota-sim fimp install`

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use ota_sim::host::client::fimp::{InstallEvent, InstallOptions, Installed};
use ota_sim::host::client::printable;

use super::{Device, Revision};
use crate::cli::progress::ProgressView;
use crate::cli::{on_ctrl_c, print};

#[derive(Args)]
#[command(after_help = "Example: ota-sim fimp install fw.zip --broker mqtt://localhost \
    --address /rt:dev/rn:ota_sim/ad:1/sv:ota/ad:1")]
pub(crate) struct Options {
    /// The update, as the device finds it, not this computer: a file in its folder of updates, or a URL
    path: String,
    #[command(flatten)]
    device: Device,
    /// Wording of the service, which names the command
    #[arg(long, default_value = "draft")]
    revision: Revision,
    /// How long to wait for the end
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = crate::cli::duration)]
    timeout: Duration,
}

pub(super) fn run(options: &Options) -> Result<()> {
    ensure!(!options.timeout.is_zero(), "--timeout 0: give a time such as 10m");
    let hub = options.device.hub()?;
    let install = InstallOptions {
        revision: options.revision.into(),
        timeout: options.timeout,
        ..InstallOptions::default()
    };
    let stop = Arc::clone(&install.stop);
    on_ctrl_c(move || stop.store(true, Ordering::Relaxed))?;
    let mut view = ProgressView::new("");
    let installed = hub.install(&options.device.address, &options.path, &install, &mut |event| {
        tell(&mut view, &event);
    });
    view.end();
    let Installed { version } = installed?;
    match version {
        Some(version) => print(format_args!("the device runs {}", printable(&version))),
        None => print("the update has succeeded; the device does not tell its version"),
    }
}

fn tell(view: &mut ProgressView, event: &InstallEvent) {
    match event {
        InstallEvent::WaitsForUser => {
            view.line("the update waits for its user, who has to start it at the device");
        }
        InstallEvent::Begun => view.line("the update begins"),
        InstallEvent::Progress(transfer) => {
            view.show_percent(transfer.percent, &transfer.to_string());
        }
        InstallEvent::Rebooting => view.line("the device reboots"),
        InstallEvent::OnTrial => view.line(
            "the new image runs, and is not committed yet; FIMP has no command for that: call OTA.Commit",
        ),
        InstallEvent::BrokerLost { reason } => {
            view.line(&format!("{reason}; the update goes on; trying again"));
        }
    }
}
