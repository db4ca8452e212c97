//! An update, from its command to its end.

mod conversation;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ota_rpc::fimp::{Address, Revision};

use super::report::{Failure, Status, Transfer};
use super::status::CHECK;
use super::{CallError, Hub};
use crate::host::client::printable;
use conversation::Conversation;

/// How to install.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// Which name the command has.
    pub revision: Revision,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How long the device has to begin, unless it waits for a user.
    pub begin: Duration,
    /// Whoever sets it ends the wait; the update goes on.
    pub stop: Arc<AtomicBool>,
}

impl Default for InstallOptions {
    /// The draft, 10 minutes, 10 s to begin.
    fn default() -> Self {
        let (timeout, begin) = (Duration::from_secs(600), Duration::from_secs(10));
        Self { revision: Revision::Draft, timeout, begin, stop: Arc::default() }
    }
}

/// Something that happens on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEvent {
    /// A user has to start it at the device.
    WaitsForUser,
    /// The device has begun.
    Begun,
    /// It comes in.
    Progress(Transfer),
    /// It is in place.
    Rebooting,
    /// The new image runs, and is not committed yet.
    OnTrial,
    /// The connection to the broker is lost, and will be made again.
    BrokerLost {
        /// Why.
        reason: String,
    },
}

/// What it led to: the new image runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its version, if the device tells it.
    pub version: Option<String>,
}

/// Why an update failed, or why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The broker cannot be reached.
    #[error(transparent)]
    Broker(#[from] CallError),
    /// The device did not take the command.
    #[error("the device has refused: {0}")]
    Refused(Failure),
    /// The end report says so: its error.
    #[error("the update failed: {}", explain(.0))]
    Failed(String),
    /// Nobody has begun anything, and nobody answers.
    #[error("nobody answers for {address}: no start in {} s; {CHECK}", wait.as_secs())]
    Silence {
        /// Who was told.
        address: String,
        /// For how long.
        wait: Duration,
    },
    /// The device answers, and begins nothing.
    #[error("the device does not begin the update in {} s; its status: {status}", wait.as_secs())]
    NotBegun {
        /// What it says.
        status: Status,
        /// For how long.
        wait: Duration,
    },
    /// Its end was not heard of in time.
    #[error(
        "the update has not ended in {} s, and may go on; ask with `ota-sim fimp status`",
        wait.as_secs()
    )]
    Timeout {
        /// For how long.
        wait: Duration,
    },
    /// As was asked for.
    #[error("stopped waiting; the update goes on; ask with `ota-sim fimp status`")]
    Stopped,
    /// The same, before anything had begun.
    #[error(
        "stopped waiting; no start was heard, but the command was sent, and may still be carried out"
    )]
    StoppedEarly,
}

impl Hub {
    /// Has a device install what is at `path`, a URL or a full path as the device sees it, and waits
    /// until it runs.
    ///
    /// # Errors
    /// [`InstallError`].
    pub fn install(
        &self,
        address: &Address<'_>,
        path: &str,
        options: &InstallOptions,
        tell: &mut dyn FnMut(InstallEvent),
    ) -> Result<Installed, InstallError> {
        Conversation::start(self, address, path, options, tell)?.run()
    }
}

/// The error of an end report, with what it stands for.
fn explain(error: &str) -> String {
    let means = match error {
        "low_battery" => "the battery has not enough left for an update",
        "not_upgradable" => "the device takes no update now",
        "invalid_file" | "invalid_image" => {
            "the file is no update for this device, is damaged, or is not there"
        }
        "needs_user_action" => "a user has to start it at the device",
        "other" => "it was not fetched, was given up, or was rolled back",
        "" => return "the device does not say why".to_owned(),
        _ => return printable(error),
    };
    format!("{error} ({means})")
}
