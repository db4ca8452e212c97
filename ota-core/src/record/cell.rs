//! One cell: its place, its header, its body, its seal.

use super::fields::{MAX_FIELDS, fields_len};
use super::{FORMAT, Record};
use crate::bytes::{len32, put, round_up, u8_at, u32_at};
use crate::flash::{FlashRead, Geometry, MAX_WRITE_SIZE, Region};

/// Bytes of a header that carry meaning; padded to whole write units.
pub(super) const HEADER_LEN: usize = 8;
/// What a seal begins with.
pub(super) const SEAL: [u8; 4] = *b"SEAL";
const MAGIC: u8 = b'O';
/// What is added to the number of zero bits of the position in a header's second byte.
const ZEROS: u8 = 0x40;
const CRC_LEN: usize = 4;
/// Room that every body keeps for fields of later formats.
const SPARE: usize = 16;
/// The most bytes of header and body together, padded.
pub(super) const MAX_CELL: usize =
    MAX_WRITE_SIZE + round_up(len32(MAX_FIELDS + CRC_LEN + SPARE), 32) as usize;
/// The most bytes a body of a later format may have, before its CRC.
const MAX_BODY: usize = MAX_FIELDS + SPARE;

/// Cells a sector is divided into, at most: bounds the scan at boot.
const MAX_CELLS: u32 = 64;
/// Sectors that are used, at most: bounds the scan at boot.
const MAX_SECTORS: u32 = 16;
/// Positions from here on are taken as garbage: no device appends that often.
const POSITION_LIMIT: u32 = 1 << 31;
/// How often a read is tried before its bytes count as unreadable.
const READ_TRIES: u8 = 3;

/// How cells lie in the record region: derived from its geometry and the number of slots.
#[derive(Clone, Copy)]
pub(crate) struct CellShape {
    slots: u8,
    erase_value: u8,
    sector_size: u32,
    pub(super) sectors: u32,
    pub(super) cells: u32,
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
    /// The header of a cell of this place.
    Cell { position: u32 },
}

/// What a body holds.
pub(super) enum Body {
    /// Not a whole body: torn, damaged or unreadable.
    Damaged,
    /// A valid record, of a later format if so marked: then only what format 1 knows.
    Valid { record: Record, format: u8 },
}

impl CellShape {
    /// `None` if the region has no room for a cell in each of two sectors.
    pub(crate) fn new(geometry: Geometry, slots: u8) -> Option<Self> {
        let unit = geometry.write_size.max(4);
        let body = round_up(len32(fields_len(slots)).saturating_add(len32(CRC_LEN + SPARE)), unit);
        let stride = round_up(len32(HEADER_LEN), unit).checked_add(body)?.checked_add(unit)?;
        let cells = geometry.sector_size.checked_div(stride)?.min(MAX_CELLS);
        let sectors = geometry.size.checked_div(geometry.sector_size)?.min(MAX_SECTORS);
        (cells > 0 && sectors > 1).then_some(Self {
            slots,
            erase_value: geometry.erase_value,
            sector_size: geometry.sector_size,
            sectors,
            cells,
            unit,
            stride,
        })
    }

    /// Generation of a position: how many sectors were begun before its own.
    pub(super) fn generation(&self, position: u32) -> u32 {
        position.checked_div(self.cells).unwrap_or(0)
    }

    pub(super) fn first_of(&self, generation: u32) -> u32 {
        generation.saturating_mul(self.cells)
    }

    /// Start of the sector in which `position` lies.
    pub(super) fn sector_offset(&self, position: u32) -> u32 {
        let sector = self.generation(position).checked_rem(self.sectors).unwrap_or(0);
        sector.saturating_mul(self.sector_size)
    }

    /// Start of the cell of `position`.
    pub(super) fn cell_offset(&self, position: u32) -> u32 {
        let index = position.checked_rem(self.cells).unwrap_or(0);
        self.sector_offset(position).saturating_add(index.saturating_mul(self.stride))
    }

    pub(super) fn in_range(&self, position: u32) -> bool {
        position < POSITION_LIMIT
    }

    pub(super) fn header_size(&self) -> u32 {
        round_up(len32(HEADER_LEN), self.unit)
    }

    pub(super) fn seal_offset(&self, position: u32) -> u32 {
        let end = self.cell_offset(position).saturating_add(self.stride);
        end.saturating_sub(self.unit)
    }

    /// Header and body of `record` at `position`, padded with erased bytes to whole write units.
    /// Returns the length of both together.
    pub(super) fn encode(&self, record: &Record, position: u32, cell: &mut [u8; MAX_CELL]) -> u32 {
        cell.fill(self.erase_value);
        let fields = record.as_bytes();
        let length = u8::try_from(fields.len().saturating_add(CRC_LEN)).unwrap_or(u8::MAX);
        let mut header = [0; HEADER_LEN];
        put(&mut header, 0, &[MAGIC, zeros(position), FORMAT, length]);
        put(&mut header, 4, &position.to_le_bytes());
        let mut crc = crate::crc::Crc32::new();
        crc.update(&header);
        crc.update(fields);
        let body = self.header_size() as usize;
        put(cell, 0, &header);
        put(cell, body, fields);
        put(cell, body.saturating_add(fields.len()), &crc.value().to_le_bytes());
        self.header_size().saturating_add(round_up(u32::from(length), self.unit))
    }

    /// The seal, as long as a write unit.
    pub(super) fn seal(&self) -> ([u8; MAX_WRITE_SIZE], u32) {
        let mut seal = [self.erase_value; MAX_WRITE_SIZE];
        put(&mut seal, 0, &SEAL);
        (seal, self.unit)
    }

    /// Reads the header of the cell at `offset` in `sector`, cell `index`.
    pub(super) fn header<F: FlashRead>(&self, flash: &mut F, sector: u32, index: u32) -> Header {
        let start = sector.saturating_mul(self.sector_size);
        let offset = start.saturating_add(index.saturating_mul(self.stride));
        let mut header = [0; HEADER_LEN];
        if !read(flash, offset, &mut header) {
            return Header::Unreadable;
        }
        if header == [self.erase_value; HEADER_LEN] {
            return Header::Blank;
        }
        let position = u32_at(&header, 4);
        let belongs = header.starts_with(&[MAGIC, zeros(position)])
            && self.in_range(position)
            && self.cell_offset(position) == offset;
        if belongs { Header::Cell { position } } else { Header::Garbage }
    }

    /// Reads the header of every cell, in the order of flash.
    pub(super) fn for_each_header<F: FlashRead>(
        &self,
        flash: &mut F,
        mut visit: impl FnMut(&mut F, Header),
    ) {
        for sector in 0..self.sectors {
            for index in 0..self.cells {
                let header = self.header(flash, sector, index);
                visit(flash, header);
            }
        }
    }

    /// Reads the body of the cell at `position`.
    pub(super) fn body<F: FlashRead>(&self, flash: &mut F, position: u32) -> Body {
        let mut cell = [0; HEADER_LEN + round_up(len32(MAX_BODY + CRC_LEN), 4) as usize];
        let offset = self.cell_offset(position);
        let (header, body) = cell.split_at_mut(HEADER_LEN);
        let mut damaged = !read(flash, offset, header);
        let length = usize::from(u8_at(header, 3));
        let format = u8_at(header, 2);
        let fields_len = length.saturating_sub(CRC_LEN);
        let padded = round_up(len32(length), 4) as usize;
        let Some(body) = body.get_mut(..padded) else { return Body::Damaged };
        damaged |= !read(flash, offset.saturating_add(self.header_size()), body);
        let stored = u32_at(body, fields_len);
        let mut crc = crate::crc::Crc32::new();
        crc.update(header);
        crc.update(crate::bytes::head(body, fields_len));
        if damaged || format < FORMAT || crc.value() != stored {
            return Body::Damaged;
        }
        match Record::parse(crate::bytes::head(body, fields_len), self.slots) {
            Ok(record) => Body::Valid { record, format },
            Err(super::Invalid) => Body::Damaged,
        }
    }

    /// Whether the cell at `position` is sealed.
    pub(super) fn sealed<F: FlashRead>(&self, flash: &mut F, position: u32) -> bool {
        let mut seal = [0; SEAL.len()];
        read(flash, self.seal_offset(position), &mut seal) && seal == SEAL
    }
}

/// The check of a position: its zero bits, counted (a Berger code). A torn program only takes bits one
/// way and a torn erase only the other, so neither can turn a header into that of another position:
/// the count in the header and the zeros would have to move in opposite directions.
fn zeros(position: u32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 32")]
    let zeros = position.count_zeros() as u8;
    ZEROS | zeros
}

/// Reads record bytes, with retries. False: unreadable.
pub(super) fn read<F: FlashRead>(flash: &mut F, offset: u32, bytes: &mut [u8]) -> bool {
    (0..READ_TRIES).any(|_| flash.read(Region::Record, offset, bytes).is_ok())
}
