//! Frames on lines: TCP, and serial ports.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ota_rpc::framing::serial::{self, Envelope, Received, Receiver};
use ota_rpc::framing::tcp;
use ota_rpc::limits::MAX_XOFF_MS;
use rustix::event::PollFlags;

use super::stream::{Stream, is_late};
use super::{CallError, Link, is_read, unreachable};
use crate::host::broker::without_password;
use crate::host::serial::SerialLine;

/// The longest reply, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Between two handshakes that nobody answers, as `mos` does it.
const HANDSHAKE_EVERY: Duration = Duration::from_millis(200);
/// What is written to a serial line before a look at whether the device wants more.
const PIECE: usize = 64;
/// The pace of `mos`: a UART without flow control loses what comes faster.
const PACED_PIECE: usize = 16;
const PACE: Duration = Duration::from_millis(5);

/// A connection of lines.
pub(super) struct Lines<W> {
    wire: W,
    url: String,
    envelope: Envelope,
    is_serial: bool,
    /// What was read and not looked at: a piece of a frame, perhaps.
    unread: Vec<u8>,
    /// Since when the device wants nothing.
    stopped: Option<Instant>,
}

/// What lines travel on.
pub(super) trait Wire: Send {
    /// Reads what is there, waiting for it until the deadline; none then.
    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<Option<usize>>;
    /// The most that is written at once, and the pause behind it.
    fn piece(&self) -> (usize, Duration);
    fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()>;
}

pub(super) fn tcp(address: &str, deadline: Instant) -> Result<Lines<Stream>, CallError> {
    let url = without_password(&format!("tcp://{address}"));
    let wire =
        Stream::connect(address, None, deadline).map_err(|error| unreachable(&url, &error))?;
    let envelope = tcp::CLIENT;
    Ok(Lines { wire, url, envelope, is_serial: false, unread: Vec::new(), stopped: None })
}

/// Opens a serial port and waits until somebody answers there.
pub(super) fn serial(
    path: &Path,
    is_paced: bool,
    deadline: Instant,
) -> Result<Lines<Uart>, CallError> {
    let url = path.display().to_string();
    let line = SerialLine::open(path).map_err(|error| unreachable(&url, &error))?;
    let envelope = Envelope { quotes: true, crc: true };
    let wire = Uart { line, is_paced };
    let mut lines =
        Lines { wire, url, envelope, is_serial: true, unread: Vec::new(), stopped: None };
    lines.shake_hands(deadline)?;
    Ok(lines)
}

impl<W: Wire> Lines<W> {
    fn shake_hands(&mut self, deadline: Instant) -> Result<(), CallError> {
        while Instant::now() < deadline {
            let hello = [serial::HANDSHAKE, b"\n\n"].concat();
            self.wire
                .write_all(&hello, deadline)
                .map_err(|error| unreachable(&self.url, &error))?;
            let until = deadline.min(Instant::now() + HANDSHAKE_EVERY);
            while let Some(received) = self.next(until)? {
                if matches!(received, Line::Handshake) {
                    return Ok(());
                }
                if Instant::now() >= until {
                    break;
                }
            }
        }
        let reason = "nobody answers there: is this the device's line, and its speed 115200 baud?";
        Err(CallError::Unreachable { url: self.url.clone(), reason: reason.to_owned() })
    }

    /// The next thing that comes, until the deadline.
    fn next(&mut self, deadline: Instant) -> Result<Option<Line>, CallError> {
        loop {
            if let Some(line) = self.look() {
                return Ok(Some(line));
            }
            if Instant::now() >= deadline || !self.read(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Reads more. False: nothing came.
    fn read(&mut self, deadline: Instant) -> Result<bool, CallError> {
        let mut buffer = [0; 4096];
        match self.wire.read(&mut buffer, deadline) {
            Ok(None) => Ok(false),
            Ok(Some(0)) => Err(self.lost("the other side has closed it")),
            Ok(Some(count)) => {
                buffer[..count].iter().for_each(|byte| self.take(*byte));
                Ok(true)
            }
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// The first thing in what was read; a piece of a frame is left until the rest has come.
    fn look(&mut self) -> Option<Line> {
        let mut buffer = vec![0; MAX_REPLY_BYTES];
        let mut receiver = match self.is_serial {
            true => Receiver::serial(&mut buffer),
            false => Receiver::tcp(&mut buffer),
        };
        let mut rest = &self.unread[..];
        let mut found = None;
        while found.is_none() {
            match receiver.receive(&mut rest) {
                Some(Received::Frame { .. }) => {
                    found = Some(Line::Frame(receiver.frame().to_vec()));
                }
                Some(Received::Handshake) => found = Some(Line::Handshake),
                Some(
                    Received::Xon | Received::Xoff | Received::EmptyLine | Received::Dropped(_),
                ) => {}
                None => break,
            }
        }
        // A UART hands out byte by byte: the first of three quotes is no junk yet.
        let is_used_up = !receiver.is_in_frame() && self.unread.ends_with(b"\n");
        let left = rest.len();
        if found.is_some() || is_used_up {
            self.unread.drain(..self.unread.len() - left);
        } else if self.unread.len() > 2 * MAX_REPLY_BYTES {
            // Nothing that has an end.
            self.unread.clear();
        }
        found
    }

    /// Until the device wants to be sent to.
    fn wait_until_wanted(&mut self, deadline: Instant) -> Result<(), CallError> {
        while let Some(since) = self.stopped {
            // Noise looks like XOFF.
            let until = since + Duration::from_millis(MAX_XOFF_MS);
            if Instant::now() >= until {
                self.stopped = None;
            } else if Instant::now() >= deadline {
                return Err(self.lost("the device has stopped the line (XOFF)"));
            } else {
                self.read(until.min(deadline))?;
            }
        }
        Ok(())
    }

    /// Flow control is obeyed at once, wherever in a frame it comes.
    fn take(&mut self, byte: u8) {
        match byte {
            serial::XON if self.is_serial => self.stopped = None,
            serial::XOFF if self.is_serial => {
                self.stopped.get_or_insert_with(Instant::now);
            }
            _ => self.unread.push(byte),
        }
    }

    fn lost(&self, reason: &str) -> CallError {
        CallError::Lost { url: self.url.clone(), reason: reason.to_owned() }
    }
}

/// What came on a line.
enum Line {
    Frame(Vec<u8>),
    Handshake,
}

impl<W: Wire> Link for Lines<W> {
    fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<(), CallError> {
        let mut buffer = vec![0; Envelope::HEAD + frame.len() + Envelope::TAIL];
        Envelope::inside(&mut buffer).copy_from_slice(frame);
        let range = self.envelope.close(&mut buffer, frame.len()).unwrap_or_default();
        let (piece, pause) = self.wire.piece();
        for piece in buffer[range].chunks(piece) {
            if Instant::now() >= deadline {
                return Err(self.lost("the device does not take what is sent"));
            }
            if self.is_serial {
                self.read(Instant::now())?;
                self.wait_until_wanted(deadline)?;
            }
            self.wire.write_all(piece, deadline).map_err(|error| self.lost(&error.to_string()))?;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError> {
        while let Some(line) = self.next(deadline)? {
            match line {
                Line::Frame(frame) => return Ok(Some(frame)),
                Line::Handshake if Instant::now() >= deadline => break,
                Line::Handshake => {}
            }
        }
        Ok(None)
    }

    /// What a UART has taken is lost when the device resets; nothing is lost on TCP. A piece of an
    /// update is not sent twice on a guess: at that speed it is long, and some devices count it twice.
    fn may_repeat(&self, method: &str) -> bool {
        self.is_serial && is_read(method)
    }
}

impl Wire for Stream {
    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<Option<usize>> {
        self.wait_until(deadline);
        match Read::read(self, buffer) {
            Err(error) if is_late(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    fn piece(&self) -> (usize, Duration) {
        (usize::MAX, Duration::ZERO)
    }

    fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.wait_until(deadline);
        Write::write_all(self, bytes)
    }
}

/// A serial port.
pub(super) struct Uart {
    line: SerialLine,
    is_paced: bool,
}

impl Wire for Uart {
    fn read(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<Option<usize>> {
        // Rounded up: a wait that ends before the deadline would be for nothing.
        let time = deadline.saturating_duration_since(Instant::now());
        let time = time.as_nanos().div_ceil(1_000_000);
        match self.line.waits_for(PollFlags::IN, i64::try_from(time).unwrap_or(i64::MAX))? {
            true => embedded_io::Read::read(&mut self.line, buffer).map(Some),
            false => Ok(None),
        }
    }

    fn piece(&self) -> (usize, Duration) {
        if self.is_paced { (PACED_PIECE, PACE) } else { (PIECE, Duration::ZERO) }
    }

    fn write_all(&mut self, mut bytes: &[u8], _: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = embedded_io::Write::write(&mut self.line, bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UART that hands out what a device says byte by byte.
    struct Slow(std::collections::VecDeque<u8>);

    impl Wire for Slow {
        fn read(&mut self, buffer: &mut [u8], _: Instant) -> io::Result<Option<usize>> {
            Ok(self.0.pop_front().map(|byte| {
                buffer[0] = byte;
                1
            }))
        }

        fn piece(&self) -> (usize, Duration) {
            (PIECE, Duration::ZERO)
        }

        fn write_all(&mut self, _: &[u8], _: Instant) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_comes_byte_by_byte_is_understood() {
        let said = b"boot: well\r\n\"\"\"\x04\"\"\"\n\n\"\"\"{\"id\":1}\"\"\"\n{\"id\":2}\n\"\"";
        let wire = Slow(said.iter().copied().collect());
        let envelope = Envelope { quotes: true, crc: true };
        let url = "a UART".to_owned();
        let mut lines =
            Lines { wire, url, envelope, is_serial: true, unread: Vec::new(), stopped: None };
        let deadline = Instant::now() + Duration::from_secs(60);
        lines.shake_hands(deadline).unwrap();
        assert_eq!(lines.receive(deadline).unwrap().unwrap(), b"{\"id\":1}");
        assert_eq!(lines.receive(deadline).unwrap().unwrap(), b"{\"id\":2}");
        assert_eq!(lines.receive(deadline).unwrap(), None);
    }
}
