//! A port between a line that does as it is told and the service with a made-up engine.

use std::collections::VecDeque;
use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::framing::serial::Receiver;
use crate::limits::{MAX_XOFF_MS, PORT_WRITE_BYTES};
use crate::service::tests::bench::{Bench, base64, request};

const ID: ChannelId = ChannelId(9);

/// The other end of a line.
struct Line {
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// How much is read and written at once.
    most: usize,
    /// The lengths of writes.
    writes: Vec<usize>,
    /// Bytes that are out for good.
    flushed: usize,
    /// The next read fails.
    noise: bool,
    /// The other side has gone.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noise;

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("noise")
    }
}

impl core::error::Error for Noise {}

impl embedded_io::Error for Noise {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl embedded_io::ErrorType for Line {
    type Error = Noise;
}

impl Read for Line {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Noise> {
        assert!(self.noise || self.closed || !self.input.is_empty(), "this would block");
        if core::mem::take(&mut self.noise) {
            return Err(Noise);
        }
        let len = bytes.len().min(self.most).min(self.input.len());
        bytes[..len].fill_with(|| self.input.pop_front().unwrap());
        Ok(len)
    }
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Noise> {
        Ok(self.noise || self.closed || !self.input.is_empty())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Noise> {
        let len = bytes.len().min(self.most);
        self.output.extend_from_slice(&bytes[..len]);
        self.writes.push(len);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Noise> {
        self.flushed = self.output.len();
        Ok(())
    }
}

/// A port with all that it needs.
struct Setup<'b> {
    bench: Bench,
    line: Line,
    port: Port<'b>,
}

impl<'b> Setup<'b> {
    fn new(port: Port<'b>) -> Self {
        let line = Line {
            input: VecDeque::new(),
            output: Vec::new(),
            most: usize::MAX,
            writes: Vec::new(),
            flushed: 0,
            noise: false,
            closed: false,
        };
        Self { bench: Bench::new(), line, port }
    }

    fn come(&mut self, bytes: impl AsRef<[u8]>) {
        self.line.input.extend(bytes.as_ref());
    }

    fn step(&mut self) -> Result<Step<'_>, PortError<Noise>> {
        let bench = &mut self.bench;
        self.port.step(&mut self.line, &mut bench.service, &mut bench.engine, bench.now_ms)
    }

    /// Steps until there is nothing to do, and returns what was written.
    fn run(&mut self) -> String {
        for _ in 0..100_000 {
            let step = self.step().unwrap();
            if step.is_idle {
                assert!(step.action.is_none());
                return String::from_utf8(core::mem::take(&mut self.line.output)).unwrap();
            }
        }
        panic!("never idle");
    }

    /// What comes back when `bytes` come.
    fn answer(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.come(bytes);
        self.run()
    }
}

macro_rules! serial {
    ($name:ident, $flow_control:expr) => {
        let (mut receive, mut send) = ([0; 2048], [0; 1040]);
        #[allow(unused_mut, reason = "some tests only look")]
        let mut $name = Setup::new(Port::serial(ID, $flow_control, &mut receive, &mut send));
    };
}

const GET: &str = r#"{"src":"mos","id":1252160732327,"method":"OTA.GetBootState"}"#;
const GOT: &str = r#"{"id":1252160732327,"src":"esp_stub","dst":"mos","result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#;

#[test]
fn the_recorded_session_on_a_serial_line() {
    serial!(setup, FlowControl::XonXoff);
    assert_eq!(setup.answer("\"\"\"\x04\"\"\"\n\n"), "\"\"\"\x04\"\"\"\n");
    assert_eq!(setup.answer("\"\"\""), "");
    for piece in [
        "\n\"\"\"{\"src\":\"mos\"",
        ",\"id\":1252160732",
        "327,\"method\":\"OT",
        "A.GetBootState\"}",
    ] {
        assert_eq!(setup.answer(piece), "");
    }
    // The checksum of the reply is the recorded one too.
    assert_eq!(setup.answer("520e1668\"\"\"\n"), format!("\n\"\"\"{GOT}bfbadee8\"\"\"\n"));
}

#[test]
fn all_recorded_bytes_of_serial_lines_and_tcp_are_understood() {
    const RECORDED: &str = include_str!("../../../../tests/vectors/mos-wire.txt");
    for (mark, calls) in [("SER < b'", 2), ("TCP < b'", 1)] {
        serial!(setup, FlowControl::XonXoff);
        let sent = RECORDED.lines().filter_map(|line| line.strip_prefix(mark)?.strip_suffix('\''));
        // Python's notation.
        let sent: String = sent.collect();
        let reply = setup.answer(sent.replace("\\n", "\n").replace("\\x04", "\x04"));
        let mut ids = reply.matches("{\"id\":").count();
        if mark.starts_with("SER") {
            // The second call, OTA.Update, is answered when the download has ended.
            assert!(setup.bench.service.is_busy());
            setup.bench.now_ms += crate::limits::UPDATE_REPLY_MS;
            assert!(setup.run().contains("\"state\":1"));
            ids += 1;
        }
        assert_eq!(ids, calls);
        assert_eq!(setup.port.take_dropped(), None);
    }
}

#[test]
fn replies_are_framed_like_the_last_request() {
    serial!(setup, FlowControl::XonXoff);
    assert_eq!(setup.answer(format!("{GET}\n")), format!("\n{GOT}\n"));
    assert_eq!(setup.answer(format!("{GET}520e1668\n")), format!("\n{GOT}bfbadee8\n"));
    let quoted = format!("\n\"\"\"{GOT}\"\"\"\n");
    assert_eq!(setup.answer(format!("\"\"\"{GET}\"\"\"\n")), quoted);
    assert_eq!(setup.answer(format!("{GET}\n")), format!("\n{GOT}\n"));
}

#[test]
fn the_recorded_session_over_tcp() {
    let (mut receive, mut send) = ([0; 2048], [0; 1040]);
    let mut setup = Setup::new(Port::tcp(ID, "1.2.3.4:5678", &mut receive, &mut send));
    let quoted = format!("\n\"\"\"{GOT}\"\"\"\n");
    assert_eq!(setup.answer(format!("\n\"\"\"{GET}\"\"\"\n")), quoted);
    // Neither checksums nor handshakes nor answers to empty lines.
    assert_eq!(setup.answer(format!("{GET}520e1668\n\n\x04\n\x13")), format!("\n{GOT}\n"));
    let reply = setup.answer("{\"id\":1,\"method\":\"RPC.Ping\"}\n");
    assert!(reply.contains("\"channel_info\":\"1.2.3.4:5678\""), "{reply}");
    let reply = setup.answer(b"{\"id\":1,\"tag\":\"\xff\"}\n");
    assert!(reply.contains("\"message\":\"JSON is not UTF-8 at offset 15\""), "{reply}");
    // A bad checksum counts all the same.
    assert_eq!(setup.answer(format!("{GET}520e1669\n")), "");
}

#[test]
fn what_is_no_request_gets_an_error_and_what_is_no_frame_gets_none() {
    serial!(setup, FlowControl::XonXoff);
    let reply = setup.answer("{\"a\":}\n");
    let expected = r#"{"id":null,"src":"esp_stub","error":{"code":400,"message":"unexpected byte in JSON at offset 5"}}"#;
    assert_eq!(reply, format!("\n{expected}\n"));
    assert_eq!(setup.answer("I (33) boot: {1\n{\"id\":1}00000000\n"), "");
    assert_eq!(setup.answer(r#"{"id":1,"dst":"other","method":"OTA.Revert"}"#), "");
    assert_eq!(setup.answer("\n{\"id\":1,\"result\":null}\n"), "");
    // The nesting fits the buffer, but no request may have it.
    let reply = setup.answer(format!("{}{}\n", "{\"a\":".repeat(300), "}".repeat(300)));
    assert!(reply.contains("\"code\":400"), "{reply}");
    assert!(setup.bench.engine.calls.is_empty());
}

#[test]
fn a_frame_longer_than_the_buffer_is_dropped_and_the_next_one_answered() {
    serial!(setup, FlowControl::XonXoff);
    let long = "{".repeat(1 << 20);
    assert_eq!(setup.answer(format!("{long}\n{GET}\n")), format!("\n{GOT}\n"));
    assert_eq!(setup.port.take_dropped(), Some(Dropped::TooLong { capacity: 2048 }));
    assert_eq!(setup.port.take_dropped(), None);
}

#[test]
fn a_reply_that_comes_later_is_sent_and_told_to_be_out() {
    serial!(setup, FlowControl::None);
    setup.answer("{\"id\":1,\"method\":\"OTA.Begin\"}\n");
    setup.answer(
        "{\"id\":2,\"method\":\"OTA.Write\",\"params\":{\"offset\":0,\"data\":\"Zm9v\"}}\n",
    );
    let reply = setup.answer("\"\"\"{\"id\":3,\"method\":\"OTA.End\"}\"\"\"\n");
    assert_eq!(reply, "\n\"\"\"{\"id\":3,\"src\":\"esp_stub\",\"result\":null}\"\"\"\n");
    assert_eq!(setup.line.flushed, reply.len());
    setup.bench.now_ms += 99;
    assert!(setup.step().unwrap().action.is_none());
    setup.bench.now_ms += 1;
    assert!(matches!(setup.step().unwrap().action, Some(Action::Reboot)));
}

#[test]
fn a_reply_that_comes_later_is_framed_like_its_request_not_like_the_last_one() {
    serial!(setup, FlowControl::None);
    setup.bench.engine.steps = 9;
    setup.come("\"\"\"{\"id\":1,\"method\":\"OTA.CreateSnapshot\"}\"\"\"\n");
    setup.come("{\"id\":2,\"method\":\"RPC.Ping\"}\n");
    let ping = "\n{\"id\":2,\"src\":\"esp_stub\",\"result\":{\"channel_info\":\"\"}}\n";
    let snapshot = "\n\"\"\"{\"id\":1,\"src\":\"esp_stub\",\"result\":{\"slot\":1}}\"\"\"\n";
    assert_eq!(setup.run(), format!("{ping}{snapshot}"));
}

#[test]
fn a_reboot_waits_for_the_last_byte() {
    serial!(setup, FlowControl::None);
    setup.line.most = 1;
    setup.come("{\"id\":1,\"method\":\"Sys.Reboot\"}\n");
    // Slow, but not as slow as the service's patience.
    while setup.line.flushed == 0 {
        assert!(setup.step().unwrap().action.is_none());
        setup.bench.now_ms += 50;
    }
    assert_eq!(setup.line.output, b"\n{\"id\":1,\"src\":\"esp_stub\",\"result\":null}\n");
    setup.bench.now_ms += 49;
    assert!(setup.step().unwrap().action.is_none());
    setup.bench.now_ms += 1;
    assert!(matches!(setup.step().unwrap().action, Some(Action::Reboot)));
}

#[test]
fn downloads_are_handed_to_the_owner() {
    serial!(setup, FlowControl::None);
    setup.come("{\"id\":1,\"method\":\"OTA.Update\",\"params\":{\"url\":\"http://x/fw.zip\"}}\n");
    // A line is read in pieces.
    let url = (0..9).find_map(|_| match setup.step().unwrap().action? {
        Action::Download(download) => Some(format!("{}", download.url)),
        other => panic!("{other:?}"),
    });
    assert_eq!(url.as_deref(), Some("http://x/fw.zip"));
}

#[test]
fn a_device_with_several_transports_polls_by_itself() {
    serial!(setup, FlowControl::None);
    let Setup { bench, line, port } = &mut setup;
    line.input.extend(b"{\"id\":1,\"method\":\"OTA.CreateSnapshot\"}\n");
    for _ in 0..3 {
        port.exchange(line, &mut bench.service, &mut bench.engine, 0).unwrap();
    }
    let reply = br#"{"id":1,"src":"esp_stub","result":{"slot":1}}"#;
    assert!(!port.is_sending() && bench.engine.calls.len() == 1, "nobody has polled");
    assert!(port.reply(reply) && port.is_sending() && !port.reply(reply));
    port.exchange(line, &mut bench.service, &mut bench.engine, 0).unwrap();
    assert_eq!(line.output, [b"\n", &reply[..], b"\n"].concat());
    assert!(!port.is_sending() && !port.reply(&[b'x'; 1025]));
}

#[test]
fn requests_that_come_together_are_answered_one_by_one() {
    serial!(setup, FlowControl::XonXoff);
    setup.line.most = 7;
    let reply = setup.answer(format!("{GET}\n\n\"\"\"\x04\"\"\"\n{GET}\n").repeat(5));
    assert_eq!(reply, format!("\n{GOT}\n\n\"\"\"\x04\"\"\"\n{GOT}\n").repeat(5));
}

#[test]
fn the_peer_is_stopped_while_flash_may_be_written() {
    serial!(setup, FlowControl::XonXoff);
    let reply = setup.answer("{\"id\":1,\"method\":\"OTA.Begin\"}\n");
    assert_eq!(reply, "\n{\"id\":1,\"src\":\"esp_stub\",\"result\":null}\n");
    let data = base64(&[7; 300]);
    let write = format!(
        "{{\"id\":2,\"method\":\"OTA.Write\",\"params\":{{\"offset\":0,\"data\":\"{data}\"}}}}\n"
    );
    let reply = setup.answer(&write);
    let expected = "\x13\n{\"id\":2,\"src\":\"esp_stub\",\"result\":{\"offset\":300}}\n\x11";
    assert_eq!(reply, expected);
    // The engine takes three steps.
    let reply = setup.answer("{\"id\":3,\"method\":\"OTA.End\"}\n");
    let steps = "\x13\x11\x13\x11\x13\x11";
    let expected = "\x13\n{\"id\":3,\"src\":\"esp_stub\",\"result\":null}\n\x11";
    assert_eq!(reply, format!("\x13\x11{steps}{expected}"));

    serial!(setup, FlowControl::None);
    setup.answer("{\"id\":1,\"method\":\"OTA.Begin\"}\n");
    assert!(setup.answer(&write).starts_with("\n{\"id\":2"));
}

#[test]
fn a_peer_that_asks_to_stop_gets_no_more_than_one_piece() {
    serial!(setup, FlowControl::XonXoff);
    let expected = format!("\n{GOT}\n");
    setup.come(format!("{GET}\n"));
    while setup.line.output.is_empty() {
        setup.step().unwrap();
    }
    assert_eq!(setup.line.output.len(), PORT_WRITE_BYTES);
    // In this order it stands in the driver: the step writes first, then it reads.
    setup.come([XOFF]);
    setup.step().unwrap();
    assert_eq!(setup.line.output.len(), 2 * PORT_WRITE_BYTES);
    assert!(setup.step().unwrap().is_idle);
    assert_eq!(setup.line.output.len(), 2 * PORT_WRITE_BYTES);
    setup.come([XON]);
    assert_eq!(setup.run(), expected);
    assert!(setup.line.writes.iter().all(|len| *len <= PORT_WRITE_BYTES));

    // By wires: these bytes mean nothing.
    serial!(setup, FlowControl::None);
    assert_eq!(setup.answer(format!("\x13{GET}\n")), expected);
    assert_eq!(setup.line.writes, [expected.len()]);
}

#[test]
fn max_xoff_ms() {
    serial!(setup, FlowControl::XonXoff);
    setup.come(format!("\x13{GET}\n"));
    assert_eq!(setup.run(), "");
    setup.bench.now_ms += MAX_XOFF_MS - 1;
    assert_eq!(setup.answer([XOFF]), "");
    setup.bench.now_ms += 1;
    assert_eq!(setup.run(), format!("\n{GOT}\n"));
}

#[test]
fn max_frame_pause_ms() {
    for (pause_ms, reply) in
        [(MAX_FRAME_PAUSE_MS, ""), (MAX_FRAME_PAUSE_MS + 1, &*format!("\n{GOT}\n"))]
    {
        serial!(setup, FlowControl::XonXoff);
        setup.answer("{\"id\":1,\"method\":");
        setup.bench.now_ms += pause_ms;
        // A sender that begins without a delimiter.
        let answer = setup.answer(format!("{GET}\n"));
        assert_eq!(answer.contains("\"code\":400"), reply.is_empty());
        assert!(reply.is_empty() || answer == reply, "{answer}");
    }
}

#[test]
fn port_read_bytes() {
    serial!(setup, FlowControl::XonXoff);
    setup.come([b'x'; PORT_READ_BYTES + 1]);
    assert!(!setup.port.is_sending() && setup.step().is_ok());
    assert_eq!(setup.line.input.len(), 1);
}

#[test]
fn noise_costs_the_frame_that_it_hits() {
    serial!(setup, FlowControl::XonXoff);
    setup.answer("{\"id\":1,\"method\":\"OTA.Rev");
    setup.line.noise = true;
    assert_eq!(setup.step().unwrap_err(), PortError::Io(Noise));
    assert_eq!(setup.answer("ert\"}\n"), "");
    assert_eq!(setup.answer(format!("{GET}\n")), format!("\n{GOT}\n"));
    assert!(setup.bench.engine.calls.is_empty());
}

#[test]
fn a_closed_connection_is_told_after_what_came_before() {
    let (mut receive, mut send) = ([0; 2048], [0; 1040]);
    let mut setup = Setup::new(Port::tcp(ID, "", &mut receive, &mut send));
    setup.come("{\"method\":\"OTA.Commit\"}\n");
    setup.line.closed = true;
    assert!(setup.step().is_ok());
    assert_eq!(setup.step().unwrap_err(), PortError::Closed);
    assert_eq!(setup.bench.engine.calls, ["commit"]);
    // A driver that takes nothing more is closed too.
    setup.line.closed = false;
    setup.line.most = usize::MAX;
    setup.come(format!("{GET}\n"));
    setup.step().unwrap();
    setup.line.most = 0;
    assert_eq!(setup.step().unwrap_err(), PortError::Closed);
}

#[test]
fn buffers_of_any_size_are_survived() {
    for receive_len in [0, 1, 60, 80] {
        for send_len in [0, 1, 4, 16, 17, 40, 200] {
            let (mut receive, mut send) = (std::vec![0; receive_len], std::vec![0; send_len]);
            let port = Port::serial(ID, FlowControl::XonXoff, &mut receive, &mut send);
            let mut setup = Setup::new(port);
            let reply = setup.answer(format!("\"\"\"\x04\"\"\"\n\n{GET}\n"));
            assert_eq!(reply.contains(GOT), receive_len >= 60 && send_len == 200);
        }
    }
}

/// A line of a frame, or of none.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(format!("\n\"\"\"{GET}\"\"\"\n").into_bytes()),
        2 => Just(format!("{GET}520e1668\n").into_bytes()),
        1 => Just(format!("{GET}520e1669\n").into_bytes()),
        1 => Just(HANDSHAKE.to_vec()),
        1 => Just(request("OTA.Begin", "").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

proptest! {
    #[test]
    fn how_a_line_is_split_makes_no_difference(
        lines in prop::collection::vec(any_line(), 0..8),
        most in 1..80usize,
        is_serial: bool,
    ) {
        let lines = lines.concat();
        let run = |most: usize| {
            let (mut receive, mut send) = ([0; 300], [0; 300]);
            let port = match is_serial {
                true => Port::serial(ID, FlowControl::XonXoff, &mut receive, &mut send),
                false => Port::tcp(ID, "", &mut receive, &mut send),
            };
            let mut setup = Setup::new(port);
            setup.line.most = most;
            setup.come(&lines);
            for _ in 0..10_000 {
                // In noise there may be an XOFF, and no XON.
                if setup.step().unwrap().is_idle && !setup.port.is_sending() {
                    break;
                }
                setup.bench.now_ms += 10;
            }
            // When the peer is stopped depends on when it sends.
            let mut output = setup.line.output;
            output.retain(|byte| !matches!(*byte, XON | XOFF));
            (output, setup.bench.engine.calls)
        };
        let (all, calls) = run(usize::MAX);
        prop_assert_eq!(run(most), (all.clone(), calls));
        // All that comes back is frames, and answers to handshakes and empty lines.
        let mut buffer = [0; 300];
        let mut receiver = Receiver::serial(&mut buffer);
        let mut rest = &all[..];
        while let Some(received) = receiver.receive(&mut rest) {
            if let Received::Frame { .. } = received {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(receiver.frame()).is_ok());
            } else {
                prop_assert!(matches!(received, Received::EmptyLine | Received::Handshake));
            }
        }
    }
}
