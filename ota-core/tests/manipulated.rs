//! Flash that was damaged or written by somebody else: every single bit, whole regions, random
//! bytes. The loader then gives an error, an older state or the same state; it never panics, never
//! hangs, and never jumps to bytes that are not a whole image that was installed.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use common::cells::{Grid, header};
use common::device::{Device, image};
use common::plain::Plain;
use ota_core::record::{Reason, Record};
use ota_core::verify::Check;
use ota_core::{BootOptions, BootPlan, Geometry, RecoverReason, Region, boot};
use ota_sim::factory::Image;
use proptest::prelude::*;

/// Two slots of 4 KiB and a descriptor; 24 KiB of flash in all.
const BOARD: &str = "sim:app=4K,data=0";
const ON_TRIAL: [&str; 2] = ["settled", "on trial"];

type Outcome = Result<BootPlan, RecoverReason>;

/// The images that are installed, in slots 0 and 1. The second has an odd length, so that it is
/// padded.
fn images() -> [Image; 2] {
    [image("1.0.0", 2048), image("2.0.0", 2041)]
}

/// Slot 1 was committed, and boots; slot 0 is what to revert to.
fn settled() -> Device {
    let [old, new] = images();
    Device::updated(BOARD, &old, &new)
}

/// Slot 1 is on trial, two boots left; slot 0 is what to revert to.
fn on_trial() -> Device {
    let [old, new] = images();
    let mut device = Device { trials: 3, ..Device::factory(BOARD, &old) };
    device.boot().unwrap();
    device.install(&new, 300).unwrap();
    assert!(device.boot().unwrap().needs_watchdog);
    device
}

fn grid(device: &Device) -> Grid {
    Grid::new(&device.nor.shape(), device.board.layout().record.size, 2)
}

/// The image that is jumped to is whole, and it is the one that was installed in that slot.
#[track_caller]
fn assert_whole(device: &Device, plan: &BootPlan) {
    let images = images();
    assert!(device.holds(plan.slot, &images[usize::from(plan.slot)]), "slot {}", plan.slot);
}

/// Boots a copy of `device` after each single bit of `range` was flipped.
fn each_flip(
    device: &Device,
    range: Range<u32>,
    options: &BootOptions,
    mut check: impl FnMut(&mut Device, u32, Outcome),
) {
    let mut copy = device.clone();
    for (address, bit) in range.flat_map(|address| (0..8).map(move |bit| (address, bit))) {
        copy.nor.clone_from(&device.nor);
        copy.nor.flip(address, bit);
        let outcome = copy.boot_with(options);
        if let Ok(plan) = &outcome {
            assert_whole(&copy, plan);
        }
        check(&mut copy, address, outcome);
    }
}

fn options(device: &Device) -> BootOptions {
    BootOptions { trials: device.trials, ..BootOptions::default() }
}

/// The bytes of all cells that were ever written.
fn used_cells(device: &Device) -> Range<u32> {
    let grid = grid(device);
    let used = grid.used(&device.nor);
    assert_eq!(used, (0..used.len() as u32).collect::<Vec<_>>(), "all in the first sector");
    0..grid.offset(used.len() as u32)
}

/// What a boot makes of each state that the log ever held.
fn history(device: &Device) -> Vec<(u8, Record)> {
    let grid = grid(device);
    let newest = grid.newest(&device.nor);
    let states = (0..=newest).map(|last| {
        let mut then = device.clone();
        for position in last + 1..=newest {
            let start = grid.offset(position);
            then.nor.poke(start, &vec![0xFF; grid.stride as usize]);
        }
        let plan = then.boot().unwrap();
        (plan.slot, plan.record)
    });
    states.collect()
}

#[test]
fn no_flipped_bit_of_the_record_changes_what_a_settled_device_does() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    assert_eq!((before.slot, before.record.reason()), (1, Reason::Update));
    each_flip(&device, used_cells(&device), &options(&device), |copy, address, outcome| {
        let plan = outcome.unwrap_or_else(|error| panic!("{address:#x}: {error:?}"));
        assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{address:#x}");
        assert!(plan.durable, "{address:#x}");
        let again = copy.boot().unwrap();
        assert_eq!((again.slot, again.record), (before.slot, before.record), "{address:#x}");
    });
}

#[test]
fn a_flipped_bit_of_the_record_of_a_device_on_trial_gives_that_state_or_an_older_one() {
    let device = on_trial();
    let history = history(&device);
    let mut seen = BTreeMap::new();
    each_flip(&device, used_cells(&device), &options(&device), |copy, address, outcome| {
        let plan = outcome.unwrap_or_else(|error| panic!("{address:#x}: {error:?}"));
        let state = (plan.slot, plan.record);
        let age = history.iter().rev().position(|old| *old == state);
        *seen.entry(age.unwrap_or_else(|| panic!("{address:#x}: {state:?}"))).or_insert(0) += 1;
        assert!(plan.durable, "{address:#x}");
        copy.boot().unwrap();
    });
    // One flip loses one cell: the state before the last is found then, and nothing further back.
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [0, 1], "{seen:?}");
}

#[test]
fn an_image_with_a_flipped_bit_in_its_descriptor_is_not_booted() {
    for (device, state) in [(settled(), ON_TRIAL[0]), (on_trial(), ON_TRIAL[1])] {
        let before = device.clone().boot().unwrap();
        for slot in [0, 1] {
            let start = device.descriptor_address(slot);
            each_flip(&device, start..start + 384, &options(&device), |_, address, outcome| {
                let plan =
                    outcome.unwrap_or_else(|error| panic!("{state}: {address:#x} {error:?}"));
                assert_fell_back(&plan, &before, slot, &format!("{state}, {address:#x}"));
            });
        }
    }
}

#[test]
fn an_image_with_a_flipped_bit_is_not_booted() {
    for (device, state) in [(settled(), ON_TRIAL[0]), (on_trial(), ON_TRIAL[1])] {
        let before = device.clone().boot().unwrap();
        for (slot, image) in [0, 1].into_iter().zip(images()) {
            let start = device.app_address(slot);
            let end = start + image.app.len() as u32;
            let options = options(&device);
            each_flip(&device, start..end, &options, |_, address, outcome| {
                let plan =
                    outcome.unwrap_or_else(|error| panic!("{state}: {address:#x} {error:?}"));
                assert_fell_back(&plan, &before, slot, &format!("{state}, {address:#x}"));
            });
            // The padding behind it is no part of it.
            let padding = end..end.next_multiple_of(4);
            each_flip(&device, padding, &options, |_, address, outcome| {
                let plan = outcome.unwrap();
                assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{address:#x}");
            });
        }
    }
}

#[test]
fn a_loader_that_checks_sha_256_does_not_boot_an_image_with_a_flipped_bit() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let options = BootOptions { check: Check::Sha256, ..options(&device) };
    let start = device.app_address(1);
    each_flip(&device, start..start + 2041, &options, |_, address, outcome| {
        assert_fell_back(&outcome.unwrap(), &before, 1, &format!("{address:#x}"));
    });
}

/// With `damaged` not bootable: slot 0 runs committed for the reason that slot 1 did not verify, or
/// slot 1 runs as ever.
#[track_caller]
fn assert_fell_back(plan: &BootPlan, before: &BootPlan, damaged: u8, what: &str) {
    assert!(plan.durable, "{what}");
    if damaged != before.slot {
        assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{what}");
        return;
    }
    assert_eq!((plan.slot, plan.needs_watchdog), (1 - damaged, false), "{what}");
    let record = &plan.record;
    assert!(record.committed(), "{what}");
    assert_eq!((record.active(), record.booted()), (plan.slot, plan.slot), "{what}");
    assert_eq!(record.reason(), Reason::VerifyFailed, "{what}");
}

#[test]
fn a_device_with_one_unreadable_cell_does_what_it_did() {
    let device = settled();
    let before = device.clone().boot().unwrap();
    let grid = grid(&device);
    for position in grid.used(&device.nor) {
        let mut copy = device.clone();
        let start = grid.offset(position);
        copy.nor.set_unreadable(start..start + grid.stride);
        for _ in 0..3 {
            let plan = copy.boot().unwrap();
            assert_eq!((plan.slot, plan.record), (before.slot, before.record), "{position}");
        }
    }
}

/// A weak bit may read as either within one boot. A header that claims a later position once does
/// not raise the old record behind it, whose CRC is over another position.
#[test]
fn a_header_that_once_reads_as_another_does_not_raise_an_old_record() {
    let device = settled();
    let grid = grid(&device);
    let geometry = Geometry { size: 8192, sector_size: 4096, write_size: 4, erase_value: 0xFF };
    let mut flash = Plain::new(2, geometry);
    flash.poke(Region::Record, 0, device.nor.peek(0..8192));
    for slot in [0, 1] {
        let start = device.app_address(slot);
        flash.poke(Region::App(slot), 0, device.nor.peek(start..start + 8192));
    }
    // The first record of all says that slot 0 is active. The next position of its place:
    let later = header(1, 64, grid.cells * grid.sectors);
    flash.glitch = Some((0, later));
    let plan = boot(&mut flash, &BootOptions::default(), &mut [0; 256]).unwrap();
    assert!(flash.glitch.is_none(), "it was read as another once");
    assert_eq!(flash.record()[..8], header(1, 64, 0));
    assert_eq!((plan.slot, plan.record.reason()), (1, Reason::Update));
}

#[test]
fn a_record_region_of_zeros_is_a_lost_record() {
    let mut device = settled();
    device.nor.poke(0, &[0x00; 8192]);
    assert_found_by_descriptors(&mut device, Reason::RecordLost);
}

#[test]
fn a_blank_record_region_is_that_of_a_new_device() {
    let mut device = settled();
    device.nor.poke(0, &[0xFF; 8192]);
    assert_found_by_descriptors(&mut device, Reason::Factory);
}

/// The lowest slot with a whole image boots, and a new log is begun that later updates use.
#[track_caller]
fn assert_found_by_descriptors(device: &mut Device, reason: Reason) {
    let plan = device.boot().unwrap();
    assert_whole(device, &plan);
    assert_eq!((plan.slot, plan.record.reason(), plan.durable), (0, reason, true));
    assert!(plan.record.bootable(1), "the other image was found as well");
    assert_later_update_works(device);
}

#[track_caller]
fn assert_later_update_works(device: &mut Device) {
    let next = image("3.0.0", 3000);
    device.update_to(&next);
    let plan = device.boot().unwrap();
    assert!(device.holds(plan.slot, &next));
    assert!(plan.record.committed() && plan.durable);
}

#[test]
fn an_unreadable_record_region_is_left_alone_and_an_image_boots() {
    let mut device = settled();
    device.nor.set_unreadable(0..8192);
    let bytes = device.nor.bytes().to_vec();
    for _ in 0..2 {
        let plan = device.boot().unwrap();
        assert_whole(&device, &plan);
        assert_eq!((plan.slot, plan.durable, plan.needs_watchdog), (0, false, false));
        assert_eq!(plan.record.reason(), Reason::RecordLost);
    }
    assert_eq!(device.nor.bytes(), bytes);
    assert_eq!(device.try_app(|_| ()).unwrap_err(), ota_core::OpenError::NoRecord);
    // Unreadable is not for ever: a programmer may erase the sector.
    ota_sim::nor::NorDevice::erase(&mut device.nor, 0, 8192).unwrap();
    assert_found_by_descriptors(&mut device, Reason::Factory);
}

#[test]
fn one_dead_sector_of_the_record_is_survived_whichever_it_is() {
    for sector in [0, 4096] {
        let mut device = settled();
        device.nor.set_unreadable(sector..sector + 4096);
        device.nor.set_bad_sector(sector, ota_sim::nor::Bad::Refuses);
        let plan = device.boot().unwrap();
        assert_whole(&device, &plan);
        assert!(plan.durable, "the other sector takes a record");
        assert_later_update_works(&mut device);
    }
}

#[test]
fn a_third_sector_lets_a_record_live_on_with_a_dead_one() {
    for (board, lives) in [("sim:app=4K,data=0,record=12K", true), (BOARD, false)] {
        let [old, new] = images();
        let mut device = Device::updated(board, &old, &new);
        device.nor.set_unreadable(4096..8192);
        device.nor.set_bad_sector(4096, ota_sim::nor::Bad::Refuses);
        let mut note = || (0..=255).try_for_each(|note| device.app(|app| app.set_note([note; 16])));
        // Two sectors take what has room in the one that is left.
        assert_eq!(note().is_ok(), lives, "{board}");
        let noted = device.app(|app| app.boot_state().note[0]);
        assert_eq!(noted == 255, lives, "{board}");
        assert!(noted > 30, "{board}");
        let plan = device.boot().unwrap();
        assert_eq!((plan.slot, plan.durable), (1, true), "{board}");
        assert_whole(&device, &plan);
    }
}

#[test]
fn images_and_descriptors_of_other_slots_are_never_taken_for_their_own() {
    let device = settled();
    let descriptors = [device.descriptor_address(0), device.descriptor_address(1)];
    let bytes = descriptors.map(|at| device.nor.peek(at..at + 384).to_vec());
    let record = device.board.layout().extent(Region::Record).unwrap();
    for lost in [false, true] {
        for swap in [[0, 0], [1, 1], [1, 0]] {
            let mut copy = device.clone();
            for (at, from) in descriptors.into_iter().zip(swap) {
                copy.nor.poke(at, &bytes[from]);
            }
            if lost {
                copy.nor.poke(record.address, &vec![0; record.size as usize]);
            }
            match swap {
                [1, 0] => {
                    assert_eq!(copy.boot().unwrap_err(), RecoverReason::NoBootableImage);
                }
                [keeps, _] => assert_eq!(copy.boot().unwrap().slot, keeps as u8, "{lost}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Random bytes over any ranges: what boots is whole. While the record is untouched, a device
    /// with one whole image boots.
    #[test]
    fn wild_writes_lead_to_a_whole_image_or_to_an_error(
        trial in any::<bool>(),
        writes in proptest::collection::vec((0..24_576u32, 1..9000u32, any::<u64>()), 1..5),
    ) {
        let (device, mut copy) = prepared(trial);
        for (start, len, seed) in &writes {
            copy.nor.corrupt(*start..(start + len).min(24_576), *seed);
        }
        let outcome = copy.boot();
        if let Ok(plan) = &outcome {
            assert_whole(&copy, plan);
        }
        if writes.iter().all(|(start, ..)| *start >= 8192) {
            let images = images();
            let whole = |slot: u8| {
                let at = device.descriptor_address(slot);
                let same = copy.nor.peek(at..at + 384) == device.nor.peek(at..at + 384);
                same && copy.holds(slot, &images[usize::from(slot)])
            };
            let expected = [1, 0].into_iter().find(|slot| whole(*slot));
            prop_assert_eq!(outcome.ok().map(|plan| plan.slot), expected);
        }
    }

    /// Random bytes over one whole region.
    #[test]
    fn a_region_of_random_bytes_costs_no_other_image(
        trial in any::<bool>(),
        region in 0..5usize,
        seed in any::<u64>(),
    ) {
        let (device, mut copy) = prepared(trial);
        let app = |slot| device.app_address(slot)..device.descriptor_address(slot);
        let descriptor = |slot| device.descriptor_address(slot)..app(slot).end + 4096;
        let ranges = [0..8192, app(0), descriptor(0), app(1), descriptor(1)];
        copy.nor.corrupt(ranges[region].clone(), seed);
        let plan = copy.boot().unwrap();
        assert_whole(&copy, &plan);
        // Without a record the lowest slot is taken; without the image of slot 1, slot 0.
        prop_assert_eq!(plan.slot, u8::from((1..3).contains(&region)));
    }
}

/// A device, and a copy of it to be damaged.
fn prepared(trial: bool) -> (Device, Device) {
    let device = if trial { on_trial() } else { settled() };
    (device.clone(), device)
}
