//! Which request asks for what, and the frames that are made of calls.

use std::string::String;

use proptest::prelude::*;

use super::*;

/// What a request asks for, in a word or as the frame that is made of it.
fn routed(method: &str, target: &str, body: &str) -> String {
    match Route::of(method, target) {
        Route::Frame => "frame".into(),
        Route::WebSocket => "websocket".into(),
        Route::Upload => "upload".into(),
        Route::Answer(response) => std::format!("{}", response.status()),
        Route::Call(call) => {
            let mut out = [0; 1024];
            match call.write_request(body.as_bytes(), &mut out) {
                Ok(len) => String::from_utf8(out[..len].to_vec()).unwrap(),
                Err(error) => std::format!("{error}"),
            }
        }
    }
}

#[test]
fn requests_are_told_apart_by_method_and_path() {
    for (method, target, word) in [
        ("POST", "/rpc", "frame"),
        ("POST", "/rpc?x=1", "frame"),
        ("GET", "/rpc", "websocket"),
        ("POST", "/update", "upload"),
        ("POST", "/update?commit_timeout=5", "upload"),
        ("POST", "/update?url=", "upload"),
        ("GET", "/update", "400"),
        ("GET", "/update?url", "400"),
        ("OPTIONS", "/rpc", "200"),
        ("OPTIONS", "/rpc/OTA.Commit", "200"),
        ("OPTIONS", "/update/revert", "200"),
        ("OPTIONS", "/", "404"),
        ("PUT", "/rpc", "405"),
        ("post", "/rpc", "405"),
        ("DELETE", "/update", "405"),
        ("GET", "/", "404"),
        ("GET", "", "404"),
        ("GET", "/rpc/", "404"),
        ("GET", "/RPC", "404"),
        ("GET", "/update/", "404"),
        ("GET", "rpc", "404"),
    ] {
        assert_eq!(routed(method, target, ""), word, "{method} {target}");
    }
}

#[test]
fn calls_become_frames() {
    for (method, target, body, frame) in [
        ("POST", "/rpc/OTA.Commit", "", r#"{"id":1,"method":"OTA.Commit"}"#),
        ("POST", "/rpc/OTA.Commit", " \r\n", r#"{"id":1,"method":"OTA.Commit"}"#),
        ("GET", "/rpc/OTA%2ECommit?", "", r#"{"id":1,"method":"OTA.Commit"}"#),
        (
            "POST",
            "/rpc/OTA.Update?a=1",
            " {\"url\": \"x\"}\n",
            r#"{"id":1,"method":"OTA.Update","params":{"url": "x"}}"#,
        ),
        (
            "GET",
            "/rpc/OTA.Update?url=%22http://x/?a%3D1%26b%22&commit_timeout=300&x=[+true+]",
            "",
            r#"{"id":1,"method":"OTA.Update","params":{"url":"http://x/?a=1&b","commit_timeout":300,"x":[ true ]}}"#,
        ),
        (
            "GET",
            "/update?url=http://x/%22&commit_timeout=300",
            "ignored",
            r#"{"id":1,"method":"OTA.Update","params":{"url":"http://x/\"","commit_timeout":"300"}}"#,
        ),
        ("GET", "/update/commit", "x", r#"{"id":1,"method":"OTA.Commit"}"#),
        ("PATCH", "/update/revert?x", "", r#"{"id":1,"method":"OTA.Revert"}"#),
        ("GET", "/rpc/a%22b", "", r#"{"id":1,"method":"a\"b"}"#),
    ] {
        assert_eq!(routed(method, target, body), frame);
    }
}

#[test]
fn arguments_cannot_break_out_of_their_place() {
    for (target, body, error) in [
        ("/rpc/m?a=1}", "", "data after the end of JSON at offset 1"),
        ("/rpc/m?a=1,%22b%22:2", "", "data after the end of JSON at offset 1"),
        ("/rpc/m?a", "", "JSON ends too early, after 0 bytes"),
        ("/rpc/m?a=x", "", "unexpected byte in JSON at offset 0"),
        ("/rpc/m", "{},\"method\":\"n\"", "data after the end of JSON at offset 2"),
        ("/rpc/%", "", "% must be followed by two hexadecimal digits"),
        ("/rpc/m?%ff=1", "", "the target is not UTF-8"),
    ] {
        assert_eq!(routed("POST", target, body), error, "{target}");
    }
    let Route::Call(call) = Route::of("GET", "/rpc/m") else { panic!("no call") };
    let error = CallError::NoRoom(NoRoom { capacity: 7 });
    assert_eq!(call.write_request(b"", &mut [0; 7]), Err(error));
}

proptest! {
    #[test]
    fn whatever_becomes_a_frame_is_json(
        target in "/(rpc/|update\\?url=)[a-z?&=%0-9{}\"+\\[\\],:é]{0,40}",
        body in "[{}\":,a1 ]{0,12}",
    ) {
        let Route::Call(call) = Route::of("POST", &target) else { return Ok(()) };
        let mut out = [0; 2048];
        if let Ok(len) = call.write_request(body.as_bytes(), &mut out) {
            let frame = json::parse(&out[..len]).expect("JSON");
            prop_assert_eq!(frame.get("id").and_then(json::Value::as_i64), Some(1));
            let keys = frame.entries().count();
            prop_assert!(keys == 2 || keys == 3 && frame.get("params").is_some());
        }
    }
}
