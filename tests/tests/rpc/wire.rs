//! The recorded client bytes of the real `mos` 2.20, played at a device: its replies are compared
//! with the recorded ones byte by byte, but for the differences in [`DIFFERENCES`].

use std::fs::OpenOptions;
use std::io::{Read, Write};

use crate::raw::{Raw, Tty, masked, read_head, read_message, read_packet, tcp};
use crate::rig::{DEVICE, Rig, Wire};

const RECORDING: &str = include_str!("../../vectors/mos-wire.txt");

/// Where a reply differs from the recorded one behind `"dst":...,`, and why. The stand-in of the
/// recording is no model of a good device.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    // method, what the reply has there instead, why
    ("OTA.Update", r#""error":{"code":-1"#, "nothing is served at the recorded addresses"),
    ("OTA.Commit", r#""error":{"code":-1"#, "there is nothing to commit; the stand-in always has"),
    (
        "OTA.Revert",
        r#""error":{"code":-1,"message":"#,
        "errors say why; the code is the recorded one",
    ),
    ("OTA.SetBootState", r#""error":{"code":-3"#, "slot 1 is empty; the stand-in does not know it"),
    ("OTA.Status", r#""result":{"state":0,"#, "more members behind the recorded one"),
    ("OTA.Write", r#""error":{"code":-1"#, "700 random bytes are no firmware"),
    ("OTA.End", r#""error":{"code":-1"#, "so there is nothing to end"),
];

/// A line of the recording.
struct Line {
    tag: String,
    bytes: Vec<u8>,
}

/// The sessions whose command contains `words`, and all lines of each.
fn sessions(words: &str) -> Vec<Vec<Line>> {
    let sessions = RECORDING.split("\n$ mos ").skip(1);
    let found: Vec<_> = sessions
        .filter(|session| session.lines().next().unwrap().contains(words))
        .map(|session| session.lines().filter_map(line).collect())
        .collect();
    assert!(!found.is_empty(), "no session with {words}");
    found
}

/// `HTTP < b'...'`
fn line(text: &str) -> Option<Line> {
    let start = text.find(" b'").or_else(|| text.find(" b\""))?;
    let bytes = literal(&text[start + 3..text.len() - 1]);
    Some(Line { tag: text[..start].to_owned(), bytes })
}

/// The bytes of a literal of Python.
fn literal(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().unwrap() {
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                let hex = std::str::from_utf8(&hex).unwrap().to_owned();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    bytes
}

fn of<'l>(lines: &'l [Line], tag: &'l str) -> impl Iterator<Item = &'l Vec<u8>> {
    lines.iter().filter(move |line| line.tag == tag).map(|line| &line.bytes)
}

/// Compares a reply frame with the recorded one.
fn compare(request: &str, reply: &str, recorded: &str) {
    let method = request.split("\"method\":\"").nth(1).unwrap().split('"').next().unwrap();
    let difference = DIFFERENCES.iter().find(|(name, ..)| *name == method);
    let Some((_, expected, why)) = difference else { return assert_eq!(reply, recorded) };
    let head = |frame: &str| {
        let end = frame.find("\"result\"").or(frame.find("\"error\"")).unwrap();
        frame[..end].to_owned()
    };
    assert_eq!(head(reply), head(recorded));
    assert!(reply[head(reply).len()..].starts_with(expected), "{reply}: {why}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn http_as_recorded() {
    for lines in sessions("http://127.0.0.1:18080/rpc") {
        let rig = Rig::open(Wire::Http).unwrap();
        for (request, recorded) in of(&lines, "HTTP <").zip(of(&lines, "HTTP >")) {
            let mut stream = tcp(rig.http);
            stream.write_all(request).unwrap();
            let head = read_head(&mut stream);
            let mut body = String::new();
            stream.read_to_string(&mut body).unwrap();
            let (recorded_head, recorded_body) = text(recorded).split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(recorded_head.split("\r\n").next().unwrap()), "{head}");
            let lower = head.to_ascii_lowercase();
            for header in [
                "content-type: application/json\r\n".to_owned(),
                format!("content-length: {}\r\n", body.len()),
                "access-control-allow-origin: *\r\n".to_owned(),
                // The request does not ask for more.
                "connection: close\r\n".to_owned(),
            ] {
                assert!(lower.contains(&header), "{head}");
            }
            assert!(body.ends_with("\r\n"));
            compare(text(request), body.trim_end(), recorded_body.trim_end());
        }
    }
}

#[test]
fn websocket_as_recorded() {
    for lines in sessions("ws://127.0.0.1:18080/rpc call OTA.GetBootState") {
        let rig = Rig::open(Wire::WebSocket).unwrap();
        let mut stream = tcp(rig.http);
        stream.write_all(of(&lines, "HTTP <").next().unwrap()).unwrap();
        let head = read_head(&mut stream);
        let recorded = text(of(&lines, "HTTP >").next().unwrap());
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let accept =
            recorded.lines().find(|line| line.starts_with("Sec-WebSocket-Accept")).unwrap();
        let (name, key) = accept.split_once(": ").unwrap();
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains(&format!("{}: ", name.to_ascii_lowercase())) && head.contains(key));
        assert!(lower.contains("sec-websocket-protocol: clubby.cesanta.com"), "{head}");

        let mut replies = of(&lines, "HTTP >").skip(1);
        let payloads = of(&lines, "HTTP < wsframe payload");
        for (header, payload) in of(&lines, "HTTP < wsframe hdr").zip(payloads) {
            let mask = header[header.len() - 4..].try_into().unwrap();
            let frame = masked(header[0], mask, payload);
            assert!(frame.starts_with(header), "the recorded header");
            stream.write_all(&frame).unwrap();
            let (kind, reply) = read_message(&mut stream);
            if header[0] == 0x88 {
                assert_eq!((kind, &reply[..2]), (0x88, &[3, 232][..]), "closed with 1000");
                break;
            }
            let recorded = replies.next().unwrap();
            // The stand-in writes the long form of a length.
            let start = recorded.iter().position(|byte| *byte == b'{').unwrap();
            assert_eq!(kind, recorded[0]);
            assert_eq!(text(&reply), text(&recorded[start..]));
        }
    }
}

#[test]
fn mqtt_as_recorded() {
    for lines in sessions("mqtt://") {
        let Some(rig) = Rig::open(Wire::Mqtt) else { return };
        let port = rig.broker.as_ref().unwrap().port();
        let mut stream = tcp(([127, 0, 0, 1], port).into());
        let mut replies = of(&lines, "MQTT >");
        let mut request = "";
        for sent in of(&lines, "MQTT <") {
            stream.write_all(sent).unwrap();
            if sent[0] == 0x40 {
                continue;
            }
            let mut expected = replies.next().unwrap();
            if sent[0] == 0x32 {
                // The acknowledgement and the reply come in any order.
                request = text(&sent[3..]).rsplit('\u{1}').next().unwrap();
                expected = replies.next().unwrap();
            }
            let (kind, body) = loop {
                let packet = read_packet(&mut stream);
                if packet.0 != 0x40 {
                    break packet;
                }
            };
            assert_eq!(kind, expected[0]);
            if kind != 0x32 {
                assert_eq!(body, expected[2..]);
                continue;
            }
            // The number of the packet is the broker's.
            let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
            let start = expected.windows(2).position(|pair| pair == b"\0$").unwrap();
            assert_eq!(body[..topic], expected[start..start + topic], "the reply's topic");
            let frame = &expected[start + topic + 2..];
            compare(request, text(&body[topic + 2..]), text(frame));
        }
    }
}

#[test]
fn tcp_as_recorded() {
    let lines = &sessions("tcp://")[0];
    let rig = Rig::open(Wire::Tcp).unwrap();
    let mut stream = tcp(rig.tcp);
    stream.write_all(of(lines, "TCP <").next().unwrap()).unwrap();
    // The stand-in leaves the quotes out, which `mos` takes too; here a reply has what its request
    // had.
    let recorded = text(of(lines, "TCP >").next().unwrap());
    let expected = format!("\n\"\"\"{}\"\"\"\n", recorded.trim());
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(text(&reply), expected);
}

#[test]
fn udp_as_recorded() {
    let lines = &sessions("udp://127.0.0.1:18084/ call OTA.GetBootState")[0];
    let rig = Rig::open(Wire::Udp).unwrap();
    let Raw::Udp(socket) = Raw::connect(&rig, Wire::Udp) else { unreachable!() };
    socket.send(of(lines, "UDP <").next().unwrap()).unwrap();
    let mut reply = [0; 2000];
    let length = socket.recv(&mut reply).unwrap();
    assert_eq!(text(&reply[..length]), text(of(lines, "UDP >").next().unwrap()));
}

#[test]
fn serial_as_recorded() {
    for lines in sessions("/dev/pts/0") {
        let rig = Rig::open(Wire::Serial).unwrap();
        let mut tty = OpenOptions::new().read(true).write(true).open(&rig.tty).unwrap();
        let mut sent = of(&lines, "SER <");
        let read = |tty: &mut std::fs::File, end: &[u8]| {
            let mut got = Vec::new();
            while !got.ends_with(end) {
                let mut byte = [0];
                Tty(tty).read_exact(&mut byte).unwrap();
                if !matches!(byte[0], 0x11 | 0x13) {
                    got.push(byte[0]);
                }
            }
            got
        };
        // The handshake, and the answer that `mos` waits for before it sends more.
        tty.write_all(sent.next().unwrap()).unwrap();
        let handshake = of(&lines, "SER > (EOF)").next().unwrap();
        read(&mut tty, handshake);
        let mut request = Vec::new();
        for piece in sent {
            tty.write_all(piece).unwrap();
            request.extend(piece);
        }
        let recorded = text(of(&lines, "SER >").next().unwrap());
        let reply = read(&mut tty, b"\"\"\"\n");
        // Empty lines are answered by empty lines.
        let reply = text(&reply).trim_start_matches('\n');
        let (frame, crc) = split(reply.trim_start_matches('"'));
        let (recorded_frame, recorded_crc) = split(recorded.trim_start().trim_start_matches('"'));
        compare(text(&request), frame, recorded_frame);
        if frame == recorded_frame {
            assert_eq!(crc, recorded_crc);
            assert_eq!(format!("\n{reply}"), recorded);
        }
        assert_eq!(crc[..8], format!("{:08x}", ota_core::crc::crc32(frame.as_bytes())));
    }
}

fn split(line: &str) -> (&str, &str) {
    line.split_at(line.rfind('}').unwrap() + 1)
}

#[test]
fn the_recording_is_of_this_device() {
    assert!(RECORDING.contains(&format!("\"src\":\"{DEVICE}\"")));
}
