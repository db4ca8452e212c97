//! The serial line of a device, in the device's thread.

use std::future::pending;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ota_rpc::ChannelId;
use ota_rpc::framing::port::{FlowControl, Port, PortError};
use ota_rpc::framing::serial::Envelope;
use ota_rpc::limits::MAX_REQUEST_BYTES;
use rustix::event::PollFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::serial::{PATIENCE_MS, SerialLine};
use crate::device::{Action, Exchanged, MAX_REPLY_BYTES, SimDevice};
use crate::flash::Storage;

/// The channel of the serial line; other transports count up from the next.
pub(super) const CHANNEL: ChannelId = ChannelId(0);

/// Steps between two looks at what else there is to do.
const STEPS: usize = 256;

/// The buffers of a port: they outlive the device's resets.
pub(super) struct Buffers {
    receive: Vec<u8>,
    send: Vec<u8>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let send = Envelope::HEAD + MAX_REPLY_BYTES + Envelope::TAIL;
        Self { receive: vec![0; MAX_REQUEST_BYTES], send: vec![0; send] }
    }

    fn port(&mut self) -> Port<'_> {
        Port::serial(CHANNEL, FlowControl::XonXoff, &mut self.receive, &mut self.send)
    }
}

/// A device's serial line: at most one.
pub(super) struct Line<'m> {
    port: Option<Port<'m>>,
    tty: Option<AsyncFd<Tty>>,
    /// There is more to do at once.
    pub(super) wants_to_run: bool,
    /// A reply that came later, while another was still being sent.
    reply: Option<Vec<u8>>,
}

impl<'m> Line<'m> {
    pub(super) fn new(buffers: &'m mut Buffers) -> Self {
        Self { port: Some(buffers.port()), tty: None, wants_to_run: false, reply: None }
    }

    /// Connects the device to a line. To be called in a runtime.
    pub(super) fn attach(&mut self, tty: SerialLine) -> io::Result<()> {
        #[expect(deprecated, reason = "its successor is unsafe; this tty keeps its descriptor")]
        let tty = AsyncFd::with_interest(Tty { line: tty, full_since: None }, Interest::READABLE)?;
        self.tty = Some(tty);
        self.wants_to_run = true;
        Ok(())
    }

    /// What the device had of the line in RAM is gone.
    pub(super) fn reset(&mut self) {
        self.reply = None;
        if let Some(port) = self.port.take() {
            let (receive, send) = port.into_buffers();
            self.port = Some(Port::serial(CHANNEL, FlowControl::XonXoff, receive, send));
        }
    }

    /// A reply that was announced as coming later.
    pub(super) fn reply(&mut self, frame: Vec<u8>) {
        self.reply = Some(frame);
        self.wants_to_run = true;
    }

    /// Until something has come. To be followed by [`Self::run`].
    pub(super) async fn readable(&self) {
        match &self.tty {
            // What is not read now makes it ready again only when more comes: `run` reads all.
            Some(tty) => match tty.readable().await {
                Ok(mut guard) => guard.clear_ready(),
                Err(_) => pending().await,
            },
            None => pending().await,
        }
    }

    /// Lets bytes in and out. The action that comes of it; there may be more to do.
    pub(super) fn run<'d, S: Storage + 'd>(
        &mut self,
        device: &mut SimDevice<'d, S>,
        now_ms: u64,
    ) -> Option<Action> {
        let (Some(port), Some(tty)) = (&mut self.port, &mut self.tty) else {
            self.wants_to_run = false;
            return None;
        };
        for _ in 0..STEPS {
            match tty.get_mut().takes() {
                Ok(true) => {}
                // The next tick looks again. What comes in meanwhile stays where it is.
                Ok(false) => {
                    self.wants_to_run = false;
                    return None;
                }
                Err(error) => return self.failed(PortError::Io(error)),
            }
            if let Some(reply) = self.reply.take()
                && !port.reply(&reply)
            {
                self.reply = Some(reply);
            }
            match device.exchange(port, tty.get_mut(), now_ms) {
                Ok(Exchanged { action: Some(action), .. }) => {
                    self.wants_to_run = true;
                    return Some(action);
                }
                Ok(Exchanged { is_idle: false, .. }) => {}
                Ok(Exchanged { is_idle: true, .. }) => {
                    // A reply that waits does so until the port has room: the next tick looks.
                    self.wants_to_run = false;
                    return None;
                }
                Err(error) => return self.failed(error),
            }
        }
        self.wants_to_run = true;
        None
    }

    fn failed(&mut self, error: PortError<io::Error>) -> Option<Action> {
        self.wants_to_run = false;
        match error {
            PortError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Noise, or the other end of a cable pulled out.
            PortError::Io(error) => {
                tracing::warn!("serial line: {error}");
                self.tty = None;
            }
            PortError::Closed => {
                tracing::warn!("the serial line is gone");
                self.tty = None;
            }
        }
        None
    }
}

/// A serial line that never waits: the device's thread has more to do.
struct Tty {
    line: SerialLine,
    /// Since when it takes nothing.
    full_since: Option<Instant>,
}

impl Tty {
    /// Whether there is room for more, or nobody for whom it would be.
    fn takes(&mut self) -> io::Result<bool> {
        if self.line.waits_for(PollFlags::OUT, 0)? {
            self.full_since = None;
            return Ok(true);
        }
        self.full_since.get_or_insert_with(Instant::now);
        Ok(self.is_deserted())
    }

    fn is_deserted(&self) -> bool {
        let patience = Duration::from_millis(PATIENCE_MS.unsigned_abs());
        self.full_since.is_some_and(|since| since.elapsed() >= patience)
    }
}

impl AsRawFd for Tty {
    fn as_raw_fd(&self) -> RawFd {
        self.line.as_raw_fd()
    }
}

impl ErrorType for Tty {
    type Error = io::Error;
}

impl ReadReady for Tty {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.line.read_ready()
    }
}

impl Read for Tty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer)
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.line.write_now(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.is_deserted() => {
                    return Ok(bytes.len());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
