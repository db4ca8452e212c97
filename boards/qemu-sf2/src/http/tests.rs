use std::format;
use std::string::{String, ToString};

use super::*;

fn url(text: &str) -> Url<'_> {
    Url::parse(text).unwrap()
}

#[test]
fn urls_are_taken_apart() {
    let one = url("http://10.0.2.2:8000/a/fw.zip?x=1#top");
    assert_eq!(one.host, Host::Address([10, 0, 2, 2].into()));
    assert_eq!((one.port, one.authority), (8000, "10.0.2.2:8000"));
    assert_eq!(one.to_string(), "/a/fw.zip?x=1");

    let one = url("HTTP://fw.example.org");
    assert_eq!((one.host, one.port), (Host::Name("fw.example.org"), 80));
    assert_eq!(one.to_string(), "/");
    assert_eq!(url("http://h?a=b").to_string(), "/?a=b");
    // No address, so a name, which DNS will not know.
    assert_eq!(url("http://10.0.2.256/").host, Host::Name("10.0.2.256"));
}

#[test]
fn urls_that_cannot_be_asked_for_are_refused_with_a_reason() {
    for (text, reason) in [
        ("", "no ://"),
        ("/fw.zip", "no ://"),
        ("ftp://h/f", "begin with http://"),
        ("https://h/f", "no TLS"),
        ("http:///f", "neither a name"),
        ("http://:80/f", "neither a name"),
        ("http://[::1]/f", "no number"),
        ("http://h:0/f", "no number"),
        ("http://h:65536/f", "no number"),
        ("http://h:/f", "no number"),
        ("http://u:p@h/f", "passwords"),
        ("http://h/a b", "%XX"),
        ("http://h/\r\nX: y", "%XX"),
        ("http://h/\u{e4}", "%XX"),
    ] {
        let failure = Url::parse(text).unwrap_err();
        assert!(failure.message.contains(reason), "{text}: {}", failure.message);
        assert_eq!(failure.code, FAILED);
    }
}

fn request(transfer: &Transfer) -> String {
    let info = Info {
        app: "app",
        fw_version: "1.0.0",
        fw_id: "id",
        arch: "board",
        mac: Some("020000000001"),
        ..Info::default()
    };
    let mut out = String::new();
    transfer.request(&url("http://h:81/f?q"), "dev", &info, &mut out).unwrap();
    out
}

#[test]
fn a_request_asks_for_what_is_missing_of_the_same_file() {
    let mut transfer = Transfer::default();
    let first = "GET /f?q HTTP/1.1\r\nHost: h:81\r\nUser-Agent: app/1.0.0 (board)\r\n\
                 Connection: close\r\nX-MGOS-Device-ID: dev 020000000001\r\n\
                 X-MGOS-FW-Version: board 1.0.0 id\r\n";
    assert_eq!(request(&transfer), format!("{first}\r\n"));
    transfer.at = 70_000;
    assert_eq!(request(&transfer), format!("{first}Range: bytes=70000-\r\n\r\n"));
    transfer.validator = "\"v1\"".try_into().unwrap();
    let range = "Range: bytes=70000-\r\nIf-Range: \"v1\"\r\n\r\n";
    assert_eq!(request(&transfer), format!("{first}{range}"));
}

/// A transfer of which `at` bytes have come.
fn begun(head: &str, at: u32) -> Transfer {
    let mut transfer = Transfer::default();
    transfer.answer(head.as_bytes()).unwrap().unwrap();
    transfer.at = at;
    transfer
}

const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"v1\"\r\n\r\n";

#[test]
fn an_answer_is_understood_once_its_head_is_complete() {
    for end in 0..WHOLE.len() {
        assert_eq!(Transfer::default().answer(&WHOLE.as_bytes()[..end]), Ok(None));
    }
    let mut transfer = Transfer::default();
    let body = transfer.answer(format!("{WHOLE}PK").as_bytes()).unwrap().unwrap();
    assert_eq!(body, Body { head: WHOLE.len(), dropped: 0, length: Some(100_000) });
    assert_eq!((transfer.size, &*transfer.validator), (Some(100_000), "\"v1\""));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let mut transfer = Transfer::default();
    let body = transfer.answer(b"HTTP/1.0 200 OK\r\n\r\n").unwrap().unwrap();
    assert_eq!((body.length, transfer.size), (None, None));
}

#[test]
fn a_download_goes_on_where_it_was() {
    let mut transfer = begun(WHOLE, 70_000);
    let rest = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 70000-99999/100000\r\n\
                Content-Length: 30000\r\n\r\n";
    let body = transfer.answer(rest.as_bytes()).unwrap().unwrap();
    assert_eq!((body.dropped, body.length), (0, Some(30_000)));
    // A server without ranges sends everything again.
    let body = transfer.answer(WHOLE.as_bytes()).unwrap().unwrap();
    assert_eq!((body.dropped, body.length), (70_000, Some(100_000)));
}

#[test]
fn another_file_is_noticed() {
    for other in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\nETag: \"v1\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: \"v2\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 70000-100000/100001\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99999/100000\r\n\r\n",
    ] {
        let failure = begun(WHOLE, 70_000).answer(other.as_bytes()).unwrap_err();
        assert!(failure.message.contains("has changed"), "{other}: {}", failure.message);
    }
}

#[test]
fn a_weak_tag_does_not_tell_files_apart_but_a_date_does() {
    let head = "HTTP/1.1 200 OK\r\nETag: W/\"v\"\r\nlast-modified: Sat, 21 Nov 2026\r\n\r\n";
    assert_eq!(begun(head, 0).validator, "Sat, 21 Nov 2026");
    let long = "x".repeat(MAX_VALIDATOR + 1);
    let head = format!("HTTP/1.1 200 OK\r\nETag: \"{long}\"\r\n\r\n");
    assert_eq!(begun(&head, 0).validator, "");
}

#[test]
fn answers_that_are_no_file_are_failures_with_a_code_and_a_reason() {
    let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
    for (head, code, reason) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", -404, "response code 404 Not Found"),
        ("HTTP/1.1 500 \r\n\r\n", -500, "response code 500"),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", -302, "not followed, give the final URL"),
        // Nobody has asked for a part.
        ("HTTP/1.1 206 Partial Content\r\n\r\n", -206, "response code 206"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", -1, "give a Content-Length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n", -1, "32 bits"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -1, "32 bits"),
        ("SSH-2.0-OpenSSH\r\n", -1, "not HTTP/1"),
        (&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), -1, "longer than"),
        (&format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD)), -1, "longer than"),
    ] {
        let failure = Transfer::default().answer(head.as_bytes()).unwrap_err();
        assert_eq!(failure.code, code, "{}", failure.message);
        assert!(failure.message.contains(reason), "{}", failure.message);
    }
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes */1\r\n\r\n";
    let failure = begun(WHOLE, 7).answer(head.as_bytes()).unwrap_err();
    assert!(failure.message.contains("Content-Range"), "{}", failure.message);
}

#[test]
fn a_long_message_is_cut_off_between_characters() {
    let head = format!("HTTP/1.1 404 {}\r\n\r\n", "n".repeat(300));
    let failure = Transfer::default().answer(head.as_bytes()).unwrap_err();
    assert_eq!(failure.message.len(), MAX_MESSAGE_BYTES);
}
