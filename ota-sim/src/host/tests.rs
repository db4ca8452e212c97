//! The device over real loopback HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use serde_json::{Value, json};

use super::client::{self, CallError, Client};
use super::files::Files;
use super::server::Server;
use super::*;
use crate::bundle::{Spec, create};
use crate::clock::VirtualClock;
use crate::device::{Event, Settings};
use crate::factory::{self, Image};
use crate::layout::Board;
use crate::nor::{Nor, Tear};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    files: Files,
    file_server: Server,
    server: Server,
    clock: VirtualClock,
    host: DeviceHost,
    notices: mpsc::Receiver<Notice>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Settings::new("dev", "sim"))
    }

    fn with(settings: Settings<'static>) -> Self {
        let board: Board = "4k4".parse().unwrap();
        let image = Image { app: vec![7; 5000], ..Image::new("1.0.0", "sim") };
        let flash = factory::flash(&board, &image).unwrap();
        let nor = Nor::with_image(board.part(), &flash);
        let (clock, (sender, notices)) = (VirtualClock::new(), mpsc::channel());
        let observer = move |notice| drop(sender.send(notice));
        let host = DeviceHost::start(board, settings, nor, clock.clone(), observer).unwrap();
        let server = Server::start(LOCAL, http::router(host.handle())).unwrap();
        let files = Files::new();
        let file_server = Server::start(LOCAL, files.router()).unwrap();
        let mut bench = Self { files, file_server, server, clock, host, notices };
        assert_eq!(bench.booted(), "1.0.0");
        bench
    }

    /// Lets time pass until the device boots, and tells which version.
    fn booted(&mut self) -> String {
        let mut event = |event: &Event| matches!(event, Event::Booted(_));
        match self.wait_for(&mut event) {
            Event::Booted(report) => report.version,
            other => panic!("{other}"),
        }
    }

    fn wait_for(&mut self, wanted: &mut dyn FnMut(&Event) -> bool) -> Event {
        for _ in 0..4000 {
            match self.notices.recv_timeout(Duration::from_millis(5)) {
                Ok(Notice::Event(event)) if wanted(&event) => return event,
                Ok(_) => {}
                Err(_) => self.clock.advance(Duration::from_millis(20)),
            }
        }
        panic!("the device does not do what it should");
    }

    /// Until an update has come some way.
    fn wait_for_progress(&mut self) {
        loop {
            self.clock.advance(Duration::from_millis(5));
            match self.notices.recv_timeout(PATIENCE) {
                Ok(Notice::Progress(progress)) if progress.received > 0 => return,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let options = client::Options::with_timeout(PATIENCE);
        Client::new(&self.server.url(), options).unwrap().call(method, Some(&params))
    }

    fn update(&self, file: &str) -> Result<Value, CallError> {
        let url = format!("{}/{file}", self.file_server.url());
        self.call("OTA.Update", json!({ "url": url, "commit_timeout": 300 }))
    }

    /// A request by hand: status, headers, body.
    fn raw(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        self.request(method, path, "", body.as_bytes())
    }

    /// The same, with lines to add to the head.
    fn request(&self, method: &str, path: &str, head: &str, body: &[u8]) -> (u16, String, String) {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.server.address()).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\
             Connection: close\r\n{head}\r\n"
        )
        .unwrap();
        // Whoever refuses a request need not read all of it.
        let _ = stream.write_all(body);
        // Whoever refuses to read a request may break off behind the response.
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        let text = String::from_utf8(response).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }
}

/// 90 KB that depend on the version.
fn bundle(version: &str) -> Vec<u8> {
    let app =
        (0u32..90_000).zip(version.bytes().cycle()).map(|(i, letter)| letter ^ (i % 253) as u8);
    create(&Spec::new(version, "sim").with_app(app.collect())).unwrap()
}

fn code(result: Result<Value, CallError>) -> (i64, String) {
    match result {
        Err(CallError::Remote { code, message }) => (code, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_update_comes_over_http_and_is_committed_over_http() {
    let mut bench = Bench::new();
    bench.files.put("fw.zip", bundle("1.1.0"));
    assert_eq!(bench.update("fw.zip"), Ok(Value::Null));
    assert_eq!(bench.booted(), "1.1.0");
    assert_eq!(bench.call("Sys.GetInfo", json!({})).unwrap()["fw_version"], "1.1.0");
    let state = json!({
        "active_slot": 1, "is_committed": false, "revert_slot": 0, "commit_timeout": 300
    });
    assert_eq!(bench.call("OTA.GetBootState", json!({})), Ok(state));
    assert_eq!(bench.call("OTA.Commit", json!({})), Ok(Value::Null));
    assert_eq!(code(bench.call("OTA.Commit", json!({}))).0, -1);
}

#[test]
fn an_interrupted_download_goes_on_by_range() {
    let mut bench = Bench::new();
    bench.files.put("fw.zip", bundle("1.1.0"));
    bench.host.cut_power_after(250, Tear::Bits { percent: 50, seed: 3 });
    assert_eq!(bench.update("fw.zip"), Err(CallError::NoAnswer));
    bench.wait_for(&mut |event| *event == Event::PowerLost);
    assert_eq!(bench.call("OTA.Status", json!({})), Err(CallError::NoAnswer));
    bench.host.power_on(1);
    assert_eq!(bench.booted(), "1.0.0");
    assert_eq!(bench.update("fw.zip"), Ok(Value::Null));
    assert_eq!(bench.booted(), "1.1.0");
    let starts: Vec<usize> = bench.files.requests().iter().map(|(_, start)| *start).collect();
    assert_eq!(starts[..2], [0, 0]);
    assert!(starts[2] > 16 * 1024, "{starts:?}");
}

/// A server that knows no ranges, that breaks off, or that gives no length.
fn odd_server(bundle: Vec<u8>) -> Server {
    let whole = bundle.clone();
    let no_ranges = get(move || async move { whole });
    let to = get(|| async { Redirect::temporary("/no-ranges") });
    let chunked = get(move || async move {
        // Without a length known before, the body goes out in chunks.
        axum::body::Body::new(Unsized(Some(bundle.into())))
    });
    let router = Router::new()
        .route("/no-ranges", no_ranges)
        .route("/redirect", to)
        .route("/chunked", chunked);
    Server::start(LOCAL, router).unwrap()
}

struct Unsized(Option<axum::body::Bytes>);

impl http_body::Body for Unsized {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let mut bench = Bench::new();
    let server = odd_server(bundle("1.1.0"));
    let params = json!({ "url": format!("{}/no-ranges", server.url()), "commit_timeout": 300 });
    bench.host.cut_power_after(250, Tear::Head);
    assert!(bench.call("OTA.Update", params.clone()).is_err());
    bench.host.power_on(1);
    assert_eq!(bench.booted(), "1.0.0");
    assert_eq!(bench.call("OTA.Update", params), Ok(Value::Null));
    assert_eq!(bench.booted(), "1.1.0");
}

#[test]
fn redirects_are_followed_and_lengths_required() {
    let mut bench = Bench::new();
    let server = odd_server(bundle("1.1.0"));
    let url = |path: &str| json!({ "url": format!("{}/{path}", server.url()) });
    let (number, message) = code(bench.call("OTA.Update", url("chunked")));
    assert_eq!(number, -1);
    assert!(message.starts_with("Invalid content-length"), "{message}");
    assert_eq!(bench.call("OTA.Update", url("redirect")), Ok(Value::Null));
    assert_eq!(bench.booted(), "1.1.0");
}

#[test]
fn what_cannot_be_fetched_is_refused_with_the_reason() {
    let bench = Bench::new();
    let url = format!("{}/missing.zip", bench.file_server.url());
    assert_eq!(
        code(bench.update("missing.zip")),
        (-404, format!("Invalid HTTP response code 404 Not Found of {url}"))
    );
    let free = std::net::TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    let params = json!({ "url": format!("http://user:secret@{free}/fw.zip") });
    let (number, message) = code(bench.call("OTA.Update", params));
    assert_eq!(number, -10);
    let start = format!("Failed to connect to http://{free}/fw.zip: ");
    assert!(message.starts_with(&start), "{message}");
    let (number, message) = code(bench.call("OTA.Update", json!({ "url": "ftp://x/y" })));
    assert_eq!(number, -1);
    assert!(message.contains("http://"), "{message}");
    assert_eq!(bench.call("OTA.Status", json!({})).unwrap()["state"], 2);
}

/// As of a download.
#[test]
fn the_progress_of_a_push_is_told() {
    let bench = Bench::new();
    let bundle = bundle("1.1.0");
    let size = bundle.len();
    assert_eq!(bench.call("OTA.Begin", json!({ "size": size })), Ok(Value::Null));
    let chunk = |offset: usize| {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(&bundle[offset..][..4096]);
        json!({ "offset": offset, "data": data })
    };
    for offset in [0, 4096] {
        bench.call("OTA.Write", chunk(offset)).unwrap();
    }
    // The reply may come first.
    let told = || match bench.notices.recv_timeout(PATIENCE).expect("progress") {
        Notice::Progress(progress) => Some((progress.received, progress.announced)),
        _ => None,
    };
    let told: Vec<_> = std::iter::repeat_with(told).flatten().take(2).collect();
    assert_eq!(told, [(4096, Some(size as u32)), (8192, Some(size as u32))]);
}

#[test]
fn a_broken_connection_is_made_again_where_it_broke() {
    use std::io::{BufRead, Write};
    let bundle = bundle("1.1.0");
    let listener = std::net::TcpListener::bind(LOCAL).unwrap();
    let url = format!("http://{}/fw.zip", listener.local_addr().unwrap());
    let served = bundle.clone();
    let server = std::thread::spawn(move || {
        // The first answer breaks off in the middle; the second is the rest.
        for (status, range) in [("200 OK", 0..40_000), ("206 Partial Content", 40_000..usize::MAX)]
        {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> =
                lines.by_ref().map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
            assert_eq!(head.iter().any(|line| line == "range: bytes=40000-"), range.start > 0);
            assert!(head.iter().any(|line| line == "x-mgos-device-id: dev 020000000001"));
            assert!(head.iter().any(|line| line.starts_with("user-agent: ota-sim/1.0.0 (")));
            let (start, end) = (range.start, range.end.min(served.len()));
            let total = served.len();
            let length = total - start;
            let last = total - 1;
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\
                 Content-Range: bytes {start}-{last}/{total}\r\n\r\n"
            )
            .unwrap();
            stream.write_all(&served[start..end]).unwrap();
        }
    });
    let mut bench = Bench::new();
    assert_eq!(bench.call("OTA.Update", json!({ "url": url })), Ok(Value::Null));
    assert_eq!(bench.booted(), "1.1.0");
    server.join().unwrap();
}

#[test]
fn the_frame_form_is_as_the_protocol_has_it() {
    let bench = Bench::new();
    let frame = r#"{"src":"mos","id":1530134620015,"method":"OTA.GetBootState"}"#;
    let (status, head, body) = bench.raw("POST", "/rpc", frame);
    assert_eq!(status, 200);
    for line in [
        "content-type: application/json",
        "access-control-allow-origin: *",
        "access-control-allow-headers: *",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let state = r#"{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}"#;
    let expected =
        format!("{{\"id\":1530134620015,\"src\":\"dev\",\"dst\":\"mos\",\"result\":{state}}}\r\n");
    assert_eq!(body, expected);
    assert!(head.contains(&format!("content-length: {}", expected.len())), "{head}");

    // Errors of the RPC are no errors of HTTP.
    let (status, _, body) = bench.raw("POST", "/rpc", r#"{"id":1,"method":"Foo.Bar"}"#);
    assert_eq!(status, 200);
    assert!(body.contains(r#""error":{"code":404,"message":"No handler for Foo.Bar"}"#), "{body}");
    // No frame for this device.
    assert_eq!(bench.raw("POST", "/rpc", "[]").0, 400);
    assert_eq!(bench.raw("POST", "/rpc", r#"{"id":1,"method":"X","dst":"other"}"#).0, 400);
    // A notification.
    let (status, _, body) = bench.raw("POST", "/rpc", r#"{"method":"RPC.List"}"#);
    assert_eq!((status, body.as_str()), (200, ""));
}

#[test]
fn the_rest_form_is_as_the_protocol_has_it() {
    let bench = Bench::new();
    let (status, _, body) = bench.raw("POST", "/rpc/OTA.GetBootState", "");
    assert_eq!(status, 200);
    assert!(body.starts_with(r#"{"active_slot":0"#) && body.ends_with("}\r\n"), "{body}");
    let (status, _, body) = bench.raw("GET", "/rpc/RPC.Describe?name=%22OTA.Update%22", "");
    assert_eq!(status, 200);
    assert!(body.contains("commit_timeout"), "{body}");
    let (status, _, body) = bench.raw("POST", "/rpc/RPC.Describe", r#"{"name":"OTA.Commit"}"#);
    assert_eq!(status, 200, "{body}");
    let (status, _, body) = bench.raw("POST", "/rpc/Foo.Bar", "");
    assert_eq!(status, 404);
    assert!(body.starts_with(r#"{"code":404,"#), "{body}");
    let (status, _, body) = bench.raw("POST", "/rpc/OTA.Commit", "");
    assert_eq!(status, 500);
    assert!(body.starts_with(r#"{"code":-1,"message":"#), "{body}");
    // An unquoted string is no JSON.
    let (status, _, body) = bench.raw("GET", "/rpc/RPC.Describe?name=OTA.Update", "");
    assert_eq!(status, 500);
    assert!(body.contains("Malformed request"), "{body}");
    let (status, head, body) = bench.raw("OPTIONS", "/rpc/OTA.Commit", "");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
}

#[test]
fn a_device_without_power_is_unavailable() {
    let mut bench = Bench::new();
    bench.host.power_off();
    bench.wait_for(&mut |event| *event == Event::PowerLost);
    assert_eq!(bench.raw("POST", "/rpc", r#"{"id":1,"method":"RPC.List"}"#).0, 503);
    assert_eq!(bench.raw("POST", "/rpc/RPC.List", "").0, 503);
    bench.host.power_on(0);
    assert_eq!(bench.booted(), "1.0.0");
    assert_eq!(bench.raw("POST", "/rpc/RPC.List", "").0, 200);
}

#[test]
fn a_request_that_is_too_long_is_not_read() {
    let bench = Bench::new();
    let long =
        format!(r#"{{"id":1,"method":"RPC.List","params":{{"x":"{}"}}}}"#, "y".repeat(13_000));
    assert_eq!(bench.raw("POST", "/rpc", &long).0, 413);
}

#[test]
fn tcp_answers_with_the_delimiters_of_the_request() {
    use std::io::{BufRead, Write};
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind(LOCAL).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, handle) = (listener.local_addr().unwrap(), bench.host.handle());
    let _tcp = server::Transport::start("tcp", move || tcp::serve(listener, handle)).unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"\n\"\"\"{\"id\":1,\"method\":\"OTA.GetBootState\"}\"\"\"\n").unwrap();
    let mut lines = std::io::BufReader::new(stream).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "");
    let reply = lines.next().unwrap().unwrap();
    assert!(reply.starts_with("\"\"\"{\"id\":1,") && reply.ends_with("}\"\"\""), "{reply}");
}

#[test]
fn udp_answers_frames_and_nothing_else() {
    let bench = Bench::new();
    let socket = std::net::UdpSocket::bind(LOCAL).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (address, handle) = (socket.local_addr().unwrap(), bench.host.handle());
    let _udp = server::Transport::start("udp", move || udp::serve(socket, handle)).unwrap();
    let client = std::net::UdpSocket::bind(LOCAL).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"[]", address).unwrap();
    client.send_to(b"{\"id\":2,\"method\":\"OTA.GetBootState\"}", address).unwrap();
    let mut buffer = [0; 2048];
    let (length, _) = client.recv_from(&mut buffer).unwrap();
    assert!(buffer[..length].starts_with(b"{\"id\":2,"));
}

#[test]
fn a_pseudo_terminal_is_a_serial_line() {
    use std::io::{Read, Write};

    let mut bench = Bench::new();
    let line = super::serial::SerialLine::pty().unwrap();
    let path = line.path().to_owned();
    bench.host.attach(line);
    let mut tty = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut answer = |request: &[u8], ends: &str| {
        tty.write_all(request).unwrap();
        let mut got = Vec::new();
        while !got.ends_with(ends.as_bytes()) {
            let mut byte = [0];
            tty.read_exact(&mut byte).unwrap();
            got.push(byte[0]);
        }
        String::from_utf8(got).unwrap()
    };
    assert_eq!(answer(b"\n", "\n"), "\n");
    assert_eq!(answer(b"\"\"\"\x04\"\"\"", "\x04\"\"\""), "\"\"\"\x04\"\"\"");
    let reply = answer(b"\n{\"id\":1,\"method\":\"OTA.Commit\"}\n", "}\n");
    assert!(reply.contains(r#""id":1,"src":"dev","error":{"code":-1"#), "{reply}");
    // A reply that comes later, and a reboot, after which the line is there again.
    bench.files.put("fw.zip", bundle("1.1.0"));
    let url = format!("{}/fw.zip", bench.file_server.url());
    let update = format!(r#"{{"id":2,"method":"OTA.Update","params":{{"url":"{url}"}}}}"#);
    let reply = answer(format!("{update}\n").as_bytes(), "}\n");
    assert!(reply.contains(r#""id":2,"src":"dev","result""#), "{reply}");
    assert_eq!(bench.booted(), "1.1.0");
    let reply = answer(b"\n{\"id\":3,\"method\":\"Sys.GetInfo\"}\n", "}\n");
    assert!(reply.contains(r#""fw_version":"1.1.0""#), "{reply}");
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

/// A form with a firmware, as `curl -F filedata=@fw.zip -F commit_timeout=300` sends it.
fn form(file: &[u8]) -> Vec<u8> {
    let field = "--b\r\nContent-Disposition: form-data; name=\"commit_timeout\"\r\n\r\n300\r\n";
    let head =
        "--b\r\nContent-Disposition: form-data; name=\"filedata\"; filename=\"fw.zip\"\r\n\r\n";
    [field.as_bytes(), head.as_bytes(), file, b"\r\n--b--\r\n"].concat()
}

#[test]
fn a_form_with_a_firmware_is_installed() {
    let mut bench = Bench::new();
    let (status, head, body) = bench.request("POST", "/update", FORM, &form(&bundle("1.1.0")));
    assert_eq!((status, &body[..]), (200, "1 Update applied, rebooting\r\n"), "{head}");
    assert_eq!(bench.booted(), "1.1.0");
    assert_eq!(bench.call("OTA.GetBootState", json!({})).unwrap()["commit_timeout"], 300);
    // Not before this one is committed.
    let (status, _, body) = bench.request("POST", "/update", FORM, &form(&bundle("1.2.0")));
    assert_eq!(status, 409, "{body}");
    assert!(body.contains("is not committed"), "{body}");
    assert_eq!(bench.raw("POST", "/update/commit", "").0, 200);
}

#[test]
fn a_form_that_is_broken_off_leaves_room_for_the_next() {
    use std::io::Write;

    let mut bench = Bench::new();
    let body = form(&bundle("1.1.0"));
    let mut stream = std::net::TcpStream::connect(bench.server.address()).unwrap();
    let length = body.len();
    write!(stream, "POST /update HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{FORM}\r\n")
        .unwrap();
    stream.write_all(&body[..50_000]).unwrap();
    bench.wait_for_progress();
    // Another one has to wait.
    let (status, _, text) = bench.request("POST", "/update", FORM, &body);
    assert_eq!((status, &text[..]), (409, "Another update is in progress.\r\n"));
    drop(stream);
    let mut tries = 0;
    while bench.call("OTA.Status", json!({})).unwrap()["state"] == 1 {
        tries += 1;
        assert!(tries < 1000, "the device never heard that its sender has gone");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(bench.request("POST", "/update", FORM, &body).0, 200);
    assert_eq!(bench.booted(), "1.1.0");
    for (body, why) in [
        (
            &b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n"[..],
            "no file",
        ),
        (b"", "no file"),
    ] {
        let (status, _, text) = bench.request("POST", "/update", FORM, body);
        assert!(status == 400 && text.contains(why), "{status} {text}");
    }
    assert_eq!(bench.request("POST", "/update", "Content-Type: text/plain\r\n", b"x").0, 400);
}

/// Who connects while the device starts is not thrown out by that.
#[test]
fn the_first_start_ends_no_connections() {
    let mut bench = Bench::new();
    let resets = bench.host.handle().resets();
    assert_eq!(*resets.borrow(), 0);
    bench.host.power_on(1);
    assert_eq!(bench.booted(), "1.0.0");
    assert!(*resets.borrow() > 0);
}

/// The numbers of requests come round; one that is under way keeps its own.
#[test]
fn a_flood_of_refused_forms_does_not_end_another() {
    use ota_rpc::ChannelKind;

    use crate::device::Uploaded;

    let bench = Bench::new();
    let handle = bench.host.handle();
    let peer = || Peer::new(ChannelKind::Http, "");
    let body = form(&bundle("1.1.0"));
    let (first, second) = body.split_at(50_000);
    let uploaded = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let upload = handle.upload(peer(), "multipart/form-data; boundary=b".to_owned()).await?;
        upload.feed(first.to_vec()).await?;
        for _ in 0..66_000 {
            assert!(handle.upload(peer(), String::new()).await.is_err());
        }
        upload.feed(second.to_vec()).await?;
        Ok(upload.end().await)
    });
    assert_eq!(uploaded, Ok::<_, Uploaded>(Uploaded::Later));
}

#[test]
fn a_password_is_asked_for_before_anything_is_read() {
    use ota_rpc::auth::{Access, Algorithm, Digest, EVERY_USER, User};

    let ha1 = Digest::of_password(Algorithm::Sha256, "u", "RPC", "p");
    let users = vec![User { name: "u", ha1 }].leak();
    let access = Access::new("RPC", Algorithm::Sha256, users, EVERY_USER).unwrap();
    let bench = Bench::with(Settings { access: Some(access), ..Settings::new("dev", "sim") });
    for (path, head, body) in [
        ("/update", FORM, &form(&bundle("1.1.0"))[..]),
        // How curl asks for the challenge.
        ("/update", "", b""),
        ("/rpc", "", b""),
        ("/rpc", "", br#"{"id":1,"method":"OTA.Commit"}"#),
        ("/update/commit", "", b""),
        ("/update?url=http://x/y", "", b""),
    ] {
        let (status, head, _) = bench.request("POST", path, head, body);
        assert_eq!(status, 401, "{path}");
        assert!(head.contains("www-authenticate: digest"), "{head}");
    }
}
