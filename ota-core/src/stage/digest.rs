//! The digests of a part while it streams by.

use core::ops::Range;

use sha2::Digest;

use crate::bundle::PartPlan;
use crate::crc::Crc32;
use crate::descriptor::ExtentDigest;
use crate::flash::{FlashRead, Region};

use super::error::StageError;
use super::writer::read;

/// CRC-32, SHA-256 and, where the manifest has one, SHA-1 of the bytes so far.
pub(crate) struct PartDigest {
    len: u32,
    crc: Crc32,
    sha256: sha2::Sha256,
    sha1: Option<sha1::Sha1>,
}

impl PartDigest {
    pub(crate) fn new(with_sha1: bool) -> Self {
        Self {
            len: 0,
            crc: Crc32::new(),
            sha256: sha2::Sha256::new(),
            sha1: with_sha1.then(sha1::Sha1::new),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.len = self.len.saturating_add(crate::bytes::len32(bytes.len()));
        self.crc.update(bytes);
        self.sha256.update(bytes);
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
    }

    /// Adds the start of what is `left` of a region, as much as `buffer` takes, and says where the
    /// rest begins.
    pub(crate) fn read<F: FlashRead>(
        &mut self,
        flash: &mut F,
        region: Region,
        left: Range<u32>,
        buffer: &mut [u8],
    ) -> Result<u32, StageError> {
        let room = u32::try_from(buffer.len()).unwrap_or(u32::MAX) & !3;
        let take = left.end.saturating_sub(left.start).min(room);
        let padded = crate::bytes::round_up(take, 4) as usize;
        let piece = buffer.get_mut(..padded).unwrap_or_default();
        read(flash, region, left.start, piece)?;
        self.update(crate::bytes::head(piece, take as usize));
        Ok(left.start.saturating_add(take))
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn value(&self) -> ExtentDigest {
        ExtentDigest {
            len: self.len,
            crc: self.crc.value(),
            sha256: self.sha256.clone().finalize().into(),
        }
    }

    /// Whether these are the bytes that the manifest announces.
    pub(crate) fn check(&self, plan: &PartPlan, part: &'static str) -> Result<(), StageError> {
        if plan.size.is_some_and(|size| size != self.len) {
            let expected = plan.size.unwrap_or(0);
            return Err(StageError::Length { found: self.len, expected });
        }
        if plan.sha256.is_some_and(|sha256| sha256 != self.value().sha256) {
            return Err(StageError::Digest { part, kind: "SHA-256" });
        }
        if let (Some(expected), Some(sha1)) = (plan.sha1, &self.sha1) {
            let found: [u8; 20] = sha1.clone().finalize().into();
            if found != expected {
                return Err(StageError::Digest { part, kind: "SHA-1" });
            }
        }
        Ok(())
    }
}
