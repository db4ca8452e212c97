//! The headers of a ZIP archive: constants, and valid values of what stands in them.

use heapless::Vec;

use super::{BundleError, MAX_NAME, Malformed, Name, short_name};
use crate::bytes::{u16_at, u32_at};

/// Starts a local header.
pub(super) const LOCAL_HEADER: u32 = 0x0403_4b50;
/// Starts the central directory, behind the last file.
pub(super) const CENTRAL_DIRECTORY: u32 = 0x0201_4b50;
/// Starts a data descriptor, unless its writer left that out.
pub(super) const DATA_DESCRIPTOR: u32 = 0x0807_4b50;

/// Any of the above, in bytes.
pub(super) const SIGNATURE_SIZE: usize = 4;
/// A local header up to the file's name, in bytes.
pub(super) const LOCAL_HEADER_SIZE: usize = 30;
/// CRC-32 and the two sizes of a data descriptor, in bytes; its signature would come before.
pub(super) const DESCRIPTOR_SIZE: usize = 12;
/// Id and length of a record in an extra field, in bytes.
pub(super) const EXTRA_RECORD_HEADER_SIZE: usize = 4;

/// Encrypted, strongly encrypted, header values masked.
const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const FLAG_DESCRIPTOR: u16 = 1 << 3;
const METHOD_STORED: u16 = 0;
/// Stands for "see the ZIP64 record of the extra field".
const SIZE_IN_ZIP64: u32 = u32::MAX;

/// What a local header says of its file, which is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalHeader {
    /// Of the data, in bytes.
    pub(super) size: u32,
    /// Of the data; 0 if unknown.
    pub(super) crc32: u32,
    /// Of the name that follows, in bytes.
    pub(super) name_len: u16,
    /// Of the extra field behind the name, in bytes.
    pub(super) extra_len: u16,
    /// A data descriptor may follow the data.
    pub(super) descriptor: bool,
}

impl LocalHeader {
    /// From the header's [`LOCAL_HEADER_SIZE`] bytes, found at byte `offset` of the stream.
    pub(super) fn parse(bytes: &[u8], offset: u32) -> Result<Self, BundleError> {
        let flags = u16_at(bytes, 6);
        let method = u16_at(bytes, 8);
        let stored = u32_at(bytes, 18);
        let size = u32_at(bytes, 22);
        if flags & FLAGS_ENCRYPTED != 0 {
            return Err(BundleError::Encrypted);
        }
        if method != METHOD_STORED {
            return Err(BundleError::Compressed { method });
        }
        if stored == SIZE_IN_ZIP64 || size == SIZE_IN_ZIP64 {
            return Err(BundleError::Zip64);
        }
        if stored != size {
            return Err(BundleError::Malformed {
                offset,
                reason: Malformed::Sizes { stored, size },
            });
        }
        Ok(Self {
            size,
            crc32: u32_at(bytes, 14),
            name_len: u16_at(bytes, 26),
            extra_len: u16_at(bytes, 28),
            descriptor: flags & FLAG_DESCRIPTOR != 0,
        })
    }
}

/// Checks the data descriptor in `bytes`, found at byte `offset` of the stream, against the size in
/// its file's header, if that is known.
pub(super) fn check_descriptor(
    bytes: &[u8],
    expected: Option<u32>,
    offset: u32,
) -> Result<(), BundleError> {
    let stored = u32_at(bytes, bytes.len().saturating_sub(8));
    let size = u32_at(bytes, bytes.len().saturating_sub(4));
    if stored == size && expected.is_none_or(|expected| expected == size) {
        return Ok(());
    }
    Err(BundleError::Malformed { offset, reason: Malformed::Descriptor { size } })
}

/// A file's name without its first folder: everything up to the first `/` is dropped.
#[derive(Clone)]
pub(super) struct FileName {
    bytes: Vec<u8, MAX_NAME>,
    in_folder: bool,
    too_long: bool,
}

impl FileName {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), in_folder: false, too_long: false }
    }

    /// Adds the bytes that come next in the header.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'/' && !self.in_folder {
                *self = Self { in_folder: true, ..Self::new() };
            } else {
                self.too_long |= self.bytes.push(byte).is_err();
            }
        }
    }

    /// To be asked when it is whole: can it be used? Its header was found at byte `offset`.
    pub(super) fn check(&self, offset: u32) -> Result<(), BundleError> {
        if self.too_long {
            let start = self.bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            return Err(BundleError::NameTooLong { start: short_name(start.chars()) });
        }
        match core::str::from_utf8(&self.bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(BundleError::Malformed { offset, reason: Malformed::FileName }),
        }
    }

    /// The name, if it is whole and valid.
    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub(super) fn to_name(&self) -> Name {
        short_name(self.as_str().chars())
    }

    /// As archives list folders, which have no data.
    pub(super) fn is_folder(&self) -> bool {
        self.bytes.is_empty() || self.bytes.ends_with(b"/")
    }
}
