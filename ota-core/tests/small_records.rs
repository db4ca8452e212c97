//! Small records, with power failing in one boot after the other: the last sealed record is never
//! erased for the sake of one that may be gone tomorrow.
//!
//! Each interrupted append uses up a cell until one gets through. So what is promised for so many cuts
//! in a row, the first included, as there are cells outside the sector of the last sealed record is
//! tried here where that is two, and five; in a sector of 4 KiB it is more than 40. See
//! `docs/fault-model.md`.

mod common;

use common::device::{PLATFORM, image};
use ota_core::flash::{Extent, Layout, OneDevice, SlotLayout};
use ota_core::{BootOptions, BootPlan, Config, Region, Updater, boot};
use ota_core::{FlashRead, OpenError, RecoverReason};
use ota_sim::nor::{Nor, NorPort, Part, Random, Rule, Shape, Tear, Weak};

const APP: u32 = 1024;

/// A device with a record of so many sectors of `SECTOR` bytes.
struct Small<const SECTOR: usize> {
    record: Extent,
    slots: [SlotLayout; 2],
    nor: Nor,
}

impl<const SECTOR: usize> Clone for Small<SECTOR> {
    fn clone(&self) -> Self {
        Self { record: self.record, slots: self.slots, nor: self.nor.clone() }
    }
}

impl<const SECTOR: usize> Small<SECTOR> {
    fn new(sectors: u32, rule: Rule) -> Self {
        let image = image("1.0.0", 600);
        let record = Extent::new(0, sectors * SECTOR as u32);
        let slot = |index| {
            let address = record.size + index * (APP + 512);
            SlotLayout { app: Extent::new(address, APP + 512), data: None }
        };
        let slots = [slot(0), slot(1)];
        let capacity = slots[1].app.address + slots[1].app.size;
        let part = Part::GENERIC_4K4.with_rule(rule, false);
        let page_size = part.shape.page_size.min(SECTOR as u32);
        let shape = Shape { capacity, sector_size: SECTOR as u32, page_size, ..part.shape };
        let mut nor = Nor::new(&Part { shape, ..part }).with_weak(Weak::PerBoot);
        nor.poke(record.size, &image.app);
        let descriptor = (APP + 512 - 384u32.next_multiple_of(SECTOR as u32)) + record.size;
        nor.poke(descriptor, image.descriptor().as_bytes());
        Self { record, slots, nor }
    }

    fn flash<'a>(
        nor: &'a mut Nor,
        layout: Layout<'a>,
    ) -> OneDevice<'a, NorPort<&'a mut Nor, 4, SECTOR>> {
        OneDevice::new(NorPort::new(nor), layout).unwrap()
    }

    fn boot(&mut self) -> Result<BootPlan, RecoverReason> {
        let layout = Layout { record: self.record, slots: &self.slots };
        boot(&mut Self::flash(&mut self.nor, layout), &BootOptions::default(), &mut [0; 256])
    }

    /// Keeps a note. Errors are what a cut looks like.
    fn note(&mut self, note: u8) {
        let layout = Layout { record: self.record, slots: &self.slots };
        let flash = Self::flash(&mut self.nor, layout);
        let mut buffer = [0; 512];
        match Updater::open(flash, Config::new(PLATFORM), &mut buffer, 0) {
            Ok(mut app) => drop(app.set_note([note; 16])),
            Err(OpenError::NoRecord) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn noted(&mut self, what: &str) -> u8 {
        let plan = self.boot().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert!(plan.durable, "{what}");
        plan.record.note()[0]
    }
}

/// Power fails in an append, and then in each of `cuts` boots that follow.
fn survives<const SECTOR: usize>(sectors: u32, rule: Rule, cuts: u64, runs: u64) {
    let mut fresh = Small::<SECTOR>::new(sectors, rule);
    fresh.boot().unwrap();
    let (mut healed, mut new) = (0, 0);
    for run in 0..runs {
        let mut random = Random::at(run, cuts);
        let mut device = fresh.clone();
        // Wherever the log stands.
        for note in 0..random.below(9) as u8 {
            device.note(100 + note);
        }
        device.note(1);
        let mut tear = || match random.below(6) {
            0 => Tear::None,
            1 => Tear::Whole,
            2 => Tear::Units { seed: random.next_word() },
            other => {
                let percent = [10, 50, 90][other as usize % 3];
                Tear::Bits { percent, seed: random.next_word() }
            }
        };
        let what = format!("{sectors} sectors of {SECTOR}, {rule}, {cuts} cuts, run {run}");
        device.nor.cut_after(run % 6, tear());
        device.note(2);
        for cut in 0..cuts {
            device.nor.power_on(Random::at(run, cut).next_word());
            // The record is there throughout: no boot falls back to the descriptors.
            device.nor.cut_after(Random::at(run, 50 + cut).below(4).into(), tear());
            if let Ok(plan) = device.boot() {
                assert!([1, 2].contains(&plan.record.note()[0]), "{what}: {:?}", plan.record);
            }
            healed += u32::from(!device.nor.is_powered());
        }
        device.nor.disarm_cut();
        device.nor.power_on(Random::at(run, 99).next_word());
        let first = device.noted(&what);
        assert!([1, 2].contains(&first), "{what}: {first}");
        new += u32::from(first == 2);
        for round in 100..106 {
            device.nor.power_on(Random::at(run, round).next_word());
            assert_eq!(device.noted(&what), first, "{what}: told otherwise at boot {round}");
        }
        device.note(3);
        for round in 200..204 {
            device.nor.power_on(Random::at(run, round).next_word());
            assert_eq!(device.noted(&what), 3, "{what}: what was written later is gone");
        }
    }
    assert!(u64::from(healed) > runs / 4, "boots that were cut: {healed}");
    assert!(u64::from(new) > runs / 10 && u64::from(new) < runs, "both outcomes: {new} of {runs}");
}

#[test]
fn two_sectors_of_two_cells_survive_two_cuts_in_a_row() {
    survives::<256>(2, Rule::Free, 1, 20_000);
    survives::<256>(2, Rule::Never, 1, 5000);
}

#[test]
fn three_sectors_of_one_cell_survive_two_cuts_in_a_row() {
    survives::<128>(3, Rule::Free, 1, 20_000);
    survives::<128>(3, Rule::Never, 1, 5000);
}

#[test]
fn two_sectors_of_five_cells_survive_five_cuts_in_a_row() {
    for cuts in 1..=4 {
        survives::<512>(2, Rule::Free, cuts, 4000);
        survives::<512>(2, Rule::Never, cuts, 2000);
    }
}

#[test]
fn two_sectors_of_one_cell_are_too_small() {
    let mut device = Small::<128>::new(2, Rule::Free);
    let layout = Layout { record: device.record, slots: &device.slots };
    let geometry = Small::<128>::flash(&mut device.nor, layout).geometry(Region::Record);
    assert_eq!(geometry.unwrap().size, 256);
    assert_eq!(device.boot().unwrap_err(), RecoverReason::RecordTooSmall);
}
