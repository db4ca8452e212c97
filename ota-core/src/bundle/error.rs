//! Why a bundle is refused, in words.

use core::fmt;

use super::{MAX_NAME, Name};
use crate::json::JsonError;

/// Why a bundle is refused.
///
/// Each text begins as Mongoose OS words it, where it has words for it, because tools and people
/// search for those; then comes what was found, and what to do. Names are cut after [`MAX_NAME`]
/// bytes, and control characters in them are replaced by `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// The bytes are not those of a ZIP archive with its sizes in front.
    Malformed {
        /// Where the header or data descriptor that is wrong starts, in bytes of the stream.
        offset: u32,
        /// What is wrong with it.
        reason: Malformed,
    },
    /// A file is compressed.
    Compressed {
        /// ZIP's number for the method; 8 is deflate.
        method: u16,
    },
    /// A file is encrypted.
    Encrypted,
    /// A file's sizes are given in 64 bits only.
    Zip64,
    /// A file's name, without its first folder, has more than [`MAX_NAME`] bytes.
    NameTooLong {
        /// How it starts.
        start: Name,
    },
    /// 4 GiB were fed, and that was not all.
    StreamTooLong,
    /// The first file is not `manifest.json`.
    ManifestNotFirst {
        /// The first file.
        found: Name,
    },
    /// The manifest does not fit the buffer.
    ManifestTooLong {
        /// Size of the manifest in bytes.
        size: u32,
        /// Size of the buffer in bytes.
        limit: usize,
    },
    /// The bytes of a file do not have the CRC-32 of its header.
    InvalidCrc {
        /// The file.
        file: Name,
        /// By its header.
        expected: u32,
        /// Of the bytes that came.
        found: u32,
    },
    /// The stream ended before the central directory began.
    Incomplete {
        /// How many bytes came.
        offset: u32,
        /// How many bytes of a file's data are missing; 0 inside or before a header.
        missing: u32,
        /// That file. Empty between files, and where reading was resumed.
        file: Name,
    },
    /// This bundle was refused before; feeding more of it is of no use.
    AlreadyRefused,
    /// The manifest is not JSON.
    Json(JsonError),
    /// A field of the manifest is not what it has to be.
    Field {
        /// The part that the field is in; none at the top level.
        part: Option<Name>,
        /// Its key. Empty: the part itself, or the whole manifest.
        key: &'static str,
        /// What is wrong with it.
        problem: FieldProblem,
    },
    /// The bundle is for another platform.
    WrongPlatform {
        /// By the manifest.
        found: Name,
        /// This device's.
        expected: Name,
    },
    /// No part is of type `app`.
    MissingAppPart,
    /// Every part of a type is bound to another slot.
    NoPartForSlot {
        /// The type.
        kind: &'static str,
        /// The slot that is to be written.
        slot: u8,
    },
    /// Two parts of a type fit the slot equally well.
    AmbiguousParts {
        /// The part written first.
        first: Name,
        /// The other.
        second: Name,
        /// The slot that is to be written.
        slot: u8,
    },
    /// The application and the data part are the same file.
    SharedSource {
        /// That file.
        src: Name,
    },
    /// A file's header and the manifest give different sizes.
    SizeMismatch {
        /// The file.
        file: Name,
        /// By the manifest, in bytes.
        expected: u32,
        /// By the header, in bytes.
        found: u32,
    },
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Malformed {
    /// Neither a file nor the central directory starts here.
    FileHeader {
        /// The first four bytes, little-endian.
        signature: u32,
    },
    /// The two sizes of a stored file differ.
    Sizes {
        /// As stored, in bytes.
        stored: u32,
        /// As it was, in bytes.
        size: u32,
    },
    /// The header leaves the size to a data descriptor behind the data.
    SizeMissing,
    /// The data descriptor behind a file does not repeat the size of its header.
    Descriptor {
        /// The size that it gives, in bytes.
        size: u32,
    },
    /// The file's name is not UTF-8.
    FileName,
}

/// What is wrong with a field of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FieldProblem {
    /// It is required, and not there, `null` or empty.
    Missing,
    /// It is something else, or out of range.
    NotA(&'static str),
    /// It has more bytes of UTF-8 than there is room for.
    TooLong {
        /// How many there is room for.
        limit: usize,
    },
    /// It is not a checksum in hex.
    NotHex {
        /// How many digits that has.
        digits: usize,
    },
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { offset, reason } => {
                write!(f, "Malformed archive {reason}, at byte {offset}")
            }
            Self::Compressed { method } => {
                write!(f, "Cannot handle compressed .zip (method {method}): repack with zip -0")
            }
            Self::Encrypted => f.write_str("Cannot handle encrypted .zip: repack with zip -0"),
            Self::Zip64 => f.write_str("Cannot handle ZIP64 sizes: repack as plain ZIP, zip -0"),
            Self::NameTooLong { start } => {
                write!(f, "Too long file name '{start}'...: at most {MAX_NAME} bytes")
            }
            Self::StreamTooLong => f.write_str("File is too big: more than 4 GiB"),
            Self::ManifestNotFirst { found } => write!(
                f,
                "Malformed archive: first file is '{found}'; repack with manifest.json first"
            ),
            Self::ManifestTooLong { size, limit } => {
                write!(f, "Failed to parse manifest: {size} bytes, the limit is {limit}")
            }
            Self::InvalidCrc { file, expected, found } => {
                write!(f, "Invalid CRC of '{file}': expected {expected:08x}, found {found:08x}")
            }
            Self::Incomplete { offset, missing, file } => {
                write!(f, "Incomplete update package: it ends after {offset} bytes")?;
                match missing {
                    0 => Ok(()),
                    _ => write!(f, ", {missing} bytes of '{file}' are missing"),
                }
            }
            Self::AlreadyRefused => f.write_str("Update package was refused: start again"),
            Self::Json(error) => write!(f, "Failed to parse manifest: {error}"),
            Self::Field { part, key, problem } => problem.explain(part.as_deref(), key, f),
            Self::WrongPlatform { found, expected } => {
                write!(
                    f,
                    "Wrong platform: the bundle is for '{found}', this device is '{expected}'"
                )
            }
            Self::MissingAppPart => f.write_str("Missing fw part: no part has type app"),
            Self::NoPartForSlot { kind, slot } => write!(
                f,
                "Incomplete update package: no part of type {kind} fits slot {slot}; add one"
            ),
            Self::AmbiguousParts { first, second, slot } => write!(
                f,
                "Invalid manifest: parts '{first}' and '{second}' both fit slot {slot}; bind them"
            ),
            Self::SharedSource { src } => {
                write!(f, "Invalid manifest: src '{src}' is named by two parts; give each its own")
            }
            Self::SizeMismatch { file, expected, found } => write!(
                f,
                "Invalid manifest: '{file}' has {found} bytes in the archive, size says {expected}"
            ),
        }
    }
}

impl core::error::Error for BundleError {}

impl From<JsonError> for BundleError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for BundleError {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileHeader { signature } => {
                write!(f, "(invalid file header): found {signature:08x} instead of 04034b50")
            }
            Self::Sizes { stored, size } => {
                write!(f, "(sizes): a stored file of {size} bytes takes {stored}")
            }
            Self::SizeMissing => {
                f.write_str("(no size): repack with the sizes in the headers, zip -0 into a file")
            }
            Self::Descriptor { size } => {
                write!(f, "(data descriptor): it says {size} bytes, the header does not")
            }
            Self::FileName => f.write_str("(file name): not UTF-8"),
        }
    }
}

impl FieldProblem {
    fn explain(self, part: Option<&str>, key: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "Required manifest field missing: ",
            Self::NotA(_) | Self::TooLong { .. } => "Invalid manifest: ",
            Self::NotHex { .. } => "Invalid checksum format: ",
        })?;
        match (part, key) {
            (None, "") => f.write_str("the manifest")?,
            (None, key) => f.write_str(key)?,
            (Some(part), "") => write!(f, "parts.{part}")?,
            (Some(part), key) => write!(f, "parts.{part}.{key}")?,
        }
        match self {
            Self::Missing => Ok(()),
            Self::NotA(expected) => write!(f, " is not {expected}"),
            Self::TooLong { limit } => write!(f, " is longer than {limit} bytes"),
            Self::NotHex { digits } => write!(f, " is not {digits} hex digits"),
        }
    }
}
