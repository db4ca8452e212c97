//! Hostile boot records.

use ota_core::crc::crc32;
use ota_core::flash::{Geometry, Region};
use ota_core::record::{Log, Newest, Record, inspect};
use ota_core::{BootOptions, Config, OpenError, Updater, boot};

use crate::input::Input;
use crate::memory::{Memory, descriptor};

const SECTOR: u32 = 512;

/// Fields of any bytes, or a whole record region of any bytes whose cells are repaired as the input
/// says: what is in force is what the format document says, and boots or is refused.
pub fn record_decode(data: &[u8]) {
    let mut input = Input(data);
    let slots = 2 + input.byte() % 7;
    match input.byte() % 2 {
        0 => fields(slots, input.rest()),
        _ => region(slots, input),
    }
}

fn fields(slots: u8, bytes: &[u8]) {
    let found = Record::parse(bytes, slots);
    assert_eq!(found.is_ok(), makes_sense(bytes, slots));
    let Ok(record) = found else { return };
    let len = fields_len(slots);
    assert_eq!(record.as_bytes(), &bytes[..len]);
    assert_eq!(Record::parse(record.as_bytes(), slots), Ok(record));
    assert!(record.active() < slots && record.revert() < slots);
    assert!(record.stage_slot().is_none_or(|slot| slot < slots));
}

fn fields_len(slots: u8) -> usize {
    50 + 5 * usize::from(slots)
}

/// Section 3 of the document, "a body is a record only if".
fn makes_sense(bytes: &[u8], slots: u8) -> bool {
    let Some(bytes) = bytes.get(..fields_len(slots)) else { return false };
    let slot = |at: usize| bytes[at] < slots;
    let states = bytes[50..].iter().step_by(5);
    bytes[1] == slots
        && slot(2)
        && slot(3)
        && (slot(4) || bytes[4] == 0xFF)
        && (slot(13) || bytes[13] == 0xFF)
        && bytes[12] <= 8
        && states.into_iter().all(|state| *state & 0x3F <= 2)
}

/// A valid cell; the one that counts is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    position: u32,
    format: u8,
    sealed: bool,
    understood: bool,
}

/// How cells lie, by the document.
struct Grid {
    slots: u8,
    unit: u32,
    stride: u32,
    cells: u32,
    sectors: u32,
}

impl Grid {
    fn new(slots: u8, write_size: u32, sectors: u32) -> Self {
        let unit = write_size.max(4);
        let body = (fields_len(slots) as u32 + 4 + 16).next_multiple_of(unit);
        let stride = 8u32.next_multiple_of(unit) + body + unit;
        Self { slots, unit, stride, cells: SECTOR / stride, sectors }
    }

    fn offset(&self, sector: u32, index: u32) -> usize {
        (sector * SECTOR + index * self.stride) as usize
    }

    fn body(&self) -> usize {
        8usize.next_multiple_of(self.unit as usize)
    }

    /// What the cell at a place holds, if it is valid.
    fn valid(&self, region: &[u8], sector: u32, index: u32) -> Option<Found> {
        let cell = &region[self.offset(sector, index)..];
        let (header, format, length) = (&cell[..8], cell[2], usize::from(cell[3]));
        let position = u32::from_le_bytes(cell[4..8].try_into().unwrap());
        let place = position / self.cells % self.sectors * self.cells + position % self.cells;
        let belongs = header.starts_with(&[b'O', check(position)])
            && position < 1 << 31
            && place == sector * self.cells + index;
        let fields = cell.get(self.body()..)?.get(..length.checked_sub(4)?)?;
        let crc = cell.get(self.body() + fields.len()..)?.first_chunk()?;
        let understood = makes_sense(fields, self.slots);
        // 8 slots, CRC and spare bytes, in whole words, are the most that a reader takes. A later
        // format is in force whether its values make sense or not.
        let sound = belongs
            && format >= 1
            && length <= 112
            && crc32(&[header, fields].concat()).to_le_bytes() == *crc
            && (format > 1 || understood);
        let sealed = cell[(self.stride - self.unit) as usize..].starts_with(b"SEAL");
        sound.then_some(Found { position, format, sealed, understood })
    }

    fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        let cells = self.cells;
        (0..self.sectors).flat_map(move |sector| (0..cells).map(move |index| (sector, index)))
    }
}

fn region(slots: u8, mut input: Input<'_>) {
    let write_size = input.pick(&[1, 4, 8, 16, 32]);
    let sectors = 2 + u32::from(input.byte() % 3);
    let erase_value = input.pick(&[0xFF, 0x00]);
    let size = sectors * SECTOR;
    let geometry = Geometry { size, sector_size: SECTOR, write_size, erase_value };
    let grid = Grid::new(slots, write_size, sectors);
    let mut flash = Memory::new(slots, geometry);
    let damaged = input.byte();
    for (slot, bit) in [(0, 1), (1, 2)] {
        if damaged & bit != 0 {
            flash.region(Region::App(slot))[usize::from(input.byte())] ^= 0x40;
        }
    }
    for (sector, index) in grid.places() {
        let control = input.byte();
        if control != 0 {
            let at = grid.offset(sector, index);
            let cell = &mut flash.region(Region::Record)[at..][..grid.stride as usize];
            make_cell(cell, &grid, sector * grid.cells + index, control, &mut input);
        }
    }
    prove(&mut flash, &grid, damaged);
}

/// A cell of any bytes, repaired bit by bit of `control`.
fn make_cell(cell: &mut [u8], grid: &Grid, place: u32, control: u8, input: &mut Input<'_>) {
    let has = |bit: u8| control & 1 << bit != 0;
    let fields_len = fields_len(grid.slots);
    let spare = usize::from(input.byte() % 17);
    let mut fields = input.bytes(fields_len + spare);
    if has(0) {
        // Values that make sense, for images that are there.
        fields[1] = grid.slots;
        for at in [2, 3, 4] {
            fields[at] %= grid.slots;
        }
        fields[12] %= 9;
        fields[13] = 0xFF;
        fields[27..31].fill(0);
        for slot in 0..grid.slots {
            let at = 50 + 5 * usize::from(slot);
            fields[at] %= 3;
            if slot < 2 && has(1) {
                fields[at] = 2;
                fields[at + 1..at + 5].copy_from_slice(&descriptor(slot).crc().to_le_bytes());
            }
        }
    }
    let round = grid.cells * grid.sectors;
    let generation = if has(2) { u32::from(input.byte() % 4) } else { input.word() };
    let position = generation.wrapping_mul(round).wrapping_add(place);
    let format = if has(3) { 1 } else { input.byte() };
    let length = if has(4) { fields.len() as u8 + 4 } else { input.byte() };
    let mut header = [b'O', check(position), format, length, 0, 0, 0, 0];
    if has(7) {
        header[1] = input.byte();
    }
    header[4..].copy_from_slice(&position.to_le_bytes());
    let crc = if has(5) { crc32(&[&header[..], &fields].concat()) } else { input.word() };
    let body = grid.body();
    cell[..8].copy_from_slice(&header);
    cell[body..][..fields.len()].copy_from_slice(&fields);
    cell[body + fields.len()..][..4].copy_from_slice(&crc.to_le_bytes());
    if has(6) {
        let seal = cell.len() - grid.unit as usize;
        cell[seal..][..4].copy_from_slice(b"SEAL");
    }
}

/// The check of a position: how many of its bits are zero.
fn check(position: u32) -> u8 {
    64 + position.count_zeros() as u8
}

fn prove(flash: &mut Memory, grid: &Grid, damaged: u8) {
    let region = flash.region(Region::Record).clone();
    let in_force = grid.places().filter_map(|place| grid.valid(&region, place.0, place.1)).max();
    let log = Log::open(flash).unwrap();
    let newest = log.newest.map(|newest| {
        let Newest { position, format, sealed, understood, .. } = newest;
        Found { position, format, sealed, understood }
    });
    assert_eq!(newest, in_force, "the record in force");
    let shape = inspect(flash, |_| {}).unwrap();
    assert_eq!((shape.sectors, shape.cells), (grid.sectors, grid.cells));

    let later = in_force.is_some_and(|found| found.format > 1);
    let mut last = None;
    for _ in 0..3 {
        flash.refuel();
        let Ok(plan) = boot(flash, &BootOptions::default(), &mut [0; 64]) else { break };
        assert!(plan.slot < 2 && damaged & 1 << plan.slot == 0, "a whole image");
        assert_eq!(plan.record.booted(), plan.slot);
        assert!(plan.durable || plan.record.committed());
        assert!(!later || !plan.durable, "a later format is left alone");
        if plan.durable {
            let log = Log::open(flash).unwrap();
            // Not `healthy`: a forged header out of reach of the record before may claim a position now.
            let newest = log.newest.expect("a record was written");
            assert!(newest.sealed && newest.record == plan.record);
        }
        let state = (plan.slot, plan.record);
        // A forger's committed record with trials left has them counted down all the same.
        let settled = last.is_some_and(|(_, record): (u8, Record)| {
            record.committed() && record.trials_left() == 0
        });
        assert!(!settled || last == Some(state), "the same again");
        last = Some(state);
    }
    if later {
        assert_eq!(*flash.region(Region::Record), region);
    }
    if !in_force.is_some_and(|found| found.understood) {
        let whole = [1, 2].iter().position(|bit| damaged & bit == 0);
        assert_eq!(last.map(|(slot, _)| usize::from(slot)), whole, "found by its descriptor");
    }
    open(flash, later);
}

/// The application's engine opens, or says why not.
fn open(flash: &mut Memory, later: bool) {
    flash.refuel();
    let mut buffer = [0; 512];
    match Updater::open(flash, Config::new("fuzz"), &mut buffer, 0) {
        Ok(mut app) => {
            assert!(!later);
            let note = [0xA5; 16];
            if app.set_note(note).is_ok() {
                assert_eq!(app.boot_state().note, note);
            }
        }
        Err(OpenError::NewerFormat { .. }) => assert!(later),
        Err(OpenError::NoRecord) => {}
        Err(error) => panic!("{error}"),
    }
}
