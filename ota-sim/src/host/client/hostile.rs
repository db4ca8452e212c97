//! Peers that never stop to talk: no call takes longer than it may.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use super::{CallError, Client, Options};
use crate::host::serial::SerialLine;

const TIMEOUT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two bytes of a peer that drips.
const DRIP: Duration = Duration::from_millis(20);

/// What a call comes to, which has to be in time.
fn error_in_time(url: String) -> CallError {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut client = Client::new(&url, Options::with_timeout(TIMEOUT)).unwrap();
        let started = Instant::now();
        let result = client.call("OTA.Commit", None);
        drop(client);
        let _ = sender.send((result, started.elapsed()));
    });
    let (result, time) = receiver.recv_timeout(PATIENCE).expect("the call ends");
    assert!(time < TIMEOUT * 4, "{time:?}");
    result.unwrap_err()
}

/// A server that does `serve` with its first connection, until that fails.
fn serve(serve: impl FnOnce(TcpStream) -> std::io::Result<()> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address.to_string()
}

/// Says yes to what the client offers.
#[expect(clippy::result_large_err, reason = "the type is the library's")]
fn websocket(stream: TcpStream) -> WebSocket<TcpStream> {
    tungstenite::accept_hdr(stream, |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static("clubby.cesanta.com");
        response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    })
    .unwrap()
}

fn drip(mut stream: TcpStream, head: &[u8]) -> std::io::Result<()> {
    stream.write_all(head)?;
    loop {
        stream.write_all(b"a")?;
        thread::sleep(DRIP);
    }
}

#[test]
fn a_flood_of_lines() {
    let address = serve(|mut stream| {
        loop {
            stream.write_all(b"{\"x\":1}\n{\"x\":1}\n")?;
        }
    });
    let error = error_in_time(format!("tcp://{address}"));
    assert!(matches!(error, CallError::Late { .. }), "{error}");
}

#[test]
fn a_line_without_end() {
    let address = serve(|stream| drip(stream, b"{\"x\":"));
    let error = error_in_time(format!("tcp://{address}"));
    assert!(matches!(error, CallError::Late { .. }), "{error}");
}

#[test]
fn a_flood_of_datagrams() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (_, client) = socket.recv_from(&mut [0; 2000]).unwrap();
        while socket.send_to(b"{\"x\":1}", client).is_ok() {}
    });
    let error = error_in_time(format!("udp://{address}"));
    assert!(matches!(error, CallError::Late { .. }), "{error}");
}

#[test]
fn floods_of_websocket_messages() {
    for message in [Message::text("{\"x\":1}"), Message::Ping("x".into())] {
        let address = serve(move |stream| {
            let mut socket = websocket(stream);
            while socket.send(message.clone()).is_ok() {}
            Ok(())
        });
        let error = error_in_time(format!("ws://{address}"));
        assert!(matches!(error, CallError::Late { .. }), "{error}");
    }
}

#[test]
fn a_websocket_message_without_end() {
    let address = serve(|stream| {
        let mut socket = websocket(stream.try_clone()?);
        let _ = socket.read();
        // A text of 65,535 bytes.
        drip(stream, &[0x81, 126, 0xff, 0xff])
    });
    let error = error_in_time(format!("ws://{address}"));
    assert!(matches!(error, CallError::Late { .. }), "{error}");
}

#[test]
fn handshakes_without_end() {
    for (scheme, head) in [
        ("ws", &b"HTTP/1.1 101 Switching Protocols\r\nx: "[..]),
        // A record of TLS with a hello of the server.
        ("wss", &[0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0]),
        ("http", b"HTTP/1.1 200 OK\r\nx: "),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
    ] {
        let address = serve(|stream| drip(stream, head));
        let error = error_in_time(format!("{scheme}://{address}"));
        let is_told = matches!(error, CallError::Unreachable { .. } | CallError::Late { .. });
        assert!(is_told, "{scheme}: {error}");
    }
}

#[test]
fn a_flood_of_mqtt_messages() {
    let address = serve(|mut stream| {
        let mut packet = [0; 2000];
        let _ = stream.read(&mut packet)?;
        stream.write_all(&[0x20, 2, 0, 0])?;
        let _ = stream.read(&mut packet)?;
        // To the subscription, which is number 1.
        stream.write_all(&[0x90, 3, 0, 1, 1])?;
        let message = [&[0x30, 8, 0, 1][..], b"xfoobar"].concat();
        loop {
            stream.write_all(&message[..10])?;
        }
    });
    let error = error_in_time(format!("mqtt://{address}/dev"));
    assert!(matches!(error, CallError::Late { .. }), "{error}");
}

#[test]
fn a_serial_line_that_never_is_quiet() {
    use embedded_io::{Read, Write};
    // Without an answer to the handshake, and with one.
    for (is_device, noise) in [
        (false, &b"{\"x\":1}\n"[..]),
        (true, b"{\"x\":1}\n"),
        (true, b"\"\"\"\x04\"\"\"\n"),
        (true, b"\x11\x13"),
    ] {
        let mut line = SerialLine::pty().unwrap();
        let url = line.path().display().to_string();
        let (stop, is_over) = mpsc::channel::<()>();
        let peer = thread::spawn(move || {
            if is_device {
                let mut hello = [0; 1];
                while line.read(&mut hello).is_err() {
                    thread::sleep(DRIP);
                }
                line.write_all(b"\"\"\"\x04\"\"\"\n").unwrap();
            }
            while is_over.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let _ = line.write_all(noise);
                let _ = line.read(&mut [0; 4096]);
            }
        });
        let error = error_in_time(url);
        drop(stop);
        peer.join().unwrap();
        let is_told = match error {
            CallError::Late { .. } | CallError::Lost { .. } => is_device,
            CallError::Unreachable { .. } => !is_device,
            _ => false,
        };
        assert!(is_told, "{error}");
    }
}

#[test]
fn a_silent_serial_line_is_late_like_any_other() {
    use embedded_io::{Read, Write};
    for _ in 0..5 {
        let mut line = SerialLine::pty().unwrap();
        let url = line.path().display().to_string();
        thread::spawn(move || {
            let mut hello = [0; 1];
            while line.read(&mut hello).is_err() {
                thread::sleep(DRIP);
            }
            line.write_all(b"\"\"\"\x04\"\"\"\n").unwrap();
            thread::sleep(PATIENCE);
        });
        let error = error_in_time(url);
        assert!(matches!(error, CallError::Late { .. }), "{error}");
    }
}
