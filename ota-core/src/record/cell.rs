//! One cell: its place, its header, its body, its seal.

use core::num::NonZeroU32;

use super::fields::{MAX_FIELDS, fields_len};
use super::{FORMAT, Record};
use crate::bytes::{head, len32, put, round_up, u8_at, u16_at, u32_at};
use crate::crc::{Crc32, RESIDUE, crc32};
use crate::flash::{FlashRead, Geometry, MAX_WRITE_SIZE, Region};

/// Bytes of a header that carry meaning; padded to whole write units.
pub(super) const HEADER_LEN: usize = 8;
/// What a seal begins with.
const SEAL: [u8; 4] = *b"SEAL";
const MAGIC: u8 = b'O';
/// A header's second byte at position 0: 64 and the number of zero bits.
const CHECK_OF_ZERO: u8 = 64 + 32;
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
pub(super) struct CellShape {
    slots: u8,
    erase_value: u8,
    pub(super) sector_size: u32,
    /// Places of cells, of all sectors.
    pub(super) places: NonZeroU32,
    pub(super) cells: NonZeroU32,
    /// Write units are padded to at least 4 bytes, so that every read is aligned to 4.
    unit: u32,
    stride: u32,
}

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Reads as erased.
    Blank,
    /// Neither blank nor a header that belongs here.
    Garbage,
    /// Cannot be read.
    Unreadable,
    /// The header of a cell of this place, and its position.
    Cell(u32),
}

/// A bit for each kind of [`Header`].
pub(super) mod kind {
    pub(in super::super) const BLANK: u32 = 1;
    pub(super) const GARBAGE: u32 = 2;
    pub(in super::super) const UNREADABLE: u32 = 4;
    pub(super) const CELL: u32 = 8;
}

/// What all headers say.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    /// One above the highest position that a header claims; 0: there is none.
    pub(super) end: u32,
    /// Which kinds of headers there are: bits of [`kind`].
    pub(super) kinds: u32,
}

/// What is known of a valid cell besides its fields.
#[derive(Clone, Copy)]
pub(super) struct Valid {
    pub(super) format: u8,
    /// Of a later format the fields hold what this one knows, if that makes sense.
    pub(super) understood: bool,
    /// Whether the seal reads whole.
    pub(super) sealed: bool,
}

impl CellShape {
    /// Of the record region of `flash`. Asked for where it is needed and kept nowhere: where the
    /// geometry is constant, all of this is.
    pub(super) fn of<F: FlashRead>(flash: &F) -> Self {
        let none = Geometry { size: 0, sector_size: 0, write_size: 0, erase_value: 0 };
        Self::new(flash.geometry(Region::Record).unwrap_or(none), flash.slots())
    }

    /// Of a region without room for a cell: a shape that divides by nothing, and has no room.
    #[inline(always)]
    fn new(geometry: Geometry, slots: u8) -> Self {
        let unit = geometry.write_size.max(4);
        let body = round_up(len32(fields_len(slots)).wrapping_add(len32(CRC_LEN + SPARE)), unit);
        let stride = unit.max(len32(HEADER_LEN)).wrapping_add(body).wrapping_add(unit);
        let cells = geometry.sector_size.checked_div(stride).unwrap_or(0).min(MAX_CELLS);
        let sectors = geometry.size.checked_div(geometry.sector_size).unwrap_or(0).min(MAX_SECTORS);
        let cells = NonZeroU32::new(cells).unwrap_or(NonZeroU32::MIN);
        let sectors = NonZeroU32::new(sectors).unwrap_or(NonZeroU32::MIN);
        Self {
            slots,
            erase_value: geometry.erase_value,
            sector_size: geometry.sector_size,
            // At most 16 sectors of 64 cells: no overflow.
            places: sectors.saturating_mul(cells),
            cells,
            unit,
            stride,
        }
    }

    /// Whether the region has room for two cells in each of two sectors, or one in each of three:
    /// with less, a copy of a torn record could only go where either it or the last sealed one is.
    pub(super) fn has_room(&self) -> bool {
        let sectors = self.places.get() / self.cells;
        sectors > 1 && sectors.wrapping_add(self.cells.get()) > 3 && self.stride <= self.sector_size
    }

    /// Generation of a position: how many sectors were begun before its own.
    pub(super) fn generation(&self, position: u32) -> u32 {
        position / self.cells
    }

    pub(super) fn first_of(&self, generation: u32) -> u32 {
        generation.wrapping_mul(self.cells.get())
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
}

/// The first position that cannot follow the record in force at `position`: an append never
/// enters the sector of the record in force again.
#[inline(never)]
pub(super) fn end_of_reach<F: FlashRead>(flash: &F, position: u32) -> u32 {
    let shape = CellShape::of(flash);
    shape.first_of(shape.generation(position)).wrapping_add(shape.places.get())
}

/// Start of the cell of `position`.
#[inline(never)]
pub(super) fn cell_offset<F: FlashRead>(flash: &F, position: u32) -> u32 {
    let shape = CellShape::of(flash);
    let place = position % shape.places;
    let (sector, index) = (place / shape.cells, place % shape.cells);
    sector.wrapping_mul(shape.sector_size).wrapping_add(index.wrapping_mul(shape.stride))
}

/// Reads the header of the cell at `place`.
pub(super) fn header<F: FlashRead>(flash: &mut F, place: u32) -> Header {
    let shape = CellShape::of(flash);
    let offset = cell_offset(flash, place);
    let mut header = [0; HEADER_LEN];
    if !read(flash, offset, &mut header) {
        return Header::Unreadable;
    }
    if header == [shape.erase_value; HEADER_LEN] {
        return Header::Blank;
    }
    let position = u32_at(&header, 4);
    let belongs = u16_at(&header, 0) == header_start(position)
        && position < POSITION_LIMIT
        && position % shape.places == place;
    if belongs { Header::Cell(position) } else { Header::Garbage }
}

/// Reads every header. Claims of positions from `limit` on do not count.
pub(super) fn scan<F: FlashRead>(flash: &mut F, limit: u32) -> Scan {
    let shape = CellShape::of(flash);
    let mut scan = Scan { end: 0, kinds: 0 };
    for place in 0..shape.places.get() {
        scan.kinds |= match header(flash, place) {
            Header::Blank => kind::BLANK,
            Header::Garbage => kind::GARBAGE,
            Header::Unreadable => kind::UNREADABLE,
            Header::Cell(position) => {
                if position < limit {
                    scan.end = scan.end.max(position.wrapping_add(1));
                }
                kind::CELL
            }
        };
    }
    scan
}

/// Reads body and seal of the cell at `position`, the fields into `record`, which is empty. `None`:
/// the body is torn, damaged or unreadable, and `record` is not to be used.
pub(super) fn body<F: FlashRead>(
    flash: &mut F,
    position: u32,
    record: &mut Record,
) -> Option<Valid> {
    let shape = CellShape::of(flash);
    let mut cell = [0; HEADER_LEN + MAX_BODY];
    let offset = cell_offset(flash, position);
    let (header, body) = cell.split_at_mut(HEADER_LEN);
    if !read(flash, offset, header) {
        return None;
    }
    let (format, length) = (u8_at(header, 2), u8_at(header, 3));
    let body = body.get_mut(..round_up(u32::from(length), 4) as usize)?;
    if !read(flash, offset.wrapping_add(shape.body_start()), body) {
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
    let understood = record.load(fields, shape.slots);
    // A later one is whole all the same, and not ours to skip.
    if !understood && format <= FORMAT {
        return None;
    }
    let mut seal = [0; SEAL.len()];
    let sealed = read(flash, offset.wrapping_add(shape.seal_start()), &mut seal) && seal == SEAL;
    Some(Valid { format, understood, sealed })
}

/// Puts the header of the cell at `position` into `part` and returns its length, without padding.
pub(super) fn put_header(shape: &CellShape, position: u32, part: &mut Part) -> usize {
    let [length, ..] = len32(fields_len(shape.slots)).wrapping_add(len32(CRC_LEN)).to_le_bytes();
    put(part, 0, &header_start(position).to_le_bytes());
    put(part, 2, &[FORMAT, length]);
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

/// "O" and the check of a position: its zero bits, counted (a Berger code). A torn program only takes bits one
/// way and a torn erase only the other, so neither can turn a header into that of another position:
/// the count in the header and the zeros would have to move in opposite directions.
#[inline(never)]
fn header_start(position: u32) -> u16 {
    // Counted one by one: `count_zeros` is long on processors that have no instruction for it.
    let (mut check, mut ones) = (CHECK_OF_ZERO, position);
    while ones != 0 {
        ones &= ones.wrapping_sub(1);
        check = check.wrapping_sub(1);
    }
    u16::from_le_bytes([MAGIC, check])
}

/// Reads record bytes, with retries. False: unreadable.
#[inline(never)]
pub(super) fn read<F: FlashRead>(flash: &mut F, offset: u32, bytes: &mut [u8]) -> bool {
    crate::flash::read(flash, Region::Record, offset, bytes)
}
