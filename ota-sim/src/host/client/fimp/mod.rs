//! The other side of FIMP: what a hub, or who stands before one, says to devices and hears of them.
//!
//! ```text
//! Hub::listen -> Listener: messages in, commands out
//! Report::read <- a message        Hub::status, Hub::install: whole conversations
//! ```
//! It blocks.

mod install;
mod report;
mod status;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ota_rpc::fimp::Address;
use serde_json::{Value, json};

pub use install::{InstallError, InstallEvent, InstallOptions, Installed};
pub use report::{Failure, Message, Place, Report, ReportError, Status, Transfer, What};
pub use status::StatusError;

use super::CallError;
use super::broker::Subscribed;
use crate::bundle::Timestamp;
use crate::host::broker::Broker;

/// How long a broker has to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that devices report.
pub const ALL_REPORTS: &str = "pt:j1/mt:evt/#";

/// Where the reports of a device's `ota` service come.
pub fn reports_of(address: &Address<'_>) -> String {
    format!("pt:j1/mt:evt{address}")
}

/// Where the reports of a device's adapter come.
pub fn adapter_reports_of(address: &Address<'_>) -> String {
    let Address { resource, adapter, .. } = address;
    format!("pt:j1/mt:evt/rt:ad/rn:{resource}/ad:{adapter}")
}

/// A broker with devices, seen by a program that has a name of its own.
#[derive(Clone, Debug)]
pub struct Hub {
    broker: Broker,
    authorities: Option<PathBuf>,
    name: String,
}

/// A connection to a [`Hub`]'s broker.
pub struct Listener(Subscribed);

impl Hub {
    /// `authorities`: as [`Broker::options`] takes them.
    pub fn new(broker: Broker, authorities: Option<PathBuf>) -> Self {
        let name = format!("ota_sim_{:08x}", getrandom::u32().unwrap_or_default());
        Self { broker, authorities, name }
    }

    /// Where it is, without a password.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Connects and subscribes.
    ///
    /// # Errors
    /// [`CallError`]: the broker cannot be reached, is not to be trusted, or refuses.
    pub fn listen(&self, filters: &[String]) -> Result<Listener, CallError> {
        let deadline = Instant::now() + PATIENCE;
        let authorities = self.authorities.as_deref();
        Subscribed::connect(&self.broker, &self.name, filters, authorities, deadline).map(Listener)
    }

    /// Where direct replies come.
    fn replies(&self) -> String {
        format!("pt:j1/mt:rsp/rt:app/rn:{}/ad:1", self.name)
    }

    /// Listens to all that a device and its adapter say, and to direct replies.
    fn listen_to(&self, address: &Address<'_>) -> Result<Listener, CallError> {
        self.listen(&[reports_of(address), adapter_reports_of(address), self.replies()])
    }
}

impl Listener {
    /// The next message; none until the deadline.
    ///
    /// # Errors
    /// [`CallError`]: the connection is lost.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<Message>, CallError> {
        let message = self.0.receive(deadline)?;
        Ok(message.map(|found| Message { topic: found.topic, payload: found.payload.to_vec() }))
    }

    /// A command to the `ota` service of a device. It leaves with the next [`Self::next`]; the uid is
    /// what its direct reply is known by.
    fn command(
        &self,
        hub: &Hub,
        address: &Address<'_>,
        name: &str,
        value: &Value,
    ) -> Result<String, CallError> {
        self.send(hub, &format!("pt:j1/mt:cmd{address}"), "ota", name, value)
    }

    /// Asks the adapter of a device what it has.
    fn ask_inclusion(&self, hub: &Hub, address: &Address<'_>) -> Result<String, CallError> {
        let Address { resource, adapter, thing } = address;
        let device = thing.split('_').next();
        let topic = format!("pt:j1/mt:cmd/rt:ad/rn:{resource}/ad:{adapter}");
        self.send(hub, &topic, resource, "cmd.thing.get_inclusion_report", &json!(device))
    }

    fn send(
        &self,
        hub: &Hub,
        topic: &str,
        service: &str,
        name: &str,
        value: &Value,
    ) -> Result<String, CallError> {
        let uid = uid();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = json!({
            "type": name,
            "serv": service,
            "val_t": if value.is_null() { "null" } else { "string" },
            "val": value,
            "tags": null,
            "props": null,
            "ver": "1",
            "corid": "",
            "resp_to": hub.replies(),
            "src": hub.name,
            "ctime": Timestamp::from_unix(since.as_secs()).rfc3339(),
            "uid": uid,
        });
        self.0.publish(topic, message.to_string().as_bytes())?;
        Ok(uid)
    }
}

/// A random UUID, version 4.
fn uid() -> String {
    let mut bits = [0; 16];
    // Without chance two programs at once could take each other's replies, and no more.
    let _ = getrandom::fill(&mut bits);
    let bits = u128::from_be_bytes(bits) & !(0xf << 76) | 0x4 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    let text = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        let (one, two) = (uid(), uid());
        assert_ne!(one, two);
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }

    #[test]
    fn topics_are_those_of_the_device() {
        let address = Address::parse("rt:dev/rn:x/ad:1/sv:ota/ad:7_0").unwrap();
        assert_eq!(reports_of(&address), "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:7_0");
        assert_eq!(adapter_reports_of(&address), "pt:j1/mt:evt/rt:ad/rn:x/ad:1");
    }
}
