//! What goes around a frame that is sent.

use core::ops::Range;

use ota_core::crc::crc32;

use crate::writer::digit;

/// Delimiters and checksum of a frame to be sent. The frame is made in a buffer with room on both
/// sides, so that it is not copied:
///
/// ```text
/// buffer   | \n""" | frame ...        | crc """ \n |
///            HEAD    inside(buffer)     TAIL
/// ```
/// A device puts around its replies what was around the last request: see
/// [`super::Received::Frame`]. Without quotes a frame still has a newline before it, since `mos`
/// takes no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `"""` on both sides.
    pub quotes: bool,
    /// CRC-32 behind the frame.
    pub crc: bool,
}

impl Envelope {
    /// The most bytes before a frame.
    pub const HEAD: usize = 4;
    /// The most bytes behind it.
    pub const TAIL: usize = 12;

    /// The part of `buffer` where the frame is to be written. Empty if `buffer` is too short for
    /// any.
    pub fn inside(buffer: &mut [u8]) -> &mut [u8] {
        let end = buffer.len().saturating_sub(Self::TAIL);
        buffer.get_mut(Self::HEAD..end).unwrap_or_default()
    }

    /// Closes the envelope around the frame of `len` bytes in [`Self::inside`] of `buffer`; the
    /// bytes to be sent are those of `buffer` in the range returned. None if no such frame fits
    /// there.
    pub fn close(self, buffer: &mut [u8], len: usize) -> Option<Range<usize>> {
        let crc = crc32(Self::inside(buffer).get(..len)?);
        let start = match self.quotes {
            true => 0,
            false => Self::HEAD.saturating_sub(1),
        };
        let mut end = start;
        let mut put = |at: usize, bytes: &[u8]| {
            end = at.saturating_add(bytes.len());
            buffer.get_mut(at..end).map(|place| place.copy_from_slice(bytes))?;
            Some(end)
        };
        put(start, if self.quotes { b"\n\"\"\"" } else { b"\n" })?;
        let mut at = Self::HEAD.saturating_add(len);
        if self.crc {
            at = put(at, &hex(crc))?;
        }
        if self.quotes {
            at = put(at, b"\"\"\"")?;
        }
        put(at, b"\n")?;
        Some(start..end)
    }
}

/// Eight lower-case digits.
fn hex(value: u32) -> [u8; 8] {
    let mut rest = value;
    core::array::from_fn(|_| {
        rest = rest.rotate_left(4);
        digit(rest & 0xf)
    })
}
