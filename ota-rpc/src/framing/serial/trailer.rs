//! What stands behind the last `}` of a line: nothing, or a checksum.

use core::fmt;

use ota_core::crc::crc32;

/// Why a piece of text that has a `{` is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Dropped {
    /// Longer than the buffer.
    TooLong {
        /// The buffer's length in bytes.
        capacity: usize,
    },
    /// A byte from 0x80 on is in it.
    NotAscii,
    /// There is no `}`.
    Unfinished,
    /// What follows the last `}` is no checksum: it was cut, or this is no frame at all.
    BadTrailer,
    /// The checksum is wrong.
    BadCrc {
        /// The one that came.
        found: u32,
        /// The one of the bytes that came.
        expected: u32,
    },
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { capacity } => write!(f, "frame of more than {capacity} bytes"),
            Self::NotAscii => f.write_str("frame with a byte that is not ASCII"),
            Self::Unfinished => f.write_str("line with a { and no }"),
            Self::BadTrailer => f.write_str("frame followed by what is no checksum"),
            Self::BadCrc { found, expected } => {
                write!(f, "frame with CRC-32 {expected:08x} that says {found:08x}")
            }
        }
    }
}

impl core::error::Error for Dropped {}

/// A frame in a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Length of the frame in bytes; it starts where the text does.
    pub(super) len: usize,
    /// It came with a checksum, which is right.
    pub(super) has_crc: bool,
}

/// Finds the frame in `text`, which begins with `{`.
pub(super) fn check(text: &[u8]) -> Result<Checked, Dropped> {
    let last = text.iter().rposition(|byte| *byte == b'}').ok_or(Dropped::Unfinished)?;
    let (frame, trailer) =
        text.split_at_checked(last.saturating_add(1)).ok_or(Dropped::Unfinished)?;
    let len = frame.len();
    let trailer = trailer.trim_ascii();
    if trailer.is_empty() {
        return Ok(Checked { len, has_crc: false });
    }
    let found = checksum(trailer).ok_or(Dropped::BadTrailer)?;
    match crc32(frame) {
        expected if expected == found => Ok(Checked { len, has_crc: true }),
        expected => Err(Dropped::BadCrc { found, expected }),
    }
}

/// Eight hexadecimal digits, then the end or a comma and anything.
fn checksum(trailer: &[u8]) -> Option<u32> {
    let (digits, rest) = trailer.split_first_chunk::<8>()?;
    if !matches!(rest.first(), None | Some(b',')) {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(value << 4 | digit)
    })
}
