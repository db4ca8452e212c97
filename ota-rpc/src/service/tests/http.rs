//! A server in a few lines, and the recorded requests of `mos` to it.

use std::format;
use std::string::{String, ToString};

use super::bench::{Bench, CHANNEL};
use crate::channel::{Channel, ChannelKind};
use crate::framing::http::{Authorization, Form, Response, Route};
use crate::service::Reply;

impl Bench {
    /// The response to a request, byte for byte.
    fn serve(&mut self, request: &str) -> String {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let mut first = first.split(' ');
        let (method, target) = (first.next().unwrap(), first.next().unwrap());
        let header = |wanted: &str| {
            let mut lines = headers.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let keep_alive = header("Connection") == Some("keep-alive");
        let authorization =
            header("Authorization").map(|header| Authorization { method, target, header });
        let from = Channel { authorization, ..Channel::new(CHANNEL, ChannelKind::Http, "") };
        let mut frame = std::vec![0; 1024 + request.len()];
        let (form, frame) = match Route::of(method, target) {
            Route::Answer(response) => return sent(&response, keep_alive),
            Route::Frame => (Form::Frame, body.as_bytes()),
            Route::Call(call) => match call.write_request(body.as_bytes(), &mut frame) {
                Ok(len) => (call.form(), &frame[..len]),
                Err(error) => return sent(&Response::bad_call(call.form(), error), keep_alive),
            },
            Route::Upload | Route::WebSocket => panic!("not of this test"),
        };
        let Self { service, engine, now_ms, out } = self;
        let response = match service.handle(frame, from, *now_ms, engine, out).reply {
            Reply::Frame(len) => Response::to_reply(form, &out[..len]),
            Reply::None => Response::to_notification(),
            Reply::Rejected { len, .. } => Response::to_rejected(form, &out[..len]),
            Reply::NoRoom(_) => Response::unavailable(),
            Reply::Later => {
                let poll = |_| service.poll(*now_ms, engine, out).reply;
                let len = (0..9).find_map(poll).expect("a reply").frame.unwrap();
                Response::to_reply(form, &out[..len])
            }
        };
        sent(&response, keep_alive)
    }
}

fn sent(response: &Response<'_>, keep_alive: bool) -> String {
    let mut text = String::new();
    response.write_head(keep_alive, &mut text).unwrap();
    text + &response.body().to_string()
}

/// The bytes of a request in the recording, which is in Python's notation. `from` is a line.
#[cfg(feature = "auth")]
fn recorded(start: &str, nth: usize) -> String {
    let text = include_str!("../../../../tests/vectors/mos-wire.txt");
    let mut lines = text.lines().filter(|line| line.starts_with(start));
    let line = lines.nth(nth).unwrap();
    let bytes = line.split_once("b'").unwrap().1.strip_suffix('\'').unwrap();
    bytes.replace("\\r", "\r").replace("\\n", "\n")
}

#[cfg(feature = "auth")]
fn own((head, body): (&str, &str)) -> (String, String) {
    (head.to_string(), body.to_string())
}

const CORS: &str = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n";

/// A response of a device to a connection that is closed.
fn response(status: &str, content_type: &str, body: &str) -> String {
    let len = body.len() + 2;
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\nContent-Type: {content_type}\r\n{CORS}\r\n{body}\r\n"
    )
}

#[cfg(feature = "auth")]
#[test]
fn the_recorded_logins_over_http_are_reproduced() {
    use crate::auth::Algorithm;
    for (start, algorithm, id) in [
        ("HTTPMD5", Algorithm::Md5, "1453743620706"),
        ("HTTPSHA", Algorithm::Sha256, "2045181006597"),
    ] {
        let mut bench = super::auth::guarded(algorithm, 0x6aa1_b2c3);
        let [asks, answers] = [0, 1].map(|nth| recorded(&format!("{start} <"), nth));
        let challenge = recorded(&format!("{start} >"), 0);
        // Our 401 has a text for those who read it, and its length and type.
        let (head, text) = bench.serve(&asks).split_once("\r\n\r\n").map(own).unwrap();
        assert!(text.starts_with("401 user and password are required"), "{text}");
        let lines = head.lines().filter(|line| !line.starts_with("Content-"));
        let recorded = challenge.trim_end().lines().filter(|line| !line.starts_with("Content-"));
        assert!(lines.eq(recorded), "{head}");
        assert!(bench.engine.calls.is_empty());
        let frame = format!(r#"{{"id":{id},"src":"esp_stub","dst":"mos","result":null}}"#);
        let committed = response("200 OK", "application/json", &frame);
        assert_eq!(bench.serve(&answers), committed);
        assert_eq!(bench.engine.calls, ["commit"]);
        // The same bytes again, from somebody who has listened.
        let again = bench.serve(&answers);
        assert!(again.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{again}");
        assert!(again.contains("nonce=\"6aa1b2c4\", stale=true, algorithm="), "{again}");
        assert_eq!(bench.engine.calls, ["commit"]);
    }
}

#[cfg(feature = "auth")]
#[test]
fn the_recorded_wrong_password_is_refused() {
    let mut bench = super::auth::guarded(crate::auth::Algorithm::Sha256, 0x6aa1_b2c3);
    let [asks, answers] = [2, 3].map(|nth| recorded("HTTPSHA <", nth));
    bench.serve(&asks);
    let refused = bench.serve(&answers);
    assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{refused}");
    assert!(refused.contains("nonce=\"6aa1b2c4\", algorithm=SHA-256\r\n"), "{refused}");
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn all_forms_of_a_request_are_served() {
    let state = r#"{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}"#;
    let frame = format!(r#"{{"id":1,"src":"esp_stub","dst":"mos","result":{state}}}"#);
    let unknown = r#"{"code":404,"message":"No handler for No.Such"}"#;
    let json = "application/json";
    for (line, body, expected) in [
        (
            "POST /rpc",
            r#"{"src":"mos","id":1,"method":"OTA.GetBootState"}"#,
            response("200 OK", json, &frame),
        ),
        ("POST /rpc/OTA.GetBootState", "{}", response("200 OK", json, state)),
        ("GET /rpc/ota.getBootState?a=1", "", response("200 OK", json, state)),
        ("GET /rpc/No.Such", "", response("404 Not Found", json, unknown)),
        (
            "GET /rpc/No.Such?a=",
            "",
            response(
                "500 Internal Server Error",
                json,
                r#"{"code":400,"message":"Malformed request: JSON ends too early, after 0 bytes"}"#,
            ),
        ),
        ("GET /update/commit", "", response("200 OK", "text/plain", "Ok")),
        ("POST /update/revert", "x", response("200 OK", "text/plain", "Ok")),
        (
            "GET /update",
            "",
            response(
                "400 Bad Request",
                "text/plain",
                "Update URL not specified and none is configured.",
            ),
        ),
        (
            "POST /rpc",
            r#"{"id":1,"dst":"other","method":"OTA.Commit"}"#,
            response("400 Bad Request", "text/plain", "Invalid request"),
        ),
        ("PUT /rpc", "", response("405 Method Not Allowed", "text/plain", "Use GET or POST")),
        ("GET /", "", response("404 Not Found", "text/plain", "Not found")),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: device\r\n\r\n{body}");
        assert_eq!(Bench::new().serve(&request), expected, "{line}");
    }
}

#[test]
fn a_pull_is_answered_when_it_has_ended() {
    let get = "GET /update?url=http://x/fw.zip&commit_timeout=30 HTTP/1.1\r\n\r\n";
    let mut bench = Bench::new();
    let (method, target) = ("GET", "/update?url=http://x/fw.zip&commit_timeout=30");
    let Route::Call(call) = Route::of(method, target) else { panic!("no call") };
    let mut frame = [0; 256];
    let len = call.write_request(b"", &mut frame).unwrap();
    let outcome = bench.handle(&frame[..len]);
    assert_eq!(outcome.reply, Reply::Later);
    // A second one meanwhile.
    let busy = bench.serve(get);
    assert!(busy.starts_with("HTTP/1.1 409 Conflict\r\n"), "{busy}");
    assert!(busy.contains("\r\n\r\n-1 Failed to init updater: update already in progress"));
    bench.service.feed(b"x", bench.now_ms, &mut bench.engine).unwrap();
    bench.service.end_feed(Ok(()), &mut bench.engine);
    let len = (0..9).find_map(|_| bench.poll().reply).unwrap().frame.unwrap();
    let response = Response::to_reply(call.form(), &bench.out[..len]);
    assert_eq!(response.body().to_string(), "1 Update applied, rebooting\r\n");
    assert_eq!(bench.engine.calls[1], "begin (None, 30)");
}
