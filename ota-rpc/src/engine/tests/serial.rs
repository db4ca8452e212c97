//! A whole update over a serial line: client's bytes in, flash out.

use std::collections::VecDeque;
use std::format;
use std::vec::Vec;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ota_core::{Config as EngineConfig, Updater};

use super::{BUNDLE, Board, NEW_APP, Ram, SECTOR, begin};
use crate::channel::ChannelId;
use crate::framing::port::{FlowControl, Port};
use crate::framing::serial::{Envelope, HANDSHAKE, Received, Receiver, XOFF, XON};
use crate::service::tests::bench::base64;
use crate::service::{Action, Config, Service};

/// A line whose driver takes little at once.
#[derive(Default)]
struct Uart {
    fifo: VecDeque<u8>,
    output: Vec<u8>,
}

impl ErrorType for Uart {
    type Error = core::convert::Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(!self.fifo.is_empty())
    }
}

impl Read for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        let len = bytes.len().min(self.fifo.len());
        bytes[..len].fill_with(|| self.fifo.pop_front().unwrap());
        Ok(len)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        let len = bytes.len().min(16);
        self.output.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What `mos` sends for a call: a handshake, quotes, a checksum.
fn call(method: &str, params: &str) -> Vec<u8> {
    let text = format!(r#"{{"src":"mos","id":1,"method":"{method}","params":{params}}}"#);
    let mut buffer = std::vec![0; text.len() + 16];
    Envelope::inside(&mut buffer).copy_from_slice(text.as_bytes());
    let envelope = Envelope { quotes: true, crc: true };
    let range = envelope.close(&mut buffer, text.len()).unwrap();
    [HANDSHAKE, b"\n\n", &buffer[range]].concat()
}

/// The only reply in `output`.
fn reply(output: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = [0; 1024];
    let mut receiver = Receiver::serial(&mut buffer);
    let mut rest = output;
    while let Some(received) = receiver.receive(&mut rest) {
        if let Received::Frame { quotes: true, crc: true } = received {
            return Some(receiver.frame().to_vec());
        }
    }
    None
}

#[test]
fn a_bundle_is_pushed_over_a_serial_line_at_any_pace() {
    for pace in [16, 64, 4096] {
        let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
        let mut updater =
            Updater::open(&mut ram, EngineConfig::new("sim"), &mut buffer, 0).unwrap();
        let mut service = Service::new(Config::new("dev"), Board);
        let (mut receive, mut send) = ([0; 1024], [0; 512]);
        let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
        let mut uart = Uart::default();
        let mut calls = std::vec![call("OTA.Status", "{}"), call("OTA.Begin", &begin(BUNDLE))];
        calls.extend(BUNDLE.chunks(512).enumerate().map(|(index, chunk)| {
            let data = base64(chunk);
            call("OTA.Write", &format!(r#"{{"offset":{},"data":"{data}"}}"#, index * 512))
        }));
        calls.push(call("OTA.End", "{}"));
        let mut stops = 0;
        for call in &calls {
            let mut sent = call.chunks(pace);
            uart.output.clear();
            while reply(&uart.output).is_none() {
                if uart.fifo.is_empty() {
                    uart.fifo.extend(sent.next().unwrap_or_default());
                }
                let step = port.step(&mut uart, &mut service, &mut updater, 0).unwrap();
                assert!(step.action.is_none());
            }
            let reply = reply(&uart.output).unwrap();
            assert!(!reply.windows(7).any(|part| part == b"\"error\""), "{reply:?}");
            let count = |byte| uart.output.iter().filter(|found| **found == byte).count();
            stops += count(XOFF);
            // The last one is let go on when the reply is out.
            assert!(count(XOFF) - count(XON) <= 1);
        }
        assert!(stops >= BUNDLE.len() / 512, "{stops}");
        let step = port.step(&mut uart, &mut service, &mut updater, 100).unwrap();
        assert!(matches!(step.action, Some(Action::Reboot)));
        ram.boot(1);
        assert!(ram.apps[1].starts_with(NEW_APP));
    }
}
