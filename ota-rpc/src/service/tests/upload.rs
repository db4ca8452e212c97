//! Forms with a firmware in them.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::bench::{Bench, CHANNEL};
use crate::channel::{Channel, ChannelId, ChannelKind};
use crate::error::Class;
use crate::framing::http::{Ended, Form, Refusal, Response, Upload};
use crate::limits::DEFAULT_UPDATE_TIMEOUT_S;

const TYPE: &str = "multipart/form-data; boundary=b";
const END: &str = "\r\n--b--\r\n";

fn field(name: &str, value: &str) -> String {
    format!("\r\n--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}")
}

fn file(content: &str) -> String {
    let head = "Content-Disposition: form-data; name=\"filedata\"; filename=\"fw.zip\"";
    format!("\r\n--b\r\n{head}\r\n\r\n{content}")
}

impl Bench {
    fn upload(&mut self, channel: ChannelId) -> Upload {
        let from = Channel::new(channel, ChannelKind::Http, "");
        let permit = self.service.permit_upload(from, self.now_ms, &mut self.out).unwrap();
        Upload::new(permit, TYPE, channel).unwrap()
    }

    fn feed(&mut self, upload: &mut Upload, body: &str) -> Result<(), Ended> {
        upload.feed(body.as_bytes(), &mut self.service, self.now_ms, &mut self.engine)
    }

    fn end(&mut self, upload: Upload) -> Ended {
        upload.end(&mut self.service, &mut self.engine)
    }

    /// Status and body of the response that comes later.
    fn response(&mut self) -> (u16, String) {
        let reply = (0..20).find_map(|_| self.poll().reply).expect("a reply");
        assert_eq!(reply.channel, CHANNEL);
        let response = Response::to_reply(Form::Update, &self.out[..reply.frame.unwrap()]);
        (response.status(), response.body().to_string())
    }

    /// A whole form.
    fn post(&mut self, form: &str) -> (u16, String) {
        let mut upload = self.upload(CHANNEL);
        let fed = self.feed(&mut upload, form);
        match fed.err().unwrap_or_else(|| self.end(upload)) {
            Ended::Later => self.response(),
            Ended::Refused(refusal) => {
                let response = Response::to_refusal(refusal, &self.service);
                (response.status(), response.body().to_string())
            }
        }
    }
}

fn seen(status: u16, body: &str) -> (u16, String) {
    (status, body.to_string() + "\r\n")
}

#[test]
fn an_upload_is_applied_and_the_device_reboots_when_the_response_is_out() {
    let mut bench = Bench::new();
    let form = field("commit_timeout", "300") + &file("firmware") + END;
    assert_eq!(bench.post(&form), seen(200, "1 Update applied, rebooting"));
    assert_eq!(bench.engine.data, b"firmware");
    assert_eq!(bench.engine.calls[0], "begin (None, 300)");
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn the_commit_timeout_may_come_before_or_behind_the_file() {
    for (form, begun, set) in [
        (file("x") + END, "begin (None, 0)", None),
        (field("commit_timeout", " 5 ") + &file("x") + END, "begin (None, 5)", None),
        (
            file("x") + &field("commit_timeout", "7") + END,
            "begin (None, 0)",
            Some("set_commit_timeout 7"),
        ),
        (field("other", "5") + &file("x") + END, "begin (None, 0)", None),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.post(&form).0, 200);
        assert_eq!(bench.engine.calls[0], begun);
        let found = bench.engine.calls.iter().find(|call| call.starts_with("set"));
        assert_eq!(found.map(String::as_str), set);
    }
}

/// A 0 in its place would let the image commit itself.
#[test]
fn a_commit_timeout_that_is_no_number_of_seconds_ends_the_upload() {
    let text = "Malformed request: commit_timeout must be a whole number of seconds from 0 to \
                4294967295";
    for value in ["5m", "abc", "300s", "-5", "1.5", "4294967296", "99999999999", ""] {
        let mut bench = Bench::new();
        let before = field("commit_timeout", value) + &file("x") + END;
        assert_eq!(bench.post(&before), seen(400, text), "{value}");
        assert!(bench.engine.calls.is_empty(), "{value}");

        let behind = file("x") + &field("commit_timeout", value) + END;
        assert_eq!(bench.post(&behind), seen(400, &format!("-1 {text}")), "{value}");
        assert_eq!(bench.engine.calls.last().unwrap(), "suspend");
        assert!(!bench.service.is_busy());
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn a_form_that_is_not_whole_changes_nothing() {
    let form = file("firmware") + END;
    // Up to the second dash of its end, which is followed by a line end only.
    for len in 0..form.len() - 2 {
        let mut bench = Bench::new();
        let (status, body) = bench.post(&form[..len]);
        match bench.engine.calls.first() {
            None => assert_eq!((status, body), seen(400, "the form has no file")),
            Some(_) => {
                let text = "-1 Update aborted: the form is not complete";
                assert_eq!((status, body), seen(500, text));
                assert_eq!(bench.engine.calls.last().unwrap(), "suspend");
            }
        }
        assert!(!bench.service.is_busy());
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn a_form_that_is_malformed_is_refused() {
    let mut bench = Bench::new();
    let (status, body) = bench.post("--b?");
    assert_eq!((status, body), seen(400, "a delimiter between parts is malformed"));
    assert!(bench.engine.calls.is_empty());
    let (status, body) = bench.post(&(file("x") + "\r\n--b?"));
    assert_eq!((status, body), seen(500, "-1 Update aborted: the form is malformed"));
    let (status, body) = bench.post(&(file("x") + &file("y") + END));
    assert_eq!((status, body), seen(500, "-1 Update aborted: the form is malformed"));
    assert_eq!(bench.reboots_after_ms(), None);
    let from = Channel::new(CHANNEL, ChannelKind::Http, "");
    let permit = bench.service.permit_upload(from, 0, &mut []).unwrap();
    let refusal = Upload::new(permit, "text/plain", CHANNEL).unwrap_err();
    assert!(matches!(refusal, Refusal::Form(_)));
    assert_eq!(Response::to_refusal(refusal, &bench.service).status(), 400);
}

#[test]
fn the_engines_words_reach_the_sender() {
    let mut bench = Bench::new();
    bench.fail("begin", Class::Uncommitted, "slot 1 is not committed");
    let (status, body) = bench.post(&file("x"));
    assert_eq!(status, 409);
    assert!(body.starts_with("Failed to init updater: "), "{body}");
    bench.fail("write", Class::Package, "Wrong platform");
    assert_eq!(bench.post(&(file("x") + END)), seen(500, "-1 Wrong platform"));
    bench.fail("write", Class::Flash, "sector 3");
    let (status, body) = bench.post(&(file("x") + END));
    assert_eq!((status, body), seen(500, "-11 sector 3"));
}

#[test]
fn there_is_one_update_at_a_time() {
    let mut bench = Bench::new();
    let mut first = bench.upload(CHANNEL);
    bench.feed(&mut first, &file("fir")).unwrap();
    let mut second = bench.upload(ChannelId(9));
    let refused = bench.feed(&mut second, &file("x")).unwrap_err();
    assert_eq!(refused, Ended::Refused(Refusal::Busy));
    let response = Response::to_refusal(Refusal::Busy, &bench.service);
    assert_eq!(response.status(), 409);
    assert_eq!(response.body().to_string(), "Another update is in progress.\r\n");
    for method in ["OTA.Begin", "OTA.Write", "OTA.CreateSnapshot"] {
        assert!(bench.call(method, "{}").contains("error"), "{method}");
    }
    // The platform's own downloads are something else too.
    assert!(bench.service.feed(b"x", bench.now_ms, &mut bench.engine).is_err());
    bench.service.end_feed(Ok(()), &mut bench.engine);
    bench.feed(&mut first, &("mware".to_string() + END)).unwrap();
    assert_eq!(bench.end(first), Ended::Later);
    assert_eq!(bench.response().0, 200);
    assert_eq!(bench.engine.data, b"firmware");
}

#[test]
fn an_upload_that_was_aborted_writes_into_no_other() {
    let mut bench = Bench::new();
    let mut upload = bench.upload(CHANNEL);
    bench.feed(&mut upload, &file("old")).unwrap();
    assert_eq!(bench.call("OTA.Abort", ""), r#""result":null"#);
    assert_eq!(bench.response(), seen(500, "-1 Update aborted by OTA.Abort"));
    let mut other = bench.upload(ChannelId(9));
    bench.feed(&mut other, &file("new")).unwrap();
    assert_eq!(bench.feed(&mut upload, "old").unwrap_err(), Ended::Later);
    assert_eq!(bench.feed(&mut upload, "old").unwrap_err(), Ended::Later);
    bench.feed(&mut other, END).unwrap();
    assert_eq!(bench.engine.data, b"new");
}

#[test]
fn an_upload_ends_with_its_connection() {
    let mut bench = Bench::new();
    let mut upload = bench.upload(CHANNEL);
    bench.feed(&mut upload, &file("x")).unwrap();
    bench.service.channel_closed(ChannelId(9), bench.now_ms);
    bench.poll();
    assert!(bench.service.is_busy(), "that was another one");
    bench.service.channel_closed(CHANNEL, bench.now_ms);
    assert_eq!(bench.service.wake_at_ms(), Some(0));
    let polled = bench.poll();
    assert!(polled.reply.is_none() && polled.action.is_none(), "nobody is there");
    assert!(!bench.service.is_busy());
    let message = "Update aborted: the connection has ended";
    assert_eq!(bench.status(), (2, message.to_string()));
    assert_eq!(bench.engine.calls.last().unwrap(), "suspend");
}

#[test]
fn an_upload_that_stands_still_times_out_by_itself() {
    let mut bench = Bench::new();
    let mut upload = bench.upload(CHANNEL);
    bench.feed(&mut upload, &file("x")).unwrap();
    bench.now_ms += u64::from(DEFAULT_UPDATE_TIMEOUT_S) * 1000;
    let (status, body) = bench.response();
    assert_eq!((status, body), seen(500, "-1 Update timed out: no data for 600 s"));
}

#[cfg(feature = "auth")]
#[test]
fn an_upload_needs_the_right_to_update() {
    use crate::auth::Algorithm;
    use crate::service::Reply;
    let mut bench = super::auth::guarded(Algorithm::Sha256, 0x6aa1_b2c3);
    let from = Channel::new(CHANNEL, ChannelKind::Http, "");
    let denied = bench.service.permit_upload(from, bench.now_ms, &mut bench.out).unwrap_err();
    let Reply::Frame(len) = denied else { panic!("{denied:?}") };
    let response = Response::to_reply(Form::Update, &bench.out[..len]);
    let mut head = String::new();
    response.write_head(true, &mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert!(head.contains("nonce=\"6aa1b2c3\", algorithm=SHA-256\r\n"), "{head}");
    // Even the refusal may not fit.
    let denied = bench.service.permit_upload(from, bench.now_ms, &mut [0; 9]).unwrap_err();
    assert!(matches!(denied, Reply::NoRoom(_)));
}

proptest! {
    #[test]
    fn forms_in_pieces_are_the_same(
        pieces in prop::collection::vec(prop::sample::select(std::vec![
            "\r\n--b", "\r\n", "--", "\r\n--b--", "firm", "\r", "Content-Disposition: form-data; ",
            "name=commit_timeout", "filename=x", "\r\n\r\n", "7",
        ]), 0..24),
        size in 1..7usize,
    ) {
        let form = file("firm") + &pieces.concat();
        let mut whole = Bench::new();
        let expected = whole.post(&form);
        let mut bench = Bench::new();
        let mut upload = bench.upload(CHANNEL);
        let chunks: Vec<&str> = form.as_bytes().chunks(size)
            .map(|chunk| core::str::from_utf8(chunk).unwrap()).collect();
        let fed = chunks.iter().try_for_each(|chunk| bench.feed(&mut upload, chunk));
        let ended = fed.err().unwrap_or_else(|| bench.end(upload));
        prop_assert_eq!(ended, Ended::Later);
        prop_assert_eq!(bench.response(), expected);
        prop_assert_eq!(bench.engine.data, whole.engine.data);
    }
}
