//! What the console says of a transport.

use std::path::Path;

use ota_rpc::{ChannelKind, Config};
use ota_sim::host::broker::Broker;

use crate::cli::print;

/// Tells of the connection of client `id` to a broker: `line` when it is made, and why it ended. Each
/// only once: a device reconnects at each reboot.
pub(super) fn tell_once(
    broker: Broker,
    id: String,
    line: String,
) -> impl FnMut(Result<(), &rumqttc::ConnectionError>) {
    let mut was_told = None;
    move |state| {
        if was_told.replace(state.is_ok()) == Some(state.is_ok()) {
            return;
        }
        match state {
            Ok(()) => drop(print(&line)),
            Err(error) => {
                let why = broker.explain(error, &id);
                tracing::warn!("{broker}: {why}; trying again");
            }
        }
    }
}

/// What to try first, told once.
pub(super) struct Hint {
    config: Config<'static>,
    /// It was not told yet.
    pub(super) is_due: bool,
}

impl Hint {
    /// `is_due`: the next transport gets it.
    pub(super) fn new(config: Config<'static>, is_due: bool) -> Self {
        Self { config, is_due }
    }

    /// The end of the line about a transport.
    pub(super) fn take(
        &mut self,
        kind: ChannelKind,
        port: &str,
        authorities: Option<&Path>,
    ) -> String {
        if !std::mem::take(&mut self.is_due) {
            return String::new();
        }
        let mut words = format!("; try: ota-sim call --port {port}");
        if !self.config.is_open(kind) {
            words += " --creds USER:PASSWORD";
        }
        if let Some(path) = authorities {
            words += &format!(" --ca {}", path.display());
        }
        words + " OTA.GetBootState; Ctrl-C ends"
    }
}
