//! One cell: its place, its header, its body, its seal.

use core::num::NonZeroU32;
use core::ops::Range;

use super::fields::{MAX_FIELDS, fields_len};
use super::{FORMAT, Record};
use crate::bytes::{head, len32, put, round_up, u8_at, u16_at, u32_at};
use crate::crc::{Crc32, RESIDUE, crc32};
use crate::flash::{FlashRead, Geometry, MAX_WRITE_SIZE, Region};

/// Bytes of a header that carry meaning; padded to whole write units.
const HEADER_LEN: usize = 8;
/// What a seal begins with.
const SEAL: [u8; 4] = *b"SEAL";
const MAGIC: u8 = b'O';
/// What is added to the number of zero bits of the position in a header's second byte.
const ZEROS: u8 = 0x40;
const CRC_LEN: usize = 4;
/// Room that every body keeps for fields of later formats.
const SPARE: usize = 16;
/// The most bytes of a body of any format, with its CRC, in whole words.
const MAX_BODY: usize = round_up(len32(MAX_FIELDS + SPARE + CRC_LEN), 4) as usize;
/// A header, a body or a seal of format 1, in whole write units.
pub(super) type Part = [u8; MAX_PART];
pub(super) const MAX_PART: usize =
    round_up(len32(MAX_FIELDS + CRC_LEN), len32(MAX_WRITE_SIZE)) as usize;

/// Cells a sector is divided into, at most: bounds the scan at boot.
const MAX_CELLS: u32 = 64;
/// Sectors that are used, at most: bounds the scan at boot.
const MAX_SECTORS: u32 = 16;
/// Positions from here on are taken as garbage: no device appends that often.
pub(super) const POSITION_LIMIT: u32 = 1 << 31;

/// How cells lie in the record region: derived from its geometry and the number of slots.
///
/// Arithmetic in here wraps, and never does: positions are below [`POSITION_LIMIT`] or at most a
/// round of the region above it, and offsets lie within the region.
#[derive(Clone, Copy)]
pub(crate) struct CellShape {
    slots: u8,
    erase_value: u8,
    sector_size: u32,
    pub(super) sectors: NonZeroU32,
    pub(super) cells: NonZeroU32,
    /// Write units are padded to at least 4 bytes, so that every read is aligned to 4.
    unit: u32,
    stride: u32,
}

/// What a header says. A bit each, for [`Scan`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Header {
    /// Reads as erased.
    Blank = 1,
    /// Neither blank nor a header that belongs here.
    Garbage = 2,
    /// Cannot be read.
    Unreadable = 4,
    /// The header of a cell of this place.
    Cell = 8,
}

/// What all headers say.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    /// One above the highest position that a header claims; 0: there is none.
    pub(super) end: u32,
    /// Which kinds of [`Header`] there are.
    pub(super) kinds: u32,
}

impl CellShape {
    /// `None` if the region has no room for two cells in each of two sectors, or one in each of three:
    /// with less, a copy of a torn record could only go where either it or the last sealed one is.
    pub(crate) fn new(geometry: Geometry, slots: u8) -> Option<Self> {
        let unit = geometry.write_size.max(4);
        let body = round_up(len32(fields_len(slots)).wrapping_add(len32(CRC_LEN + SPARE)), unit);
        let stride = unit.max(len32(HEADER_LEN)).wrapping_add(body).wrapping_add(unit);
        let cells = geometry.sector_size.checked_div(stride)?.min(MAX_CELLS);
        let sectors = geometry.size.checked_div(geometry.sector_size)?.min(MAX_SECTORS);
        let (cells, sectors) = (NonZeroU32::new(cells)?, NonZeroU32::new(sectors)?);
        let enough = sectors.get() > 1 && sectors.get().wrapping_add(cells.get()) > 3;
        enough.then_some(Self {
            slots,
            erase_value: geometry.erase_value,
            sector_size: geometry.sector_size,
            sectors,
            cells,
            unit,
            stride,
        })
    }

    /// Of the record region of `flash`.
    pub(crate) fn of<F: FlashRead>(flash: &F) -> Option<Self> {
        Self::new(flash.geometry(Region::Record)?, flash.slots())
    }

    /// The positions of the first round: one for each place of a cell.
    pub(super) fn places(&self) -> Range<u32> {
        0..self.first_of(self.sectors.get())
    }

    /// Generation of a position: how many sectors were begun before its own.
    pub(super) fn generation(&self, position: u32) -> u32 {
        position / self.cells
    }

    pub(super) fn first_of(&self, generation: u32) -> u32 {
        generation.wrapping_mul(self.cells.get())
    }

    /// The first position that cannot follow the record in force at `position`: an append never
    /// enters the sector of the record in force again.
    pub(super) fn end_of_reach(&self, position: u32) -> u32 {
        self.first_of(self.generation(position).wrapping_add(self.sectors.get()))
    }

    /// Start of the cell of `position`.
    #[inline(never)]
    pub(super) fn cell_offset(&self, position: u32) -> u32 {
        let generation = self.generation(position);
        let index = position.wrapping_sub(self.first_of(generation));
        let sector = generation % self.sectors;
        sector.wrapping_mul(self.sector_size).wrapping_add(index.wrapping_mul(self.stride))
    }

    /// Where the body begins in a cell: a header has write units of its own.
    pub(super) fn body_start(&self) -> u32 {
        self.unit.max(len32(HEADER_LEN))
    }

    /// Where the seal begins in a cell: it has the last write unit.
    pub(super) fn seal_start(&self) -> u32 {
        self.stride.wrapping_sub(self.unit)
    }

    /// `len` in whole write units.
    pub(super) fn padded(&self, len: usize) -> u32 {
        round_up(len32(len), self.unit)
    }

    pub(super) fn erase_value(&self) -> u8 {
        self.erase_value
    }

    /// Reads the header of the cell at the place of `position`, and the position in it.
    #[inline(never)]
    pub(super) fn header<F: FlashRead>(&self, flash: &mut F, position: u32) -> (Header, u32) {
        let offset = self.cell_offset(position);
        let mut header = [0; HEADER_LEN];
        if !read(flash, offset, &mut header) {
            return (Header::Unreadable, 0);
        }
        if header == [self.erase_value; HEADER_LEN] {
            return (Header::Blank, 0);
        }
        let position = u32_at(&header, 4);
        let belongs = u16_at(&header, 0) == u16::from_le_bytes([MAGIC, zeros(position)])
            && position < POSITION_LIMIT
            && self.cell_offset(position) == offset;
        (if belongs { Header::Cell } else { Header::Garbage }, position)
    }

    /// Reads every header. Claims of positions from `limit` on do not count.
    #[inline(never)]
    pub(super) fn scan<F: FlashRead>(&self, flash: &mut F, limit: u32) -> Scan {
        let mut scan = Scan { end: 0, kinds: 0 };
        for place in self.places() {
            let (header, position) = self.header(flash, place);
            scan.kinds |= header as u32;
            if header == Header::Cell && position < limit {
                scan.end = scan.end.max(position.wrapping_add(1));
            }
        }
        scan
    }

    /// Reads the body of the cell at `position` into `record`, which is empty, and gives its format
    /// and whether `record` is to be used: of a later format it holds what this one knows, if that
    /// makes sense. `None`: the body is torn, damaged or unreadable, and `record` is not to be used.
    pub(super) fn body<F: FlashRead>(
        &self,
        flash: &mut F,
        position: u32,
        record: &mut Record,
    ) -> Option<(u8, bool)> {
        let mut cell = [0; HEADER_LEN + MAX_BODY];
        let offset = self.cell_offset(position);
        let (header, body) = cell.split_at_mut(HEADER_LEN);
        if !read(flash, offset, header) {
            return None;
        }
        let (format, length) = (u8_at(header, 2), u8_at(header, 3));
        let body = body.get_mut(..round_up(u32::from(length), 4) as usize)?;
        if !read(flash, offset.wrapping_add(self.body_start()), body) {
            return None;
        }
        // The CRC, of header and fields, ends the body. No byte is used before it was found right.
        let whole = head(&cell, HEADER_LEN.wrapping_add(usize::from(length)));
        // The scan has read the header before, and a weak bit may have changed since.
        let same = u32_at(whole, 4) == position;
        if crc32(whole) != RESIDUE || format < FORMAT || !same {
            return None;
        }
        let fields = whole.get(HEADER_LEN..whole.len().wrapping_sub(CRC_LEN))?;
        let understood = record.load(fields, self.slots);
        // A later one is whole all the same, and not ours to skip.
        (understood || format > FORMAT).then_some((format, understood))
    }

    /// Whether the cell at `position` is sealed.
    pub(super) fn sealed<F: FlashRead>(&self, flash: &mut F, position: u32) -> bool {
        let mut seal = [0; SEAL.len()];
        let offset = self.cell_offset(position).wrapping_add(self.seal_start());
        read(flash, offset, &mut seal) && seal == SEAL
    }
}

/// Puts the header of a cell of `record` into `part` and returns its length, without padding.
pub(super) fn put_header(record: &Record, position: u32, part: &mut Part) -> usize {
    let [length, ..] = len32(record.as_bytes().len()).wrapping_add(len32(CRC_LEN)).to_le_bytes();
    put(part, 0, &[MAGIC, zeros(position), FORMAT, length]);
    put(part, 4, &position.to_le_bytes());
    HEADER_LEN
}

/// Puts the body of a cell of `record` into `part` and returns its length, without padding. `crc` is
/// that of the header.
pub(super) fn put_body(record: &Record, crc: &mut Crc32, part: &mut Part) -> usize {
    let fields = record.as_bytes();
    crc.update(fields);
    put(part, 0, fields);
    put(part, fields.len(), &crc.value().to_le_bytes());
    fields.len().wrapping_add(CRC_LEN)
}

/// Puts the seal into `part` and returns its length, without padding.
pub(super) fn put_seal(part: &mut Part) -> usize {
    put(part, 0, &SEAL);
    SEAL.len()
}

/// The check of a position: its zero bits, counted (a Berger code). A torn program only takes bits one
/// way and a torn erase only the other, so neither can turn a header into that of another position:
/// the count in the header and the zeros would have to move in opposite directions.
#[inline(never)]
fn zeros(position: u32) -> u8 {
    // Counted one by one: `count_zeros` is long on processors that have no instruction for it.
    let (mut zeros, mut ones) = (32u8, position);
    while ones != 0 {
        ones &= ones.wrapping_sub(1);
        zeros = zeros.wrapping_sub(1);
    }
    ZEROS | zeros
}

/// Reads record bytes, with retries. False: unreadable.
#[inline(never)]
pub(super) fn read<F: FlashRead>(flash: &mut F, offset: u32, bytes: &mut [u8]) -> bool {
    crate::flash::read(flash, Region::Record, offset, bytes)
}
