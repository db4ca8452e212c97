use std::format;

use super::bench::{Bench, CHANNEL, request};
use crate::entry::updater_rpc_finish;
use crate::error::Class;
use crate::ota::Begin;
use crate::service::{Action, FeedError, Reply, SourceError};

const URL: &str = r#"{"url":"http://x/fw.zip","commit_timeout":300}"#;
const IN_PROGRESS: &str = r#""result":{"state":1,"message":"in progress, see OTA.Status"}"#;

/// A bench whose owner was asked to fetch an update.
fn asked() -> Bench {
    let mut bench = Bench::new();
    let request = request("OTA.Update", URL);
    let outcome = bench.handle(request.as_bytes());
    assert_eq!(outcome.reply, Reply::Later);
    let Some(Action::Download(download)) = outcome.action else { panic!("{outcome:?}") };
    assert_eq!(download.url, "http://x/fw.zip");
    assert_eq!((download.commit_timeout_s, download.timeout_s), (300, 600));
    bench
}

fn feed(bench: &mut Bench, data: &[u8]) -> Result<(), FeedError> {
    bench.service.feed(data, bench.now_ms, &mut bench.engine)
}

#[test]
fn a_download_that_ends_in_time_is_answered_at_its_end() {
    let mut bench = asked();
    bench.service.feed_size(6);
    feed(&mut bench, b"abc").unwrap();
    feed(&mut bench, b"def").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    assert_eq!(bench.later(), r#""result":null"#);
    assert_eq!(bench.status_while_shutting_down(), "shutting down in 100 ms");
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
    assert_eq!(
        bench.engine.calls,
        [
            "may_begin",
            "begin (Some(6), 300)",
            "write 3",
            "write 3",
            "end_of_input",
            "step",
            "step",
            "step"
        ]
    );
}

#[test]
fn a_slow_download_is_answered_after_15_s_and_goes_on() {
    let mut bench = asked();
    bench.now_ms += 14_999;
    assert!(bench.poll().reply.is_none());
    bench.now_ms += 1;
    assert_eq!(bench.later(), IN_PROGRESS);
    assert_eq!(bench.status().0, 1);
    feed(&mut bench, b"abc").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    for _ in 0..3 {
        assert!(bench.poll().reply.is_none());
    }
    // No reply to wait for.
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn errors_of_the_source_reach_the_requester() {
    for (error, reply) in [
        (
            SourceError { code: -404, message: "Invalid HTTP response code" },
            r#""error":{"code":-404,"message":"Invalid HTTP response code"}"#,
        ),
        (
            SourceError { code: 0, message: "nobody sends an error that reads as success" },
            r#""error":{"code":-1,"message":"nobody sends an error that reads as success"}"#,
        ),
    ] {
        let mut bench = asked();
        bench.service.end_feed(Err(error), &mut bench.engine);
        assert_eq!(bench.later(), reply);
        assert_eq!(bench.status(), (2, error.message.into()));
        assert_eq!(bench.engine.calls, ["may_begin", "suspend"]);
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn errors_of_the_engine_reach_requester_and_source() {
    let mut bench = asked();
    bench.fail("begin", Class::Refused, "no slot");
    assert_eq!(feed(&mut bench, b"abc"), Err(FeedError::Failed));
    assert_eq!(bench.service.message(), "Failed to init updater: no slot");
    assert_eq!(feed(&mut bench, b"def"), Err(FeedError::NotReceiving));
    assert_eq!(bench.later(), r#""error":{"code":-1,"message":"Failed to init updater: no slot"}"#);

    let mut bench = asked();
    bench.fail("write", Class::Package, "Wrong platform");
    assert_eq!(feed(&mut bench, b"abc"), Err(FeedError::Failed));
    assert_eq!(bench.later(), r#""error":{"code":-1,"message":"Wrong platform"}"#);
}

#[test]
fn a_download_must_have_the_length_announced() {
    let mut bench = asked();
    bench.service.feed_size(4);
    feed(&mut bench, b"abc").unwrap();
    assert_eq!(feed(&mut bench, b"def"), Err(FeedError::Failed));
    assert_eq!(
        bench.later(),
        r#""error":{"code":-1,"message":"Update aborted: more than 4 bytes"}"#
    );

    let mut bench = asked();
    bench.service.feed_size(4);
    feed(&mut bench, b"abc").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    assert_eq!(
        bench.later(),
        r#""error":{"code":-1,"message":"Update aborted: 3 of 4 bytes received"}"#
    );
}

#[test]
fn a_download_that_stalls_is_stopped_at_its_timeout() {
    let mut bench = asked();
    feed(&mut bench, b"abc").unwrap();
    bench.now_ms += 15_000;
    assert_eq!(bench.later(), IN_PROGRESS);
    bench.now_ms += 585_000;
    assert!(matches!(bench.poll().action, Some(Action::AbortDownload)));
    assert_eq!(bench.status(), (2, "Update timed out: no data for 600 s".into()));
    assert_eq!(feed(&mut bench, b"abc"), Err(FeedError::NotReceiving));
}

#[test]
fn abort_and_end_stop_a_download_and_answer_its_requester() {
    for (method, starts, call) in [
        ("OTA.Abort", r#""result":null"#, "abort"),
        (
            "OTA.End",
            r#""error":{"code":-1,"message":"Update aborted by OTA.End: 3 bytes"#,
            "suspend",
        ),
    ] {
        let mut bench = asked();
        feed(&mut bench, b"abc").unwrap();
        let outcome_request = request(method, "");
        let outcome = bench.handle(outcome_request.as_bytes());
        assert!(matches!(outcome.action, Some(Action::AbortDownload)));
        let Reply::Frame(len) = outcome.reply else { panic!("{outcome:?}") };
        let reply = core::str::from_utf8(&bench.out[..len]).unwrap();
        assert!(reply.contains(starts), "{reply}");
        assert_eq!(bench.engine.calls.last().unwrap(), call);
        assert!(bench.later().starts_with(r#""error":{"code":-1,"message":"Update aborted by"#));
    }
}

#[test]
fn revert_stops_an_update_before_it_reboots() {
    let mut bench = asked();
    assert_eq!(bench.call("OTA.Revert", ""), r#""result":null"#);
    let message = r#""error":{"code":-1,"message":"Update aborted by OTA.Revert"}"#;
    assert_eq!(bench.later(), message);
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn an_update_without_a_url_is_malformed() {
    let required = "url of the update is required: a string";
    for (params, words) in [
        ("", required),
        ("{}", required),
        (r#"{"url":""}"#, required),
        (r#"{"url":null}"#, required),
        (r#"{"url":7}"#, required),
    ] {
        let mut bench = Bench::new();
        let error = bench.call("OTA.Update", params);
        let wanted = format!(r#""error":{{"code":-1,"message":"Malformed request: {words}"}}"#);
        assert_eq!(error, wanted, "{params}");
        assert!(bench.engine.calls.is_empty());
    }
}

#[test]
fn only_one_update_runs() {
    let mut bench = asked();
    for (method, params) in [("OTA.Update", URL), ("OTA.Begin", "")] {
        let error = bench.call(method, params);
        assert!(error.contains("Failed to init updater: update already in progress"), "{error}");
    }
    let begin = Begin { size: None, commit_timeout_s: 0 };
    let upload = bench.service.begin_upload(begin, 0, bench.now_ms, &mut bench.engine);
    assert_eq!(upload, Err(FeedError::Busy));
    let error = bench.call("OTA.Write", r#"{"offset":0,"data":""}"#);
    assert!(error.contains("the update in progress is a download"));
}

#[test]
fn an_upload_needs_no_request() {
    let mut bench = Bench::new();
    let begin = Begin { size: Some(3), commit_timeout_s: 60 };
    bench.service.begin_upload(begin, 0, bench.now_ms, &mut bench.engine).unwrap();
    feed(&mut bench, b"abc").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    while bench.service.is_busy() {
        assert!(bench.poll().reply.is_none());
    }
    assert_eq!(bench.service.message(), "Update applied, rebooting");
    assert_eq!(bench.reboots_after_ms(), Some(100));

    let mut bench = Bench::new();
    bench.fail("begin", Class::Uncommitted, "commit first");
    let upload = bench.service.begin_upload(begin, 0, bench.now_ms, &mut bench.engine);
    assert_eq!(upload, Err(FeedError::Failed));
    assert_eq!(bench.service.message(), "Failed to init updater: commit first");
}

#[test]
fn a_download_can_skip_what_the_engine_has() {
    let mut bench = asked();
    feed(&mut bench, b"abc").unwrap();
    assert_eq!(bench.service.feed_wanted(&mut bench.engine), None);
    bench.engine.wanted = Some(500);
    assert_eq!(bench.service.feed_wanted(&mut bench.engine), Some(500));
    assert!(!bench.service.feed_seek(501, &mut bench.engine));
    assert!(bench.service.feed_seek(500, &mut bench.engine));
    assert_eq!(bench.service.feed_wanted(&mut bench.engine), None);
}

#[test]
fn an_application_with_an_updater_of_its_own_ends_the_update_by_id_and_source() {
    let mut bench = asked();
    assert!(!updater_rpc_finish(&mut bench.service, 0, 8, "mos", bench.now_ms));
    assert!(!updater_rpc_finish(&mut bench.service, 0, 7, "som", bench.now_ms));
    assert!(bench.poll().reply.is_none());
    assert!(updater_rpc_finish(&mut bench.service, 0, 7, "mos", bench.now_ms));
    assert_eq!(bench.later(), r#""result":null"#);
    assert!(!updater_rpc_finish(&mut bench.service, 0, 7, "mos", bench.now_ms));
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));

    let mut bench = asked();
    assert!(updater_rpc_finish(&mut bench.service, -10, 7, "mos", bench.now_ms));
    assert_eq!(bench.later(), r#""error":{"code":-10,"message":"Update failed with code -10"}"#);

    // The reply is out already, but the update still has an end.
    let mut bench = asked();
    bench.now_ms += 15_000;
    assert_eq!(bench.later(), IN_PROGRESS);
    assert!(updater_rpc_finish(&mut bench.service, -1, 7, "mos", bench.now_ms));
    assert!(bench.poll().reply.is_none());
    assert_eq!(bench.status(), (2, "Update failed".into()));

    // What comes by `feed` is ended by `end_feed`.
    let mut bench = asked();
    feed(&mut bench, b"abc").unwrap();
    assert!(!updater_rpc_finish(&mut bench.service, 0, 7, "mos", bench.now_ms));
}

#[test]
fn a_channel_that_is_gone_gets_no_reply_and_keeps_nobody_waiting() {
    let mut bench = asked();
    bench.service.channel_closed(CHANNEL, bench.now_ms);
    feed(&mut bench, b"abc").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    for _ in 0..3 {
        assert!(bench.poll().reply.is_none());
    }
    assert_eq!(bench.reboots_after_ms(), Some(100));

    // It goes between the end of the update and the reply.
    let mut bench = asked();
    bench.engine.steps = 1;
    feed(&mut bench, b"abc").unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    assert!(bench.poll().reply.is_none());
    bench.service.channel_closed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}
