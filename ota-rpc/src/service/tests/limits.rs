//! Each limit is met, and passed by one.

use std::format;
use std::string::String;

use super::bench::{Bench, base64, request};
use crate::error::Class;
use crate::frame::Rejected;
use crate::limits::{
    DEFAULT_UPDATE_TIMEOUT_S, FLUSH_WAIT_MS, MAX_ECHO_CHARS, MAX_MESSAGE_BYTES,
    MAX_OUTSTANDING_BYTES, MAX_REQUEST_BURST, MAX_REQUEST_BYTES, MAX_URL_BYTES, MIN_REPLY_BYTES,
    REBOOT_DELAY_MS, REQUEST_MS, UPDATE_REPLY_MS, WRITE_PIECE_BYTES,
};
use crate::service::{Reply, SourceError};

/// A request of exactly `len` bytes.
fn padded(len: usize) -> String {
    let request = request("OTA.GetBootState", "");
    format!("{request}{}", " ".repeat(len - request.len()))
}

#[test]
fn max_request_bytes() {
    let mut bench = Bench::new();
    bench.reply(&padded(MAX_REQUEST_BYTES));
    let outcome_request = padded(MAX_REQUEST_BYTES + 1);
    let why = Rejected::TooLong { found: MAX_REQUEST_BYTES + 1 };
    let Reply::Rejected { why: found, len } = bench.handle(outcome_request.as_bytes()).reply else {
        panic!("not rejected");
    };
    assert_eq!(found, why);
    assert_eq!(
        core::str::from_utf8(&bench.out[..len]).unwrap(),
        r#"{"id":null,"src":"esp_stub","error":{"code":400,"message":"frame of 12289 bytes, at most 12288 are accepted"}}"#
    );
}

#[test]
fn a_chunk_of_8_kib_fits_a_request() {
    let mut bench = Bench::new();
    bench.call("OTA.Begin", "");
    let data = base64(&[0x5a; 8 * 1024]);
    let reply = bench.call("OTA.Write", &format!(r#"{{"offset":0,"data":"{data}"}}"#));
    assert_eq!(reply, r#""result":{"offset":8192}"#);
}

#[test]
fn max_outstanding_bytes() {
    for (method, params) in
        [("OTA.Update", r#"{"url":"x"}"#), ("OTA.CreateSnapshot", "{}"), ("OTA.End", "{}")]
    {
        // The address is {"id":7,"src":"..."}.
        for (src_len, fits) in
            [(MAX_OUTSTANDING_BYTES - 17, true), (MAX_OUTSTANDING_BYTES - 16, false)]
        {
            let mut bench = Bench::new();
            if method == "OTA.End" {
                bench.call("OTA.Begin", "");
                bench.call("OTA.Write", r#"{"offset":0,"data":"Zm9v"}"#);
            }
            let src = "s".repeat(src_len);
            let request =
                format!(r#"{{"id":7,"src":"{src}","method":"{method}","params":{params}}}"#);
            let calls = bench.engine.calls.len();
            match bench.handle(request.as_bytes()).reply {
                Reply::Later => assert!(fits),
                Reply::Frame(len) => {
                    assert!(!fits);
                    let reply = core::str::from_utf8(&bench.out[..len]).unwrap();
                    let error = r#""error":{"code":400,"message":"id, src and tag are longer than 256 bytes"}}"#;
                    assert!(reply.ends_with(error), "{reply}");
                    assert_eq!(bench.engine.calls.len(), calls, "nothing was begun");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn max_message_bytes() {
    for (text, kept) in [
        ("x".repeat(MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES),
        ("x".repeat(MAX_MESSAGE_BYTES + 1), MAX_MESSAGE_BYTES),
        // No half characters.
        ("é".repeat(MAX_MESSAGE_BYTES / 2) + "é", MAX_MESSAGE_BYTES),
        ("x".repeat(MAX_MESSAGE_BYTES - 1) + "é", MAX_MESSAGE_BYTES - 1),
    ] {
        let mut bench = Bench::new();
        bench.call_later("OTA.Update", r#"{"url":"x"}"#);
        let error = SourceError { code: -1, message: &text };
        bench.service.end_feed(Err(error), &mut bench.engine);
        assert_eq!(bench.service.message().len(), kept);
        assert!(text.starts_with(bench.service.message()));
    }
}

#[test]
fn max_url_bytes() {
    for (url, fits) in [
        ("u".repeat(MAX_URL_BYTES), true),
        ("u".repeat(MAX_URL_BYTES + 1), false),
        // Decoded, this is 512 bytes.
        ("\\u00e9".repeat(MAX_URL_BYTES / 2), true),
        ("\\u00e9".repeat(MAX_URL_BYTES / 2 + 1), false),
    ] {
        let mut bench = Bench::new();
        let request = request("OTA.Update", &format!(r#"{{"url":"{url}"}}"#));
        assert_eq!(bench.handle(request.as_bytes()).reply == Reply::Later, fits);
    }
}

#[test]
fn max_echo_chars() {
    let mut bench = Bench::new();
    let name = "n".repeat(MAX_ECHO_CHARS);
    let error = format!(r#""error":{{"code":404,"message":"No handler for {name}"}}"#);
    assert_eq!(bench.call(&name, ""), error);
    let error = format!(r#""error":{{"code":404,"message":"No handler for {name}..."}}"#);
    assert_eq!(bench.call(&(name + "n"), ""), error);
}

#[test]
fn write_piece_bytes() {
    let mut bench = Bench::new();
    bench.call("OTA.Begin", "");
    let data = base64(&[0; WRITE_PIECE_BYTES + 1]);
    bench.call("OTA.Write", &format!(r#"{{"offset":0,"data":"{data}"}}"#));
    assert_eq!(bench.engine.calls[1..], ["write 192", "write 1"]);
}

#[test]
fn default_update_timeout() {
    for timeout in ["{}", r#"{"timeout":0}"#, r#"{"timeout":null}"#] {
        let mut bench = Bench::new();
        bench.call("OTA.Begin", timeout);
        bench.now_ms += u64::from(DEFAULT_UPDATE_TIMEOUT_S) * 1000 - 1;
        bench.poll();
        assert!(bench.service.is_busy());
        bench.now_ms += 1;
        bench.poll();
        assert!(!bench.service.is_busy());
    }
}

#[test]
fn the_times_around_a_reply() {
    let mut bench = Bench::new();
    bench.call_later("OTA.Update", r#"{"url":"x"}"#);
    assert_eq!(bench.service.wake_at_ms(), Some(bench.now_ms + UPDATE_REPLY_MS));
    let mut bench = Bench::new();
    bench.call("Sys.Reboot", "");
    let assumed_ms = FLUSH_WAIT_MS + u64::from(REBOOT_DELAY_MS);
    assert_eq!(bench.reboots_after_ms(), Some(assumed_ms));
}

#[test]
fn a_reply_that_does_not_fit_is_an_error_and_never_cut() {
    let request = request("Sys.GetInfo", "");
    let mut bench = Bench::new();
    let from =
        crate::channel::Channel::new(super::bench::CHANNEL, crate::channel::ChannelKind::Udp, "");
    for capacity in 0..500 {
        let mut out = std::vec![0; capacity];
        let handled =
            bench.service.handle(request.as_bytes(), from, 0, &mut bench.engine, &mut out);
        match handled.reply {
            Reply::Frame(len) => {
                let reply: serde_json::Value = serde_json::from_slice(&out[..len]).unwrap();
                let code = reply["error"]["code"].as_i64();
                assert_eq!(code.is_some(), reply["result"].is_null());
                assert!(code.is_none_or(|code| code == 500));
            }
            Reply::NoRoom(no_room) => assert_eq!(no_room.capacity, capacity),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn min_reply_bytes() {
    let error =
        r#""error":{"code":500,"message":"the reply does not fit the buffer of 1024 bytes"}}"#;
    for (request, refusal) in [
        // Refused without the tag.
        (
            r#"{"id":7,"src":"mos","tag":"LONG","method":"OTA.Commit"}"#,
            format!(r#"{{"id":7,"src":"esp_stub","dst":"mos",{error}"#),
        ),
        (
            r#"{"id":7,"src":"LONG","method":"OTA.Commit"}"#,
            format!(r#"{{"id":7,"src":"esp_stub","dst":"LONG",{error}"#),
        ),
        (
            r#"{"id":"LONG","method":"OTA.Commit"}"#,
            format!(r#"{{"id":"LONG","src":"esp_stub",{error}"#),
        ),
    ] {
        for len in (1..1100).chain([5000]) {
            let request = request.replace("LONG", &"l".repeat(len));
            let mut bench = Bench::new();
            let reply = match bench.handle(request.as_bytes()).reply {
                Reply::Frame(len) => core::str::from_utf8(&bench.out[..len]).unwrap(),
                Reply::NoRoom(_) => "",
                other => panic!("{other:?}"),
            };
            let head = reply.strip_suffix(r#","result":null}"#);
            if let Some(head) = head {
                assert_eq!(bench.engine.calls, ["commit"]);
                assert!(head.len() <= bench.out.len() - MIN_REPLY_BYTES);
            } else {
                // Nothing, if it cannot even be said whose reply it is.
                let refusal = refusal.replace("LONG", &"l".repeat(len));
                let expected = if refusal.len() > bench.out.len() { "" } else { &refusal };
                assert_eq!(reply, expected);
                assert!(bench.engine.calls.is_empty(), "what cannot be told is not done");
            }
            // What is in the way has the whole buffer but for some 150 bytes.
            assert!(if head.is_some() { len < 930 } else { len > 850 }, "{len}");
        }
    }
    assert!(error.len() < MIN_REPLY_BYTES);
}

#[test]
fn an_applied_update_reboots_even_if_its_reply_does_not_fit() {
    let mut bench = Bench::new();
    bench.engine.steps = 1;
    bench.call("OTA.Begin", "");
    bench.call("OTA.Write", r#"{"offset":0,"data":"Zm9v"}"#);
    bench.call_later("OTA.End", "");
    assert!(bench.poll().reply.is_none());
    let polled = bench.service.poll(bench.now_ms, &mut bench.engine, &mut [0; 10]);
    assert!(polled.reply.unwrap().frame.is_err());
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn a_reply_that_is_still_to_be_sent_is_not_replaced() {
    let mut bench = Bench::new();
    bench.call_later("OTA.Update", r#"{"url":"x"}"#);
    bench.fail("write", Class::Package, "Wrong platform");
    bench.service.feed(b"x", bench.now_ms, &mut bench.engine).unwrap_err();
    let error = bench.call("OTA.Update", r#"{"url":"x"}"#);
    assert!(error.starts_with(r#""error":{"code":429,"#), "{error}");
    // Nor is it by a request that wants none (found by the hostile tests).
    let notification = br#"{"method":"OTA.CreateSnapshot"}"#;
    assert_eq!(bench.handle(notification).reply, Reply::None);
    assert!(bench.service.is_busy());
    assert!(bench.later().contains("Wrong platform"));
    while bench.service.is_busy() {
        assert!(bench.poll().reply.is_none());
    }
    bench.call_later("OTA.Update", r#"{"url":"x"}"#);
}

#[test]
fn max_request_burst() {
    use crate::channel::{Channel, ChannelKind};

    let mut bench = Bench::new();
    let ping = request("RPC.Ping", "");
    let mut bench_call = |kind, now_ms| {
        let from = Channel::new(super::bench::CHANNEL, kind, "");
        let Bench { service, engine, out, .. } = &mut bench;
        match service.handle(ping.as_bytes(), from, now_ms, engine, out).reply {
            Reply::Frame(len) => String::from_utf8(out[..len].to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..MAX_REQUEST_BURST {
        assert!(bench_call(ChannelKind::Tcp, 1000).contains("channel_info"));
    }
    let refused = bench_call(ChannelKind::Tcp, 1000);
    assert!(refused.contains(r#""code":429,"message":"too many requests"#), "{refused}");
    // Others are not held up, and with time there is room again.
    assert!(bench_call(ChannelKind::Uart, 1000).contains("channel_info"));
    let later = 1000 + 3 * u64::from(REQUEST_MS);
    for _ in 0..3 {
        assert!(bench_call(ChannelKind::Tcp, later).contains("channel_info"));
    }
    assert!(bench_call(ChannelKind::Tcp, later).contains("429"));
}
