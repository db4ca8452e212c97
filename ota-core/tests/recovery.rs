//! Updates through a loader that has nothing to boot, from whatever record there is.

mod common;

use common::device::{Device, PLATFORM, image, install_raw};
use ota_core::record::Reason;
use ota_core::{BootPlan, Config, OpenError, RecoverReason, Refused, StageError, Updater};
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
    let config = Config { recovery: true, ..Config::new(PLATFORM) };
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
