//! Hostile bytes on every transport.

use std::collections::VecDeque;
use std::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::framing::serial::{Envelope, Received, Receiver, XOFF, XON};
use ota_rpc::framing::{mqtt, udp, websocket};
use ota_rpc::service::{Action, Outcome, Reply};
use ota_rpc::{Channel, ChannelId, ChannelKind};
use serde_json::Value;

use crate::input::Input;
use crate::rpc::{DEVICE, Engine, service};

/// What a device has for one frame.
const ROOM: usize = 300;
/// What it may send: a reply repeats `src`, and escapes make that longer.
const REPLY_ROOM: usize = 1024;
const FRAME: &[u8] = br#"{"id":1099511627776,"src":"mos","method":"RPC.Ping"}"#;

/// Any bytes in pieces of any sizes, on the transport that the first byte chooses: the pieces make
/// no difference, all that comes back is what the protocol knows, and after it the device still
/// answers.
pub fn framings(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let piece = usize::from(input.byte()) + 1;
    match choice % 6 {
        0 => receiver(Line::Serial, piece, input.rest()),
        1 => receiver(Line::Tcp, piece, input.rest()),
        2 => port(FlowControl::XonXoff, piece, input.rest()),
        3 => port(FlowControl::None, piece, input.rest()),
        4 => messages(input.rest()),
        _ => published(input.rest()),
    }
}

#[derive(Clone, Copy)]
enum Line {
    Serial,
    Tcp,
}

impl Line {
    fn receiver(self, buffer: &mut [u8]) -> Receiver<'_> {
        match self {
            Self::Serial => Receiver::serial(buffer),
            Self::Tcp => Receiver::tcp(buffer),
        }
    }
}

/// What comes out of a line; frames with their text.
fn received<'p>(
    line: Line,
    room: usize,
    pieces: impl Iterator<Item = &'p [u8]>,
) -> Vec<(Received, Vec<u8>)> {
    let mut buffer = vec![0; room];
    let mut receiver = line.receiver(&mut buffer);
    let mut all = Vec::new();
    for mut piece in pieces {
        while let Some(received) = receiver.receive(&mut piece) {
            let text = match received {
                Received::Frame { .. } => receiver.frame().to_vec(),
                _ => Vec::new(),
            };
            all.push((received, text));
        }
        assert!(piece.is_empty());
    }
    all
}

fn receiver(line: Line, piece: usize, bytes: &[u8]) {
    let whole = received(line, ROOM, [bytes].into_iter());
    assert_eq!(received(line, ROOM, bytes.chunks(piece)), whole);
    for (_, text) in whole.iter().filter(|(received, _)| is_frame(received)) {
        assert!(text.starts_with(b"{") && text.ends_with(b"}") && text.len() <= ROOM);
    }
    // Whatever it was, the next line is read.
    let mut buffer = [0; ROOM];
    Envelope::inside(&mut buffer)[..FRAME.len()].copy_from_slice(FRAME);
    let envelope =
        Envelope { quotes: bytes.len().is_multiple_of(2), crc: bytes.len().is_multiple_of(3) };
    let range = envelope.close(&mut buffer, FRAME.len()).expect("it fits");
    let after = received(line, ROOM, [bytes, &buffer[range]].into_iter());
    let (last, text) = after.iter().rfind(|(received, _)| is_frame(received)).expect("a frame");
    assert_eq!(text, FRAME);
    assert!(matches!(last, Received::Frame { crc, .. } if *crc == envelope.crc));
}

fn is_frame(received: &Received) -> bool {
    matches!(received, Received::Frame { .. })
}

/// The other end of a line.
struct Peer {
    input: VecDeque<u8>,
    output: Vec<u8>,
    most: usize,
}

impl ErrorType for Peer {
    type Error = Infallible;
}

impl ReadReady for Peer {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.input.is_empty())
    }
}

impl Read for Peer {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let len = bytes.len().min(self.most).min(self.input.len());
        assert!(len > 0, "it would block");
        bytes[..len].fill_with(|| self.input.pop_front().expect("enough"));
        Ok(len)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let len = bytes.len().min(self.most);
        self.output.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What a device writes that lives on a line. XON and XOFF depend on when bytes come.
fn answer(flow_control: FlowControl, piece: usize, bytes: &[u8]) -> Vec<u8> {
    let (mut receive, mut send) = ([0; ROOM], [0; REPLY_ROOM]);
    let mut port = match flow_control {
        FlowControl::XonXoff => Port::serial(ChannelId(0), flow_control, &mut receive, &mut send),
        FlowControl::None => Port::tcp(ChannelId(0), "1.2.3.4:5678", &mut receive, &mut send),
    };
    let mut line = Peer { input: bytes.iter().copied().collect(), output: Vec::new(), most: piece };
    // A reply that comes later comes between others, and where depends on time.
    let (mut service, mut engine) = (service(), Engine::without_jobs());
    // Time stands still, so that nothing depends on how long it takes; XOFF is not waited out.
    line.input.extend([XON, b'\n']);
    for _ in 0..1_000_000 {
        let step = port.step(&mut line, &mut service, &mut engine, 0).expect("no errors");
        if step.is_idle || matches!(step.action, Some(Action::Reboot)) {
            line.output.retain(|byte| ![XON, XOFF].contains(byte));
            return line.output;
        }
    }
    panic!("never idle");
}

fn port(flow_control: FlowControl, piece: usize, bytes: &[u8]) {
    // An XOFF between two frames would hold the second one back for 5 s.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != XOFF).collect();
    let whole = answer(flow_control, usize::MAX, &bytes);
    let pieces = answer(flow_control, piece, &bytes);
    assert_eq!(String::from_utf8_lossy(&pieces), String::from_utf8_lossy(&whole));
    for (received, text) in received(Line::Serial, REPLY_ROOM, [&whole[..]].into_iter()) {
        match received {
            Received::Frame { .. } => check_reply(&text),
            Received::EmptyLine | Received::Handshake => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A reply is whole, and says why if something went wrong.
fn check_reply(text: &[u8]) {
    assert!(text.is_ascii());
    let reply: Value = serde_json::from_slice(text).expect("JSON");
    assert_eq!(reply["src"], DEVICE);
    if let Some(error) = reply.get("error") {
        assert!(error["code"].is_i64() && error["message"].is_string());
    }
}

/// A datagram and a message of a WebSocket.
fn messages(bytes: &[u8]) {
    let mut out = [0; 4096];
    let from = |kind| Channel::new(ChannelId(0), kind, "");
    let (mut service, mut engine) = (service(), Engine::default());
    let channel = from(ChannelKind::Udp);
    let outcome = udp::handle(&mut service, bytes, channel, 0, &mut engine, &mut out);
    if let Some(len) = reply_len(&outcome) {
        assert!(len <= ota_rpc::limits::MAX_DATAGRAM_BYTES);
        check_reply(&out[..len]);
    }
    match websocket::frame(websocket::Message::Text(bytes)) {
        Ok(frame) => {
            let channel = from(ChannelKind::WebSocket);
            let outcome = service.handle(frame, channel, 0, &mut engine, &mut out);
            reply_len(&outcome).into_iter().for_each(|len| check_reply(&out[..len]));
        }
        Err(_) => assert!(core::str::from_utf8(bytes).is_err() || bytes.len() > 12 * 1024),
    }
    let offered = String::from_utf8_lossy(bytes);
    if let Some(chosen) = websocket::subprotocol(&offered) {
        assert!(offered.to_ascii_lowercase().contains(chosen));
    }
}

fn reply_len(outcome: &Outcome<'_>) -> Option<usize> {
    match outcome.reply {
        Reply::Frame(len) | Reply::Rejected { len: len @ 1.., .. } => Some(len),
        Reply::Rejected { .. } | Reply::Later | Reply::None | Reply::NoRoom(_) => None,
    }
}

/// A message behind its topic: the first line.
fn published(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let topic = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let message = parts.next().unwrap_or_default();
    let mut room = [0; ROOM];
    let Ok(frame) = mqtt::request(DEVICE, &topic, message, &mut room) else { return };
    assert!(topic.starts_with("fuzz/rpc"));
    let mut out = [0; 4096];
    let channel = Channel::new(ChannelId(0), ChannelKind::Mqtt, "");
    let outcome = service().handle(frame, channel, 0, &mut Engine::default(), &mut out);
    if let Reply::Frame(len) = outcome.reply {
        check_reply(&out[..len]);
        let topic = mqtt::ReplyTopic::of(&out[..len]).expect("a topic").to_string();
        assert!(topic.ends_with("/rpc") && !topic.contains(['+', '#', '\0']));
    }
}
