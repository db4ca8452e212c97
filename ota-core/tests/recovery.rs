//! Updates through a loader that has nothing to boot, from whatever record there is.

mod common;

use common::device::{Device, PLATFORM, image, install_raw};
use ota_core::record::Reason;
use ota_core::{
    BootOptions, BootPlan, BootStateChange, ChangeError, Config, OpenError, RecoverReason, Refused,
    StageError, Updater,
};
use ota_sim::factory::Image;
use ota_sim::flash::SimFlash;
use ota_sim::nor::{Nor, TearBudget, Weak};

const BOARD: &str = "sim:app=4K,data=0";

fn images() -> [Image; 3] {
    [image("1.0.0", 2048), image("2.0.0", 2041), image("3.0.0", 1999)]
}

/// Nothing was ever written.
fn blank() -> Device {
    let mut device = Device::factory(BOARD, &images()[0]);
    device.nor = Nor::new(device.nor.part()).with_weak(Weak::PerBoot);
    device
}

/// Slot 1 runs on trial, for the only time that it may. Slot 0 is not whole.
fn on_trial() -> Device {
    let mut device = Device::factory(BOARD, &images()[0]);
    device.boot().unwrap();
    device.install(&images()[1], 300).unwrap();
    assert_eq!(device.boot().unwrap().slot, 1);
    damage(&mut device, 0);
    device
}

fn damage(device: &mut Device, slot: u8) {
    let address = device.app_address(slot) + 1000;
    let byte = device.nor.peek(address..address + 1)[0];
    device.nor.poke(address, &[!byte]);
}

fn recovery<R>(
    device: &mut Device,
    body: impl FnOnce(&mut Updater<'_, SimFlash<'_>>) -> R,
) -> Result<R, OpenError> {
    recovery_with(device, None, body)
}

fn recovery_with<R>(
    device: &mut Device,
    golden: Option<u8>,
    body: impl FnOnce(&mut Updater<'_, SimFlash<'_>>) -> R,
) -> Result<R, OpenError> {
    let config = Config { recovery: true, golden, ..Config::new(PLATFORM) };
    let mut buffer = vec![0; device.board.buffer_size()];
    let map = SimFlash::new(&mut device.nor, &device.board).unwrap();
    Ok(body(&mut Updater::open(map, config, &mut buffer, 0)?))
}

/// What the loader does: boots, or else takes the third image and boots that.
fn rescue(device: &mut Device) -> Option<BootPlan> {
    if let Ok(plan) = device.boot() {
        return Some(plan);
    }
    recovery(device, |app| install_raw(app, &images()[2], 300)).ok()?.ok()?;
    device.boot().ok()
}

fn assert_nothing_boots(device: &mut Device) {
    assert!(matches!(device.boot(), Err(RecoverReason::NoBootableImage)));
}

/// Power fails in every operation of a rescue; the one after it is the last that is needed.
fn assert_rescued_past_any_cut(device: &Device) {
    let cuts = device.cuts(&TearBudget::BRIEF, |copy| _ = rescue(copy));
    assert!(cuts.len() > 50, "{} cuts", cuts.len());
    for (roll, (number, op, tear)) in (0..).zip(cuts) {
        let mut copy = device.clone();
        copy.cut(number, tear, |copy| _ = rescue(copy));
        copy.nor.power_on(roll);
        let plan = rescue(&mut copy).unwrap_or_else(|| panic!("{op}, {tear}: nothing boots"));
        assert_eq!(plan.slot, 1, "{op}, {tear}");
        assert!(copy.holds(1, &images()[2]), "{op}, {tear}: another image");
        assert!(!plan.record.committed(), "{op}, {tear}: on trial");
        copy.app(|app| app.commit()).unwrap();
        assert_eq!(copy.boot().unwrap().slot, 1, "{op}, {tear}");
    }
}

#[test]
fn a_device_without_anything_takes_its_first_image() {
    let mut device = blank();
    assert_nothing_boots(&mut device);
    assert_eq!(device.try_app(|_| ()), Err(OpenError::NoRecord));
    // Opened only, it is as blank as before: a factory may still write it.
    recovery(&mut device, |app| assert!(app.running_image().is_none())).unwrap();
    assert!(device.nor.is_blank(0..device.nor.shape().capacity));
    assert_rescued_past_any_cut(&device);
}

#[test]
fn a_device_that_lost_its_record_and_its_images_takes_another() {
    let mut device = on_trial().with_weak(Weak::PerBoot);
    damage(&mut device, 1);
    let record = device.board.layout().record;
    device.nor.poke(record.address, &vec![0x5A; record.size as usize]);
    assert_nothing_boots(&mut device);
    recovery(&mut device, |app| assert_eq!(app.boot_state().reason, Reason::RecordLost)).unwrap();
    assert_rescued_past_any_cut(&device);
}

#[test]
fn a_damaged_image_on_trial_does_not_forbid_a_rescue() {
    let mut device = on_trial().with_weak(Weak::PerBoot);
    damage(&mut device, 1);
    assert_nothing_boots(&mut device);
    let refused = device.install(&images()[2], 300);
    assert_eq!(refused, Err(StageError::Refused(Refused::Uncommitted { slot: 1 })));
    assert_rescued_past_any_cut(&device);
}

#[test]
fn an_image_whose_trial_failed_does_not_come_back_by_way_of_recovery() {
    let mut device = on_trial();
    // Its trial was the one in which it reset.
    assert_nothing_boots(&mut device);
    recovery(&mut device, |app| app.set_note([1; 16])).unwrap().unwrap();
    assert!(device.holds(1, &images()[1]), "it is whole");
    assert_nothing_boots(&mut device);
    assert_rescued_past_any_cut(&device);
}

/// As a loader boots that does not verify a committed image that ran before.
fn boot_trusting(device: &mut Device) -> Result<BootPlan, RecoverReason> {
    let options = BootOptions { verify_always: false, ..BootOptions::default() };
    let mut map = SimFlash::new(&mut device.nor, &device.board).unwrap();
    ota_core::boot(&mut map, &options, &mut [0; 256])
}

#[test]
fn a_damaged_image_is_verified_after_a_rescue_that_was_cut() {
    let mut device = on_trial();
    damage(&mut device, 1);
    assert!(boot_trusting(&mut device).is_err());
    let cuts = device.cuts(&TearBudget::BRIEF, |copy| {
        _ = recovery(copy, |app| install_raw(app, &images()[2], 300));
    });
    for (roll, (number, op, tear)) in (0..).zip(cuts) {
        let mut copy = device.clone();
        copy.cut(number, tear, |copy| {
            _ = recovery(copy, |app| install_raw(app, &images()[2], 300));
        });
        copy.nor.power_on(roll);
        if let Ok(plan) = boot_trusting(&mut copy) {
            assert!(copy.holds(plan.slot, &images()[2]), "{op}, {tear}: slot {}", plan.slot);
        }
    }
    // A lost record and a note come to the same.
    let record = device.board.layout().record;
    device.nor.poke(record.address, &vec![0x5A; record.size as usize]);
    recovery(&mut device, |app| app.set_note([1; 16])).unwrap().unwrap();
    assert!(boot_trusting(&mut device).is_err());
}

#[test]
fn recovery_takes_updates_and_nothing_else() {
    let mut device = on_trial();
    damage(&mut device, 1);
    assert_nothing_boots(&mut device);
    recovery(&mut device, |app| {
        assert_eq!(app.boot_state().booted, None);
        let again = BootStateChange { committed: Some(false), ..BootStateChange::default() };
        assert_eq!(app.set_boot_state(again), Err(ChangeError::Refused(Refused::NothingRuns)));
        assert_eq!(app.commit(), Err(ChangeError::Refused(Refused::NothingRuns)));
        assert_eq!(app.revert(), Err(ChangeError::Refused(Refused::NothingRuns)));
        assert_eq!(app.report_start(true), Err(ChangeError::Refused(Refused::NothingRuns)));
        let snapshot = app.begin_snapshot(false, None);
        assert_eq!(snapshot, Err(StageError::Refused(Refused::NothingRuns)));
    })
    .unwrap();
    assert_rescued_past_any_cut(&device);
}

#[test]
fn an_image_on_trial_without_another_does_not_come_back_as_a_good_one() {
    let mut device = on_trial();
    assert_nothing_boots(&mut device);
    recovery(&mut device, |app| app.set_note([1; 16])).unwrap().unwrap();
    recovery(&mut device, |app| app.set_note([2; 16])).unwrap().unwrap();
    assert_nothing_boots(&mut device);
}

#[test]
fn a_golden_slot_does_not_forbid_a_rescue() {
    let mut device = on_trial();
    device.app(|app| app.commit()).unwrap();
    device.boot().unwrap();
    damage(&mut device, 1);
    assert_nothing_boots(&mut device);
    let installed =
        recovery_with(&mut device, Some(0), |app| install_raw(app, &images()[2], 300)).unwrap();
    installed.unwrap();
    assert_eq!(device.boot().unwrap().slot, 1);
    assert!(device.holds(1, &images()[2]));
}
