//! The descriptor of a slot: what an image is, written last.
//!
//! `docs/format/descriptor.md` is normative. It lies at the end of the slot's application region, in
//! erase sectors of its own: one, or as many as 384 bytes need:
//!
//! ```text
//!   0 "OTAD"              32 app SHA-256       224 key_epoch, signature algorithm, key, 0
//!   4 format, slot_mask   64 data SHA-256      228 signature[64] (zero: none)
//!   6 length:u16          96 version[32]       292 zero
//!   8 load_address:u32   128 build_id[64]      380 CRC-32 of all before
//!  12 security_counter   192 platform[32]
//!  16 app length, CRC-32
//!  24 data length, CRC-32 (0, 0: none)
//! ```
//!
//! # Power loss
//! The descriptor's sector is erased before the first byte of a new image is written, and the
//! descriptor is programmed after the image was read back; the record calls the slot bootable after
//! the descriptor was read back. So a descriptor whose CRC is right stands before a whole image, and
//! an image is found again when the record is lost.

use crate::bytes::{array_at, len32, put, u8_at, u16_at, u32_at};
use crate::crc::RESIDUE;
use crate::flash::{FlashRead, Geometry, Region, read};
use crate::verify::{Check, ImageDigest, digest_app};

/// Length of a descriptor in bytes; a multiple of every write unit.
pub const LEN: usize = 384;
/// The format that this code writes and reads.
pub const FORMAT: u8 = 1;
/// Most bytes of a version.
pub const VERSION_LEN: usize = 32;
/// Most bytes of a build id.
pub const BUILD_ID_LEN: usize = 64;
/// Most bytes of a platform name.
pub const PLATFORM_LEN: usize = 32;
/// Slot mask of an image that runs in any slot.
pub const ANY_SLOT: u8 = 0xFF;

const MAGIC: [u8; 4] = *b"OTAD";
const LEN_BYTES: [u8; 2] = [0x80, 0x01];
const HEAD_LEN: usize = 64;
const VERSION: usize = 96;
const BUILD_ID: usize = 128;
const PLATFORM: usize = 192;
const CRC: usize = LEN - 4;

/// The part of a descriptor that the boot path needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    bytes: [u8; HEAD_LEN],
    crc: u32,
}

/// Why a slot has no usable descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DescriptorError {
    /// The device did not answer, or the bytes are unreadable.
    Unreadable,
    /// There is none: blank, torn or damaged.
    Damaged,
}

/// Where the descriptor of an application region lies, in whole erase sectors at its end; at the same
/// time the most bytes that an application may have.
pub fn offset(geometry: Geometry) -> u32 {
    let sectors = len32(LEN).div_ceil(geometry.sector_size.max(1));
    geometry.size.saturating_sub(sectors.saturating_mul(geometry.sector_size))
}

#[inline(always)]
pub(crate) fn start<F: FlashRead>(flash: &F, slot: u8) -> Option<u32> {
    flash.geometry(Region::App(slot)).map(offset)
}

impl Head {
    /// Reads and checks the descriptor of `slot`.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn read<F: FlashRead>(flash: &mut F, slot: u8) -> Result<Self, DescriptorError> {
        let mut head = Self::blank();
        head.load(flash, slot, &mut [0; HEAD_LEN])?;
        Ok(head)
    }

    /// Nothing, to be loaded.
    pub(crate) fn blank() -> Self {
        Self { bytes: [0; HEAD_LEN], crc: 0 }
    }

    /// [`Self::read`] in place, the rest of the descriptor passing through `buffer`. After an error
    /// the head is not to be used.
    #[inline(never)]
    pub(crate) fn load<F: FlashRead>(
        &mut self,
        flash: &mut F,
        slot: u8,
        buffer: &mut [u8],
    ) -> Result<(), DescriptorError> {
        let start = start(flash, slot).ok_or(DescriptorError::Unreadable)?;
        let rest = buffer.first_chunk_mut::<HEAD_LEN>().ok_or(DescriptorError::Unreadable)?;
        let mut digest = ImageDigest::new(Check::Crc32);
        // In pieces as long as the head, which is the first; the last ends with the CRC.
        for from in (0..len32(LEN)).step_by(HEAD_LEN) {
            let piece = if from == 0 { &mut self.bytes } else { &mut *rest };
            // The descriptor lies within its region: no overflow.
            let from = start.wrapping_add(from);
            let range = from..from.wrapping_add(len32(HEAD_LEN));
            if digest_app(flash, slot, range, &mut digest, piece).is_err() {
                return Err(DescriptorError::Unreadable);
            }
        }
        let known = self.bytes.starts_with(&MAGIC)
            && u8_at(&self.bytes, 4) == FORMAT
            && usize::from(u16_at(&self.bytes, 6)) == LEN;
        if digest.crc() != RESIDUE || !known {
            return Err(DescriptorError::Damaged);
        }
        self.crc = u32_at(rest, HEAD_LEN - 4);
        Ok(())
    }

    /// CRC-32 of the descriptor: what the record names a bootable image by.
    pub fn crc(&self) -> u32 {
        self.crc
    }

    /// Whether the image may run in `slot`.
    pub fn fits_slot(&self, slot: u8) -> bool {
        let mask = u8_at(&self.bytes, 5);
        u32::from(mask).checked_shr(u32::from(slot)).is_some_and(|mask| mask & 1 == 1)
    }

    /// The address that the image must be loaded at or linked for; 0: anywhere.
    pub fn load_address(&self) -> u32 {
        u32_at(&self.bytes, 8)
    }

    /// Anti-rollback counter of the image.
    pub fn security_counter(&self) -> u32 {
        u32_at(&self.bytes, 12)
    }

    /// Length of the application in bytes.
    pub fn app_len(&self) -> u32 {
        u32_at(&self.bytes, 16)
    }

    /// CRC-32 of the application.
    pub fn app_crc(&self) -> u32 {
        u32_at(&self.bytes, 20)
    }

    /// Length of the data part in bytes, 0: none.
    pub fn data_len(&self) -> u32 {
        u32_at(&self.bytes, 24)
    }

    /// CRC-32 of the data part as it was installed.
    pub fn data_crc(&self) -> u32 {
        u32_at(&self.bytes, 28)
    }

    /// SHA-256 of the application.
    pub fn app_sha256(&self) -> [u8; 32] {
        array_at(&self.bytes, 32).unwrap_or([0; 32])
    }
}

/// A whole descriptor, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptor {
    bytes: [u8; LEN],
}

/// What one extent of an image is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtentDigest {
    /// Length in bytes.
    pub len: u32,
    /// CRC-32.
    pub crc: u32,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// What a new descriptor says.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// The application.
    pub app: ExtentDigest,
    /// The data part, if there is one.
    pub data: Option<ExtentDigest>,
    /// Version; cut at [`VERSION_LEN`] bytes.
    pub version: &'a str,
    /// Build id; cut at [`BUILD_ID_LEN`] bytes.
    pub build_id: &'a str,
    /// Platform; cut at [`PLATFORM_LEN`] bytes.
    pub platform: &'a str,
    /// Anti-rollback counter.
    pub security_counter: u32,
    /// Address the image is bound to; 0: none.
    pub load_address: u32,
    /// Slots that the image may run in, bit by bit; [`ANY_SLOT`].
    pub slot_mask: u8,
}

impl Descriptor {
    /// The bytes for `description`, with their CRC.
    pub fn new(description: &Description<'_>) -> Self {
        let mut bytes = [0; LEN];
        let data = description.data.unwrap_or_default();
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &[FORMAT, description.slot_mask]);
        put(&mut bytes, 6, &LEN_BYTES);
        put(&mut bytes, 8, &description.load_address.to_le_bytes());
        put(&mut bytes, 12, &description.security_counter.to_le_bytes());
        put(&mut bytes, 16, &description.app.len.to_le_bytes());
        put(&mut bytes, 20, &description.app.crc.to_le_bytes());
        put(&mut bytes, 24, &data.len.to_le_bytes());
        put(&mut bytes, 28, &data.crc.to_le_bytes());
        put(&mut bytes, 32, &description.app.sha256);
        put(&mut bytes, 64, &data.sha256);
        put(&mut bytes, VERSION, text(description.version, VERSION_LEN));
        put(&mut bytes, BUILD_ID, text(description.build_id, BUILD_ID_LEN));
        put(&mut bytes, PLATFORM, text(description.platform, PLATFORM_LEN));
        let mut descriptor = Self { bytes };
        let crc = descriptor.computed_crc();
        put(&mut descriptor.bytes, CRC, &crc.to_le_bytes());
        descriptor
    }

    /// Reads and checks the descriptor of `slot`.
    ///
    /// # Errors
    /// [`DescriptorError`].
    pub fn read<F: FlashRead>(flash: &mut F, slot: u8) -> Result<Self, DescriptorError> {
        Head::read(flash, slot)?;
        let start = start(flash, slot).ok_or(DescriptorError::Unreadable)?;
        let mut found = Self { bytes: [0; LEN] };
        if !read(flash, Region::App(slot), start, &mut found.bytes) {
            return Err(DescriptorError::Unreadable);
        }
        if found.computed_crc() == found.crc() { Ok(found) } else { Err(DescriptorError::Damaged) }
    }

    /// All bytes, as they lie in flash.
    pub fn as_bytes(&self) -> &[u8; LEN] {
        &self.bytes
    }

    /// The part that the boot path reads.
    pub fn head(&self) -> Head {
        Head { bytes: array_at(&self.bytes, 0).unwrap_or([0; HEAD_LEN]), crc: self.crc() }
    }

    /// CRC-32 over everything before it.
    pub fn crc(&self) -> u32 {
        u32_at(&self.bytes, CRC)
    }

    /// Version of the image.
    pub fn version(&self) -> &str {
        self.text(VERSION, VERSION_LEN)
    }

    /// Build id of the image.
    pub fn build_id(&self) -> &str {
        self.text(BUILD_ID, BUILD_ID_LEN)
    }

    /// Platform of the image.
    pub fn platform(&self) -> &str {
        self.text(PLATFORM, PLATFORM_LEN)
    }

    /// SHA-256 of the data part as it was installed; zero: there is none.
    pub fn data_sha256(&self) -> [u8; 32] {
        array_at(&self.bytes, 64).unwrap_or([0; 32])
    }

    /// The same image with another data part.
    pub fn with_data(&self, data: ExtentDigest) -> Self {
        let mut copy = self.clone();
        put(&mut copy.bytes, 24, &data.len.to_le_bytes());
        put(&mut copy.bytes, 28, &data.crc.to_le_bytes());
        put(&mut copy.bytes, 64, &data.sha256);
        let crc = copy.computed_crc();
        put(&mut copy.bytes, CRC, &crc.to_le_bytes());
        copy
    }

    fn computed_crc(&self) -> u32 {
        crate::crc::crc32(crate::bytes::head(&self.bytes, CRC))
    }

    fn text(&self, at: usize, len: usize) -> &str {
        let field = self.bytes.get(at..).map(|rest| crate::bytes::head(rest, len)).unwrap_or(&[]);
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        core::str::from_utf8(crate::bytes::head(field, end)).unwrap_or("")
    }
}

/// At most `len` bytes of `value`, whole characters.
fn text(value: &str, len: usize) -> &[u8] {
    let end = (0..=len.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
    crate::bytes::head(value.as_bytes(), end.unwrap_or(0))
}
