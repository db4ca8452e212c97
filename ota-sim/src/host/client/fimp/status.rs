//! The status of a device's update.

use std::time::{Duration, Instant};

use ota_rpc::fimp::Address;
use serde_json::Value;

use super::report::{Failure, Report, What};
use super::{CallError, Hub};

/// The command.
pub(super) const STATUS: &str = "cmd.ota_status.get_report";

/// What to look at when nobody answers.
pub(super) const CHECK: &str = "is the device on, is it connected to this broker, and is this its \
     address? `ota-sim fimp watch` shows who reports";

/// Why there is no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// The broker cannot be reached.
    #[error(transparent)]
    Broker(#[from] CallError),
    /// Of the current revision devices have none, for example.
    #[error("the device has refused: {0}")]
    Refused(Failure),
    /// There is no reply.
    #[error("nobody answers for {address} in {} s; {CHECK}", wait.as_secs())]
    Silence {
        /// Who was asked.
        address: String,
        /// For how long.
        wait: Duration,
    },
}

impl Hub {
    /// Asks a device for its status: `val` of the report, as it came.
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn status(&self, address: &Address<'_>, wait: Duration) -> Result<Value, StatusError> {
        let mut listener = self.listen_to(address)?;
        let deadline = Instant::now() + wait;
        let uid = listener.command(self, address, STATUS, &Value::Null)?;
        while let Some(message) = listener.next(deadline)? {
            let Ok(report) = Report::read(&message.payload) else { continue };
            match report.what {
                What::Status(_) if report.corid == uid => {
                    let mut whole: Value =
                        serde_json::from_slice(&message.payload).unwrap_or_default();
                    return Ok(whole["val"].take());
                }
                What::Refused(failure) if report.corid == uid => {
                    return Err(StatusError::Refused(failure));
                }
                _ => {}
            }
        }
        Err(StatusError::Silence { address: address.to_string(), wait })
    }
}
