//! What is still to be written.

use core::ops::Range;

use embedded_io::Write;

use super::PortError;
use crate::framing::serial::Envelope;
use crate::limits::MAX_XOFF_MS;

/// One answer on its way.
#[derive(Debug)]
pub(super) struct Outbox<'b> {
    buffer: &'b mut [u8],
    /// Of `buffer`, still to be written.
    unsent: Range<usize>,
    /// It is a reply of the service, which is told when it is out.
    is_reply: bool,
    /// Since when the peer wants nothing.
    held_ms: Option<u64>,
}

/// What [`Outbox::send`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// No reply has come to its end.
    Nothing,
    /// A reply is out, flushed.
    Reply,
}

impl<'b> Outbox<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, unsent: 0..0, is_reply: false, held_ms: None }
    }

    pub(super) fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Whether the peer wants nothing.
    pub(super) fn is_held(&self) -> bool {
        self.held_ms.is_some()
    }

    /// Where the next reply is to be made. To be called when empty.
    pub(super) fn inside(&mut self) -> &mut [u8] {
        Envelope::inside(self.buffer)
    }

    /// The reply of `len` bytes in [`Self::inside`] is to be written.
    pub(super) fn close(&mut self, envelope: Envelope, len: usize) {
        // The service was lent no more than fits.
        self.unsent = envelope.close(self.buffer, len).unwrap_or_default();
        self.is_reply = true;
    }

    /// A short answer is to be written. A buffer that it does not fit has no room for replies
    /// either.
    pub(super) fn put(&mut self, answer: &[u8]) {
        if let Some(place) = self.buffer.get_mut(..answer.len()) {
            place.copy_from_slice(answer);
            self.unsent = 0..answer.len();
            self.is_reply = false;
        }
    }

    /// The peer wants nothing from `now_ms` on. To say so again gives it no more time.
    pub(super) fn hold(&mut self, now_ms: u64) {
        self.held_ms.get_or_insert(now_ms);
    }

    /// The peer wants more.
    pub(super) fn release(&mut self) {
        self.held_ms = None;
    }

    /// Writes the next piece, at most `piece_len` bytes, if there is one and the peer wants it.
    pub(super) fn send<T: Write>(
        &mut self,
        io: &mut T,
        piece_len: usize,
        now_ms: u64,
    ) -> Result<Sent, PortError<T::Error>> {
        let is_held = self.held_ms.is_some_and(|since| now_ms.saturating_sub(since) < MAX_XOFF_MS);
        if self.is_empty() || is_held {
            return Ok(Sent::Nothing);
        }
        self.held_ms = None;
        let unsent = self.buffer.get(self.unsent.clone()).unwrap_or_default();
        let written = write(io, unsent.get(..piece_len).unwrap_or(unsent))?;
        self.unsent.start = self.unsent.start.saturating_add(written);
        if !self.is_empty() {
            return Ok(Sent::Nothing);
        }
        io.flush().map_err(PortError::Io)?;
        Ok(if self.is_reply { Sent::Reply } else { Sent::Nothing })
    }
}

/// Writes some of `bytes`, which are not none: at least one.
pub(super) fn write<T: Write>(io: &mut T, bytes: &[u8]) -> Result<usize, PortError<T::Error>> {
    match io.write(bytes) {
        Ok(0) => Err(PortError::Closed),
        Ok(written) => Ok(written),
        Err(error) => Err(PortError::Io(error)),
    }
}
