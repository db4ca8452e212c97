//! Whatever comes in: no panic, and what goes out is whole JSON.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::bench::{Bench, CHANNEL, request};
use crate::service::{Action, Polled, Reply};

/// Takes a look at a reply.
fn check(bench: &Bench, len: usize) {
    let text = &bench.out[..len];
    assert!(text.is_ascii());
    let reply: serde_json::Value = match serde_json::from_slice(text) {
        Ok(reply) => reply,
        // An id like 1e999 comes back as it is. That is JSON, but not to serde_json.
        Err(error) if error.to_string().contains("number out of range") => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(reply["src"], "esp_stub");
    let error = &reply["error"];
    if !error.is_null() {
        assert!(error["code"].is_i64());
        assert!(!error["message"].as_str().expect("a message").is_empty());
    }
}

fn handle(bench: &mut Bench, request: &[u8]) -> Reply {
    let reply = bench.handle(request).reply;
    if let Reply::Frame(len) | Reply::Rejected { len: len @ 1.., .. } = reply {
        check(bench, len);
    }
    reply
}

fn any_method() -> impl Strategy<Value = String> {
    let names = crate::methods::METHODS.iter().map(|entry| entry.name()).collect::<Vec<_>>();
    prop_oneof![9 => select(names).prop_map(String::from), 1 => "[a-zA-Z.é\"]{0,80}"]
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        (-3..2000i64).prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        "[0-9x]{0,4}".prop_map(serde_json::Value::from),
        "[A-Za-z0-9+/]{0,9}={0,2}".prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just(serde_json::json!([{"a": [1]}])),
    ]
}

fn any_params() -> impl Strategy<Value = serde_json::Value> {
    let key = select(std::vec![
        "url",
        "commit_timeout",
        "timeout",
        "size",
        "offset",
        "data",
        "delay_ms",
        "abort",
        "name",
        "active_slot",
        "revert_slot",
        "is_committed",
        "set_as_revert",
        "é",
    ]);
    prop::collection::btree_map(key, any_value(), 0..5).prop_map(|members| {
        members.into_iter().map(|(key, value)| (String::from(key), value)).collect()
    })
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![
        Just(None),
        any::<u64>().prop_map(|id| Some(serde_json::Value::from(id))),
        any_value().prop_map(Some)
    ];
    let src = prop::option::of(prop_oneof![any::<String>(), Just("s".repeat(300))]);
    let dst = select(std::vec![None, None, Some("esp_stub"), Some("other")]);
    (id, src, dst, prop::option::of(any_value()), any_method(), any_params()).prop_map(
        |(id, src, dst, tag, method, params)| {
            let mut frame = serde_json::json!({ "method": method, "params": params });
            for (key, value) in [
                ("id", id),
                ("src", src.map(serde_json::Value::from)),
                ("dst", dst.map(serde_json::Value::from)),
                ("tag", tag),
            ] {
                if let Some(value) = value {
                    frame[key] = value;
                }
            }
            frame.to_string().into_bytes()
        },
    )
}

/// One of those that get somewhere.
fn any_good_request() -> impl Strategy<Value = Vec<u8>> {
    let calls = [
        ("OTA.Update", r#"{"url":"x"}"#),
        ("OTA.CreateSnapshot", "{}"),
        ("OTA.Begin", r#"{"size":3}"#),
        ("OTA.Begin", "{}"),
        ("OTA.Write", r#"{"offset":0,"data":"Zm9v"}"#),
        ("OTA.End", "{}"),
        ("OTA.Abort", "{}"),
        ("Sys.Reboot", r#"{"abort":true}"#),
    ];
    select(calls.to_vec()).prop_map(|(method, params)| request(method, params).into_bytes())
}

/// What the world does to a service.
#[derive(Clone, Debug)]
enum Event {
    Request(Vec<u8>),
    Poll,
    Wait(u64),
    Flushed,
    Closed,
    Feed(Vec<u8>),
    EndFeed(bool),
    Trouble(&'static str),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any_request().prop_map(Event::Request),
        4 => any_good_request().prop_map(Event::Request),
        4 => Just(Event::Poll),
        2 => (0..20_000u64).prop_map(Event::Wait),
        1 => Just(Event::Flushed),
        1 => Just(Event::Closed),
        2 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Event::Feed),
        1 => any::<bool>().prop_map(Event::EndFeed),
        1 => select(std::vec!["write", "begin", "step", "end_of_input", "may_begin", "commit"])
            .prop_map(Event::Trouble),
    ]
}

#[test]
fn a_hundred_thousand_brackets_get_an_error() {
    let mut bench = Bench::new();
    for request in [
        "[".repeat(10_000),
        format!("{{\"id\":1,\"method\":\"OTA.Commit\",\"params\":{}", "[".repeat(10_000)),
        format!("{{\"id\":1,\"method\":\"OTA.Commit\",\"params\":{}", "{\"a\":".repeat(2_000)),
        "[".repeat(100_000),
    ] {
        let Reply::Rejected { len, .. } = handle(&mut bench, request.as_bytes()) else {
            panic!("not rejected");
        };
        assert!(
            bench.out[..len].starts_with(br#"{"id":null,"src":"esp_stub","error":{"code":400,"#)
        );
    }
    assert!(bench.engine.calls.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_answered_or_rejected(
        request in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bench = Bench::new();
        handle(&mut bench, &request);
        prop_assert!(bench.engine.calls.is_empty());
    }

    #[test]
    fn damaged_requests_are_answered_or_rejected(
        request in any_request(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let mut request = request;
        for (index, byte) in damage {
            let at = index.index(request.len());
            request[at] = byte;
        }
        let mut bench = Bench::new();
        handle(&mut bench, &request);
        handle(&mut bench, &request[..cut.index(request.len())]);
    }

    #[test]
    fn every_reply_comes_once_whatever_happens(
        events in prop::collection::vec(any_event(), 1..60),
    ) {
        let mut bench = Bench::new();
        let mut owed = 0usize;
        for event in events {
            match event {
                Event::Request(request) => match handle(&mut bench, &request) {
                    Reply::Later => owed += 1,
                    Reply::NoRoom(_) => panic!("1 KiB is room for any error"),
                    Reply::Frame(_) | Reply::None | Reply::Rejected { .. } => {}
                },
                Event::Poll => owed -= polled(&mut bench),
                Event::Wait(ms) => bench.now_ms += ms,
                Event::Flushed => bench.service.reply_flushed(CHANNEL, bench.now_ms),
                Event::Closed => {
                    bench.service.channel_closed(CHANNEL, bench.now_ms);
                    owed = 0;
                }
                Event::Feed(data) => {
                    let _ = bench.service.feed(&data, bench.now_ms, &mut bench.engine);
                }
                Event::EndFeed(true) => bench.service.end_feed(Ok(()), &mut bench.engine),
                Event::EndFeed(false) => {
                    let error = crate::service::SourceError { code: -10, message: "gone" };
                    bench.service.end_feed(Err(error), &mut bench.engine);
                }
                Event::Trouble(name) => bench.fail(name, crate::error::Class::Flash, "trouble"),
            }
            prop_assert!(owed <= 1);
        }
        // Left alone, everything comes to its end.
        for _ in 0..10 {
            owed -= polled(&mut bench);
            bench.now_ms += UPDATE_TIMEOUT_MS;
        }
        prop_assert_eq!(owed, 0);
        prop_assert!(!bench.service.is_busy());
    }
}

/// Longer than any timeout that the requests above are likely to ask for.
const UPDATE_TIMEOUT_MS: u64 = 1 << 43;

/// How many replies came.
fn polled(bench: &mut Bench) -> usize {
    let Polled { reply, action } = bench.poll();
    assert!(!matches!(action, Some(Action::Download(_))));
    match reply {
        Some(reply) => {
            assert_eq!(reply.channel, CHANNEL);
            check(bench, reply.frame.expect("1 KiB is enough"));
            1
        }
        None => 0,
    }
}
