//! `ota-sim fimp watch`

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use ota_rpc::fimp::Address;
use ota_sim::bundle::Timestamp;
use ota_sim::host::broker::Broker;
use ota_sim::host::client::fimp::{
    ALL_REPORTS, Hub, Listener, Message, Report, What, adapter_reports_of, reports_of,
};
use ota_sim::host::client::{CallError, printable};
use serde_json::{Value, json};

use super::{address, hub};
use crate::cli::broker::BrokerParser;
use crate::cli::{harmless, on_ctrl_c, print};

/// Between two attempts to reach the broker.
const RETRY: Duration = Duration::from_secs(1);
/// One wait for a message; then the next begins.
const WAIT: Duration = Duration::from_secs(3600);

#[derive(Args)]
pub(crate) struct Options {
    /// The hub's broker: mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts:// for TLS
    #[arg(value_parser = BrokerParser)]
    broker: Broker,
    /// Only this device and its adapter: /rt:dev/rn:NAME/ad:1/sv:ota/ad:THING
    #[arg(long, value_parser = address)]
    address: Option<Address<'static>>,
    /// Who vouches for a broker with TLS, PEM; without it the authorities that browsers trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print topic and payload of each message on a line, JSON; a payload that is none as a text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let hub = hub(&options.broker, options.ca.as_ref())?;
    let filters = match &options.address {
        None => vec![ALL_REPORTS.to_owned()],
        Some(address) => vec![reports_of(address), adapter_reports_of(address)],
    };
    on_ctrl_c(|| std::process::exit(0))?;
    // Whoever has the broker's name wrong is told at once.
    let mut listener = Some(hub.listen(&filters)?);
    if !options.json {
        print(format_args!("listening at {}; Ctrl-C ends", hub.broker()))?;
    }
    let mut was_lost = false;
    loop {
        match next(&hub, &mut listener, &filters) {
            Ok(message) => {
                if std::mem::take(&mut was_lost) {
                    eprintln!("{}: connected again", hub.broker());
                }
                match message {
                    Some(message) if options.json => print(json_line(&message))?,
                    Some(message) => print(line(now(), &message))?,
                    None => {}
                }
            }
            Err(error) => {
                listener = None;
                if !std::mem::replace(&mut was_lost, true) {
                    eprintln!("{error}; trying again");
                }
                std::thread::sleep(RETRY);
            }
        }
    }
}

/// Connects, if need be; otherwise waits for a message.
fn next(
    hub: &Hub,
    listener: &mut Option<Listener>,
    filters: &[String],
) -> Result<Option<Message>, CallError> {
    match listener {
        Some(listener) => listener.next(Instant::now() + WAIT),
        None => {
            *listener = Some(hub.listen(filters)?);
            Ok(None)
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix(since.as_secs())
}

/// When, who, what.
fn line(at: Timestamp, message: &Message) -> String {
    let place = message.place();
    let (place, what) = match (Report::read(&message.payload), place) {
        (Ok(Report { what, .. }), Some(mut place)) => {
            if let What::Inclusion { thing, .. } = &what {
                place.thing = Some(thing.clone());
            }
            (place.to_string(), what.to_string())
        }
        (Ok(Report { what, .. }), None) => (printable(&message.topic), what.to_string()),
        (Err(error), Some(place)) => (place.to_string(), error.to_string()),
        (Err(error), None) => (printable(&message.topic), error.to_string()),
    };
    format!("{} {place} {what}", at.rfc3339())
}

fn json_line(message: &Message) -> String {
    let Message { topic, payload } = message;
    let payload = serde_json::from_slice(payload)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(payload)));
    harmless(&json!({ "topic": topic, "payload": payload }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &[u8]) -> Message {
        Message { topic: topic.to_owned(), payload: payload.to_vec() }
    }

    #[test]
    fn lines_say_when_who_and_what() {
        let line = |topic, payload: &str| {
            line(Timestamp::from_unix(0), &message(topic, payload.as_bytes()))
        };
        let inclusion = r#"{"type":"evt.thing.inclusion_report","val":{"address":"7",
            "product_name":"P","sw_ver":"1.0.0"}}"#;
        let said = line("pt:j1/mt:evt/rt:ad/rn:x/ad:1", inclusion);
        assert_eq!(said, "1970-01-01T00:00:00Z x/7 inclusion: P, 1.0.0");
        let start = r#"{"type":"evt.ota_start.report","val":null}"#;
        let said = line("pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:7_0", start);
        assert_eq!(said, "1970-01-01T00:00:00Z x/7_0 start");
        let said = line("pt:j1/mt:evt/rt:discovery", "\u{1b}[2J");
        assert!(said.contains("rt:discovery no FIMP message: "), "{said}");
    }

    #[test]
    fn lines_for_scripts_are_json_whatever_comes() {
        let said = json_line(&message("t", br#"{"b": 1, "a": "\u009b"}"#));
        assert_eq!(said, r#"{"topic":"t","payload":{"b":1,"a":"\u009b"}}"#);
        let said = json_line(&message("\n\u{7f}", b"\xff\x1b"));
        assert_eq!(
            said,
            r#"{"topic":"\n\u007f","payload":"\ufffd\u001b"}"#.replace("\\ufffd", "\u{fffd}")
        );
    }
}
