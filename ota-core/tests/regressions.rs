//! Failures of other engines that were measured or reported, each brought about here on flash that is
//! proven to be in the bad state, and then survived.
//!
//! | test | who fails, and how |
//! |---|---|
//! | `a_clean_cut_in_a_commit_...` | embassy-boot 0.7: told for ever that the update was rolled back while it runs |
//! | `a_torn_erase_of_the_record_...` | embassy-boot 0.7: swaps again by half, the image is neither |
//! | `flash_that_refuses_...` | embassy-boot 0.7: every later boot fails |
//! | `record_words_that_cannot_be_read_...` | embassy-boot 0.7: every later boot fails |
//! | `unreadable_words_in_a_slot_...` | mcuboot#2845: every later boot fails |
//! | `a_counter_...` | mcuboot#2549: the counter of an image that is not confirmed forbids the way back |
//! | `a_power_cut_anywhere_in_an_install_...` | mcuboot#1588: the image that ran is gone |

mod common;

use common::cells::{Cell, Fields, Grid};
use common::device::{Device, counted, image};
use ota_core::record::{Reason, SlotState};
use ota_core::{BootStateChange, ChangeError, Refused};
use ota_sim::factory::Image;
use ota_sim::layout::Board;
use ota_sim::nor::{Flicker, NorError, Part, PendingOp, Rule, Tear, TearBudget, Weak};

const BOARD: &str = "sim:app=4K,data=0";

/// The images that are installed in slots 0 and 1.
fn images() -> [Image; 2] {
    [image("1.0.0", 2048), image("2.0.0", 2041)]
}

/// Slot 0 runs, committed; nothing else was ever installed.
fn fresh(board: &str, change: impl FnOnce(Part) -> Part) -> Device {
    let board: Board = board.parse().unwrap();
    let part = change(*board.part());
    let mut device = Device::factory_on(board, &part, &images()[0]);
    device.boot().unwrap();
    device
}

/// Slot 1 is installed, and was not booted yet.
fn installed(board: &str, change: impl FnOnce(Part) -> Part) -> Device {
    let mut device = fresh(board, change);
    install(&mut device);
    device
}

/// Slot 1 runs on trial, with no further boot.
fn on_trial(board: &str, change: impl FnOnce(Part) -> Part) -> Device {
    let mut device = installed(board, change);
    assert!(device.boot().unwrap().needs_watchdog);
    device
}

/// A device, what is cut, and the reasons that each slot may run for afterwards.
type Cut = (Device, fn(&mut Device), [&'static [Reason]; 2]);

/// The calls that are cut: errors are what a cut looks like to them.
fn install(device: &mut Device) {
    let _ = device.install(&images()[1], 300);
}

fn commit(device: &mut Device) {
    let _ = device.app(|app| app.commit());
}

fn boot(device: &mut Device) {
    let _ = device.boot();
}

fn grid(device: &Device) -> Grid {
    Grid::new(&device.nor.shape(), device.board.layout().record.size, 2)
}

/// Adds notes until the next append begins a sector that holds older records.
fn fill_record(device: &mut Device) {
    let grid = grid(device);
    for note in 0.. {
        let next = grid.newest(&device.nor) + 1;
        if next.is_multiple_of(grid.cells) && next >= grid.cells * grid.sectors {
            return;
        }
        device.app(|app| app.set_note([note; 16])).unwrap();
    }
}

/// Boots three times: what runs is whole, the record says that it runs, and for one of `reasons` of
/// its slot. Gives the slot.
#[track_caller]
fn assert_truth(device: &mut Device, reasons: [&[Reason]; 2], what: &str) -> u8 {
    let plan = device.boot().unwrap_or_else(|error| panic!("{what}: {error:?}"));
    for _ in 0..3 {
        let state = device.app(|app| app.boot_state());
        let slot = usize::from(state.active);
        assert_eq!(state.booted, Some(state.active), "{what}");
        assert!(device.holds(state.active, &images()[slot]), "{what}");
        assert!(reasons[slot].contains(&state.reason), "{what}: {state:?}");
        if state.committed {
            assert_eq!(state.active, device.boot().unwrap().slot, "{what}");
        } else {
            // One trial was its last: what is told next is that it was rolled back.
            assert_eq!(state.trials_left, 0, "{what}");
            assert_eq!(device.boot().unwrap().record.reason(), Reason::Unconfirmed, "{what}");
        }
    }
    plan.slot
}

#[track_caller]
fn assert_later_update_works(device: &mut Device, what: &str) {
    let next = image("3.0.0", 3000);
    device.update_to(&next);
    let plan = device.boot().unwrap();
    assert!(device.holds(plan.slot, &next) && plan.record.committed(), "{what}");
}

/// What a device may say after a cut in a commit: it happened, or the image was rolled back.
const COMMIT: [&[Reason]; 2] = [&[Reason::Unconfirmed], &[Reason::Update]];
/// After a cut in an install: it happened, or nothing did.
const INSTALL: [&[Reason]; 2] = [&[Reason::Factory, Reason::Unconfirmed], &[Reason::Update]];

#[test]
fn a_clean_cut_in_a_commit_leaves_a_state_that_tells_the_truth() {
    for full in [false, true] {
        let mut device = on_trial(BOARD, |part| part);
        if full {
            fill_record(&mut device);
        }
        let before = grid(&device).newest(&device.nor);
        let budget = TearBudget { seeds: 0, percents: &[], ..TearBudget::BRIEF };
        let cuts = device.cuts(&budget, commit);
        let cuts = cuts.into_iter().filter(|(.., tear)| matches!(tear, Tear::None | Tear::Whole));
        let mut outcomes = Vec::new();
        for (number, op, tear) in cuts {
            let what = format!("full {full}, {op}, {tear}");
            let mut copy = device.clone();
            copy.cut(number, tear, commit);
            if tear == Tear::Whole && number < 3 {
                assert_half_committed(&copy, before, &what);
            }
            copy.nor.power_on_as(Flicker::Kept);
            outcomes.push(assert_truth(&mut copy, COMMIT, &what));
            assert_later_update_works(&mut copy, &what);
        }
        // Before and after each of four operations: the erase or the header; the header or the first
        // page of the body; the rest of the body; the seal. With the body it has happened.
        assert_eq!(outcomes, [0, 0, 0, 0, 0, 1, 1, 1], "full {full}");
    }
}

/// The commit has begun and is not complete: its sector was erased, or its cell has no seal.
#[track_caller]
fn assert_half_committed(device: &Device, before: u32, what: &str) {
    let grid = grid(device);
    let (next, seal) = (grid.offset(before + 1), grid.seal_offset(before + 1));
    assert_ne!(device.nor.peek(seal..seal + 4), b"SEAL", "{what}");
    let header = grid.used(&device.nor).contains(&(before + 1));
    let erased = next.is_multiple_of(4096) && device.nor.is_blank(next..next + 4096);
    assert!(header || erased, "{what}");
}

#[test]
fn a_torn_erase_of_the_record_sector_costs_no_image_and_no_truth() {
    let mut device = on_trial(BOARD, |part| part).with_weak(Weak::PerBoot);
    fill_record(&mut device);
    let next = grid(&device).offset(grid(&device).newest(&device.nor) + 1);
    let range = next..next + 4096;
    let sector = device.nor.peek(range.clone()).to_vec();
    assert!(sector.starts_with(b"O"), "the sector that is erased holds older records");
    let words = (0..3000).map(|seed| Tear::Units { seed });
    let bits =
        (0..500).map(|seed| Tear::Bits { percent: [10, 50, 90, 99][seed as usize % 4], seed });
    let halves = [Tear::Head, Tear::Tail, Tear::AllButFirst, Tear::Zeros];
    for (roll, tear) in (0..).zip(words.chain(bits).chain(halves)) {
        let mut copy = device.clone();
        copy.cut(0, tear, commit);
        let torn = copy.nor.peek(range.clone());
        assert!(torn != sector && !copy.nor.is_blank(range.clone()), "{tear}: half erased");
        copy.nor.power_on(roll);
        let slot = assert_truth(&mut copy, COMMIT, &tear.to_string());
        assert_eq!(slot, 0, "{tear}: the commit never began");
        if roll % 50 == 0 {
            assert_later_update_works(&mut copy, &tear.to_string());
        }
    }
}

#[test]
fn flash_that_refuses_a_second_program_never_stops_a_boot() {
    let once = |part: Part| part.with_rule(Rule::Never, false);
    let bodies: [Cut; 4] = [
        (fresh(BOARD, once), install, INSTALL),
        (installed(BOARD, once), boot, INSTALL),
        (on_trial(BOARD, once), commit, COMMIT),
        (on_trial(BOARD, once), boot, COMMIT),
    ];
    let mut refused = 0;
    for (device, body, reasons) in bodies {
        let device = device.with_weak(Weak::PerBoot);
        for (number, op, tear) in device.cuts(&TearBudget::BRIEF, body) {
            let mut copy = device.clone();
            copy.cut(number, tear, body);
            // What was torn reads as if it had never been begun.
            copy.nor.power_on_as(Flicker::Old);
            let header = op.address < 8192 && op.len == 8;
            if header && !copy.nor.is_blank(op.address..op.address + 8) {
                let again = PendingOp::Program { address: op.address, bytes: &[0; 8] };
                let error = copy.nor.check(&again).unwrap_err();
                assert!(matches!(error, NorError::NotErased { .. }), "{error}");
                refused += u32::from(copy.nor.peek(op.address..op.address + 8) == [0xFF; 8]);
            }
            let what = format!("{op}, {tear}");
            assert_truth(&mut copy, reasons, &what);
            assert_later_update_works(&mut copy, &what);
        }
    }
    assert!(refused > 30, "headers that read blank and cannot be programmed: {refused}");
}

/// The backup copy of a settled record must stand right behind it: a torn body between the two might
/// come to life, and would outrank the first when the second is lost.
#[test]
fn a_backup_copy_behind_a_cell_that_refused_is_made_again() {
    let mut device = on_trial(BOARD, |part| part.with_rule(Rule::Never, false));
    commit(&mut device);
    let grid = grid(&device);
    let record = grid.newest(&device.nor);
    // The next cell has a blank header, and a body that was programmed already.
    let refuses = grid.body_offset(record + 1);
    device.nor.poke(refuses, &[0xA5; 4]);
    let again = PendingOp::Program { address: refuses, bytes: &[0; 4] };
    assert!(matches!(device.nor.check(&again), Err(NorError::NotErased { .. })));

    let before = device.boot().unwrap();
    assert_eq!(grid.newest(&device.nor), record + 3, "refused, a copy, a copy of the copy");
    // What lies between comes to life, and any one cell is lost.
    let fields = Fields { note: [9; 16], ..Fields::settled(0, &[0, 0]) };
    grid.poke(&mut device.nor, &Cell::v1(record + 1, &fields));
    for lost in [record, record + 1, record + 2, record + 3] {
        let mut copy = device.clone();
        copy.nor.set_unreadable(grid.offset(lost)..grid.offset(lost) + grid.stride);
        let plan = copy.boot().unwrap();
        assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{lost}");
    }
}

#[test]
fn no_body_is_written_behind_a_header_that_does_not_read_back() {
    // A second program is allowed and fatal: check bits of both programs match neither.
    let mut device = on_trial(BOARD, |part| part.with_rule(Rule::Free, true));
    device = device.with_weak(Weak::PerBoot);
    let grid = grid(&device);
    let next = grid.newest(&device.nor) + 1;
    device.cut(0, Tear::Bits { percent: 0, seed: 0 }, commit);
    device.nor.power_on_as(Flicker::Old);
    let header = grid.offset(next)..grid.offset(next) + 8;
    assert_eq!(device.nor.peek(header.clone()), [0xFF; 8], "reads blank");
    assert!(!device.nor.is_blank(header.clone()), "and is not");
    assert_truth(&mut device, COMMIT, "after a torn header");
    assert!(cannot_be_read(&mut device, header.start, 8), "it was programmed again");
    let body = grid.body_offset(next);
    assert!(device.nor.is_blank(body..body + grid.body_room));
}

/// Parts with check bits: internal flash of 8-byte words, and of 4-byte words that erase to zero.
const WITH_ECC: [&str; 2] = ["stm32l4:app=4K", "stm32l0:app=4K"];

#[test]
fn record_words_that_cannot_be_read_never_stop_a_boot() {
    let mut unreadable = 0;
    for board in WITH_ECC {
        let bodies: [Cut; 3] = [
            (installed(board, |part| part), boot, INSTALL),
            (on_trial(board, |part| part), commit, COMMIT),
            (on_trial(board, |part| part), boot, COMMIT),
        ];
        for (device, body, reasons) in bodies {
            for (number, op, tear) in device.cuts(&TearBudget::BRIEF, body) {
                let mut copy = device.clone();
                copy.cut(number, tear, body);
                copy.nor.power_on_as(Flicker::Kept);
                unreadable += u32::from(cannot_be_read(&mut copy, op.address, op.len));
                let what = format!("{board}, {op}, {tear}");
                assert_truth(&mut copy, reasons, &what);
                assert_later_update_works(&mut copy, &what);
            }
        }
    }
    assert!(unreadable > 100, "cuts that left unreadable words: {unreadable}");
}

fn cannot_be_read(device: &mut Device, address: u32, len: u32) -> bool {
    let read = device.nor.read(address, &mut vec![0; len as usize]);
    matches!(read, Err(NorError::Unreadable { .. }))
}

#[test]
fn unreadable_words_in_a_slot_never_stop_a_boot() {
    for board in WITH_ECC {
        let mut unreadable = 0;
        let device = fresh(board, |part| part);
        let slot = device.app_address(1);
        for (number, op, tear) in device.cuts(&TearBudget::BRIEF, install) {
            if op.address < slot {
                continue;
            }
            let mut copy = device.clone();
            copy.cut(number, tear, install);
            copy.nor.power_on_as(Flicker::Kept);
            let dead = cannot_be_read(&mut copy, op.address, op.len);
            let what = format!("{board}, {op}, {tear}");
            assert_eq!(assert_truth(&mut copy, INSTALL, &what), 0, "{what}");
            assert_eq!(copy.app(|app| app.record().slot_state(1)), SlotState::Staging, "{what}");
            if dead {
                unreadable += 1;
                assert_later_update_works(&mut copy, &what);
            }
        }
        assert!(unreadable > 30, "{board}: {unreadable}");

        // Words that go bad later, in the slot that does not run, or in the one that does.
        for (damaged, runs) in [(0, 1), (1, 0)] {
            let mut device = on_trial(board, |part| part);
            commit(&mut device);
            device.boot().unwrap();
            for address in [device.app_address(damaged) + 64, device.descriptor_address(damaged)] {
                device.nor.set_unreadable(address..address + 4);
                assert!(cannot_be_read(&mut device, address, 4));
            }
            let plan = device.boot().unwrap();
            assert_eq!(plan.slot, runs);
            assert!(device.holds(runs, &images()[usize::from(runs)]));
            assert_later_update_works(&mut device, board);
        }
    }
}

#[test]
fn a_counter_is_raised_by_the_commit_and_by_nothing_before_it() {
    let [old, new] = images();
    let (old, new) = (counted(1, old), counted(5, new));
    let mut device = Device::factory(BOARD, &old);
    device.boot().unwrap();
    device.install(&new, 300).unwrap();
    device.boot().unwrap();
    // The image of the higher counter runs, and the way back is of a lower one.
    assert_eq!(device.app(|app| app.image(1).unwrap().descriptor().head().security_counter()), 5);
    assert_eq!(device.app(|app| app.boot_state().security_counter), 1);

    let mut reverted = device.clone();
    let plan = reverted.boot().unwrap();
    assert_eq!((plan.slot, plan.record.reason()), (0, Reason::Unconfirmed));

    for (number, op, tear) in device.cuts(&TearBudget::BRIEF, commit) {
        let mut copy = device.clone();
        copy.cut(number, tear, commit);
        copy.nor.power_on_as(Flicker::Kept);
        let slot = copy.boot().unwrap().slot;
        let counter = copy.app(|app| app.boot_state().security_counter);
        assert_eq!(counter, [1, 5][usize::from(slot)], "{op}, {tear}");
    }

    device.app(|app| app.commit()).unwrap();
    assert_eq!(device.app(|app| app.boot_state().security_counter), 5);
    let too_old = ChangeError::Refused(Refused::BelowCounter { found: 1, needed: 5 });
    assert_eq!(device.app(|app| app.revert()).unwrap_err(), too_old);
    // One more trial would find no way back when it fails.
    let uncommit = BootStateChange { committed: Some(false), ..BootStateChange::default() };
    assert_eq!(device.app(|app| app.set_boot_state(uncommit)).unwrap_err(), too_old);
    for _ in 0..3 {
        assert_eq!(device.boot().unwrap().slot, 1);
    }
}

#[test]
fn a_power_cut_anywhere_in_an_install_leaves_the_image_that_ran() {
    let big = [image("1.0.0", 16_000), image("2.0.0", 16_201)];
    let mut device = Device::factory("sim:app=16K,data=0", &big[0]).with_weak(Weak::PerBoot);
    device.boot().unwrap();
    let install = |device: &mut Device| {
        let _ = device.install(&big[1], 300);
    };
    let (mut halves, mut wholes) = (0, 0);
    for (roll, (number, op, tear)) in (0..).zip(device.cuts(&TearBudget::BRIEF, install)) {
        let what = format!("operation {number}, {op}, {tear}");
        let mut copy = device.clone();
        copy.cut(number, tear, install);
        let half = !copy.holds(1, &big[1]) && !copy.nor.is_blank(slot_bytes(&copy));
        copy.nor.power_on(roll);
        let plan = copy.boot().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(copy.holds(plan.slot, &big[usize::from(plan.slot)]), "{what}");
        assert_eq!(plan.needs_watchdog, plan.slot == 1, "{what}");
        if half {
            halves += 1;
            assert_eq!(plan.slot, 0, "{what}");
        }
        wholes += u32::from(plan.slot == 1);
        // Whatever happened: slot 0 is committed after the only trial, and takes an update.
        copy.boot().unwrap();
        assert!(copy.app(|app| app.boot_state().committed), "{what}");
        assert_later_update_works(&mut copy, &what);
    }
    assert!(halves > 500, "cuts that left half an image: {halves}");
    assert!(wholes > 1, "cuts after which the new image was there: {wholes}");
}

fn slot_bytes(device: &Device) -> std::ops::Range<u32> {
    device.app_address(1)..device.descriptor_address(1)
}

/// Not from elsewhere: found in this engine, by reading it and by `fuzz/`'s `engine_ops`.
///
/// An interrupted job leaves a torn sector that reads blank. A shorter image is installed over it, so
/// that the slot is bootable again, and its end is still torn. The next long image must not be
/// programmed there without an erase: it would read back well, and rot at a later boot.
#[test]
fn a_sector_that_an_interrupted_job_tore_is_erased_before_it_is_used_again() {
    let [long, short, other] = [image("2.0.0", 16_001), image("2.1.0", 8000), image("2.2.0", 8000)];
    let mut device = Device::factory("sim:app=16K,data=0", &images()[0]).with_weak(Weak::PerBoot);
    device.boot().unwrap();
    let install = |device: &mut Device| {
        let _ = device.install(&long, 300);
    };
    let last_sector = device.app_address(1) + 3 * 4096;
    let cuts = device.cuts(&TearBudget::BRIEF, install);
    let (number, op, _) = cuts.iter().find(|(_, op, _)| op.address == last_sector).unwrap();
    device.cut(*number, Tear::Bits { percent: 0, seed: 0 }, install);
    device.nor.power_on_as(Flicker::Old);
    let torn = op.address..op.address + op.len;
    assert!(device.nor.peek(torn.clone()).iter().all(|byte| *byte == 0xFF), "reads blank");
    assert!(!device.nor.is_blank(torn.clone()), "and is not");

    device.update_to(&short);
    device.update_to(&other);
    let torn_still = device.nor.peek(torn.clone()).iter().all(|byte| *byte == 0xFF);
    assert!(torn_still && !device.nor.is_blank(torn), "two images later it is the same");
    let next = image("3.0.0", 16_002);
    device.update_to(&next);
    let slot = device.boot().unwrap().slot;
    assert!(slot == 1 && device.holds(slot, &next));
    for flicker in [Flicker::New, Flicker::Old, Flicker::Bits { seed: 1 }] {
        device.nor.power_on_as(flicker);
        assert!(device.holds(slot, &next), "{flicker}: a committed image has rotted");
        assert_eq!(device.boot().unwrap().slot, slot);
    }
}
