use std::format;
use std::string::String;
use std::vec::Vec;

use super::bench::{Bench, base64};
use crate::error::Class;

fn chunk(offset: u32, data: &[u8]) -> String {
    format!(r#"{{"offset":{offset},"data":"{}"}}"#, base64(data))
}

/// A bench that has begun to receive 1,000 bytes, and what they are.
fn begun() -> (Bench, Vec<u8>) {
    let mut bench = Bench::new();
    let begin = r#"{"timeout":600,"commit_timeout":300,"size":1000}"#;
    assert_eq!(bench.call("OTA.Begin", begin), r#""result":null"#);
    bench.engine.calls.clear();
    (bench, (0..1000u32).map(|index| (index * 7 % 251) as u8).collect())
}

#[test]
fn a_push_in_order_is_applied_and_reboots_after_the_reply() {
    let (mut bench, image) = begun();
    for (index, data) in image.chunks(300).enumerate() {
        let offset = index as u32 * 300;
        let next = offset + data.len() as u32;
        let reply = bench.call("OTA.Write", &chunk(offset, data));
        assert_eq!(reply, format!("\"result\":{{\"offset\":{next}}}"));
    }
    assert_eq!(bench.engine.data, image);
    bench.call_later("OTA.End", "");
    assert_eq!(bench.later(), r#""result":null"#);
    bench.now_ms += 2_000;
    assert!(bench.poll().action.is_none(), "the reply may still be on its way");
    assert_eq!(bench.status_while_shutting_down(), "shutting down in 100 ms");
    bench.service.reply_flushed(super::bench::CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn the_last_chunk_may_come_again_any_number_of_times() {
    let (mut bench, image) = begun();
    for _ in 0..3 {
        let reply = bench.call("OTA.Write", &chunk(0, &image[..300]));
        assert_eq!(reply, r#""result":{"offset":300}"#);
    }
    for _ in 0..3 {
        let reply = bench.call("OTA.Write", &chunk(300, &image[300..]));
        assert_eq!(reply, r#""result":{"offset":1000}"#);
    }
    assert_eq!(bench.engine.data, image);
}

#[test]
fn any_other_chunk_is_refused_with_the_offset_expected() {
    let (mut bench, image) = begun();
    bench.call("OTA.Write", &chunk(0, &image[..300]));
    bench.call("OTA.Write", &chunk(300, &image[300..600]));
    let other = [0; 300];
    for (offset, data) in [
        (0, &image[..300]),
        (300, &image[300..599]),
        (300, &other[..]),
        (599, &image[599..700]),
        (601, &image[601..700]),
        (u32::MAX, &image[..3]),
    ] {
        let error = format!(
            r#""error":{{"code":-1,"message":"wrong offset {offset}: expected offset 600"}}"#
        );
        assert_eq!(bench.call("OTA.Write", &chunk(offset, data)), error);
    }
    assert_eq!(bench.call("OTA.Write", &chunk(600, &image[600..])), r#""result":{"offset":1000}"#);
    assert_eq!(bench.engine.data, image);
}

#[test]
fn bad_arguments_change_nothing() {
    let (mut bench, image) = begun();
    for (params, error) in [
        ("", r#"{"code":400,"message":"offset is required"}"#),
        (r#"{"data":"Zg=="}"#, r#"{"code":400,"message":"offset is required"}"#),
        (
            r#"{"offset":"0 ","data":"Zg=="}"#,
            r#"{"code":400,"message":"offset must be a whole number"}"#,
        ),
        (
            r#"{"offset":-1,"data":"Zg=="}"#,
            r#"{"code":400,"message":"offset must be a whole number from 0 to 4294967295"}"#,
        ),
        (r#"{"offset":0}"#, r#"{"code":400,"message":"data is required: a base64 string"}"#),
        (
            r#"{"offset":0,"data":7}"#,
            r#"{"code":400,"message":"data is required: a base64 string"}"#,
        ),
        (
            r#"{"offset":0,"data":"Zm9vZ"}"#,
            r#"{"code":400,"message":"data: 5 characters of base64 are not groups of four: use padding"}"#,
        ),
        (
            r#"{"offset":0,"data":"Zm9vZm9v!m9v"}"#,
            r#"{"code":400,"message":"data: bad base64 character at 8"}"#,
        ),
    ] {
        assert_eq!(bench.call("OTA.Write", params), format!("\"error\":{error}"));
    }
    let error = bench.call("OTA.Write", &chunk(0, &[&image[..], b"x"].concat()));
    let text = "data goes beyond the size of 1000 bytes given to OTA.Begin";
    assert_eq!(error, format!(r#""error":{{"code":-1,"message":"{text}"}}"#));
    assert!(bench.engine.calls.is_empty());
    assert_eq!(bench.call("OTA.Write", &chunk(0, &image)), r#""result":{"offset":1000}"#);
}

#[test]
fn end_of_an_incomplete_push_gives_it_up() {
    let (mut bench, image) = begun();
    bench.call("OTA.Write", &chunk(0, &image[..300]));
    let text = "Update aborted by OTA.End: 300 of 1000 bytes received";
    let error = format!(r#""error":{{"code":-1,"message":"{text}"}}"#);
    assert_eq!(bench.call("OTA.End", ""), error);
    assert_eq!(bench.engine.calls.last().unwrap(), "suspend");
    assert_eq!(bench.status(), (2, text.into()));
    assert_eq!(bench.reboots_after_ms(), None);
    assert_eq!(bench.call("OTA.Begin", ""), r#""result":null"#);
}

#[test]
fn end_of_a_push_without_a_size_leaves_the_judgement_to_the_engine() {
    let mut bench = Bench::new();
    bench.call("OTA.Begin", "");
    bench.call("OTA.Write", &chunk(0, b"abc"));
    bench.fail("end_of_input", Class::Package, "Missing app part");
    let error = r#""error":{"code":-1,"message":"Missing app part"}"#;
    assert_eq!(bench.call("OTA.End", ""), error);
    assert_eq!(bench.status(), (2, "Missing app part".into()));
    // Nothing at all cannot be complete.
    bench.call("OTA.Begin", "");
    assert!(bench.call("OTA.End", "").contains("0 bytes received, more expected"));
}

#[test]
fn a_failed_check_is_the_reply_to_end() {
    let (mut bench, image) = begun();
    bench.call("OTA.Write", &chunk(0, &image));
    bench.call_later("OTA.End", "");
    assert!(bench.call("OTA.End", "").contains("the update is being checked"));
    bench.fail("step", Class::Package, "Invalid checksum");
    assert_eq!(bench.later(), r#""error":{"code":-1,"message":"Invalid checksum"}"#);
    assert_eq!(bench.status(), (2, "Invalid checksum".into()));
    assert_eq!(bench.reboots_after_ms(), None);
}

#[test]
fn a_failed_write_ends_the_update_and_says_why() {
    let (mut bench, image) = begun();
    bench.fail("write", Class::Flash, "Write failed: Erase of App(1) at offset 0");
    let error = r#""error":{"code":-11,"message":"Write failed: Erase of App(1) at offset 0"}"#;
    assert_eq!(bench.call("OTA.Write", &chunk(0, &image)), error);
    // What `mos` does then.
    for method in ["OTA.Write", "OTA.Write", "OTA.End"] {
        let error = bench.call(method, &chunk(0, &image));
        assert!(error.contains("the update has failed: see OTA.Status"), "{error}");
    }
    assert_eq!(bench.status(), (2, "Write failed: Erase of App(1) at offset 0".into()));
    assert_eq!(bench.call("OTA.Begin", ""), r#""result":null"#);
}

#[test]
fn a_push_that_stops_is_given_up_after_its_timeout() {
    let mut bench = Bench::new();
    bench.call("OTA.Begin", r#"{"timeout":"10"}"#);
    bench.now_ms += 9_999;
    assert!(bench.poll().action.is_none());
    bench.call("OTA.Write", &chunk(0, b"abc"));
    bench.now_ms += 9_999;
    assert!(bench.poll().action.is_none());
    assert_eq!(bench.status().0, 1);
    assert_eq!(bench.service.wake_at_ms(), Some(bench.now_ms + 1));
    bench.now_ms += 1;
    assert!(bench.poll().action.is_none());
    assert_eq!(bench.status(), (2, "Update timed out: no data for 10 s".into()));
    assert_eq!(bench.engine.calls.last().unwrap(), "suspend");
    assert_eq!(bench.call("OTA.Begin", ""), r#""result":null"#);
}

#[test]
fn a_push_that_goes_on_may_skip_what_the_engine_has() {
    let (mut bench, image) = begun();
    bench.engine.wanted = Some(600);
    let reply = bench.call("OTA.Write", &chunk(0, &image[..300]));
    assert_eq!(reply, r#""result":{"offset":300,"wanted_offset":600}"#);
    let error = bench.call("OTA.Write", &chunk(601, &image[601..]));
    assert!(error.contains("wrong offset 601: expected offset 300"));
    // The engine skips when it is told the offset, even if the chunk is of no use then.
    let error = bench.call("OTA.Write", &chunk(600, &image[..401]));
    assert!(error.contains("beyond the size"));
    let error = bench.call("OTA.Write", &chunk(300, &image[300..600]));
    assert!(error.contains("wrong offset 300: expected offset 600"));
    let reply = bench.call("OTA.Write", &chunk(600, &image[600..]));
    assert_eq!(reply, r#""result":{"offset":1000}"#);
    bench.call_later("OTA.End", "");
    assert_eq!(bench.later(), r#""result":null"#);
}

#[test]
fn begin_while_a_push_runs_is_refused_with_the_way_out() {
    let (mut bench, _) = begun();
    let error = bench.call("OTA.Begin", "");
    assert!(error.starts_with(
        r#""error":{"code":-1,"message":"Failed to init updater: update already in progress: "#
    ));
    assert_eq!(bench.call("OTA.Abort", ""), r#""result":null"#);
    assert_eq!(bench.engine.calls, ["abort"]);
    assert_eq!(bench.status(), (2, "Update aborted by OTA.Abort".into()));
    let error = bench.call("OTA.Abort", "");
    assert!(error.contains("nothing to abort"));
}

#[test]
fn write_and_end_without_begin_say_what_to_do() {
    let mut bench = Bench::new();
    let error = r#""error":{"code":-1,"message":"no update in progress: call OTA.Begin"}"#;
    assert_eq!(bench.call("OTA.Write", &chunk(0, b"abc")), error);
    assert_eq!(bench.call("OTA.End", ""), error);
}

#[test]
fn status_shows_progress() {
    let (mut bench, image) = begun();
    bench.call("OTA.Write", &chunk(0, &image[..333]));
    assert_eq!(
        bench.call("OTA.Status", ""),
        r#""result":{"state":1,"message":"progress","received":333,"size":1000,"progress_percent":33,"is_committed":true,"commit_timeout":0,"running_slot":0,"reason":"factory"}"#
    );
    bench.fail("boot_state", Class::RecordUnreadable, "no");
    assert_eq!(
        bench.call("OTA.Status", ""),
        r#""result":{"state":1,"message":"progress","received":333,"size":1000,"progress_percent":33,"running_slot":0,"reason":"factory"}"#
    );
}
