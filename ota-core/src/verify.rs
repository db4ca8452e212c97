//! Proof that a slot holds the image that its descriptor describes.

use crate::bytes::{head, round_up};
use crate::crc::Crc32;
use crate::descriptor::{self, DescriptorError, Head};
use crate::flash::{FlashRead, Region};

/// How an image is checked against its descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Check {
    /// CRC-32: finds damage.
    #[default]
    Crc32,
    /// SHA-256: finds damage, and tampering that did not touch the descriptor.
    #[cfg(feature = "sha256")]
    Sha256,
}

/// What an image must be to be booted from a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How it is checked.
    pub check: Check,
    /// CRC-32 that its descriptor must have, as the record says; `None` if the record is lost.
    pub descriptor_crc: Option<u32>,
    /// The lowest security counter that is accepted.
    pub security_counter: u32,
}

/// Why an image is not to be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum VerifyError {
    /// No usable descriptor.
    Descriptor(DescriptorError),
    /// A descriptor, but not the one that the record names.
    OtherImage,
    /// The image is bound to another slot.
    WrongSlot,
    /// The image's security counter is below the device's.
    BelowCounter {
        /// The image's.
        found: u32,
        /// The device's.
        needed: u32,
    },
    /// The descriptor claims more bytes than the slot has.
    TooLong {
        /// Claimed length in bytes.
        found: u32,
        /// Bytes that the slot has.
        room: u32,
    },
    /// The image could not be read.
    Unreadable {
        /// Where, in bytes from the start of the slot.
        offset: u32,
    },
    /// The image's bytes are not those that the descriptor describes.
    Damaged,
}

/// Proof that the image of a slot was read and found whole. Only [`verify`] makes one.
#[derive(Clone, Copy)]
pub struct Verified {
    slot: u8,
    head: Head,
}

impl Verified {
    /// The slot.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// What the descriptor says.
    pub fn head(&self) -> &Head {
        &self.head
    }
}

/// A running digest of the kind that `check` wants.
pub struct ImageDigest {
    crc: Crc32,
    #[cfg(feature = "sha256")]
    sha: Option<sha2::Sha256>,
}

impl ImageDigest {
    /// Of no bytes yet.
    pub fn new(check: Check) -> Self {
        #[cfg(not(feature = "sha256"))]
        let Check::Crc32 = check;
        Self {
            crc: Crc32::new(),
            #[cfg(feature = "sha256")]
            sha: (check == Check::Sha256).then(<sha2::Sha256 as sha2::Digest>::new),
        }
    }

    /// Adds bytes of the application.
    pub fn update(&mut self, bytes: &[u8]) {
        #[cfg(feature = "sha256")]
        if let Some(sha) = &mut self.sha {
            sha2::Digest::update(sha, bytes);
            return;
        }
        self.crc.update(bytes);
    }

    /// Whether the bytes were those of the application that `head` describes. For boards that copy
    /// the application to RAM: digest the bytes there, and they are the ones that run.
    pub fn matches(self, head: &Head) -> bool {
        #[cfg(feature = "sha256")]
        if let Some(sha) = self.sha {
            return sha2::Digest::finalize(sha)[..] == head.app_sha256();
        }
        self.crc.value() == head.app_crc()
    }
}

/// Reads descriptor and application of `slot` and checks both. `buffer` is where the image passes
/// through, 64 to 256 bytes.
///
/// # Errors
/// [`VerifyError`]: why the image is not to be booted.
pub fn verify<F: FlashRead>(
    flash: &mut F,
    slot: u8,
    wanted: &Wanted,
    buffer: &mut [u8],
) -> Result<Verified, VerifyError> {
    let head = check_head(flash, slot, wanted)?;
    let digest = digest_app(flash, slot, head.app_len(), wanted.check, buffer)?;
    if digest.matches(&head) { Ok(Verified { slot, head }) } else { Err(VerifyError::Damaged) }
}

/// Everything but the image's bytes.
fn check_head<F: FlashRead>(flash: &mut F, slot: u8, wanted: &Wanted) -> Result<Head, VerifyError> {
    let head = Head::read(flash, slot).map_err(VerifyError::Descriptor)?;
    let room = flash.geometry(Region::App(slot)).map_or(0, descriptor::offset);
    if wanted.descriptor_crc.is_some_and(|crc| crc != head.crc()) {
        return Err(VerifyError::OtherImage);
    }
    if !head.fits_slot(slot) {
        return Err(VerifyError::WrongSlot);
    }
    if head.security_counter() < wanted.security_counter {
        let found = head.security_counter();
        return Err(VerifyError::BelowCounter { found, needed: wanted.security_counter });
    }
    if head.app_len() > room || head.app_len() == 0 {
        return Err(VerifyError::TooLong { found: head.app_len(), room });
    }
    Ok(head)
}

/// Digests the first `len` bytes of the slot's application region.
fn digest_app<F: FlashRead>(
    flash: &mut F,
    slot: u8,
    len: u32,
    check: Check,
    buffer: &mut [u8],
) -> Result<ImageDigest, VerifyError> {
    let mut digest = ImageDigest::new(check);
    let mut offset = 0u32;
    // Whole words only: flash is read in multiples of 4.
    let room = u32::try_from(buffer.len()).unwrap_or(u32::MAX) & !3;
    while offset < len {
        let left = len.saturating_sub(offset).min(room);
        let chunk = buffer.get_mut(..round_up(left, 4) as usize);
        let Some(chunk) = chunk.filter(|chunk| !chunk.is_empty()) else {
            return Err(VerifyError::Unreadable { offset });
        };
        if !(0..3).any(|_| flash.read(Region::App(slot), offset, chunk).is_ok()) {
            return Err(VerifyError::Unreadable { offset });
        }
        digest.update(head(chunk, left as usize));
        offset = offset.saturating_add(left);
    }
    Ok(digest)
}
