//! Cells and descriptors whose CRC is right and whose values are absurd, made by hand from the
//! format documents: a forger's, another program's, or those of a later format.

mod common;

use common::cells::{self, Cell, Descriptor, Fields, Grid};
use common::device::{Device, image};
use ota_core::record::{Content, Reason, inspect};
use ota_core::{BootPlan, ChangeError, OpenError, RecoverReason, Refused, StageError};
use ota_sim::factory::Image;
use ota_sim::flash::SimFlash;
use ota_sim::layout::Board;
use ota_sim::nor::Nor;
use proptest::prelude::*;

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
    Grid::new(&device.nor.shape(), device.board.layout().record.size, 2)
}

/// The CRC-32 that each slot's descriptor has.
fn descriptor_crcs(device: &Device) -> [u32; 2] {
    [0, 1].map(|slot| Descriptor::peek(&device.nor, device.descriptor_address(slot)).crc())
}

#[track_caller]
fn assert_boots_as(device: &mut Device, before: &BootPlan) {
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.record), (before.slot, before.record));
    assert!(device.holds(plan.slot, &images()[usize::from(plan.slot)]));
}

/// Values that no record has, each alone in fields that are right otherwise.
fn absurd(good: &Fields) -> Vec<(&'static str, Fields)> {
    let with = |name, change: fn(&mut Fields)| {
        let mut fields = good.clone();
        change(&mut fields);
        (name, fields)
    };
    vec![
        with("active slot 2 of 2", |f| f.active = 2),
        with("active slot 255", |f| f.active = 255),
        with("revert slot 2", |f| f.revert = 2),
        with("revert slot 255", |f| f.revert = 255),
        with("booted slot 2", |f| f.booted = 2),
        with("stage slot 254", |f| f.stage_slot = 254),
        with("reason 9", |f| f.reason = 9),
        with("state 3", |f| f.slots[0].0 = 3),
        with("state 255", |f| f.slots[1].0 = 255),
        with("three slots", |f| {
            f.slot_count = 3;
            f.slots.push((0, 0));
        }),
        with("one slot", |f| {
            f.slot_count = 1;
            f.slots.pop();
        }),
        with("three slots in the bytes of two", |f| f.slot_count = 3),
        with("no slots at all", |f| f.slot_count = 0),
    ]
}

/// The fields in force: those that a forger would copy.
fn in_force(device: &Device) -> Fields {
    let [first, second] = descriptor_crcs(device);
    Fields { revert: 0, reason: 1, commit_timeout_s: 300, ..Fields::settled(1, &[first, second]) }
}

#[test]
fn a_cell_with_absurd_values_and_a_right_crc_is_skipped() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let next = grid.newest(&device.nor) + 1;
    assert_eq!(grid.fields(&device.nor, next - 1), in_force(&device).bytes());
    for (what, fields) in absurd(&in_force(&device)) {
        for position in [next, grid.cells] {
            let mut copy = device.clone();
            grid.poke(&mut copy.nor, &Cell::v1(position, &fields));
            let plan = copy.boot().unwrap();
            assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{what}");
            assert!(plan.durable, "{what}: something claims a position, and is outranked");
            let newest = grid.newest(&copy.nor);
            assert!(newest >= position, "{what}");
            assert_eq!(grid.fields(&copy.nor, newest), in_force(&device).bytes(), "{what}");
            assert_boots_as(&mut copy, &before);
            copy.app(|app| app.set_note([7; 16])).unwrap();
        }
    }
}

/// A control: with values that are right, the same cell is believed.
#[test]
fn a_cell_with_right_values_in_the_same_place_is_in_force() {
    let device = settled();
    let grid = grid(&device);
    for position in [grid.newest(&device.nor) + 1, grid.cells] {
        let mut copy = device.clone();
        let fields = Fields { note: [9; 16], ..in_force(&device) };
        grid.poke(&mut copy.nor, &Cell::v1(position, &fields));
        assert_eq!(copy.boot().unwrap().record.note(), [9; 16]);
    }
}

#[test]
fn a_cell_of_absurd_length_or_format_is_skipped() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let fields = Fields { note: [9; 16], ..in_force(&device) }.bytes();
    for format in [0, 1] {
        for len in [0, 1, 49, 59, 60] {
            let mut copy = device.clone();
            let fields = fields[..len].to_vec();
            let cell = Cell { format, position, fields, sealed: true };
            grid.poke(&mut copy.nor, &cell);
            let believed = copy.boot().unwrap().record != before.record;
            assert_eq!(believed, format == 1 && len == 60, "format {format}, {len} bytes");
        }
    }
    // A length that leads out of the cell, and no CRC that could be right.
    for length in 0..=255 {
        let mut copy = device.clone();
        copy.nor.poke(grid.offset(position), &cells::header(1, length, position));
        assert_boots_as(&mut copy, &before);
    }
}

#[test]
fn a_cell_that_was_copied_to_another_place_is_no_cell() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let fields = Fields { note: [9; 16], ..in_force(&device) };
    for elsewhere in [grid.offset(position + 1), grid.sector_size, grid.offset(position) + 4] {
        let mut copy = device.clone();
        grid.poke_at(&mut copy.nor, elsewhere, &Cell::v1(position, &fields));
        assert_boots_as(&mut copy, &before);
    }
}

#[test]
fn a_record_cannot_bless_an_image_that_its_descriptor_does_not_describe() {
    let device = settled();
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let crcs = descriptor_crcs(&device);
    // The image of slot 1 is damaged, and the record says that all is well, in many ways.
    for trials_left in [0, 1, 255] {
        for flags in [cells::COMMITTED, 0, cells::NEW_IMAGE, 0xFF] {
            for crc in [crcs[0], crcs[1], 0] {
                let mut copy = device.clone();
                copy.nor.flip(copy.app_address(1) + 100, 3);
                let slots = vec![(cells::BOOTABLE, crcs[0]), (cells::BOOTABLE, crc)];
                let fields = Fields { flags, trials_left, slots, ..in_force(&device) };
                grid.poke(&mut copy.nor, &Cell::v1(position, &fields));
                let plan = copy.boot().unwrap();
                assert_eq!(plan.slot, 0);
                assert!(copy.holds(0, &images()[0]) && plan.record.committed());
            }
        }
    }
}

/// Puts a descriptor into slot 1, and a record that names it.
fn with_descriptor(change: impl FnOnce(Descriptor) -> Descriptor) -> Device {
    let mut device = settled();
    let at = device.descriptor_address(1);
    let descriptor = change(Descriptor::peek(&device.nor, at));
    descriptor.poke(&mut device.nor, at);
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let fields = in_force(&device);
    assert_eq!(fields.slots[1].1, descriptor.crc());
    grid.poke(&mut device.nor, &Cell::v1(position, &fields));
    device
}

#[test]
fn a_descriptor_with_an_absurd_length_and_a_right_crc_is_not_booted() {
    // A control: with its own length the same descriptor boots.
    assert_eq!(with_descriptor(|same| same).boot().unwrap().slot, 1);
    for len in [0, 1, 2040, 2042, 4096, 4097, 0x7FFF_FFFF, 0x8000_0000, u32::MAX - 3, u32::MAX] {
        let mut device = with_descriptor(|was| was.with(16, &len.to_le_bytes()));
        let plan = device.boot().unwrap();
        assert_eq!((plan.slot, plan.record.reason()), (0, Reason::VerifyFailed), "{len}");
        assert!(device.holds(0, &images()[0]));
        device.update_to(&image("3.0.0", 3000));
    }
}

#[test]
fn an_application_that_reaches_into_its_descriptor_is_not_booted() {
    for (more, boots) in [(0, 1), (4, 0)] {
        let mut device = settled();
        let (start, room) = (device.app_address(1), device.board.app_room());
        let app = image("full", room as usize).app;
        device.nor.poke(start, &app);
        // The bytes that the length covers have the CRC-32 that the descriptor gives.
        let crc = cells::crc32(&[&app[..], &b"OTAD"[..more]].concat()).to_le_bytes();
        let was = Descriptor::peek(&device.nor, start + room);
        let forged = was.with(16, &(room + more as u32).to_le_bytes()).with(20, &crc);
        forged.poke(&mut device.nor, start + room);
        let grid = grid(&device);
        let position = grid.newest(&device.nor) + 1;
        let fields = in_force(&device);
        grid.poke(&mut device.nor, &Cell::v1(position, &fields));
        assert_eq!(device.boot().unwrap().slot, boots, "{more} bytes too many");
    }
}

#[test]
fn a_whole_image_that_the_record_does_not_name_is_not_booted() {
    let mut device = settled();
    let other = image("9.9.9", 2041);
    let (start, at) = (device.app_address(1), device.descriptor_address(1));
    device.nor.poke(start, &other.app);
    device.nor.poke(at, other.descriptor().as_bytes());
    let plan = device.clone().boot().unwrap();
    assert_eq!((plan.slot, plan.record.reason()), (0, Reason::VerifyFailed));
    // Named by a record, it is.
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let fields = in_force(&device);
    grid.poke(&mut device.nor, &Cell::v1(position, &fields));
    assert_eq!(device.boot().unwrap().slot, 1);
}

#[test]
fn a_descriptor_of_another_format_length_or_magic_is_not_booted() {
    for (at, value) in
        [(0, b"OTAX".as_slice()), (4, &[0]), (4, &[2]), (6, &[0x7F, 1]), (6, &[0, 0])]
    {
        let mut device = with_descriptor(|was| was.with(at, value));
        assert_eq!(device.boot().unwrap().slot, 0, "{at}: {value:02x?}");
    }
}

#[test]
fn an_image_that_is_bound_to_another_slot_is_not_booted() {
    for (mask, slot) in [(0x02, 1), (0xFF, 1), (0x82, 1), (0x01, 0), (0x00, 0), (0x80, 0)] {
        let mut device = with_descriptor(|was| was.with(5, &[mask]));
        assert_eq!(device.boot().unwrap().slot, slot, "{mask:#04x}");
    }
}

#[test]
fn an_absurd_data_length_does_not_stop_the_application_and_is_not_copied() {
    let mut device = with_descriptor(|was| was.with(24, &u32::MAX.to_le_bytes()));
    let plan = device.boot().unwrap();
    assert_eq!(plan.slot, 1, "the loader does not look at data");
    let error = device.app(|app| app.begin_snapshot(false, None)).unwrap_err();
    assert_eq!(error, StageError::TooBig { part: "data", size: u32::MAX, room: 0 });
}

#[test]
fn texts_that_are_no_utf_8_are_empty_and_harmless() {
    let mut device = with_descriptor(|was| was.with(96, &[0xFF; 32]).with(128, &[0x80; 64]));
    assert_eq!(device.boot().unwrap().slot, 1);
    let info = device.app(|app| app.running_image()).unwrap();
    assert_eq!((info.version(), info.build_id(), info.platform()), ("", "", "sim"));
}

#[test]
fn the_last_position_of_all_is_in_force_and_nothing_follows_it() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let last = 0x7FFF_FFFF;
    let mut copy = device.clone();
    let fields = Fields { note: [9; 16], ..in_force(&device) };
    grid.poke(&mut copy.nor, &Cell::v1(last - 1, &fields));
    grid.poke(&mut copy.nor, &Cell::v1(last, &fields));
    // Settled and backed up: an ordinary boot, for ever.
    let plan = copy.boot().unwrap();
    assert_eq!((plan.slot, plan.durable, plan.record.note()), (before.slot, true, [9; 16]));
    // No change can be made, and that is said.
    let error = copy.app(|app| app.set_note([1; 16])).unwrap_err();
    assert_eq!(error, ChangeError::RecordNotWritten);
    let plan = copy.boot().unwrap();
    assert_eq!((plan.slot, plan.record.note()), (before.slot, [9; 16]));
    // What is wanted does not verify, and that cannot be noted: the other image runs all the same.
    copy.nor.flip(copy.app_address(1), 0);
    let plan = copy.boot().unwrap();
    assert_eq!((plan.slot, plan.durable, plan.needs_watchdog), (0, false, false));
}

#[test]
fn an_image_on_trial_is_not_run_where_the_trial_cannot_be_counted() {
    let device = settled();
    let grid = grid(&device);
    let mut copy = device.clone();
    let fields = Fields { flags: cells::NEW_IMAGE, trials_left: 3, ..in_force(&device) };
    grid.poke(&mut copy.nor, &Cell::v1(0x7FFF_FFFF, &fields));
    for _ in 0..3 {
        let plan = copy.boot().unwrap();
        assert_eq!((plan.slot, plan.durable, plan.needs_watchdog), (0, false, false));
    }
}

#[test]
fn positions_from_the_limit_on_are_garbage() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let fields = Fields { note: [9; 16], ..in_force(&device) };
    let place = grid.newest(&device.nor) + 1;
    let round = grid.cells * grid.sectors;
    // The first position of that place at and above the limit, and the last of all.
    let first = (0x8000_0000 - place).div_ceil(round) * round + place;
    let last = (u32::MAX - place) / round * round + place;
    for position in [first, first + round, last] {
        assert_eq!(grid.offset(position), grid.offset(place));
        let mut copy = device.clone();
        grid.poke(&mut copy.nor, &Cell::v1(position, &fields));
        let ops = copy.nor.ops();
        assert_boots_as(&mut copy, &before);
        assert_eq!(copy.nor.ops(), ops, "nothing is claimed, nothing is healed");
    }
    // A control: one round lower it is in force.
    let mut copy = device.clone();
    grid.poke(&mut copy.nor, &Cell::v1(first - round, &fields));
    assert_eq!(copy.boot().unwrap().record.note(), [9; 16]);
}

/// A header may claim anything after a torn program; only what an append could have reached counts.
#[test]
fn a_header_that_claims_a_position_out_of_reach_is_ignored() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    let newest = grid.newest(&device.nor);
    for (sector, index) in [(0, newest + 1), (0, grid.cells - 1), (1, 0), (1, grid.cells - 1)] {
        let near = sector * grid.cells + index;
        for (position, claimed) in [(near, true), (grid.last_position(sector, index), false)] {
            let mut copy = device.clone();
            let header = Cell::v1(position, &in_force(&device));
            grid.poke(&mut copy.nor, &header);
            // A torn body: nothing but the header is left.
            let body = grid.body_offset(position);
            copy.nor.poke(body, &vec![0; grid.body_room as usize]);
            let ops = copy.nor.ops();
            assert_boots_as(&mut copy, &before);
            assert_eq!(copy.nor.ops() > ops, claimed, "{position}");
            copy.app(|app| app.set_note([3; 16])).unwrap();
            assert_eq!(copy.boot().unwrap().record.note(), [3; 16]);
        }
    }
}

/// Without a record in force, a header at the end of all positions stops the log. The device boots;
/// it is a programmer's work to erase the region.
#[test]
fn a_lost_record_below_the_last_position_still_boots() {
    let mut device = settled();
    let grid = grid(&device);
    device.nor.poke(0, &[0xFF; 8192]);
    // In the last generation that there is.
    let position = grid.last_position(0, 0);
    assert!(position + grid.cells > 0x7FFF_FFFF);
    device.nor.poke(grid.offset(position), &cells::header(1, 64, position));
    for _ in 0..2 {
        let plan = device.boot().unwrap();
        assert_eq!((plan.slot, plan.durable), (0, false));
        assert!(device.holds(0, &images()[0]));
    }
    assert_eq!(device.try_app(|_| ()).unwrap_err(), OpenError::NoRecord);
}

#[test]
fn a_forged_counter_refuses_old_images_and_is_told() {
    let mut device = settled();
    let grid = grid(&device);
    let position = grid.newest(&device.nor) + 1;
    let fields = Fields { security_counter: u32::MAX, ..in_force(&device) };
    grid.poke(&mut device.nor, &Cell::v1(position, &fields));
    assert_eq!(device.boot().unwrap_err(), RecoverReason::NoBootableImage);
    let error = device.app(|app| app.revert()).unwrap_err();
    let expected = Refused::BelowCounter { found: 0, needed: u32::MAX };
    assert_eq!(error, ChangeError::Refused(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// A cut program moves bits away from the erase value, a cut erase towards it: neither turns a
    /// header into one that claims another position.
    #[test]
    fn no_cut_turns_a_header_into_that_of_another_position(
        position in prop_oneof![0..400u32, 0..0x8000_0000u32],
        mask in any::<u64>(),
        sparse in any::<[u64; 2]>(),
        rises in any::<bool>(),
    ) {
        let board: Board = BOARD.parse().unwrap();
        let mut nor = Nor::new(board.part());
        let grid = Grid::new(&nor.shape(), 8192, 2);
        let header = cells::header(1, 64, position);
        for mask in [mask, mask & sparse[0] & sparse[1], 1 << (mask % 64)] {
            let whole = u64::from_le_bytes(header);
            let torn = if rises { whole | mask } else { whole & !mask };
            nor.poke(grid.offset(position), &torn.to_le_bytes());
            let mut map = SimFlash::new(&mut nor, &board).unwrap();
            inspect(&mut map, |cell| match cell.content {
                Content::Damaged { position: found } => assert_eq!(found, position),
                Content::Whole { .. } => panic!("there is no body"),
                Content::Blank | Content::Garbage | Content::Unreadable => {}
            })
            .unwrap();
        }
    }
}
