//! A client of the RPC over every transport: what `mos call` and `mos ota` do.
//!
//! ```text
//! Client::call -> Link (http, websocket, tcp, serial, udp, mqtt): frames out, frames in
//!              -> login: answers challenges
//! push         -> Client::call: OTA.Status, Begin, Write ..., End
//! ```
//! [`fimp`] is the other side of FIMP. It all blocks. A connection is made with the first call, kept, and made again when it is lost.

mod broker;
pub mod fimp;
#[cfg(test)]
mod hostile;
mod http;
mod line;
mod login;
mod mqtt;
mod push;
mod stream;
mod target;
mod udp;
mod websocket;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::broker::without_password;

pub use login::Credentials;
pub use push::{PushError, PushEvent, PushOptions, Pushed, push};
pub use target::Target;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_secs(2);
/// A request that may be repeated is sent again after this time.
const AGAIN: Duration = Duration::from_secs(2);

/// How to talk to a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for a reply, and for a connection.
    pub timeout: Duration,
    /// What challenges are answered with.
    pub credentials: Option<Credentials>,
    /// Who vouches for a server with TLS, PEM; none: those that browsers trust.
    pub authorities: Option<PathBuf>,
    /// Sends to a serial line as slowly as `mos` does: 16 bytes each 5 ms.
    pub uart_pace: bool,
}

impl Options {
    /// The defaults, but for the time to wait.
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

impl Default for Options {
    /// 20 s, nobody's credentials.
    fn default() -> Self {
        let timeout = Duration::from_secs(20);
        Self { timeout, credentials: None, authorities: None, uart_pace: false }
    }
}

/// A device to be called.
pub struct Client {
    target: Target,
    options: Options,
    link: Option<Box<dyn Link>>,
    next_id: u64,
}

/// A connection that frames travel on.
trait Link: Send {
    /// Sends a frame.
    fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<(), CallError>;

    /// The next frame from the other side; none until the deadline. What is no frame is read past
    /// until then at the latest.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError>;

    /// Whether a request of this method is sent again when no reply comes: it may have got lost on
    /// the way, and does no harm twice.
    fn may_repeat(&self, _method: &str) -> bool {
        false
    }

    /// Whether there is one response to a request, and nothing else comes.
    fn has_one_response(&self) -> bool {
        false
    }
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The device has answered with an error.
    #[error("remote error {code}: {}", printable(message))]
    Remote {
        /// Its code.
        code: i64,
        /// Its message; may be empty.
        message: String,
    },
    /// The URL is of a kind that this program does not speak.
    #[error(
        "--port {url}: {reason}; give http://HOST:PORT, https://, ws://, wss://, tcp://HOST:PORT, \
        udp://HOST:PORT, mqtt://HOST/DEVICE, mqtts://, or a serial port such as /dev/ttyUSB0"
    )]
    Target {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The device cannot be reached.
    #[error("{url}: {}", printable(reason))]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A server with TLS that nobody vouches for.
    #[error(
        "{url}: the server is not to be trusted ({reason}); give --ca FILE with the certificate \
        of who vouches for it"
    )]
    Untrusted {
        /// Where.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection ended before the reply came.
    #[error(
        "{url}: the connection was lost before the reply came ({}); the device may have \
        rebooted: ask it for OTA.Status",
        printable(reason)
    )]
    Lost {
        /// Where the call went.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The device did not answer in time.
    #[error("{url}: no reply within {} s; {advice}", timeout.as_secs_f64())]
    Late {
        /// Where the call went.
        url: String,
        /// How long was waited.
        timeout: Duration,
        /// What to do.
        advice: &'static str,
    },
    /// There is a simulated device, but it does not answer.
    #[error("the device does not answer: it is off, hangs, or was reset")]
    NoAnswer,
    /// Something answered, but not with a reply frame.
    #[error("{url}: HTTP status {status}, and no reply frame: {body:?}; is this a device's /rpc?")]
    NoReply {
        /// Where.
        url: String,
        /// Its HTTP status.
        status: u16,
        /// How the body starts.
        body: String,
    },
    /// The device asks for a password.
    #[error("the device asks for a password; give --creds USER:PASSWORD")]
    NoCredentials,
    /// The device asks for one of a realm or in a way that this program does not know.
    #[error("the device's challenge cannot be answered: {}", printable(.0))]
    Challenge(String),
    /// The password is not right.
    #[error("the device does not accept the user or the password of --creds")]
    WrongPassword,
}

impl Client {
    /// A client of the device at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`CallError::Target`].
    pub fn new(url: &str, options: Options) -> Result<Self, CallError> {
        // Ids as `mos` picks them, from 2^40 on: they have to survive as 64-bit numbers.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let next_id = (1 << 40) | (now.as_micros() as u64 & ((1 << 40) - 1));
        Ok(Self { target: Target::parse(url)?, options, link: None, next_id })
    }

    /// Calls a method and waits for the result.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, method: &str, params: Option<&Value>) -> Result<Value, CallError> {
        let deadline = Instant::now() + self.options.timeout;
        let mut link = self.connect(deadline)?;
        self.next_id += 1;
        let request = Request { id: self.next_id, method, params, target: &self.target };
        let result = request.call(link.as_mut(), &self.options, deadline);
        if matches!(result, Ok(_) | Err(CallError::Remote { .. })) {
            self.link = Some(link);
        }
        // Else whatever still comes on this connection is of no use.
        result
    }

    /// Forgets the connection, so that the next call makes a new one.
    pub fn disconnect(&mut self) {
        self.link = None;
    }

    /// The connection there is, or a new one; tried again if that helps.
    fn connect(&mut self, deadline: Instant) -> Result<Box<dyn Link>, CallError> {
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        loop {
            match self.target.connect(&self.options, deadline) {
                Err(CallError::Unreachable { .. })
                    if self.target.is_kept() && Instant::now() + RETRY < deadline =>
                {
                    std::thread::sleep(RETRY);
                }
                connected => return connected,
            }
        }
    }
}

/// Why a connection could not be made.
fn unreachable(url: &str, error: &std::io::Error) -> CallError {
    let (url, reason) = (without_password(url), error.to_string());
    match error.get_ref() {
        // What TLS does not like.
        Some(inner) if inner.is::<rustls::Error>() => CallError::Untrusted { url, reason },
        _ => CallError::Unreachable { url, reason },
    }
}

/// Text of a device, fit for a terminal: without characters that would control it.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut line, c| {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
        line
    })
}

/// One call.
struct Request<'c> {
    id: u64,
    method: &'c str,
    params: Option<&'c Value>,
    target: &'c Target,
}

impl Request<'_> {
    fn call(
        &self,
        link: &mut dyn Link,
        options: &Options,
        deadline: Instant,
    ) -> Result<Value, CallError> {
        // Each copy that is sent without an answer brings a challenge of its own, which says
        // nothing of the password. What comes beyond these does.
        let mut challenges = 0;
        let mut reply = self.exchange(link, None, deadline, &mut challenges)?;
        while let Some(challenge) = login::challenge(&reply) {
            if challenges == 0 {
                return Err(CallError::WrongPassword);
            }
            challenges -= 1;
            let credentials = options.credentials.as_ref().ok_or(CallError::NoCredentials)?;
            let auth = login::answer(challenge, credentials)?;
            reply = self.exchange(link, Some(auth), deadline, &mut 0)?;
        }
        result(&reply)
    }

    /// Sends the frame and waits for its reply; counts how often it was sent.
    fn exchange(
        &self,
        link: &mut dyn Link,
        auth: Option<Value>,
        deadline: Instant,
        copies: &mut u32,
    ) -> Result<Value, CallError> {
        let mut frame = json!({ "src": self.target.source(), "id": self.id });
        if let Some(device) = self.target.device() {
            frame["dst"] = device.into();
        }
        frame["method"] = self.method.into();
        if let Some(params) = self.params {
            frame["params"] = params.clone();
        }
        let may_repeat = auth.is_none() && link.may_repeat(self.method);
        if let Some(auth) = auth {
            frame["auth"] = auth;
        }
        let frame = frame.to_string();
        let started = Instant::now();
        loop {
            link.send(frame.as_bytes(), deadline)?;
            *copies += 1;
            let until = if may_repeat { deadline.min(Instant::now() + AGAIN) } else { deadline };
            if let Some(reply) = self.reply(link, until)? {
                return Ok(reply);
            }
            if !may_repeat || Instant::now() >= deadline {
                break;
            }
        }
        let timeout = deadline.saturating_duration_since(started);
        Err(CallError::Late { url: self.target.to_string(), timeout, advice: self.target.advice() })
    }

    /// The reply among all that comes until then: who talks all the time is not listened to for
    /// longer.
    fn reply(&self, link: &mut dyn Link, until: Instant) -> Result<Option<Value>, CallError> {
        let mut other = Vec::new();
        loop {
            match link.receive(until)? {
                Some(frame) => match serde_json::from_slice::<Value>(&frame) {
                    Ok(reply) if reply["id"] == self.id && reply.get("method").is_none() => {
                        return Ok(Some(reply));
                    }
                    // A log line, a late reply, somebody else's request.
                    _ => other = frame,
                },
                None if link.has_one_response() => {
                    let body = String::from_utf8_lossy(&other).trim().chars().take(100).collect();
                    let url = self.target.to_string();
                    return Err(CallError::NoReply { url, status: 200, body });
                }
                None => {}
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}

/// Whether it does no harm if the device carries a request out twice.
fn is_repeatable(method: &str) -> bool {
    is_read(method) || method.eq_ignore_ascii_case("OTA.Write")
}

/// Whether a method changes nothing.
fn is_read(method: &str) -> bool {
    let method = method.to_ascii_lowercase();
    let reads = ["ota.getbootstate", "ota.status", "sys.getinfo"];
    reads.contains(&&method[..]) || method.starts_with("rpc.")
}

/// The result in a reply. An error of code 0 is a success: old devices reply so to `OTA.Update`.
fn result(reply: &Value) -> Result<Value, CallError> {
    match reply.get("error") {
        Some(error) if error["code"] != 0 => Err(CallError::Remote {
            code: error["code"].as_i64().unwrap_or(-1),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
        Some(_) => Ok(Value::Null),
        None => Ok(reply.get("result").cloned().unwrap_or_default()),
    }
}

/// Whether `url` is of this computer, so that no proxy is asked.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.starts_with("[::1]")
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_rest() {
        for url in ["http://127.0.0.1:80/x", "http://localhost", "127.1.2.3", "http://[::1]:5/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://10.0.0.1", "http://127.0.0.1.example.org", "http://host/127.0.0.1"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn results_and_errors_are_told_apart_as_mos_does() {
        assert_eq!(result(&json!({ "result": { "a": 1 } })), Ok(json!({ "a": 1 })));
        assert_eq!(result(&json!({ "id": 1 })), Ok(Value::Null));
        assert_eq!(result(&json!({ "error": { "code": 0, "message": "fine" } })), Ok(Value::Null));
        let error = result(&json!({ "error": { "code": -1, "message": "no" } })).unwrap_err();
        assert_eq!(error.to_string(), "remote error -1: no");
    }

    #[test]
    fn texts_of_a_device_do_not_control_the_terminal() {
        let message = "a\x1b]0;b\x07\r\n\u{9b}2J\u{e9}";
        let error = json!({ "error": { "code": -1, "message": message } });
        let shown = result(&error).unwrap_err().to_string();
        assert_eq!(shown, "remote error -1: a\\u{1b}]0;b\\u{7}\\r\\n\\u{9b}2J\u{e9}");
    }

    #[test]
    fn a_challenge_for_each_copy_is_no_verdict_on_the_password() {
        // A device behind a slow link, which gets what was sent twice.
        for (is_right, passed) in [(true, Ok(json!(7))), (false, Err(CallError::WrongPassword))] {
            let device = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let url = format!("udp://{}", device.local_addr().unwrap());
            std::thread::spawn(move || {
                let mut buffer = [0; 2000];
                let mut asked = Vec::new();
                loop {
                    let (length, client) = device.recv_from(&mut buffer).unwrap();
                    let request: Value = serde_json::from_slice(&buffer[..length]).unwrap();
                    let auth = request.get("auth").is_some();
                    let mut replies = Vec::new();
                    let message = r#"{"realm": "RPC", "nonce": 7, "algorithm": "SHA-256"}"#;
                    let error = json!({ "code": 401, "message": message });
                    let challenge = json!({ "id": request["id"], "error": error });
                    if auth && is_right {
                        replies.push(json!({ "id": request["id"], "result": 7 }));
                    } else if auth {
                        replies.push(challenge);
                    } else {
                        asked.push(challenge);
                        if asked.len() == 2 {
                            replies.append(&mut asked);
                        }
                    }
                    for reply in replies {
                        device.send_to(reply.to_string().as_bytes(), client).unwrap();
                    }
                }
            });
            let credentials =
                Credentials { user: "u".to_owned(), password: "p".to_owned(), only_sha256: false };
            let options = Options { credentials: Some(credentials), ..Options::default() };
            let mut client = Client::new(&url, options).unwrap();
            assert_eq!(client.call("OTA.GetBootState", None), passed);
        }
    }

    #[test]
    fn a_question_that_a_serial_device_lost_in_a_reset_is_asked_again() {
        use embedded_io::{Read, Write};

        use crate::host::serial::SerialLine;

        for (method, is_repeated) in [("OTA.Write", false), ("Sys.GetInfo", true)] {
            let timeout = if is_repeated { Duration::from_secs(60) } else { AGAIN * 3 / 2 };
            let mut line = SerialLine::pty().unwrap();
            let url = line.path().display().to_string();
            let (stop, is_over) = std::sync::mpsc::channel::<()>();
            let device = std::thread::spawn(move || {
                let (mut heard, mut requests) = (Vec::new(), 0);
                while is_over.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    let mut buffer = [0; 4096];
                    match line.read(&mut buffer) {
                        Ok(count) => heard.extend_from_slice(&buffer[..count]),
                        Err(_) => std::thread::sleep(Duration::from_millis(5)),
                    }
                    let Some(end) = heard.iter().position(|byte| *byte == b'\n') else { continue };
                    let said: Vec<u8> = heard.drain(..=end).collect();
                    if said.contains(&4) {
                        line.write_all(b"\"\"\"\x04\"\"\"\n").unwrap();
                    }
                    let Some(start) = said.iter().position(|byte| *byte == b'{') else { continue };
                    requests += 1;
                    // Of the first one only a half came before the reset.
                    if requests > 1 {
                        let frame = serde_json::Deserializer::from_slice(&said[start..]);
                        let request = frame.into_iter::<Value>().next().unwrap().unwrap();
                        let reply = json!({ "id": request["id"], "result": 7 });
                        line.write_all(format!("\n{reply}\n").as_bytes()).unwrap();
                    }
                }
                requests
            });
            let result =
                Client::new(&url, Options::with_timeout(timeout)).unwrap().call(method, None);
            drop(stop);
            let requests = device.join().unwrap();
            match is_repeated {
                true => assert_eq!((result, requests), (Ok(json!(7)), 2)),
                false => assert!(
                    matches!(result, Err(CallError::Late { .. })) && requests == 1,
                    "{result:?}, {requests} requests"
                ),
            }
        }
    }

    #[test]
    fn a_response_that_is_not_utf8_is_no_matter_of_trust() {
        use std::io::{Read, Write};

        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfeab");
            let _ = stream.read(&mut [0; 4096]);
        });
        let options = Options::with_timeout(Duration::from_secs(5));
        let error = Client::new(&url, options).unwrap().call("OTA.Commit", None).unwrap_err();
        assert!(matches!(error, CallError::NoReply { status: 200, .. }), "{error}");
    }

    #[test]
    fn a_server_of_websockets_may_leave_out_the_subprotocol() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut socket = tungstenite::accept(stream.unwrap()).unwrap();
                let Ok(request) = socket.read() else { continue };
                let request: Value = serde_json::from_slice(&request.into_data()).unwrap();
                let reply = json!({ "id": request["id"], "result": 7 }).to_string();
                let _ = socket.send(tungstenite::Message::text(reply));
            }
        });
        let options = Options::with_timeout(Duration::from_secs(5));
        assert_eq!(Client::new(&url, options).unwrap().call("OTA.Commit", None), Ok(json!(7)));
    }

    #[test]
    fn no_error_tells_a_password() {
        for url in [
            "mqtt://u:hunter2@h",
            "mqtt://u:hunter2@h:x/dev",
            "mqtt://u:hunt/er2@127.0.0.1:1/dev",
            "http://u:hunter2@127.0.0.1:1",
            "ws://u:hunter2@127.0.0.1:1",
            "tcp://u:hunter2@127.0.0.1:1",
            "tcp://u:hunter2@127.0.0.1",
            "udp://u:hunter2@127.0.0.1:1",
            "ftp://u:hunter2@h",
            "u:hunter2@127.0.0.1:1",
        ] {
            let options = Options::with_timeout(Duration::from_millis(300));
            let error = Client::new(url, options).and_then(|mut client| client.call("x", None));
            let error = error.unwrap_err().to_string();
            assert!(!error.contains("er2"), "{url}: {error}");
        }
    }

    #[test]
    fn a_response_that_is_no_reply_is_no_reason_to_ask_again() {
        use std::io::{Read, Write};

        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 4096];
            let mut count = stream.read(&mut request).unwrap();
            while !request[..count].ends_with(b"}\n") {
                count += stream.read(&mut request[count..]).unwrap();
            }
            let body = r#"{"id":0,"result":null}"#;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .unwrap();
            // The next request, or the end.
            stream.read(&mut request).unwrap()
        });
        let options = Options::with_timeout(Duration::from_secs(20));
        let error = Client::new(&url, options).unwrap().call("OTA.Commit", None).unwrap_err();
        assert!(matches!(error, CallError::NoReply { status: 200, .. }), "{error}");
        assert_eq!(asked.join().unwrap(), 0, "it was sent once");
    }
}
