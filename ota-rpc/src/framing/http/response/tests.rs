//! Replies in every form, and the heads around them.

use std::format;
use std::string::{String, ToString};

use ota_core::json::JsonError;

use super::super::query::QueryError;
use super::*;
use crate::writer::NoRoom;

fn reply(rest: &str) -> String {
    format!(r#"{{"id":1,"src":"d",{rest}}}"#)
}

/// Status and body.
fn seen(response: &Response<'_>) -> (u16, String) {
    let body = response.body().to_string();
    assert_eq!(body.len(), response.body().len());
    assert_eq!(body.is_empty(), response.body().is_empty());
    (response.status(), body)
}

fn head(response: &Response<'_>, keep_alive: bool) -> String {
    let mut head = String::new();
    response.write_head(keep_alive, &mut head).unwrap();
    head
}

#[test]
fn replies_look_as_the_form_asks() {
    let result = r#""result":{"a": 1}"#;
    let null = r#""result":null"#;
    let later = r#""result":{"state":1,"message":"in progress, see OTA.Status"}"#;
    let failed = r#""error":{"code":-11,"message":"Write \u0066ailed\n: x"}"#;
    let forbidden = r#""error":{"code":403,"message":"unauthorized"}"#;
    let busy = r#""error":{"code":-1,"message":"Failed to init updater: busy"}"#;
    let malformed = r#""error":{"code":-1,"message":"Malformed request: url"}"#;
    let unknown = r#""error":{"code":404,"message":"No handler for x"}"#;
    let mistyped = r#""error":{"code":400,"message":"timeout must be a whole number"}"#;
    let flood = r#""error":{"code":429,"message":"too many requests"}"#;
    let zero = r#""error":{"code":0}"#;
    for (form, rest, status, body) in [
        (Form::Frame, result, 200, reply(result)),
        (Form::Frame, failed, 200, reply(failed)),
        (Form::Frame, forbidden, 200, reply(forbidden)),
        (Form::Rest, result, 200, r#"{"a": 1}"#.into()),
        (Form::Rest, null, 200, "null".into()),
        (Form::Rest, forbidden, 403, r#"{"code":403,"message":"unauthorized"}"#.into()),
        (Form::Rest, unknown, 404, r#"{"code":404,"message":"No handler for x"}"#.into()),
        (Form::Rest, busy, 500, busy[8..].into()),
        (Form::Rest, zero, 500, r#"{"code":0}"#.into()),
        (Form::Update, null, 200, "1 Update applied, rebooting".into()),
        (Form::Update, later, 200, "0 in progress, see OTA.Status".into()),
        (Form::Update, failed, 500, "-11 Write failed: x".into()),
        (Form::Update, busy, 409, "-1 Failed to init updater: busy".into()),
        (Form::Update, malformed, 400, "-1 Malformed request: url".into()),
        (Form::Update, forbidden, 403, "403 unauthorized".into()),
        (Form::Update, mistyped, 400, "400 timeout must be a whole number".into()),
        (Form::Update, flood, 429, "429 too many requests".into()),
        (Form::Update, zero, 500, "0 Update failed".into()),
        (Form::Change, null, 200, "Ok".into()),
        (Form::Change, busy, 400, "Error".into()),
        (Form::Change, forbidden, 403, "Error".into()),
    ] {
        let frame = reply(rest);
        let response = Response::to_reply(form, frame.as_bytes());
        assert_eq!(seen(&response), (status, body + "\r\n"), "{form:?} {rest}");
    }
    // What cannot be is no panic either.
    for form in [Form::Frame, Form::Rest, Form::Update, Form::Change] {
        for frame in [&b""[..], b"\xff", b"[]", b"{}", b"{\"error\":1}"] {
            let _ = seen(&Response::to_reply(form, frame));
            let _ = seen(&Response::to_rejected(form, frame));
        }
    }
}

#[test]
fn what_is_no_request_gets_400() {
    let frame = br#"{"id":null,"src":"d","error":{"code":400,"message":"m"}}"#;
    let text = core::str::from_utf8(frame).unwrap().to_string() + "\r\n";
    assert_eq!(seen(&Response::to_rejected(Form::Frame, frame)), (400, text));
    let invalid = "Invalid request\r\n".to_string();
    assert_eq!(seen(&Response::to_rejected(Form::Frame, b"")), (400, invalid.clone()));
    assert_eq!(seen(&Response::to_rejected(Form::Rest, frame)), (400, invalid));
}

#[test]
fn heads_are_as_recorded() {
    let frame = br#"{"id":1776594147517,"src":"esp_stub","dst":"mos","result":null}"#;
    let response = Response::to_reply(Form::Frame, frame);
    // As recorded: `Content-Length: 65`, which counts the line end.
    let rest = "Content-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\n\
        Access-Control-Allow-Headers: *\r\n\r\n";
    for (keep_alive, connection) in [(true, "keep-alive"), (false, "close")] {
        let start = format!("HTTP/1.1 200 OK\r\nContent-Length: 65\r\nConnection: {connection}");
        assert_eq!(head(&response, keep_alive), format!("{start}\r\n{rest}"));
    }
}

#[test]
fn a_challenge_becomes_the_header_that_mos_understands() {
    let challenge = |rest: &str| {
        let message = format!(
            r#"{{\"auth_type\": \"digest\", \"nonce\": 1788981955, \"nc\": 1, \"realm\": \"RPC\", {rest}}}"#
        );
        reply(&format!(r#""error":{{"code":401,"message":"{message}"}}"#))
    };
    for form in [Form::Frame, Form::Rest, Form::Update, Form::Change] {
        let frame = challenge(r#"\"algorithm\": \"SHA-256\""#);
        let response = Response::to_reply(form, frame.as_bytes());
        let words = "401 user and password are required: curl --digest -u USER:PASSWORD\r\n";
        assert_eq!(seen(&response), (401, words.to_string()));
        assert!(response.must_close());
        // But for the text, byte for byte that of the recording.
        assert_eq!(
            head(&response, true),
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 68\r\nConnection: close\r\n\
            Content-Type: text/plain\r\nWWW-Authenticate: Digest qop=\"auth\", realm=\"RPC\", nonce=\"6aa1b2c3\", \
            algorithm=SHA-256\r\n\r\n"
        );
    }
    let frame = challenge(r#"\"algorithm\": \"MD5\", \"stale\": true"#);
    let head = head(&Response::to_reply(Form::Rest, frame.as_bytes()), true);
    // Whatever else there is, the algorithm comes last.
    assert!(head.ends_with("nonce=\"6aa1b2c3\", stale=true, algorithm=MD5\r\n\r\n"), "{head}");
}

#[test]
fn errors_that_no_frame_has_are_json_too() {
    for error in [
        CallError::Json(JsonError::TooDeep { offset: 17 }),
        CallError::Json(JsonError::Unexpected { offset: 1 }),
        CallError::Json(JsonError::TrailingData { offset: 1 }),
        CallError::Json(JsonError::BadEscape { offset: 1 }),
        CallError::Json(JsonError::NotUtf8 { offset: 1 }),
        CallError::Json(JsonError::Truncated { offset: 1 }),
        CallError::Query(QueryError::BadEscape),
        CallError::Query(QueryError::NotUtf8),
        CallError::Query(QueryError::TooLong),
        CallError::NoRoom(NoRoom { capacity: 7 }),
    ] {
        let (status, body) = seen(&Response::bad_call(Form::Rest, error));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["code"].as_i64()), (500, Some(400)));
        assert_eq!(body["message"], format!("Malformed request: {error}"));
        let (status, _) = seen(&Response::bad_call(Form::Update, error));
        assert_eq!(status, 400);
    }
}

#[test]
fn browsers_may_ask_first() {
    let head = head(&Response::preflight(), false);
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\
        Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n\r\n"
    );
}
