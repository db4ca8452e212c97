//! Reading the log, and appending to it.

use super::cell::{self, Body, CellShape, Header, MAX_CELL};
use super::{FORMAT, Record};
use crate::flash::{FlashRead, MAX_WRITE_SIZE, Op, Region, Want};

/// The record region has no room for one cell in each of two sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecordTooSmall;

impl core::fmt::Display for RecordTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the record region needs two erase sectors with room for one cell each")
    }
}

impl core::error::Error for RecordTooSmall {}

/// No cell could be written: the flash refused each one that was free to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AppendFailed;

/// The record in force.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    /// Its fields.
    pub record: Record,
    /// Its position in the log.
    pub position: u32,
    /// The format of its cell, if that is later than this code knows: then nothing may be appended,
    /// and `record` is what format 1 says.
    pub newer_format: Option<u8>,
    /// Whether its seal reads whole.
    pub sealed: bool,
    /// Whether the cell right before it holds the same fields, sealed: then the loss of either
    /// changes nothing.
    pub backed_up: bool,
}

/// The log as found at open.
#[derive(Clone, Copy)]
pub struct Log {
    pub(super) shape: CellShape,
    /// The record in force, if there is one.
    pub newest: Option<Newest>,
    /// The highest position above the record in force that a readable header claims.
    claimed: Option<u32>,
    /// Whether every cell reads as never used.
    pub all_blank: bool,
    /// Whether no cell at all could be read: then nothing may be appended.
    pub unreadable: bool,
}

impl Log {
    /// Reads the log: every header, and each body that could be the newest.
    ///
    /// # Errors
    /// [`RecordTooSmall`]: the region cannot hold a log. What cannot be read is skipped.
    pub fn open<F: FlashRead>(flash: &mut F) -> Result<Self, RecordTooSmall> {
        let geometry = flash.geometry(Region::Record).ok_or(RecordTooSmall)?;
        let shape = CellShape::new(geometry, flash.slots()).ok_or(RecordTooSmall)?;
        let mut log =
            Self { shape, newest: None, claimed: None, all_blank: true, unreadable: true };
        shape.for_each_header(flash, |flash, header| {
            log.unreadable &= header == Header::Unreadable;
            log.all_blank &= header == Header::Blank;
            if let Header::Cell { position } = header {
                log.consider(flash, position);
            }
        });
        // A second pass, because it depends on the record in force what a claim means.
        let mut before = None;
        shape.for_each_header(flash, |_, header| {
            let Header::Cell { position } = header else { return };
            if log.plausible(position) {
                log.claimed = log.claimed.max(Some(position));
            }
            if log.newest.is_some_and(|newest| position < newest.position) {
                before = before.max(Some(position));
            }
        });
        if let (Some(newest), Some(before)) = (&mut log.newest, before) {
            // The cell right before it, even if it is torn: a backup behind a torn one would not
            // outrank it.
            newest.backed_up = shape.sealed(flash, before)
                && matches!(shape.body(flash, before),
                    Body::Valid { record, .. } if record == newest.record);
        }
        Ok(log)
    }

    /// Whether the record in force would survive the loss of what was under way: sealed, and no
    /// header claims a position above it. Otherwise a copy must be appended before anything is done.
    pub fn healthy(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.sealed && self.claimed.is_none())
    }

    /// Whether nothing may be appended: no cell can be read, or the newest is of a later format.
    pub fn read_only(&self) -> bool {
        self.unreadable || self.newest.is_some_and(|newest| newest.newer_format.is_some())
    }

    /// Begins to append `record`.
    pub(crate) fn append(&self, record: &Record) -> Append {
        let (target, floor) = self.target();
        Append {
            shape: self.shape,
            record: *record,
            target,
            limit: floor.saturating_add(self.shape.sectors),
            phase: Phase::Place,
            cell: [0; MAX_CELL],
            length: 0,
        }
    }

    /// Takes note of a finished append.
    pub(crate) fn appended(&mut self, append: &Append) {
        let (record, position) = (append.record, append.target.position);
        // Right before it, and nothing torn between: see `open`.
        let backed_up = self.claimed.is_none()
            && self.newest.is_some_and(|newest| {
                newest.sealed
                    && newest.record == record
                    && newest.position.saturating_add(1) == position
            });
        self.newest =
            Some(Newest { record, position, newer_format: None, sealed: true, backed_up });
        self.claimed = None;
        self.all_blank = false;
    }

    /// Looks at the cell at `position`, if it can be the newest.
    fn consider<F: FlashRead>(&mut self, flash: &mut F, position: u32) {
        if self.newest.is_some_and(|newest| position <= newest.position) {
            return;
        }
        let Body::Valid { record, format } = self.shape.body(flash, position) else { return };
        let sealed = self.shape.sealed(flash, position);
        let newer_format = (format > FORMAT).then_some(format);
        self.newest = Some(Newest { record, position, newer_format, sealed, backed_up: false });
    }

    /// Whether a header with this position can be that of an append that came after the record in
    /// force: above it, and less than one round of sectors beyond, because an append never enters the
    /// sector of the record in force again. A torn header may claim anything.
    fn plausible(&self, position: u32) -> bool {
        self.newest.as_ref().is_none_or(|newest| {
            let end = self.shape.generation(newest.position).saturating_add(self.shape.sectors);
            position > newest.position && self.shape.generation(position) < end
        })
    }

    /// Where the next cell goes, and the generation of the record in force.
    ///
    /// Behind everything that claims a place, also in a sector that an interrupted append has begun:
    /// its erase was complete before the first header was programmed, and to erase it again could
    /// make a claim vanish and come back.
    fn target(&self) -> (Target, u32) {
        let shape = &self.shape;
        let Some(newest) = &self.newest else {
            // Nothing in force. Outrank whatever might still turn out to be readable.
            let generation =
                self.claimed.map_or(0, |claimed| shape.generation(claimed).saturating_add(1));
            return (Target::start_of(shape, generation), generation);
        };
        let current = shape.generation(newest.position);
        let last = self.claimed.unwrap_or(newest.position);
        let next = Target { position: last, erase: false }.next(shape);
        if shape.generation(next.position) >= current.saturating_add(shape.sectors) {
            // Interrupted appends have used every cell but those of the record in force.
            return (Target::start_of(shape, shape.generation(last)), current);
        }
        (next, current)
    }
}

/// A place for a cell.
#[derive(Clone, Copy)]
struct Target {
    position: u32,
    /// The sector is to be erased first.
    erase: bool,
}

impl Target {
    fn start_of(shape: &CellShape, generation: u32) -> Self {
        Self { position: shape.first_of(generation), erase: true }
    }

    fn next(self, shape: &CellShape) -> Self {
        let position = self.position.saturating_add(1);
        let erase = shape.generation(position) != shape.generation(self.position);
        Self { position, erase }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Place,
    Erased,
    Header,
    Body,
    Verify,
    Sealed,
}

/// An append under way.
pub(crate) struct Append {
    shape: CellShape,
    record: Record,
    target: Target,
    /// First generation that is out of reach: its sector holds the record in force.
    limit: u32,
    phase: Phase,
    cell: [u8; MAX_CELL],
    length: u32,
}

impl Append {
    /// The record that is appended.
    #[cfg(feature = "stage")]
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// `want` as an operation, with the bytes that this append programs.
    pub(crate) fn op(&self, want: Want) -> Op<'_> {
        want.op(&self.cell)
    }

    /// The next change of flash, `None`: the record is in force, sealed. `ok`: the change before
    /// succeeded. A cell that cannot be written is left behind for the next, a sector that cannot be
    /// erased for the next.
    ///
    /// # Errors
    /// [`AppendFailed`] when no place is left.
    pub(crate) fn step<F: FlashRead>(
        &mut self,
        flash: &mut F,
        ok: bool,
    ) -> Result<Option<Want>, AppendFailed> {
        loop {
            let position = self.target.position;
            let offset = self.shape.cell_offset(position);
            match self.phase {
                Phase::Place => {
                    let generation = self.shape.generation(position);
                    if generation >= self.limit || !self.shape.in_range(position) {
                        return Err(AppendFailed);
                    }
                    if self.target.erase {
                        self.phase = Phase::Erased;
                        let offset = self.shape.sector_offset(position);
                        return Ok(Some(Want::Erase { region: Region::Record, offset }));
                    }
                    if self.blank(flash) { self.phase = Phase::Header } else { self.skip_cell() }
                }
                Phase::Erased if ok => self.phase = Phase::Header,
                Phase::Erased => self.skip_sector(),
                Phase::Header => {
                    self.length = self.shape.encode(&self.record, position, &mut self.cell);
                    self.phase = Phase::Body;
                    return Ok(program(offset, 0, self.shape.header_size()));
                }
                Phase::Body if ok => {
                    self.phase = Phase::Verify;
                    let header = self.shape.header_size();
                    let body = self.length.saturating_sub(header);
                    return Ok(program(offset.saturating_add(header), header, body));
                }
                Phase::Verify if ok && self.reads_back(flash) => {
                    self.phase = Phase::Sealed;
                    let (seal, size) = self.shape.seal();
                    // The cell has been read back; its buffer now carries the seal.
                    crate::bytes::put(&mut self.cell, 0, &seal);
                    let offset = self.shape.seal_offset(position);
                    return Ok(program(offset, 0, size));
                }
                Phase::Sealed if ok && self.shape.sealed(flash, position) => return Ok(None),
                Phase::Body | Phase::Verify | Phase::Sealed => self.skip_cell(),
            }
        }
    }

    fn skip_cell(&mut self) {
        self.target = self.target.next(&self.shape);
        self.phase = Phase::Place;
    }

    fn skip_sector(&mut self) {
        let generation = self.shape.generation(self.target.position).saturating_add(1);
        self.target = Target::start_of(&self.shape, generation);
        self.phase = Phase::Place;
    }

    fn written(&self) -> &[u8] {
        crate::bytes::head(&self.cell, self.length as usize)
    }

    fn blank<F: FlashRead>(&self, flash: &mut F) -> bool {
        let position = self.target.position;
        let sector = self.shape.generation(position).checked_rem(self.shape.sectors).unwrap_or(0);
        let index = position.checked_rem(self.shape.cells).unwrap_or(0);
        self.shape.header(flash, sector, index) == Header::Blank
    }

    /// Compares header and body in flash with what was programmed.
    fn reads_back<F: FlashRead>(&self, flash: &mut F) -> bool {
        let mut offset = self.shape.cell_offset(self.target.position);
        self.written().chunks(MAX_WRITE_SIZE).all(|expected| {
            let mut buffer = [0; MAX_WRITE_SIZE];
            let found = buffer.split_at_mut(expected.len()).0;
            let same = cell::read(flash, offset, found) && found == expected;
            offset = offset.saturating_add(crate::bytes::len32(MAX_WRITE_SIZE));
            same
        })
    }
}

/// `len` bytes of the cell's buffer, from `start`.
fn program(offset: u32, start: u32, len: u32) -> Option<Want> {
    let (start, len) = (start as usize, len as usize);
    Some(Want::Program { region: Region::Record, offset, start, len })
}
