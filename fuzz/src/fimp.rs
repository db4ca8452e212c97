//! Hostile messages of FIMP, to a device that remembers anything.

use ota_core::record::NOTE_LEN;
use ota_rpc::fimp::{Address, Config, Fimp, Notes, Revision};
use serde_json::Value;

use crate::input::Input;
use crate::rpc::{Engine, service};

impl Notes for Engine {
    fn note(&mut self) -> [u8; NOTE_LEN] {
        self.note
    }

    fn set_note(&mut self, note: [u8; NOTE_LEN]) -> bool {
        self.note = note;
        true
    }
}

/// A note, then lines: each a topic and a message with a tab between them; without one, the message is
/// for the device. Whatever comes in, what goes out is a JSON object with all keys of the envelope,
/// on a topic that may be published to.
pub fn fimp(data: &[u8]) {
    let mut input = Input(data);
    let address = Address { resource: "x", adapter: "1", thing: "7" };
    let revision = input.pick(&[Revision::Draft, Revision::Current]);
    let mut engine = Engine::default();
    engine.note = input.bytes(NOTE_LEN).try_into().unwrap_or_default();
    let mut service = service();
    let config = Config { revision, ..Config::new(address) };
    let mut fimp = Fimp::new(config, &service, &mut engine, 0);
    let own = format!("pt:j1/mt:cmd{address}");
    let (mut out, mut now_ms) = ([0; 4096], 0);
    for line in input.rest().split(|byte| *byte == b'\n') {
        now_ms += 400;
        let mut parts = line.splitn(2, |byte| *byte == b'\t');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let topic = second.map_or(own.clone(), |_| String::from_utf8_lossy(first).into_owned());
        let message = second.unwrap_or(first);
        let handled = fimp.handle(&topic, message, &mut service, &mut engine, now_ms, &mut out);
        if let Some(reply) = handled.reply {
            check(&reply.topic, &out[..reply.len]);
        }
        assert!(!handled.fetch || (service.is_busy() && !fimp.path().is_empty()));
        let _ = service.feed(message, now_ms, &mut engine);
        match line.len() % 4 {
            0 => fimp.connected(),
            1 => fimp.disconnected(),
            2 => fimp.delivered(&mut engine),
            _ => service.end_feed(Ok(()), &mut engine),
        }
        let _ = service.poll(now_ms, &mut engine, &mut [0; 1024]);
        if let Some(report) = fimp.poll(&service, &mut engine, now_ms, &mut out) {
            check(&report.topic, &out[..report.len]);
        }
    }
}

fn check(topic: &str, payload: &[u8]) {
    let message: Value = serde_json::from_slice(payload).expect("a message is JSON");
    for key in ["type", "serv", "val_t", "ver", "corid", "src", "ctime", "uid"] {
        assert!(message[key].is_string(), "{key}: {message}");
    }
    for key in ["val", "tags", "props"] {
        assert!(message.get(key).is_some(), "{key}: {message}");
    }
    assert!(!topic.is_empty() && !topic.contains(['+', '#', '\0']), "{topic}");
    assert!(!topic.contains("/mt:cmd/"), "{topic}");
}
