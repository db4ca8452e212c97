//! Why an image could not be installed.

use crate::bundle::BundleError;
use crate::flash::Region;
use crate::state::Refused;

/// What a job wanted of flash when flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlashAction {
    /// Reading.
    Read,
    /// Programming.
    Program,
    /// Erasing.
    Erase,
}

/// Why an update or a snapshot ended without an image. The running image and the record's idea of it
/// are as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageError {
    /// The state machine refuses.
    Refused(Refused),
    /// The bundle is refused.
    Bundle(BundleError),
    /// No slot may be written: all are active, golden, or kept to roll back to.
    NoSlot,
    /// A part is larger than its place.
    TooBig {
        /// `app` or `data`.
        part: &'static str,
        /// Its size in bytes.
        size: u32,
        /// Room in bytes.
        room: u32,
    },
    /// A part's bytes are not those that the manifest announces.
    Digest {
        /// `app` or `data`.
        part: &'static str,
        /// `SHA-256` or `SHA-1`.
        kind: &'static str,
    },
    /// The stream ended before this part was complete.
    MissingPart {
        /// `app` or `data`.
        part: &'static str,
    },
    /// The image's security counter is below the device's.
    BelowCounter {
        /// The image's.
        found: u32,
        /// The device's.
        needed: u32,
    },
    /// The bytes came to an end, or to more than was announced.
    Length {
        /// How many came, in bytes.
        found: u32,
        /// How many were announced.
        expected: u32,
    },
    /// Flash failed.
    Flash {
        /// Doing what.
        action: FlashAction,
        /// Where.
        region: Region,
        /// At which offset in the region, in bytes.
        offset: u32,
    },
    /// What was programmed reads back different, without any error of the driver's.
    ReadBack {
        /// `app`, `data` or `descriptor`.
        part: &'static str,
    },
    /// Too late to abort: the image is complete, and is what boots next.
    TooLate,
    /// The record could not be written: what it says now is to be looked at.
    RecordNotWritten,
    /// The image to be copied does not verify.
    SourceDamaged {
        /// Its slot.
        slot: u8,
    },
    /// The job was aborted.
    Aborted,
    /// No job is running.
    NotRunning,
}

impl core::fmt::Display for StageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Bundle(error) => error.fmt(f),
            Self::NoSlot => f.write_str("No slots available for update: none may be overwritten"),
            Self::TooBig { part, size, room } => {
                write!(f, "Image too big: {part} has {size} bytes, the slot has room for {room}")
            }
            Self::Digest { part, kind } => write!(
                f,
                "Invalid checksum: {kind} of {part} is not the manifest's; fetch the bundle again"
            ),
            Self::MissingPart { part } => {
                write!(f, "Missing {part} part: the stream ended before it was complete")
            }
            Self::BelowCounter { found, needed } => write!(
                f,
                "security counter {found} is below the device's {needed}; build a newer image"
            ),
            Self::Length { found, expected } => {
                write!(f, "{found} bytes came where {expected} were announced")
            }
            Self::Flash { action, region, offset } => {
                write!(f, "Write failed: {action:?} of {region:?} at offset {offset}")
            }
            Self::ReadBack { part } => {
                write!(f, "Write failed: {part} reads back different; the flash may be worn out")
            }
            Self::RecordNotWritten => {
                f.write_str("Cannot save update status: the boot record cannot be written")
            }
            Self::SourceDamaged { slot } => {
                write!(f, "the image in slot {slot} does not verify; it is not copied")
            }
            Self::Aborted => f.write_str("Update aborted"),
            Self::TooLate => {
                f.write_str("too late to abort: it is complete and boots next; revert it")
            }
            Self::NotRunning => f.write_str("no update is running; begin one first"),
        }
    }
}

impl core::error::Error for StageError {}

impl From<BundleError> for StageError {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl From<Refused> for StageError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
