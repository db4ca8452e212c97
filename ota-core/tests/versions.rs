//! Loaders stay for ten years, applications come newer: an old loader meets a record of a later
//! format, and an old application meets a later loader. See "Versions" in
//! `docs/format/boot-record.md`.

mod common;

use common::cells::{self, Cell, Descriptor, Fields, Grid};
use common::device::{Device, image};
use ota_core::OpenError;
use ota_core::record::Reason;
use ota_sim::factory::Image;
use ota_sim::layout::Board;

const BOARD: &str = "sim:app=4K,data=0";

fn images() -> [Image; 2] {
    [image("1.0.0", 2048), image("2.0.0", 2041)]
}

/// Slot 1 was committed and runs; slot 0 is what to revert to.
fn settled() -> Device {
    let [old, new] = images();
    Device::updated(BOARD, &old, &new)
}

fn grid(device: &Device) -> Grid {
    let layout = device.board.layout();
    Grid::new(&device.nor.shape(), layout.record.size, layout.slots.len() as u8)
}

/// What a format-1 application would write now, in slot 1.
fn fields(device: &Device) -> Fields {
    let crc = |slot| Descriptor::peek(&device.nor, device.descriptor_address(slot)).crc();
    Fields { revert: 0, reason: 1, ..Fields::settled(1, &[crc(0), crc(1)]) }
}

/// A cell as a later application might write it: two more fields, a number and a byte, behind those
/// of format 1.
fn later(format: u8, position: u32, fields: &Fields) -> Cell {
    let more = [0x78, 0x56, 0x34, 0x12, 0xA5];
    Cell { format, position, fields: [&fields.bytes()[..], &more].concat(), sealed: true }
}

/// Puts a cell of format 2 behind the record in force.
fn with_later(fields: impl FnOnce(Fields) -> Fields) -> Device {
    let mut device = settled();
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let cell = later(2, position, &fields(self::fields(&device)));
    grid.poke(&mut device.nor, &cell);
    device
}

/// Boots twice and changes nothing: the slot.
#[track_caller]
fn boots_read_only(device: &mut Device, what: &str) -> u8 {
    let (bytes, ops) = (device.nor.bytes().to_vec(), device.nor.ops());
    let plan = device.boot().unwrap();
    let again = device.boot().unwrap();
    assert_eq!((again.slot, again.record), (plan.slot, plan.record), "{what}");
    assert!(!plan.durable && !plan.needs_watchdog, "{what}");
    assert_eq!((device.nor.bytes(), device.nor.ops()), (&bytes[..], ops), "{what}");
    assert!(device.holds(plan.slot, &images()[usize::from(plan.slot)]), "{what}");
    plan.slot
}

#[test]
fn an_old_loader_boots_the_committed_image_of_a_later_record_and_writes_nothing() {
    let mut device = with_later(|fields| Fields { note: [9; 16], ..fields });
    assert_eq!(boots_read_only(&mut device, "committed"), 1);
    let plan = device.boot().unwrap();
    assert_eq!(plan.record.note(), [9; 16], "the fields of format 1 are understood");
    assert_eq!(plan.record.as_bytes().len(), 60);

    // Of the other slot just as well.
    let to_slot_0 = |fields| Fields { active: 0, booted: 1, reason: 7, ..fields };
    assert_eq!(boots_read_only(&mut with_later(to_slot_0), "chosen anew"), 0);
}

#[test]
fn an_old_loader_runs_no_uncommitted_image_of_a_later_record() {
    let on_trial = |fields| Fields { flags: cells::NEW_IMAGE, trials_left: 3, ..fields };
    assert_eq!(boots_read_only(&mut with_later(on_trial), "on trial"), 0);
}

#[test]
fn an_old_loader_falls_back_from_a_damaged_image_of_a_later_record() {
    for slot in [0, 1] {
        let mut device = with_later(|fields| fields);
        device.nor.flip(device.app_address(slot), 0);
        assert_eq!(boots_read_only(&mut device, "damaged"), 1 - slot);
    }
}

#[test]
fn an_old_loader_does_not_heal_a_later_record() {
    for (seal, header_behind) in [(false, false), (true, true), (false, true)] {
        let mut device = settled();
        let grid = grid(&device);
        let position = grid.newest(&device.nor) + 1;
        let cell = Cell { sealed: seal, ..later(2, position, &fields(&device)) };
        grid.poke(&mut device.nor, &cell);
        if header_behind {
            let header = cells::header(2, 69, position + 1);
            device.nor.poke(grid.offset(position + 1), &header);
        }
        assert_eq!(boots_read_only(&mut device, "not healthy"), 1, "{seal} {header_behind}");
    }
}

#[test]
fn an_old_application_leaves_a_later_record_alone_and_says_which_format_it_has() {
    for format in 2..=255 {
        let mut device = settled();
        let grid = grid(&device);
        let position = grid.newest(&device.nor) + 1;
        let cell = later(format, position, &fields(&device));
        grid.poke(&mut device.nor, &cell);
        let (bytes, ops) = (device.nor.bytes().to_vec(), device.nor.ops());
        let error = device.try_app(|_| ()).unwrap_err();
        assert_eq!(error, OpenError::NewerFormat { found: format });
        assert!(error.to_string().contains(&format!("format {format}")), "{error}");
        assert_eq!((device.nor.bytes(), device.nor.ops()), (&bytes[..], ops));
        assert_eq!(boots_read_only(&mut device, "any later format"), 1);
    }
}

#[test]
fn a_later_record_may_use_all_of_the_spare_bytes_of_any_device() {
    for slots in 2..=8 {
        let [old, new] = images();
        let board = format!("sim:slots={slots},app=4K,data=0");
        let mut device = Device::updated(&board, &old, &new);
        let grid = grid(&device);
        let position = grid.newest(&device.nor) + 1;
        for more in 0..=16 {
            let mut copy = device.clone();
            let mut bytes = grid.fields(&device.nor, position - 1);
            bytes.extend((0..more).map(|byte| 0xC0 + byte));
            let cell = Cell { format: 2, position, fields: bytes, sealed: true };
            grid.poke(&mut copy.nor, &cell);
            let error = copy.try_app(|_| ()).unwrap_err();
            assert_eq!(error, OpenError::NewerFormat { found: 2 }, "{slots} slots, {more} bytes");
            assert_eq!(boots_read_only(&mut copy, "all spare bytes"), 1);
        }
        assert_eq!(device.boot().unwrap().slot, 1);
    }
}

#[test]
fn a_later_record_that_is_damaged_or_outranked_is_not_in_force() {
    // Damaged: the record of format 1 below it is in force, and is healed.
    let mut device = with_later(|fields| Fields { note: [9; 16], ..fields });
    let grid = grid(&device);
    let position = grid.newest(&device.nor);
    device.nor.flip(grid.body_offset(position) + 62, 0);
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.durable, plan.record.note()), (1, true, [0; 16]));
    device.app(|app| app.set_note([1; 16])).unwrap();

    // Outranked by a record of format 1, as after a loader of a later format was replaced.
    let mut device = with_later(|fields| Fields { note: [9; 16], ..fields });
    let position = grid.newest(&device.nor) + 1;
    let cell = Cell::v1(position, &fields(&device));
    grid.poke(&mut device.nor, &cell);
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.durable, plan.record.note()), (1, true, [0; 16]));
    device.app(|app| app.set_note([1; 16])).unwrap();
}

/// "A CRC-valid cell of a newer format is its own result, never skip": also where a value of a field
/// that format 1 has is one that format 1 does not know.
#[test]
fn a_later_record_with_values_unknown_to_format_1_is_not_skipped() {
    let unknown: [fn(Fields) -> Fields; 2] = [
        |fields| Fields { reason: 9, ..fields },
        |fields| Fields { slots: vec![(3, 0), fields.slots[1]], ..fields },
    ];
    for change in unknown {
        let mut device = with_later(change);
        let error = device.try_app(|_| ()).unwrap_err();
        assert_eq!(error, OpenError::NewerFormat { found: 2 });
        boots_read_only(&mut device, "unknown value");
    }
}

/// A later loader wrote the first record in format 1, and said what it knows.
#[test]
fn an_old_application_keeps_what_a_later_loader_says_it_knows() {
    for loader_format in [0, 2, 3, 255] {
        let mut device = settled();
        let grid = grid(&device);
        let position = grid.newest(&device.nor) + 1;
        let said = Fields { loader_format, ..fields(&device) };
        grid.poke(&mut device.nor, &Cell::v1(position, &said));

        let plan = device.boot().unwrap();
        assert_eq!((plan.slot, plan.durable), (1, true));
        let next = image("3.0.0", 3000);
        device.install(&next, 300).unwrap();
        assert_eq!(device.boot().unwrap().slot, 0);
        device.app(|app| app.commit()).unwrap();
        device.boot().unwrap();
        device.app(|app| app.revert()).unwrap();
        let plan = device.boot().unwrap();
        assert_eq!((plan.slot, plan.record.reason()), (1, Reason::RevertRequested));
        for written in grid.used(&device.nor).into_iter().filter(|at| *at >= position) {
            let fields = grid.fields(&device.nor, written);
            assert_eq!(fields[0], loader_format, "cell {written}");
        }
    }
}

#[test]
fn the_first_record_names_the_loaders_format_and_nothing_above_it_is_ever_written() {
    for board in ["sim:app=4K,data=0", "stm32l0:app=4K", "stm32l4:app=4K"] {
        let board: Board = board.parse().unwrap();
        let part = *board.part();
        let [old, new] = images();
        let mut device = Device::factory_on(board, &part, &old);
        device.boot().unwrap();
        let grid = grid(&device);
        assert_eq!(grid.fields(&device.nor, 0)[0], 1);
        device.update_to(&new);
        for position in grid.used(&device.nor) {
            let header = grid.offset(position);
            assert_eq!(device.nor.peek(header..header + 8), cells::header(1, 64, position));
            assert_eq!(grid.fields(&device.nor, position)[0], 1);
        }
    }
}
