//! Byte for byte what the real `mos` sends, and what it has to get.

use std::string::{String, ToString};
use std::vec::Vec;

use super::bench::{Bench, request};
use crate::frame::destination;
use crate::service::{Action, Reply};

const RECORDED: &str = include_str!("../../../../tests/vectors/mos-wire.txt");

/// All whole frames that the client sent in the recording. They are in Python's notation of bytes.
fn recorded_requests() -> Vec<String> {
    let sent = RECORDED.lines().filter(|line| line.contains(" < "));
    let frames = sent.filter_map(|line| {
        let frame = &line[line.find("{\"src\":")?..=line.rfind('}')?];
        Some(frame.replace("\\\\", "\\"))
    });
    frames.filter(|frame| frame.contains("\"method\":\"") && frame.ends_with('}')).collect()
}

#[test]
fn every_recorded_request_is_understood() {
    let requests = recorded_requests();
    assert!(requests.len() >= 25, "{}", requests.len());
    let mut bench = Bench::new();
    for request in requests {
        let outcome = bench.handle(request.as_bytes());
        match outcome.reply {
            Reply::Frame(len) => {
                let reply: serde_json::Value = serde_json::from_slice(&bench.out[..len]).unwrap();
                let sent: serde_json::Value = serde_json::from_str(&request).unwrap();
                assert_eq!(reply["id"], sent["id"]);
                assert_eq!(reply["dst"], sent["src"]);
                assert_eq!(reply["src"], "esp_stub");
            }
            Reply::Later => {}
            other => panic!("{request}: {other:?}"),
        }
        // The next request finds a device without anything under way, except within a push.
        if !request.contains("OTA.Begin") && !request.contains("OTA.Write") {
            bench = Bench::new();
        }
    }
}

#[test]
fn replies_are_those_recorded() {
    for (request, reply) in [
        (
            r#"{"src":"mos","id":1530134620015,"method":"OTA.GetBootState"}"#,
            r#"{"id":1530134620015,"src":"esp_stub","dst":"mos","result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#,
        ),
        (
            r#"{"src":"mos","id":1776594147517,"method":"OTA.Commit"}"#,
            r#"{"id":1776594147517,"src":"esp_stub","dst":"mos","result":null}"#,
        ),
        (
            r#"{"src":"mos","id":1658270985377,"method":"Foo.Bar"}"#,
            r#"{"id":1658270985377,"src":"esp_stub","dst":"mos","error":{"code":404,"message":"No handler for Foo.Bar"}}"#,
        ),
        (
            r#"{"src":"esp_stub/rpc-resp/mos-1253149121","dst":"esp_stub","id":1371636370154,"method":"OTA.GetBootState"}"#,
            r#"{"id":1371636370154,"src":"esp_stub","dst":"esp_stub/rpc-resp/mos-1253149121","result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#,
        ),
        (
            r#"{"src":"mos","id":1657788516573,"method":"OTA.SetBootState","args":{"revert_slot":1}}"#,
            r#"{"id":1657788516573,"src":"esp_stub","dst":"mos","result":null}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"SyS.GetINFO","id":1}"#,
            r#"{"id":1,"src":"esp_stub","result":{"id":"esp_stub","app":"demo","fw_version":"1.0.0","fw_id":"20261120-000000/1.0.0@abcdef12","mg_version":null,"mg_id":null,"mac":"5ccf7f012345","arch":"sim","uptime":5000000000,"public_key":null,"ram_size":65536,"ram_free":0,"ram_min_free":0,"fs_size":0,"fs_free":0}}"#,
        ),
    ] {
        assert_eq!(Bench::new().reply(request), reply);
        assert_eq!(Bench::new().reply(&(request.to_string() + "\n")), reply);
    }
}

#[test]
fn an_escaped_url_is_decoded() {
    let requests = recorded_requests();
    let request = requests.iter().find(|request| request.contains("\\u0026")).unwrap();
    let mut bench = Bench::new();
    let outcome = bench.handle(request.as_bytes());
    let Some(Action::Download(download)) = outcome.action else { panic!("{outcome:?}") };
    assert_eq!(download.url, "http://x/fw.zip?a=1&b=2");
    assert_eq!(download.commit_timeout_s, 300);
    let polled = {
        bench.service.feed(b"x", bench.now_ms, &mut bench.engine).unwrap();
        bench.service.end_feed(Ok(()), &mut bench.engine);
        (0..5).find_map(|_| bench.poll().reply).unwrap()
    };
    let frame = &bench.out[..polled.frame.unwrap()];
    assert_eq!(
        core::str::from_utf8(frame).unwrap(),
        r#"{"id":1709181660393,"src":"esp_stub","dst":"esp_stub/rpc-resp/mos-1661870174","result":null}"#
    );
    assert_eq!(destination(frame).unwrap(), "esp_stub/rpc-resp/mos-1661870174");
}

#[test]
fn the_recorded_push_arrives_whole() {
    let requests = recorded_requests();
    let start = requests.iter().position(|request| request.contains("OTA.Status")).unwrap();
    let mut bench = Bench::new();
    assert!(bench.reply(&requests[start]).contains(r#""result":{"state":0,"#));
    assert!(bench.reply(&requests[start + 1]).ends_with(r#""result":null}"#));
    assert!(bench.reply(&requests[start + 2]).ends_with(r#""result":{"offset":512}}"#));
    assert!(bench.reply(&requests[start + 3]).ends_with(r#""result":{"offset":700}}"#));
    assert_eq!(bench.handle(requests[start + 4].as_bytes()).reply, Reply::Later);
    let reply = (0..5).find_map(|_| bench.poll().reply).unwrap();
    assert_eq!(
        core::str::from_utf8(&bench.out[..reply.frame.unwrap()]).unwrap(),
        r#"{"id":1560826279799,"src":"esp_stub","dst":"mos","result":null}"#
    );
    // 700 bytes of the file that the client sent; its first bytes as base64 has them.
    assert_eq!(bench.engine.data.len(), 700);
    assert_eq!(bench.engine.data[..3], [0x7e, 0x42, 0x59]);
    assert_eq!(bench.engine.calls[0], "begin (Some(700), 300)");
}

#[test]
fn requests_without_an_id_are_carried_out_in_silence() {
    let mut bench = Bench::new();
    let outcome = bench.handle(br#"{"src":"mos","method":"OTA.Commit"}"#);
    assert_eq!(outcome.reply, Reply::None);
    assert_eq!(bench.engine.calls, ["commit"]);
    let outcome = bench.handle(br#"{"src":"mos","method":"No.Such"}"#);
    assert_eq!(outcome.reply, Reply::None);
}

#[test]
fn replies_of_others_are_not_answered() {
    let mut bench = Bench::new();
    for frame in [r#"{"id":1,"result":null}"#, r#"{"id":null,"error":{"code":400}}"#] {
        match bench.handle(frame.as_bytes()).reply {
            Reply::None => {}
            Reply::Rejected { .. } => assert!(frame.contains("null,\"error")),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn frames_for_other_devices_are_dropped() {
    let mut bench = Bench::new();
    let outcome = bench.handle(br#"{"id":1,"dst":"esp_other","method":"OTA.Commit"}"#);
    let why = crate::frame::Rejected::WrongDestination;
    assert_eq!(outcome.reply, Reply::Rejected { why, len: 0 });
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn the_methods_describe_themselves() {
    let mut bench = Bench::new();
    let list = bench.call("RPC.List", "");
    assert!(list.starts_with(r#""result":["OTA.Abort","OTA.End","OTA.Write","#), "{list}");
    assert!(list.ends_with(r#""RPC.Ping","RPC.Describe","RPC.List"]"#), "{list}");
    assert_eq!(
        bench.call("RPC.Describe", r#"{"name":"ota.createsnapshot"}"#),
        r#""result":{"name":"OTA.CreateSnapshot","args_fmt":"{set_as_revert: %B, commit_timeout: %d}"}"#
    );
    let error = bench.call("RPC.Describe", "{}");
    assert_eq!(error, r#""error":{"code":400,"message":"name is required"}"#);
    let error = bench.call("RPC.Describe", r#"{"name":"X"}"#);
    assert_eq!(error, r#""error":{"code":404,"message":"name not found"}"#);
    assert_eq!(bench.call("RPC.Ping", ""), r#""result":{"channel_info":"1.2.3.4:5678"}"#);
    // Whatever is listed is there.
    let names: serde_json::Value = serde_json::from_str(&std::format!("{{{list}}}")).unwrap();
    for name in names["result"].as_array().unwrap() {
        let mut bench = Bench::new();
        let request = request(name.as_str().unwrap(), "");
        let outcome = bench.handle(request.as_bytes());
        assert!(matches!(outcome.reply, Reply::Frame(_) | Reply::Later));
        assert!(!bench.out.windows(10).any(|window| window == b"No handler"));
    }
}
