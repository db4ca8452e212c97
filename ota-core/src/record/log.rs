//! Reading the log, and appending to it.

use super::cell::{self, CellShape, HEADER_LEN, MAX_PART, POSITION_LIMIT};
use super::{FORMAT, Record};
use crate::bytes::{head, len32};
use crate::crc::Crc32;
use crate::flash::{FlashMap, FlashRead, Region};

/// The record region has no room for two cells in each of two sectors, or for one in each of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RecordTooSmall;

impl core::fmt::Display for RecordTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(
            "the record region needs two erase sectors with room for two cells each, or three",
        )
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
    /// The format of its cell. If it is above [`FORMAT`], nothing may be appended, and `record` is
    /// what format 1 says.
    pub format: u8,
    /// Whether format 1 can make sense of it: if not, `record` means nothing.
    pub understood: bool,
    /// Whether its seal reads whole.
    pub sealed: bool,
    /// Whether the cell right before it holds the same fields, sealed: then the loss of either
    /// changes nothing.
    pub backed_up: bool,
}

/// The log as found at open.
#[derive(Clone, Copy)]
pub struct Log {
    /// The record in force, if there is one.
    pub newest: Option<Newest>,
    /// One above the highest position that is in force or that a header claims; 0: there is none.
    next: u32,
    /// The first position out of reach: its sector holds the newest sealed record.
    end: u32,
    /// Which kinds of headers there are.
    kinds: u32,
}

impl Log {
    /// Reads the log: every header, the newest body and those before it down to a sealed one.
    ///
    /// # Errors
    /// [`RecordTooSmall`]: the region cannot hold a log. What cannot be read is skipped.
    pub fn open<F: FlashRead>(flash: &mut F) -> Result<Self, RecordTooSmall> {
        let mut log = Self::unread();
        if log.read(flash) { Ok(log) } else { Err(RecordTooSmall) }
    }

    /// A log that nothing is known of yet.
    pub(crate) fn unread() -> Self {
        Self { newest: None, next: 0, end: 0, kinds: 0 }
    }

    /// Reads the log: see [`Self::open`]. In place, as a log is large to be moved.
    pub(crate) fn read<F: FlashRead>(&mut self, flash: &mut F) -> bool {
        let shape = CellShape::of(flash);
        if !shape.has_room() {
            return false;
        }
        self.kinds = find(flash, POSITION_LIMIT, &mut self.newest);
        let Some(newest) = &mut self.newest else {
            // Nothing in force. Outrank whatever might still turn out to be readable.
            let claimed = cell::scan(flash, POSITION_LIMIT).end;
            let last = claimed.wrapping_add(shape.cells.get()).wrapping_sub(1);
            self.next = shape.first_of(shape.generation(last));
            self.end = self.next.wrapping_add(shape.places.get());
            return true;
        };
        self.end = cell::end_of_reach(flash, newest.position);
        // A further pass, because it depends on the record in force what a claim means: a torn
        // header may claim anything, an append comes only so far.
        let claimed = cell::scan(flash, self.end).end;
        self.next = claimed.max(newest.position.wrapping_add(1));
        let mut before = None;
        if newest.sealed {
            // Right before it, and nothing torn between: a backup behind a torn cell would not
            // outrank that.
            read_cell(flash, newest.position.wrapping_sub(1), &mut before);
            newest.backed_up =
                before.as_ref().is_some_and(|cell| cell.sealed && cell.record == newest.record);
            return true;
        }
        // It may be weak, and may be gone tomorrow.
        let mut limit = newest.position;
        loop {
            find(flash, limit, &mut before);
            let Some(cell) = &before else { break };
            limit = cell.position;
            let end = cell::end_of_reach(flash, limit);
            // One that an append may have passed is of a sector that cannot be erased.
            if end <= newest.position {
                break;
            }
            self.end = end;
            if cell.sealed {
                break;
            }
        }
        true
    }

    /// Whether the record in force would survive the loss of what was under way: sealed, and no
    /// header claims a position above it. Otherwise a copy must be appended before anything is done.
    pub fn healthy(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.sealed && !self.claimed(newest))
    }

    /// Whether every cell read as never used when the log was read.
    pub fn all_blank(&self) -> bool {
        self.kinds == cell::kind::BLANK
    }

    /// Whether no cell at all could be read: then nothing may be appended.
    pub fn unreadable(&self) -> bool {
        self.kinds == cell::kind::UNREADABLE
    }

    /// Whether nothing may be appended: no cell can be read, or the newest is of a later format.
    pub fn read_only(&self) -> bool {
        self.unreadable() || self.newest.as_ref().is_some_and(|newest| newest.format > FORMAT)
    }

    /// Whether `record` is in force, healthy.
    pub(crate) fn holds(&self, record: &Record) -> bool {
        self.healthy() && self.newest.as_ref().is_some_and(|newest| newest.record == *record)
    }

    /// Appends `record` at once.
    ///
    /// # Errors
    /// [`AppendFailed`]: what is in force now is to be read again.
    #[inline(never)]
    pub(crate) fn write<F: FlashMap>(
        &mut self,
        flash: &mut F,
        record: &Record,
    ) -> Result<(), AppendFailed> {
        let mut append = self.append();
        let mut ok = true;
        loop {
            ok = match self.step(&mut append, record, flash, ok)? {
                Next::Erase => flash.erase_sector(Region::Record, append.offset()).is_ok(),
                Next::Program => {
                    flash.program(Region::Record, append.offset(), append.bytes()).is_ok()
                }
                Next::Again => true,
                Next::Done => return Ok(()),
            };
        }
    }

    /// Begins to append a record.
    #[inline(never)]
    pub(crate) fn append(&self) -> Append {
        let part = [0; MAX_PART];
        let phase = Phase::Start;
        Append { position: self.next, end: self.end, spare: true, phase, offset: 0, len: 0, part }
    }

    /// The next step of an append of `record`: see [`Append::step`].
    ///
    /// # Errors
    /// [`AppendFailed`] when no place is left.
    pub(crate) fn step<F: FlashRead>(
        &mut self,
        append: &mut Append,
        record: &Record,
        flash: &mut F,
        ok: bool,
    ) -> Result<Next, AppendFailed> {
        let next = append.step(record, flash, ok)?;
        if next == Next::Done {
            self.appended(append, record, cell::end_of_reach(flash, append.position));
        }
        Ok(next)
    }

    /// Takes note of a finished append.
    fn appended(&mut self, append: &Append, record: &Record, end: u32) {
        let position = append.position;
        // Right before it, and nothing torn between: see `read`.
        let backed_up = self.next == position && self.holds(record);
        self.next = position.wrapping_add(1);
        self.end = end;
        let record = *record;
        self.newest = Some(Newest {
            record,
            position,
            format: FORMAT,
            understood: true,
            sealed: true,
            backed_up,
        });
    }

    /// Whether a header claims a position above the record in force.
    fn claimed(&self, newest: &Newest) -> bool {
        self.next != newest.position.wrapping_add(1)
    }
}

/// Finds the newest valid record below the position `limit`, and says which kinds of headers there
/// are: from the highest claim down to the first that holds, most often the very first.
fn find<F: FlashRead>(flash: &mut F, mut limit: u32, found: &mut Option<Newest>) -> u32 {
    *found = None;
    loop {
        let scan = cell::scan(flash, limit);
        let Some(position) = scan.end.checked_sub(1) else { return scan.kinds };
        read_cell(flash, position, found);
        if found.is_some() {
            return scan.kinds;
        }
        limit = position;
    }
}

/// Reads the cell at `position` into `found`, if it holds a valid record.
#[inline(never)]
fn read_cell<F: FlashRead>(flash: &mut F, position: u32, found: &mut Option<Newest>) {
    // In place, as records are large to be moved.
    let newest = found.insert(Newest {
        record: Record::empty(),
        position,
        format: 0,
        understood: false,
        sealed: false,
        backed_up: false,
    });
    match cell::body(flash, position, &mut newest.record) {
        Some(cell::Valid { format, understood, sealed }) => {
            newest.format = format;
            newest.understood = understood;
            newest.sealed = sealed;
        }
        None => *found = None,
    }
}

/// What an append does next, in the record region.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Erase the sector at [`Append::offset`].
    Erase,
    /// Program [`Append::bytes`] at [`Append::offset`].
    Program,
    /// Nothing yet: to be asked again.
    Again,
    /// Nothing: the record is in force, sealed.
    Done,
}

/// What an append did last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing yet for this cell.
    Start,
    /// Nothing; the header is to be looked at.
    Look,
    /// Erased the sector that the cell begins.
    Erase,
    /// Programmed the header.
    Header,
    /// Programmed the body.
    Body,
    /// Programmed the seal.
    Seal,
}

/// An append under way.
pub(crate) struct Append {
    position: u32,
    /// The first position that is out of reach.
    end: u32,
    /// The last sector within reach may still be erased once more.
    spare: bool,
    phase: Phase,
    /// The part of the cell that is to read back: where, and its bytes. Empty after an erase.
    offset: u32,
    len: u32,
    part: [u8; MAX_PART],
}

impl Append {
    /// Where in the region.
    pub(crate) fn offset(&self) -> u32 {
        self.offset
    }

    /// What is to be programmed, in whole write units.
    pub(crate) fn bytes(&self) -> &[u8] {
        head(&self.part, self.len as usize)
    }

    /// What comes next. `ok`: the change before succeeded. A cell that cannot be written is left
    /// behind for the next, a sector that cannot be erased for the next.
    ///
    /// # Errors
    /// [`AppendFailed`] when no place is left.
    pub(crate) fn step<F: FlashRead>(
        &mut self,
        record: &Record,
        flash: &mut F,
        ok: bool,
    ) -> Result<Next, AppendFailed> {
        let shape = CellShape::of(flash);
        if !(ok && self.reads_back(flash)) {
            let erase_failed = self.phase == Phase::Erase;
            self.skip(if erase_failed { shape.cells.get() } else { 1 });
            return Ok(Next::Again);
        }
        let position = self.position;
        let offset = cell::cell_offset(flash, position);
        self.offset = offset;
        // Of the header, if that is what was programmed: it is in the body's.
        let mut crc = Crc32::new();
        crc.update(head(&self.part, HEADER_LEN));
        self.part.fill(shape.erase_value());
        let (phase, at, len) = match self.phase {
            Phase::Start if position >= self.end => {
                // Interrupted appends have used every cell but those of the sealed record, or none of
                // them takes anything.
                if !core::mem::take(&mut self.spare) {
                    return Err(AppendFailed);
                }
                self.position = self.end.wrapping_sub(shape.cells.get());
                return Ok(Next::Again);
            }
            Phase::Start if position >= POSITION_LIMIT => return Err(AppendFailed),
            // The first cell of a sector.
            Phase::Start if offset.is_multiple_of(shape.sector_size) => {
                self.phase = Phase::Erase;
                return Ok(Next::Erase);
            }
            // What reads back must be a blank header.
            Phase::Start => {
                self.phase = Phase::Look;
                self.len = len32(HEADER_LEN);
                return Ok(Next::Again);
            }
            Phase::Look | Phase::Erase => {
                (Phase::Header, 0, cell::put_header(&shape, position, &mut self.part))
            }
            Phase::Header => {
                let len = cell::put_body(record, &mut crc, &mut self.part);
                (Phase::Body, shape.body_start(), len)
            }
            Phase::Body => {
                let len = cell::put_seal(&mut self.part);
                (Phase::Seal, shape.seal_start(), len)
            }
            Phase::Seal => return Ok(Next::Done),
        };
        self.phase = phase;
        self.offset = offset.wrapping_add(at);
        self.len = shape.padded(len);
        Ok(Next::Program)
    }

    /// Leaves this cell for one that comes `cells` later.
    fn skip(&mut self, cells: u32) {
        self.position = self.position.wrapping_add(cells);
        self.phase = Phase::Start;
        self.len = 0;
    }

    /// Compares the part in flash with what was programmed.
    fn reads_back<F: FlashRead>(&self, flash: &mut F) -> bool {
        let mut offset = self.offset;
        // Word by word: that takes no second buffer.
        self.bytes().as_chunks().0.iter().all(|expected| {
            let mut found = [0; 4];
            let readable = cell::read(flash, offset, &mut found);
            offset = offset.wrapping_add(4);
            readable && found == *expected
        })
    }
}
