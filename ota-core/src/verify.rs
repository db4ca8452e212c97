//! Proof that a slot holds the image that its descriptor describes.

use core::ops::Range;

use crate::bytes::{head, len32, round_up};
use crate::crc::Crc32;
use crate::descriptor::{self, DescriptorError, Head};
use crate::flash::{FlashRead, Region, read};

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

    /// CRC-32 of the bytes, for [`Check::Crc32`].
    pub(crate) fn crc(&self) -> u32 {
        self.crc.value()
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
    let mut head = Head::blank();
    head.load(flash, slot, buffer).map_err(VerifyError::Descriptor)?;
    let room = descriptor::start(flash, slot).unwrap_or(0);
    check_head(&head, slot, room, wanted)?;
    let mut digest = ImageDigest::new(wanted.check);
    digest_app(flash, slot, 0..head.app_len(), &mut digest, buffer)
        .map_err(|offset| VerifyError::Unreadable { offset })?;
    if digest.matches(&head) { Ok(Verified { slot, head }) } else { Err(VerifyError::Damaged) }
}

/// Everything but the image's bytes, for which the slot has `room`.
fn check_head(head: &Head, slot: u8, room: u32, wanted: &Wanted) -> Result<(), VerifyError> {
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
    Ok(())
}

/// Digests a range of the slot's application region, in pieces as long as `buffer`. The error is the
/// offset that cannot be read.
///
/// Descriptors and images go through here: one copy of it in a loader.
#[inline(never)]
pub(crate) fn digest_app<F: FlashRead>(
    flash: &mut F,
    slot: u8,
    range: Range<u32>,
    digest: &mut ImageDigest,
    buffer: &mut [u8],
) -> Result<(), u32> {
    let Range { start: mut offset, end } = range;
    // Whole words only: flash is read in multiples of 4.
    let words = buffer.as_chunks_mut::<4>().0.as_flattened_mut();
    while offset < end {
        // Not below 0, as the loop says.
        let left = end.wrapping_sub(offset);
        let len = words.len().min(round_up(left, 4) as usize);
        let chunk = words.get_mut(..len).ok_or(offset)?;
        if chunk.is_empty() || !read(flash, Region::App(slot), offset, chunk) {
            return Err(offset);
        }
        digest.update(head(chunk, left as usize));
        offset = offset.wrapping_add(len32(len));
    }
    Ok(())
}
