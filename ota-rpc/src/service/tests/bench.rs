//! A service, an engine that does as it is told, and a clock.

use core::cell::Cell;
use core::fmt;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use serde_json::Value;

use crate::channel::{Channel, ChannelId, ChannelKind};
use crate::error::{Class, Explain};
use crate::ota::{Begin, BootState, BootStateChange, Ota, Progress, Report, Snapshot};
use crate::platform::{Info, Platform};
use crate::service::{Action, Config, Outcome, Polled, Reply, Service};

/// The device's id, as in the recorded bytes.
pub(crate) const DEVICE: &str = "esp_stub";
/// The channel that requests come from.
pub(crate) const CHANNEL: ChannelId = ChannelId(3);

/// An error of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble(pub(crate) Class, pub(super) &'static str);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

impl Explain for Trouble {
    fn class(&self) -> Class {
        self.0
    }
}

/// An engine that notes what it is asked.
pub(crate) struct Engine {
    pub(crate) state: BootState,
    /// What was called, without `boot_state`, `report` and `wanted_offset`.
    pub(crate) calls: Vec<String>,
    /// What was written.
    pub(crate) data: Vec<u8>,
    /// The next call of this name fails.
    pub(crate) trouble: Option<(&'static str, Trouble)>,
    /// How many steps a job takes.
    pub(crate) steps: u32,
    /// See [`Ota::wanted_offset`].
    pub(crate) wanted: Option<u32>,
}

impl Engine {
    fn called(&mut self, name: &'static str, details: impl fmt::Debug) -> Result<(), Trouble> {
        let details = format!("{details:?}");
        self.calls.push(match details.as_str() {
            "()" => name.to_string(),
            details => format!("{name} {details}"),
        });
        match self.trouble {
            Some((failing, trouble)) if failing == name => {
                self.trouble = None;
                Err(trouble)
            }
            _ => Ok(()),
        }
    }
}

impl Ota for Engine {
    type Error = Trouble;

    fn boot_state(&mut self) -> Result<BootState, Trouble> {
        match self.trouble {
            Some(("boot_state", trouble)) => Err(trouble),
            _ => Ok(self.state),
        }
    }

    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), Trouble> {
        let BootStateChange { active_slot, is_committed, revert_slot, commit_timeout_s } = *change;
        self.called("set_boot_state", (active_slot, is_committed, revert_slot, commit_timeout_s))
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        self.called("commit", ())
    }

    fn revert(&mut self) -> Result<(), Trouble> {
        self.called("revert", ())
    }

    fn report(&mut self) -> Report {
        Report { running_slot: Some(0), reason: "factory" }
    }

    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, Trouble> {
        self.called("start_snapshot", (snapshot.set_as_revert, snapshot.commit_timeout_s))?;
        Ok(1)
    }

    fn may_begin(&mut self) -> Result<(), Trouble> {
        self.called("may_begin", ())
    }

    fn begin(&mut self, begin: &Begin) -> Result<(), Trouble> {
        self.data.clear();
        self.called("begin", (begin.size, begin.commit_timeout_s))
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Trouble> {
        self.called("write", data.len())?;
        self.data.extend_from_slice(data);
        Ok(())
    }

    fn wanted_offset(&mut self) -> Option<u32> {
        self.wanted
    }

    fn seek(&mut self, offset: u32) -> bool {
        self.wanted.is_some_and(|wanted| offset <= wanted)
    }

    fn set_commit_timeout(&mut self, commit_timeout_s: u32) {
        self.calls.push(format!("set_commit_timeout {commit_timeout_s}"));
    }

    fn end_of_input(&mut self) -> Result<(), Trouble> {
        self.called("end_of_input", ())
    }

    fn step(&mut self) -> Result<Progress, Trouble> {
        self.called("step", ())?;
        self.steps = self.steps.saturating_sub(1);
        Ok(if self.steps == 0 { Progress::Done } else { Progress::Running })
    }

    fn abort(&mut self) -> Result<(), Self::Error> {
        self.called("abort", ())
    }

    fn suspend(&mut self) {
        self.calls.push("suspend".to_string());
    }
}

/// A device that is not very interesting. Its random numbers just count upwards.
pub(crate) struct Board {
    /// The next random number, if there are any.
    pub(crate) random: Cell<Option<u32>>,
}

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        Info {
            app: "demo",
            fw_version: "1.0.0",
            fw_id: "20261120-000000/1.0.0@abcdef12",
            mac: Some("5ccf7f012345"),
            arch: "sim",
            uptime_s: 5_000_000_000,
            ram_size: 65_536,
            ..Info::default()
        }
    }

    fn random(&self) -> Option<u32> {
        let random = self.random.get();
        self.random.set(random.map(|random| random + 1));
        random
    }
}

/// All of it.
pub(crate) struct Bench {
    pub(crate) service: Service<'static, Board>,
    pub(crate) engine: Engine,
    pub(crate) now_ms: u64,
    pub(crate) out: [u8; 1024],
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::new(DEVICE))
    }

    pub(crate) fn with(config: Config<'static>) -> Self {
        let state =
            BootState { active_slot: 0, is_committed: true, revert_slot: 0, commit_timeout_s: 0 };
        Self {
            service: crate::rpc_service_ota_init(config, Board { random: Cell::new(Some(1)) }),
            engine: Engine {
                state,
                calls: Vec::new(),
                data: Vec::new(),
                trouble: None,
                steps: 3,
                wanted: None,
            },
            now_ms: 1_000_000,
            out: [0; 1024],
        }
    }

    /// The engine fails the next call of `name`.
    pub(crate) fn fail(&mut self, name: &'static str, class: Class, text: &'static str) {
        self.engine.trouble = Some((name, Trouble(class, text)));
    }

    pub(crate) fn handle<'r>(&mut self, request: &'r [u8]) -> Outcome<'r> {
        let from = Channel::new(CHANNEL, ChannelKind::Tcp, "1.2.3.4:5678");
        self.service.handle(request, from, self.now_ms, &mut self.engine, &mut self.out)
    }

    /// The reply to `request`, byte for byte.
    pub(crate) fn reply(&mut self, request: &str) -> String {
        match self.handle(request.as_bytes()).reply {
            Reply::Frame(len) => String::from_utf8(self.out[..len].to_vec()).unwrap(),
            other => panic!("{request}: {other:?}"),
        }
    }

    /// The `result` or `error` of a call, as it was written.
    pub(crate) fn call(&mut self, method: &str, params: &str) -> String {
        let reply = self.reply(&request(method, params));
        let rest = reply.strip_prefix(r#"{"id":7,"src":"esp_stub","dst":"mos","#).expect(&reply);
        rest.strip_suffix('}').unwrap().to_string()
    }

    /// Calls a method whose reply comes later.
    pub(crate) fn call_later(&mut self, method: &str, params: &str) {
        let request = request(method, params);
        let outcome = self.handle(request.as_bytes());
        assert_eq!(outcome.reply, Reply::Later);
    }

    /// Polls without waiting.
    pub(crate) fn poll(&mut self) -> Polled {
        self.service.poll(self.now_ms, &mut self.engine, &mut self.out)
    }

    /// Polls until a reply comes, and returns it like [`Self::call`].
    pub(crate) fn later(&mut self) -> String {
        for _ in 0..100 {
            let polled = self.poll();
            if let Some(reply) = polled.reply {
                assert_eq!(reply.channel, CHANNEL);
                let frame = core::str::from_utf8(&self.out[..reply.frame.unwrap()]).unwrap();
                let head = r#"{"id":7,"src":"esp_stub","dst":"mos","#;
                let rest = frame.strip_prefix(head).expect(frame);
                return rest.strip_suffix('}').unwrap().to_string();
            }
        }
        panic!("no reply");
    }

    /// The state in `OTA.Status`, and its message.
    pub(crate) fn status(&mut self) -> (i64, String) {
        let reply = self.reply(&request("OTA.Status", "{}"));
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let result = &reply["result"];
        (result["state"].as_i64().unwrap(), result["message"].as_str().unwrap().to_string())
    }

    /// At which time, counted from now, the device reboots.
    pub(crate) fn reboots_after_ms(&mut self) -> Option<u64> {
        let start_ms = self.now_ms;
        let after = (0..20_000).find(|ms| {
            self.now_ms = start_ms + ms;
            matches!(self.poll().action, Some(Action::Reboot))
        });
        self.now_ms = start_ms;
        after
    }
}

/// A request of `mos`.
pub(crate) fn request(method: &str, params: &str) -> String {
    match params {
        "" => format!(r#"{{"src":"mos","id":7,"method":"{method}"}}"#),
        params => format!(r#"{{"src":"mos","id":7,"method":"{method}","params":{params}}}"#),
    }
}

/// Standard base64, by a second implementation than the one under test.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for index in 0..4 {
            let six = (bits >> (18 - 6 * index) & 63) as usize;
            text.push(if index <= group.len() { char::from(alphabet[six]) } else { '=' });
        }
    }
    text
}
