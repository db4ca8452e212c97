//! What devices report. Nothing of it is trusted: who may publish may publish anything.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::bundle::Timestamp;
use crate::host::client::printable;

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// JSON, or so it should be.
    pub payload: Vec<u8>,
}

/// Who reports: [`fmt::Display`] writes `NAME/THING`, or `NAME` for an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The adapter.
    pub resource: String,
    /// The device; none: the adapter itself.
    pub thing: Option<String>,
}

/// A report that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The id of the command that it replies to; empty: nobody has asked.
    pub corid: String,
    /// What is reported.
    pub what: What,
}

/// What is reported. [`fmt::Display`] writes a line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A device is there.
    Inclusion {
        /// Its thing address, without a group.
        thing: String,
        /// Name of the product.
        product: String,
        /// Version of its firmware.
        version: String,
    },
    /// An update begins.
    Start,
    /// It comes in.
    Progress(Transfer),
    /// It has ended: well, or with this error.
    End(Result<(), String>),
    /// What the last update is doing: the reply to `cmd.ota_status.get_report`.
    Status(Status),
    /// A command was refused.
    Refused(Failure),
    /// Something else, of this type.
    Other(String),
}

/// How far an update has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// 0 to 100.
    pub percent: u8,
    /// In s, if it is known.
    pub remaining_s: Option<u64>,
}

/// What the last update is doing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// `NOT STARTED`, `IN PROGRESS` or `FINISHED`.
    pub state: String,
    /// More about it; may be empty.
    #[serde(default)]
    pub substate: String,
    /// When it was started, in s since 1970.
    pub last_update: Option<u64>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub message: String,
    /// Type of the command; may be empty.
    pub command: String,
}

/// Why a message is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is not JSON, or not with what each message has.
    #[error("no FIMP message: {}", printable(.0))]
    Message(String),
    /// It is of this type, but what it says is not.
    #[error("{name} with a wrong value: {}", printable(reason))]
    Value {
        /// The type.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What is read of the envelope.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    val: Value,
    corid: Option<String>,
    props: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Inclusion {
    address: String,
    #[serde(default)]
    product_name: String,
    #[serde(default)]
    sw_ver: String,
}

#[derive(Deserialize)]
struct Progress {
    progress: u8,
    remaining_min: Option<u64>,
    remaining_sec: Option<u64>,
}

#[derive(Deserialize)]
struct End {
    success: bool,
    #[serde(default)]
    error: String,
}

impl Message {
    /// Who published it, by its topic.
    pub fn place(&self) -> Option<Place> {
        let mut segments = self.topic.split('/').filter_map(|segment| segment.split_once(':'));
        let resource = segments.find(|(key, _)| *key == "rn")?.1.to_owned();
        let thing = segments.skip_while(|(key, _)| *key != "sv").find(|(key, _)| *key == "ad");
        Some(Place { resource, thing: thing.map(|(_, thing)| thing.to_owned()) })
    }
}

impl Report {
    /// Reads a message.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn read(payload: &[u8]) -> Result<Self, ReportError> {
        let wrong = |error: serde_json::Error| ReportError::Message(error.to_string());
        let Envelope { name, val, corid, props } =
            serde_json::from_slice(payload).map_err(wrong)?;
        let what = match name.as_str() {
            "evt.thing.inclusion_report" => {
                let Inclusion { address, product_name, sw_ver } =
                    value("evt.thing.inclusion_report", val)?;
                What::Inclusion { thing: address, product: product_name, version: sw_ver }
            }
            "evt.ota_start.report" => What::Start,
            "evt.ota_progress.report" => What::Progress(transfer(val)?),
            "evt.ota_end.report" => {
                let End { success, error } = value("evt.ota_end.report", val)?;
                What::End(if success { Ok(()) } else { Err(error) })
            }
            "evt.ota_status.report" => What::Status(value("evt.ota_status.report", val)?),
            "evt.error.report" => What::Refused(failure(&val, &props.unwrap_or_default())),
            _ => What::Other(name),
        };
        Ok(Self { corid: corid.unwrap_or_default(), what })
    }
}

fn value<T: DeserializeOwned>(name: &'static str, value: Value) -> Result<T, ReportError> {
    let wrong = |error: serde_json::Error| ReportError::Value { name, reason: error.to_string() };
    serde_json::from_value(value).map_err(wrong)
}

fn transfer(val: Value) -> Result<Transfer, ReportError> {
    const NAME: &str = "evt.ota_progress.report";
    let Progress { progress, remaining_min, remaining_sec } = value(NAME, val)?;
    let wrong = |reason: &str| ReportError::Value { name: NAME, reason: reason.to_owned() };
    if progress > 100 {
        return Err(wrong("more than 100 %"));
    }
    // Either may be left out when it is 0.
    let is_known = remaining_min.is_some() || remaining_sec.is_some();
    let seconds = remaining_min.unwrap_or(0).checked_mul(60);
    let seconds = seconds.and_then(|seconds| seconds.checked_add(remaining_sec.unwrap_or(0)));
    let seconds = seconds.ok_or_else(|| wrong("too long"))?;
    Ok(Transfer { percent: progress, remaining_s: is_known.then_some(seconds) })
}

/// All of it is optional but the value, which may be a code or a text.
fn failure(val: &Value, props: &Map<String, Value>) -> Failure {
    let text = |key: &str| props.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = val.as_str().map_or_else(|| val.to_string(), str::to_owned);
    let message = match text("msg") {
        said if said.is_empty() => code,
        said => said,
    };
    Failure { message, command: text("cmd_type") }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.resource))?;
        match &self.thing {
            Some(thing) => write!(f, "/{}", printable(thing)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inclusion { product, version, .. } => {
                write!(f, "inclusion: {}, {}", printable(product), printable(version))
            }
            Self::Start => f.write_str("start"),
            Self::Progress(transfer) => write!(f, "progress {transfer}"),
            Self::End(Ok(())) => f.write_str("end: success"),
            Self::End(Err(error)) => write!(f, "end: failed: {}", printable(error)),
            Self::Status(status) => write!(f, "status: {status}"),
            Self::Refused(failure) => write!(f, "error: {failure}"),
            Self::Other(name) => f.write_str(&printable(name)),
        }
    }
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent)?;
        match self.remaining_s {
            // All is there: nothing is left to tell.
            None => Ok(()),
            Some(0) if self.percent == 100 => Ok(()),
            Some(seconds @ 0..60) => write!(f, ", {seconds} s left"),
            Some(seconds) => write!(f, ", {} min {} s left", seconds / 60, seconds % 60),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The end of the calendar's four-digit years.
        const YEAR_10000_S: u64 = 253_402_300_800;
        f.write_str(&printable(&self.state))?;
        if !self.substate.is_empty() {
            write!(f, ", {}", printable(&self.substate))?;
        }
        match self.last_update {
            None => Ok(()),
            Some(at_s) if at_s < YEAR_10000_S => {
                write!(f, ", last update {}", Timestamp::from_unix(at_s).rfc3339())
            }
            Some(at_s) => write!(f, ", last update {at_s} s after 1970"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message))?;
        match self.command.is_empty() {
            true => Ok(()),
            false => write!(f, " (of {})", printable(&self.command)),
        }
    }
}

/// The error of an end report, with what it stands for.
pub(super) fn printable_error(error: &str) -> String {
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

#[cfg(test)]
mod tests;
