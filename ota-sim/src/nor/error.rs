//! What a flash call may return instead of success.

use std::io;

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

/// Why a flash call failed. Unless said otherwise nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NorError {
    /// The range ends behind the flash.
    #[error("{len} bytes at {address:#x} end behind the flash")]
    OutOfBounds {
        /// Where it starts.
        address: u32,
        /// Its length in bytes.
        len: usize,
    },
    /// Start or length is not a multiple of the write unit, or of the sector for an erase.
    #[error("{len} bytes at {address:#x} are not whole units of {unit} bytes")]
    Unaligned {
        /// Where it starts.
        address: u32,
        /// Its length in bytes.
        len: usize,
        /// The unit that both have to be multiples of.
        unit: u32,
    },
    /// A single program operation of no bytes, or one that crosses a page.
    #[error("{len} bytes at {address:#x} are not within one page")]
    NotOnePage {
        /// Where it starts.
        address: u32,
        /// Its length in bytes.
        len: usize,
    },
    /// The part's rule forbids to program this unit again before an erase.
    #[error("the unit at {address:#x} is programmed already")]
    NotErased {
        /// The first such unit.
        address: u32,
    },
    /// ECC fault: a unit in the range cannot be read until its sector is erased.
    #[error("the unit at {address:#x} cannot be read")]
    Unreadable {
        /// The first such unit.
        address: u32,
    },
    /// This read failed; the next one may succeed.
    #[error("transient read error at {address:#x}")]
    ReadFault {
        /// Where the read started.
        address: u32,
    },
    /// The device reports that a program or erase failed ([`super::Bad`] says what it left).
    #[error("the operation at {address:#x} failed")]
    Failed {
        /// Where the operation started.
        address: u32,
    },
    /// Power is off, or was cut during this call: the range of the call may hold anything.
    #[error("power is off")]
    PoweredOff,
    /// The device does not answer any more.
    #[error("the device does not answer")]
    Stopped,
    /// The file behind the flash cannot be written ([`super::FileNor`]); memory and file differ.
    #[error("the file behind the flash: {0}")]
    File(io::ErrorKind),
}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds { .. } => NorFlashErrorKind::OutOfBounds,
            Self::Unaligned { .. } | Self::NotOnePage { .. } => NorFlashErrorKind::NotAligned,
            Self::NotErased { .. }
            | Self::Unreadable { .. }
            | Self::ReadFault { .. }
            | Self::Failed { .. }
            | Self::PoweredOff
            | Self::Stopped
            | Self::File(_) => NorFlashErrorKind::Other,
        }
    }
}

/// A word of a replay line that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct ParseError {
    what: &'static str,
    text: String,
}

impl ParseError {
    /// `text` should have been a `what`.
    pub(super) fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.to_owned() }
    }
}
