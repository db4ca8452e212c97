//! Between an asynchronous UART and the blocking traits that a port of `ota-rpc` takes: a step of
//! the port reads and writes memory, and what is awaited is awaited between steps.

use core::fmt;

use embassy_nrf::buffered_uarte::BufferedUarte;
use embassy_time::{Duration, with_timeout};
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};
use embedded_io_async::Write as _;
use heapless::Vec;
use ota_rpc::limits::{PORT_READ_BYTES, PORT_WRITE_BYTES};

/// What one step writes: a piece of a reply, and what stops and releases the peer.
const OUTPUT: usize = PORT_WRITE_BYTES + 16;

/// What came, and what is to be sent.
#[derive(Default)]
pub(crate) struct Line {
    input: Vec<u8, PORT_READ_BYTES>,
    output: Vec<u8, OUTPUT>,
    failed: bool,
}

/// Of the line.
#[derive(Debug)]
pub(crate) enum LineError {
    /// Bytes came faster than they were read: some are lost.
    Overrun,
    /// More is to be sent than a step may write.
    Full,
}

impl Line {
    /// Sends what the last step wrote.
    pub(crate) async fn send(&mut self, uart: &mut BufferedUarte<'_>) {
        // Sending does not fail: only receiving can overrun.
        let _ = uart.write_all(&self.output).await;
        self.output.clear();
    }

    /// Takes what came, and waits at most `patience` for it.
    pub(crate) async fn receive(&mut self, uart: &mut BufferedUarte<'_>, patience: Duration) {
        if self.has_input() {
            return;
        }
        let mut bytes = [0; PORT_READ_BYTES];
        let is_there = uart.read_ready().unwrap_or(true);
        if !is_there && patience == Duration::MIN {
            return;
        }
        // A read that is given up has taken nothing.
        match with_timeout(patience, uart.read(&mut bytes)).await {
            Ok(Ok(count)) => self.input = bytes.into_iter().take(count).collect(),
            Ok(Err(_)) => self.failed = true,
            Err(_) => {}
        }
    }

    fn has_input(&self) -> bool {
        self.failed || !self.input.is_empty()
    }
}

impl ErrorType for Line {
    type Error = LineError;
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, LineError> {
        Ok(self.has_input())
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LineError> {
        if core::mem::take(&mut self.failed) {
            return Err(LineError::Overrun);
        }
        let count = self.input.len().min(buffer.len());
        buffer.iter_mut().zip(self.input.drain(..count)).for_each(|(place, byte)| *place = byte);
        Ok(count)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LineError> {
        self.output.extend_from_slice(bytes).map_err(|_| LineError::Full)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), LineError> {
        Ok(())
    }
}

impl embedded_io::Error for LineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Overrun => ErrorKind::Other,
            Self::Full => ErrorKind::OutOfMemory,
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overrun => "bytes were lost on the line",
            Self::Full => "more to be sent than a step may write",
        })
    }
}

impl core::error::Error for LineError {}
