//! The life of a device, driven over each transport by the client of `ota-sim`.

use ota_sim::host::client::{CallError, Client, Options, PushEvent, PushOptions, Pushed, push};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::rig::{PATIENCE, Rig, Wire, bundle};

fn state(client: &mut Client) -> Value {
    client.call("OTA.GetBootState", None).unwrap()
}

fn whole_life(wire: Wire) {
    let Some(mut rig) = Rig::open(wire) else { return };
    let mut client = rig.client(wire);
    let factory = json!({
        "active_slot": 0, "is_committed": true, "revert_slot": 0, "commit_timeout": 0
    });
    assert_eq!(state(&mut client), factory);

    // Pulled, on trial, committed.
    let url = rig.serve("1.1.0", 100_000);
    let update = json!({ "url": url, "commit_timeout": 300 });
    client.call("OTA.Update", Some(&update)).unwrap();
    assert_eq!(rig.booted(), "1.1.0");
    client.disconnect();
    assert_eq!(state(&mut client)["is_committed"], false);
    assert_eq!(client.call("OTA.Commit", None).unwrap(), Value::Null);
    assert_eq!(state(&mut client)["is_committed"], true);
    assert_eq!(client.call("OTA.Commit", None).unwrap_err().to_string()[..15], *"remote error -1");

    // Pushed, on trial, reverted.
    let new = bundle("1.2.0", 512 * 1024);
    let mut sent = 0;
    let pushed = push(&mut client, &new, &PushOptions::default(), &mut |event| match event {
        PushEvent::Sent { offset } => {
            assert!(offset > sent);
            sent = offset;
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(pushed, Ok(Pushed { version: "1.2.0".to_owned(), is_committed: false }));
    assert_eq!(sent, new.len());
    assert_eq!(rig.booted(), "1.2.0");
    assert_eq!(state(&mut client)["commit_timeout"], 300);
    assert_eq!(client.call("OTA.Revert", None).unwrap(), Value::Null);
    assert_eq!(rig.booted(), "1.1.0");
    client.disconnect();
    assert_eq!(client.call("Sys.GetInfo", None).unwrap()["fw_version"], "1.1.0");
    assert_eq!(state(&mut client)["is_committed"], true);
}

fn write(
    client: &mut Client,
    bundle: &[u8],
    offset: usize,
    size: usize,
) -> Result<Value, CallError> {
    let end = bundle.len().min(offset + size);
    let data = base64(&bundle[offset..end]);
    client.call("OTA.Write", Some(&json!({ "offset": offset, "data": data })))
}

/// Standard base64, by the book: not the code under test.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

fn message(result: Result<Value, CallError>) -> String {
    match result.unwrap_err() {
        CallError::Remote { message, .. } => message,
        other => panic!("{other}"),
    }
}

/// A push on which everything goes wrong that can: a lost reply, a piece sent twice, a gap, an early
/// end, a connection that breaks off, a reboot in the midst.
fn rough_push(wire: Wire) {
    const CHUNK: usize = 512;
    let Some(mut rig) = Rig::open(wire) else { return };
    let mut client = rig.client(wire);
    let new = bundle("1.1.0", 64 * 1024);
    let begin = json!({ "timeout": 600, "commit_timeout": 300, "size": new.len() });
    let mut at = 0;

    // Writing before the beginning.
    assert!(message(write(&mut client, &new, 0, CHUNK)).contains("call OTA.Begin"));
    client.call("OTA.Begin", Some(&begin)).unwrap();
    // A second update is refused, with how far the first one is.
    let refused = message(client.call("OTA.Begin", Some(&begin)));
    assert!(refused.contains("in progress"), "{refused}");
    while at < 4 * CHUNK {
        assert_eq!(write(&mut client, &new, at, CHUNK).unwrap()["offset"], at + CHUNK);
        at += CHUNK;
    }
    // A piece that came twice.
    assert_eq!(write(&mut client, &new, at - CHUNK, CHUNK).unwrap()["offset"], at);
    // A gap, and a piece of before.
    for offset in [at + 100, 0] {
        let refused = message(write(&mut client, &new, offset, CHUNK));
        assert!(refused.contains(&format!("expected offset {at}")), "{refused}");
    }
    // A lost reply, and with it the connection: the piece arrives or not, the sender cannot know.
    client.disconnect();
    let mut raw = Raw::connect(&rig, wire);
    let data = base64(&new[at..at + CHUNK]);
    raw.send(&format!(
        r#"{{"src":"{}","id":9,"method":"OTA.Write","params":{{"offset":{at},"data":"{data}"}}}}"#,
        raw.source()
    ));
    drop(raw);
    assert_eq!(write(&mut client, &new, at, CHUNK).unwrap()["offset"], at + CHUNK);

    // The end before the end gives up, and nothing has changed.
    let aborted = message(client.call("OTA.End", None));
    assert!(aborted.contains("aborted"), "{aborted}");
    assert_eq!(client.call("OTA.Status", None).unwrap()["state"], 2);
    assert_eq!(state(&mut client)["active_slot"], 0);
    // It may be begun again, and be given up in so many words.
    client.call("OTA.Begin", Some(&begin)).unwrap();
    client.call("OTA.Abort", None).unwrap();

    // A reboot in the midst, behind the first point from which an update can go on.
    client.call("OTA.Begin", Some(&begin)).unwrap();
    let mut at = 0;
    while at < 40 * 1024 {
        let result = write(&mut client, &new, at, CHUNK).unwrap();
        at =
            result["wanted_offset"].as_u64().unwrap_or(result["offset"].as_u64().unwrap()) as usize;
    }
    client.call("Sys.Reboot", None).unwrap();
    assert_eq!(rig.booted(), "1.0.0");
    client.disconnect();
    assert!(message(write(&mut client, &new, at, CHUNK)).contains("call OTA.Begin"));
    // The rest goes on where flash has it.
    let mut first = None;
    let pushed = push(&mut client, &new, &PushOptions::default(), &mut |event| {
        if let PushEvent::Sent { offset } = event {
            first.get_or_insert(offset);
        }
    });
    assert_eq!(pushed, Ok(Pushed { version: "1.1.0".to_owned(), is_committed: false }));
    assert!(first.unwrap() >= 32 * 1024, "{first:?} was in flash already");
    assert_eq!(rig.booted(), "1.1.0");

    // Rebooted without a commit: back to where it was.
    client.call("Sys.Reboot", None).unwrap();
    assert_eq!(rig.booted(), "1.0.0");
    client.disconnect();
    assert_eq!(state(&mut client)["is_committed"], true);
}

macro_rules! on_every_wire {
    ($($wire:ident: $life:ident $rough:ident)*) => {
        $(
            #[test]
            fn $life() {
                whole_life(Wire::$wire);
            }

            #[test]
            fn $rough() {
                rough_push(Wire::$wire);
            }
        )*
    };
}

on_every_wire! {
    Http: a_whole_life_over_http a_rough_push_over_http
    WebSocket: a_whole_life_over_websocket a_rough_push_over_websocket
    Tcp: a_whole_life_over_tcp a_rough_push_over_tcp
    Udp: a_whole_life_over_udp a_rough_push_over_udp
    Serial: a_whole_life_over_serial a_rough_push_over_serial
    Mqtt: a_whole_life_over_mqtt a_rough_push_over_mqtt
}

/// 64 KiB as slowly as `mos` sends them.
#[test]
fn a_push_at_the_pace_of_mos() {
    let mut rig = Rig::open(Wire::Serial).unwrap();
    let options = Options { uart_pace: true, ..Options::with_timeout(PATIENCE) };
    let mut client = Client::new(&rig.url(Wire::Serial), options).unwrap();
    let new = bundle("1.1.0", 64 * 1024);
    let chunk_bytes = Some(512);
    let push_options = PushOptions { chunk_bytes, commit_timeout_s: 0, ..PushOptions::default() };
    let pushed = push(&mut client, &new, &push_options, &mut |_| {});
    assert_eq!(pushed, Ok(Pushed { version: "1.1.0".to_owned(), is_committed: true }));
    assert_eq!(rig.booted(), "1.1.0");
}
