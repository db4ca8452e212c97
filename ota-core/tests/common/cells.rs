//! Record cells and descriptors made by hand from `docs/format/`, without a line of the engine: what
//! a tool of somebody else, a later version or a forger would write.

use ota_sim::nor::{Nor, Shape};

/// The reserved bytes that every cell keeps behind its CRC.
const SPARE: u32 = 16;
/// `booted` and `stage_slot` of no slot.
pub(crate) const NO_SLOT: u8 = 0xFF;
/// `flags` of a committed image, and of a new one on trial.
pub(crate) const COMMITTED: u8 = 1;
pub(crate) const NEW_IMAGE: u8 = 2;
/// States of a slot.
pub(crate) const EMPTY: u8 = 0;
pub(crate) const UNPROVEN: u8 = 0x40;
pub(crate) const BOOTABLE: u8 = 2;

/// CRC-32 of ZIP, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// The fields of format 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) loader_format: u8,
    pub(crate) slot_count: u8,
    pub(crate) active: u8,
    pub(crate) revert: u8,
    pub(crate) booted: u8,
    pub(crate) flags: u8,
    pub(crate) trials_left: u8,
    pub(crate) trials_max: u8,
    pub(crate) commit_timeout_s: u32,
    pub(crate) reason: u8,
    pub(crate) stage_slot: u8,
    pub(crate) stage_part: u8,
    pub(crate) stage_source: u32,
    pub(crate) stage_stream: u32,
    pub(crate) stage_offset: u32,
    pub(crate) security_counter: u32,
    pub(crate) key_epoch: u8,
    pub(crate) swap_progress: u16,
    pub(crate) note: [u8; 16],
    /// State and descriptor CRC-32 of each slot.
    pub(crate) slots: Vec<(u8, u32)>,
}

impl Fields {
    /// A settled device: `active` runs, committed, and every slot named here is bootable.
    pub(crate) fn settled(active: u8, descriptors: &[u32]) -> Self {
        Self {
            loader_format: 1,
            slot_count: descriptors.len() as u8,
            active,
            revert: active,
            booted: active,
            flags: COMMITTED,
            trials_left: 0,
            trials_max: 1,
            commit_timeout_s: 0,
            reason: 0,
            stage_slot: NO_SLOT,
            stage_part: 0,
            stage_source: 0,
            stage_stream: 0,
            stage_offset: 0,
            security_counter: 0,
            key_epoch: 0,
            swap_progress: 0,
            note: [0; 16],
            slots: descriptors.iter().map(|crc| (BOOTABLE, *crc)).collect(),
        }
    }

    /// 50 bytes, and 5 for each slot.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.loader_format, self.slot_count, self.active, self.revert];
        bytes.extend([self.booted, self.flags, self.trials_left, self.trials_max]);
        bytes.extend(self.commit_timeout_s.to_le_bytes());
        bytes.extend([self.reason, self.stage_slot, self.stage_part]);
        for number in [self.stage_source, self.stage_stream, self.stage_offset] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.security_counter.to_le_bytes());
        bytes.push(self.key_epoch);
        bytes.extend(self.swap_progress.to_le_bytes());
        bytes.extend(self.note);
        assert_eq!(bytes.len(), 50);
        for (state, crc) in &self.slots {
            bytes.push(*state);
            bytes.extend(crc.to_le_bytes());
        }
        bytes
    }
}

/// The header of a cell: its second byte counts the zero bits of the position.
pub(crate) fn header(format: u8, length: u8, position: u32) -> [u8; 8] {
    let zeros = (0..32).filter(|bit| position >> bit & 1 == 0).count() as u8;
    let [a, b, c, d] = position.to_le_bytes();
    [b'O', 64 + zeros, format, length, a, b, c, d]
}

/// A cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) format: u8,
    pub(crate) position: u32,
    /// The fields' bytes; later formats append to them.
    pub(crate) fields: Vec<u8>,
    pub(crate) sealed: bool,
}

impl Cell {
    /// A sealed cell of format 1.
    pub(crate) fn v1(position: u32, fields: &Fields) -> Self {
        Self { format: 1, position, fields: fields.bytes(), sealed: true }
    }

    fn header(&self) -> [u8; 8] {
        header(self.format, self.fields.len() as u8 + 4, self.position)
    }

    /// Fields and CRC.
    fn body(&self) -> Vec<u8> {
        let crc = crc32(&[&self.header()[..], &self.fields].concat());
        [&self.fields[..], &crc.to_le_bytes()].concat()
    }
}

/// How cells lie in a record region at the start of a flash, by the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) unit: u32,
    pub(crate) body_room: u32,
    pub(crate) stride: u32,
    pub(crate) cells: u32,
    pub(crate) sectors: u32,
    pub(crate) sector_size: u32,
    pub(crate) erase_value: u8,
}

impl Grid {
    pub(crate) fn new(shape: &Shape, region_size: u32, slots: u8) -> Self {
        let unit = shape.write_size.max(4);
        let body_room = (50 + 5 * u32::from(slots) + 4 + SPARE).next_multiple_of(unit);
        let stride = 8u32.next_multiple_of(unit) + body_room + unit;
        Self {
            unit,
            body_room,
            stride,
            cells: (shape.sector_size / stride).min(64),
            sectors: (region_size / shape.sector_size).min(16),
            sector_size: shape.sector_size,
            erase_value: shape.erase_value,
        }
    }

    /// Where the cell of `position` begins.
    pub(crate) fn offset(&self, position: u32) -> u32 {
        let generation = position / self.cells;
        generation % self.sectors * self.sector_size + position % self.cells * self.stride
    }

    pub(crate) fn body_offset(&self, position: u32) -> u32 {
        self.offset(position) + 8u32.next_multiple_of(self.unit)
    }

    pub(crate) fn seal_offset(&self, position: u32) -> u32 {
        self.offset(position) + self.stride - self.unit
    }

    /// The highest position below the limit of 2^31 that lies in cell `index` of `sector`.
    pub(crate) fn last_position(&self, sector: u32, index: u32) -> u32 {
        let round = self.cells * self.sectors;
        let place = sector * self.cells + index;
        (0x7FFF_FFFF - place) / round * round + place
    }

    /// Puts `cell` where it belongs, past all rules of flash.
    pub(crate) fn poke(&self, nor: &mut Nor, cell: &Cell) {
        self.poke_at(nor, self.offset(cell.position), cell);
    }

    /// Puts `cell` at `offset`, wherever it belongs.
    pub(crate) fn poke_at(&self, nor: &mut Nor, offset: u32, cell: &Cell) {
        let body = cell.body();
        assert!(body.len() as u32 <= self.body_room, "more than the spare bytes hold");
        let unit = self.unit as usize;
        let mut bytes = vec![self.erase_value; self.stride as usize];
        bytes[..8].copy_from_slice(&cell.header());
        let start = 8usize.next_multiple_of(unit);
        bytes[start..][..body.len()].copy_from_slice(&body);
        if cell.sealed {
            let seal = bytes.len() - unit;
            bytes[seal..][..4].copy_from_slice(b"SEAL");
        }
        nor.poke(offset, &bytes);
    }

    /// The positions of all headers that belong where they lie, whatever is behind them.
    pub(crate) fn used(&self, nor: &Nor) -> Vec<u32> {
        let places = (0..self.sectors).flat_map(|sector| {
            (0..self.cells).map(move |index| sector * self.sector_size + index * self.stride)
        });
        let positions = places.filter_map(|offset| {
            let found = nor.peek(offset..offset + 8);
            let position = u32::from_le_bytes(found[4..].try_into().unwrap());
            let belongs = found == header(found[2], found[3], position)
                && position < 1 << 31
                && self.offset(position) == offset;
            belongs.then_some(position)
        });
        positions.collect()
    }

    /// The highest position in use.
    pub(crate) fn newest(&self, nor: &Nor) -> u32 {
        self.used(nor).into_iter().max().expect("there is a record")
    }

    /// The fields of the cell at `position`, as bytes.
    pub(crate) fn fields(&self, nor: &Nor, position: u32) -> Vec<u8> {
        let len = u32::from(nor.peek(self.offset(position)..self.offset(position) + 4)[3]) - 4;
        let start = self.body_offset(position);
        nor.peek(start..start + len).to_vec()
    }
}

/// A descriptor with any values and a right CRC.
#[derive(Clone, Debug)]
pub(crate) struct Descriptor(pub(crate) Vec<u8>);

impl Descriptor {
    /// What lies at `address`.
    pub(crate) fn peek(nor: &Nor, address: u32) -> Self {
        Self(nor.peek(address..address + 384).to_vec())
    }

    /// The same with `value` at `offset`.
    pub(crate) fn with(mut self, offset: usize, value: &[u8]) -> Self {
        self.0[offset..][..value.len()].copy_from_slice(value);
        self
    }

    /// CRC-32 of all before its last four bytes.
    pub(crate) fn crc(&self) -> u32 {
        crc32(&self.0[..380])
    }

    /// Puts it at `address` with the CRC that it should have.
    pub(crate) fn poke(&self, nor: &mut Nor, address: u32) {
        let bytes = self.clone().with(380, &self.crc().to_le_bytes());
        nor.poke(address, &bytes.0);
    }
}
