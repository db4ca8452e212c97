//! Brings a part of an image into flash, a buffer at a time.
//!
//! A buffer never crosses an erase sector. At the start of a sector the sector is made ready: left
//! alone if it already holds the bytes, used as it is if blank, erased otherwise. The two short cuts
//! are taken only in a slot that no interrupted job has entered: what a torn erase or program leaves
//! may read blank or equal now, and not tomorrow.
//!
//! # Power loss
//! The slot is marked as being staged before its first erase, so whatever a cut leaves here is never
//! booted, compared or trusted.

use super::error::{FlashAction, StageError};
use crate::bytes::{len32, round_up};
use crate::flash::{FlashRead, Geometry, MAX_PROGRAM, Region, Want};

/// Reads are made in pieces of this size where there is no buffer to read into.
const PIECE: usize = 64;

/// What a writer did.
pub(crate) enum Flushed {
    /// It wants flash changed first.
    Wants(Want),
    /// The buffer is in flash, and empty. It is read back when the whole image is.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Prepare,
    Erasing,
    Program { at: usize },
}

/// Writes one region from its start.
pub(crate) struct Writer {
    region: Region,
    geometry: Geometry,
    /// Offset in the region of the buffer's first byte.
    base: u32,
    filled: usize,
    phase: Phase,
    /// No interrupted job has entered the slot.
    trusted: bool,
}

impl Writer {
    /// Writes from `base`, the start of a sector.
    pub(crate) fn new(region: Region, geometry: Geometry, base: u32, trusted: bool) -> Self {
        Self { region, geometry, base, filled: 0, phase: Phase::Prepare, trusted }
    }

    /// Offset of the next byte to come.
    pub(crate) fn offset(&self) -> u32 {
        self.base.saturating_add(len32(self.filled))
    }

    /// Bytes that can be pushed before a flush.
    pub(crate) fn room(&self, buffer: &[u8]) -> usize {
        self.capacity(buffer).saturating_sub(self.filled)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether the next byte is the first of a sector.
    pub(crate) fn at_sector_start(&self) -> bool {
        self.filled == 0 && self.base.is_multiple_of(self.geometry.sector_size)
    }

    /// Takes as much of `bytes` as there is room for.
    pub(crate) fn push(&mut self, buffer: &mut [u8], bytes: &[u8]) {
        let bytes = crate::bytes::head(bytes, self.room(buffer));
        crate::bytes::put(buffer, self.filled, bytes);
        self.filled = self.filled.saturating_add(bytes.len());
    }

    /// Where bytes may be put directly; tell [`Self::advance`] how many were.
    pub(crate) fn free<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let capacity = self.capacity(buffer);
        buffer.get_mut(self.filled..capacity).unwrap_or_default()
    }

    pub(crate) fn advance(&mut self, len: usize) {
        self.filled = self.filled.saturating_add(len);
    }

    /// One step of bringing the buffer into flash; `ok`: the change before succeeded.
    pub(crate) fn flush<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
    ) -> Result<Flushed, StageError> {
        loop {
            match self.phase {
                Phase::Prepare => {
                    self.pad(buffer);
                    self.phase = Phase::Program { at: 0 };
                    if !self.base.is_multiple_of(self.geometry.sector_size) {
                        continue;
                    }
                    if self.trusted && self.whole_sector(buffer) && self.holds(flash, buffer) {
                        return Ok(self.finished());
                    }
                    if !(self.trusted && self.blank(flash)) {
                        self.phase = Phase::Erasing;
                        let (region, offset) = (self.region, self.base);
                        return Ok(Flushed::Wants(Want::Erase { region, offset }));
                    }
                }
                Phase::Erasing if ok => self.phase = Phase::Program { at: 0 },
                Phase::Erasing => return Err(self.fault(FlashAction::Erase, 0)),
                Phase::Program { at } if at > 0 && !ok => {
                    return Err(self.fault(FlashAction::Program, at.saturating_sub(1)));
                }
                Phase::Program { at } if at < self.padded_len() => {
                    let len = self.padded_len().saturating_sub(at).min(MAX_PROGRAM);
                    self.phase = Phase::Program { at: at.saturating_add(len) };
                    let offset = self.base.saturating_add(len32(at));
                    let region = self.region;
                    return Ok(Flushed::Wants(Want::Program { region, offset, start: at, len }));
                }
                Phase::Program { .. } => return Ok(self.finished()),
            }
        }
    }

    fn finished(&mut self) -> Flushed {
        self.base = self.base.saturating_add(len32(self.filled));
        self.filled = 0;
        self.phase = Phase::Prepare;
        Flushed::Done
    }

    /// The usable part of the buffer: whole program operations, up to the end of the sector.
    fn capacity(&self, buffer: &[u8]) -> usize {
        let whole = buffer.len() & !MAX_PROGRAM.saturating_sub(1);
        let into_sector = self.base.checked_rem(self.geometry.sector_size).unwrap_or(0);
        whole.min(self.geometry.sector_size.saturating_sub(into_sector) as usize)
    }

    fn padded_len(&self) -> usize {
        round_up(len32(self.filled), self.geometry.write_size.max(4)) as usize
    }

    fn pad(&self, buffer: &mut [u8]) {
        if let Some(tail) = buffer.get_mut(self.filled..self.padded_len()) {
            tail.fill(self.geometry.erase_value);
        }
    }

    /// Whether the buffer holds all that the sector is to hold: a full sector, or the end of a part
    /// that the buffer had room for.
    fn whole_sector(&self, buffer: &[u8]) -> bool {
        let sector = self.geometry.sector_size as usize;
        self.filled == sector || (self.filled < sector && self.filled < self.capacity(buffer))
    }

    /// Whether the sector holds the bytes of the buffer already. One that cannot be read does not.
    fn holds<F: FlashRead>(&self, flash: &mut F, buffer: &[u8]) -> bool {
        let expected = crate::bytes::head(buffer, self.padded_len());
        let mut offset = self.base;
        expected.chunks(PIECE).all(|piece| {
            let mut found = [0; PIECE];
            let found = found.get_mut(..piece.len()).unwrap_or_default();
            let same = read(flash, self.region, offset, found).is_ok() && found == piece;
            offset = offset.saturating_add(len32(PIECE));
            same
        })
    }

    /// Whether the sector reads as erased. One that cannot be read is not.
    fn blank<F: FlashRead>(&self, flash: &mut F) -> bool {
        let end = self.base.saturating_add(self.geometry.sector_size);
        let erased = [self.geometry.erase_value; PIECE];
        (self.base..end).step_by(PIECE).all(|offset| {
            let mut piece = [0; PIECE];
            read(flash, self.region, offset, &mut piece).is_ok() && piece == erased
        })
    }

    fn fault(&self, action: FlashAction, at: usize) -> StageError {
        let offset = self.base.saturating_add(len32(at));
        StageError::Flash { action, region: self.region, offset }
    }
}

/// Reads, with retries.
pub(super) fn read<F: FlashRead>(
    flash: &mut F,
    region: Region,
    offset: u32,
    bytes: &mut [u8],
) -> Result<(), StageError> {
    if (0..3).any(|_| flash.read(region, offset, bytes).is_ok()) {
        return Ok(());
    }
    Err(StageError::Flash { action: FlashAction::Read, region, offset })
}
