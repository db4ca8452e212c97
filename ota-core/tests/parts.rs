//! One life of a device (factory boot, raw image, bundle, trial, commit, rollback) on every geometry
//! that the engine claims to support, on flash that refuses to program a unit twice.

mod common;

use common::device::{PLATFORM, bundle, image, install_bundle, install_raw};
use ota_core::flash::{Extent, FlashMap, FlashRead, Layout, OneDevice, SlotLayout, TwoDevices};
use ota_core::record::{Reason, SlotState};
use ota_core::verify::{Check, Wanted, verify};
use ota_core::{BootOptions, BootPlan, Config, RecoverReason, Region, StageError, Updater, boot};
use ota_sim::factory::Image;
use ota_sim::nor::{Nor, NorPort, Part, Rule, Shape, Stop};

const KIB: u32 = 1024;

fn part(write_size: u32, sector_size: u32, erase_value: u8, capacity: u32) -> Part {
    let page_size = sector_size.min(256);
    let shape = Shape { capacity, sector_size, write_size, page_size, erase_value };
    Part { shape, rule: Rule::Never, ecc: true, ..Part::GENERIC_4K4 }
}

/// Record and `count` slots, each with room for an application of `app` bytes, from address 0.
fn one_after_another(sector: u32, count: u32, app: u32) -> (Extent, Vec<SlotLayout>, u32) {
    let record = KIB.next_multiple_of(sector).max(2 * sector);
    let slot = app.next_multiple_of(sector) + 384u32.next_multiple_of(sector);
    let slots = (0..count)
        .map(|index| SlotLayout { app: Extent::new(record + index * slot, slot), data: None })
        .collect();
    (Extent::new(0, record), slots, record + count * slot)
}

/// What a programmer writes: the image in slot 0, with its descriptor.
fn program_factory<F: FlashMap>(flash: &mut F, image: &Image) {
    let geometry = flash.geometry(Region::App(0)).unwrap();
    let mut write = |start: u32, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let unit = geometry.write_size as usize;
        bytes.resize(bytes.len().next_multiple_of(unit), geometry.erase_value);
        for (at, piece) in (start..).step_by(256).zip(bytes.chunks(256)) {
            flash.program(Region::App(0), at, piece).unwrap();
        }
    };
    write(0, &image.app);
    write(ota_core::descriptor::offset(geometry), image.descriptor().as_bytes());
}

fn start<F: FlashMap>(flash: &mut F) -> Result<BootPlan, RecoverReason> {
    boot(flash, &BootOptions::default(), &mut [0; 256])
}

fn app<F: FlashMap, R>(
    flash: &mut F,
    golden: Option<u8>,
    body: impl FnOnce(&mut Updater<'_, &mut F>) -> R,
) -> R {
    let config = Config { golden, ..Config::new(PLATFORM) };
    let mut buffer = [0; 1024];
    body(&mut Updater::open(flash, config, &mut buffer, 0).unwrap())
}

/// Whether `region` begins with `bytes`.
fn holds<F: FlashRead>(flash: &mut F, region: Region, bytes: &[u8]) -> bool {
    let mut found = vec![0; bytes.len().next_multiple_of(4)];
    flash.read(region, 0, &mut found).unwrap();
    found[..bytes.len()] == *bytes
}

/// Boots, and what is jumped to is `expected`.
#[track_caller]
fn boots<F: FlashMap>(flash: &mut F, expected: &Image, on_trial: bool, reason: Reason) -> u8 {
    let plan = start(flash).unwrap();
    assert!(holds(flash, Region::App(plan.slot), &expected.app), "{}", expected.version);
    assert_eq!((plan.needs_watchdog, plan.durable), (on_trial, true));
    assert_eq!(plan.record.reason(), reason);
    let state = app(flash, None, |app| app.boot_state());
    assert_eq!((state.active, state.booted), (plan.slot, Some(plan.slot)));
    assert_eq!((state.committed, state.first_boot), (!on_trial, on_trial));
    plan.slot
}

/// The life of a device.
fn live<F: FlashMap>(flash: &mut F) {
    let [first, raw, bundled, last] =
        [("1.0.0", 3000), ("2.0.0", 4099), ("3.0.0", 2001), ("4.0.0", 8001)]
            .map(|(version, len)| image(version, len));
    program_factory(flash, &first);
    assert_eq!(boots(flash, &first, false, Reason::Factory), 0);

    // A raw image, on trial, committed.
    app(flash, None, |app| install_raw(app, &raw, 300)).unwrap();
    let slot = boots(flash, &raw, true, Reason::Update);
    app(flash, None, |app| app.commit()).unwrap();
    assert_eq!(boots(flash, &raw, false, Reason::Update), slot);
    assert_eq!(app(flash, None, |app| app.boot_state().revert), 0);

    // A bundle that is not confirmed: back to the raw image.
    app(flash, None, |app| install_bundle(app, &bundle(&bundled), 300)).unwrap();
    boots(flash, &bundled, true, Reason::Update);
    assert_eq!(boots(flash, &raw, false, Reason::Unconfirmed), slot);

    // A bundle that is, and then a rollback by request.
    app(flash, None, |app| install_bundle(app, &bundle(&last), 0)).unwrap();
    boots(flash, &last, true, Reason::Update);
    app(flash, None, |app| app.report_start(true)).unwrap();
    boots(flash, &last, false, Reason::Update);
    let info = app(flash, None, |app| app.running_image()).unwrap();
    assert_eq!((info.version(), info.platform()), ("4.0.0", PLATFORM));
    app(flash, None, |app| app.revert()).unwrap();
    assert_eq!(boots(flash, &raw, false, Reason::RevertRequested), slot);

    // Enough changes for the record to turn over, more than once.
    for note in 0..200 {
        app(flash, None, |app| app.set_note([note; 16])).unwrap();
    }
    let plan = start(flash).unwrap();
    assert_eq!((plan.slot, plan.record.note()), (slot, [199; 16]));
}

fn live_on<const W: usize, const E: usize>(erase_value: u8, slots: u32) {
    let (record, slots, end) = one_after_another(E as u32, slots, 8 * KIB);
    let mut nor = Nor::new(&part(W as u32, E as u32, erase_value, end));
    nor.track_units();
    let port = NorPort::<_, W, E>::new(&mut nor);
    let layout = Layout { record, slots: &slots };
    live(&mut OneDevice::with_erase_value(port, layout, erase_value).unwrap());
    assert_eq!(nor.most_unit_programs(), 1, "no unit was programmed twice");
}

#[test]
fn every_write_size_and_both_erase_values_work() {
    for erase_value in [0xFF, 0x00] {
        live_on::<1, 4096>(erase_value, 2);
        live_on::<2, 4096>(erase_value, 2);
        live_on::<4, 4096>(erase_value, 2);
        live_on::<8, 4096>(erase_value, 2);
        live_on::<16, 4096>(erase_value, 2);
        live_on::<32, 4096>(erase_value, 2);
    }
}

#[test]
fn every_sector_size_works() {
    live_on::<4, 128>(0xFF, 2);
    live_on::<4, 128>(0x00, 8);
    live_on::<1, 256>(0xFF, 2);
    live_on::<2, 512>(0xFF, 3);
    live_on::<4, 1024>(0xFF, 2);
    live_on::<8, 2048>(0xFF, 2);
    live_on::<16, 8192>(0xFF, 2);
    live_on::<32, 131_072>(0xFF, 2);
}

#[test]
fn two_to_eight_slots_work() {
    for slots in 2..=8 {
        live_on::<4, 4096>(0xFF, slots);
        live_on::<32, 4096>(0x00, slots);
    }
}

#[test]
fn with_eight_slots_the_image_to_revert_to_is_kept_through_many_updates() {
    let (record, slots, end) = one_after_another(4096, 8, 8 * KIB);
    let mut nor = Nor::new(&part(4, 4096, 0xFF, end));
    let port = NorPort::<_, 4, 4096>::new(&mut nor);
    let mut flash = OneDevice::new(port, Layout { record, slots: &slots }).unwrap();
    let mut previous = image("0", 3000);
    program_factory(&mut flash, &previous);
    boots(&mut flash, &previous, false, Reason::Factory);
    for number in 1..20 {
        let next = image(&number.to_string(), 3000);
        app(&mut flash, None, |app| install_raw(app, &next, 300)).unwrap();
        boots(&mut flash, &next, true, Reason::Update);
        app(&mut flash, None, |app| app.commit()).unwrap();
        let revert = app(&mut flash, None, |app| app.boot_state().revert);
        assert!(holds(&mut flash, Region::App(revert), &previous.app), "{number}");
        previous = next;
    }
}

#[test]
fn a_golden_slot_is_never_overwritten() {
    for count in 2..=4 {
        let (record, slots, end) = one_after_another(4096, count, 8 * KIB);
        let mut nor = Nor::new(&part(4, 4096, 0xFF, end));
        let port = NorPort::<_, 4, 4096>::new(&mut nor);
        let mut flash = OneDevice::new(port, Layout { record, slots: &slots }).unwrap();
        let factory = image("1.0.0", 3000);
        program_factory(&mut flash, &factory);
        boots(&mut flash, &factory, false, Reason::Factory);
        for number in 0..6 {
            let next = image(&format!("2.{number}"), 3000);
            let outcome = app(&mut flash, Some(0), |app| install_raw(app, &next, 300));
            if count == 2 && number == 1 {
                // One slot runs, the other is golden.
                assert_eq!(outcome, Err(StageError::NoSlot));
                break;
            }
            outcome.unwrap();
            assert_ne!(boots(&mut flash, &next, true, Reason::Update), 0);
            app(&mut flash, Some(0), |app| app.commit()).unwrap();
            assert!(holds(&mut flash, Region::App(0), &factory.app), "{count} slots, {number}");
        }
    }
}

/// The parts of a real bundle, made by `mos create-fw-bundle`.
const MOS: &[u8] = include_bytes!("../../tests/vectors/mos-1.1.0.zip");
const MOS_APP: &[u8] = include_bytes!("../../tests/vectors/app-1.1.0.bin");
const MOS_FS: &[u8] = include_bytes!("../../tests/vectors/fs.bin");

/// Record, slot 0 and the data of slot 1 on device 0; slot 1 and the data of slot 0 on device 1.
const SPLIT: [SlotLayout; 2] = [
    SlotLayout {
        app: Extent::new(4 * KIB, 50 * KIB),
        data: Some(Extent::new(56 * KIB, 8 * KIB).on(1)),
    },
    SlotLayout { app: Extent::new(0, 52 * KIB).on(1), data: Some(Extent::new(54 * KIB, 10 * KIB)) },
];

/// Internal flash of 2 KiB sectors and 8-byte words, and a serial NOR of 4 KiB sectors and bytes.
type Split<'a> = TwoDevices<'a, NorPort<&'a mut Nor, 8, 2048>, NorPort<&'a mut Nor, 1, 4096>>;

struct TwoParts {
    internal: Nor,
    serial: Nor,
}

impl TwoParts {
    fn new(erase_value: u8) -> Self {
        let internal = Nor::new(&part(8, 2048, erase_value, 64 * KIB));
        let serial = Part { ecc: false, ..part(1, 4096, 0xFF, 64 * KIB) };
        Self { internal, serial: Nor::new(&serial) }
    }

    fn map(&mut self) -> Split<'_> {
        let erase_values = [self.internal.shape().erase_value, 0xFF];
        let layout = Layout { record: Extent::new(0, 4 * KIB), slots: &SPLIT };
        let ports = (NorPort::new(&mut self.internal), NorPort::new(&mut self.serial));
        TwoDevices::with_erase_values(ports.0, ports.1, layout, erase_values).unwrap()
    }

    /// Slot 1, on the serial part, holds the real bundle, committed; slot 0 its factory image.
    fn updated(factory: &Image) -> Self {
        let mut parts = Self::new(0xFF);
        let mut flash = parts.map();
        program_factory(&mut flash, factory);
        boots(&mut flash, factory, false, Reason::Factory);
        app(&mut flash, None, |app| install_bundle(app, MOS, 300)).unwrap();
        assert_eq!(start(&mut flash).unwrap().slot, 1);
        app(&mut flash, None, |app| app.commit()).unwrap();
        assert_eq!(start(&mut flash).unwrap().slot, 1);
        parts
    }
}

#[test]
fn two_devices_of_different_geometry_work_as_one() {
    for erase_value in [0xFF, 0x00] {
        live(&mut TwoParts::new(erase_value).map());
    }
}

#[test]
fn a_real_bundle_with_a_data_part_is_installed_with_all_its_digests() {
    let factory = image("1.0.0", 3000);
    let mut parts = TwoParts::updated(&factory);
    let mut flash = parts.map();
    assert!(holds(&mut flash, Region::App(1), MOS_APP));
    assert!(holds(&mut flash, Region::Data(1), MOS_FS));
    let wanted = Wanted { check: Check::Sha256, descriptor_crc: None, security_counter: 0 };
    assert!(verify(&mut flash, 1, &wanted, &mut [0; 256]).is_ok());
    let info = app(&mut flash, None, |app| app.running_image()).unwrap();
    assert_eq!((info.version(), info.platform()), ("1.1.0", "sim"));
    let head = info.descriptor().head();
    assert_eq!((head.data_len(), head.data_crc()), (8192, ota_core::crc::crc32(MOS_FS)));

    // And into the other slot, whose application and data lie the other way round.
    app(&mut flash, None, |app| install_bundle(app, MOS, 300)).unwrap();
    assert_eq!(start(&mut flash).unwrap().slot, 0);
    assert!(holds(&mut flash, Region::App(0), MOS_APP));
    assert!(holds(&mut flash, Region::Data(0), MOS_FS));
}

#[test]
fn a_dead_device_does_not_stop_the_active_image_on_the_other() {
    let factory = image("1.0.0", 3000);
    let mut parts = TwoParts::new(0xFF);
    program_factory(&mut parts.map(), &factory);
    boots(&mut parts.map(), &factory, false, Reason::Factory);
    parts.serial.stop_at(parts.serial.ops(), Stop::ForEver);
    let mut flash = parts.map();
    assert!(flash.read(Region::App(1), 0, &mut [0; 4]).is_err(), "it does not answer");
    for _ in 0..3 {
        assert_eq!(boots(&mut flash, &factory, false, Reason::Factory), 0);
    }
    // An update is tried, fails with words, and costs nothing.
    let error = app(&mut flash, None, |app| install_bundle(app, MOS, 300)).unwrap_err();
    assert!(matches!(error, StageError::Flash { .. }), "{error}");
    assert_eq!(app(&mut flash, None, |app| app.record().slot_state(1)), SlotState::Staging);
    assert_eq!(boots(&mut flash, &factory, false, Reason::Factory), 0);
}

#[test]
fn a_device_that_dies_with_the_active_image_falls_back_to_the_other() {
    let factory = image("1.0.0", 3000);
    let mut parts = TwoParts::updated(&factory);
    parts.serial.stop_at(parts.serial.ops(), Stop::ForEver);
    let mut flash = parts.map();
    assert_eq!(boots(&mut flash, &factory, false, Reason::VerifyFailed), 0);
    assert_eq!(boots(&mut flash, &factory, false, Reason::VerifyFailed), 0);
}

#[test]
fn a_device_that_dies_with_the_record_leaves_the_image_on_the_other_booting() {
    let factory = image("1.0.0", 3000);
    let mut parts = TwoParts::updated(&factory);
    parts.internal.stop_at(parts.internal.ops(), Stop::ForEver);
    let mut flash = parts.map();
    for _ in 0..2 {
        let plan = start(&mut flash).unwrap();
        assert_eq!((plan.slot, plan.durable, plan.needs_watchdog), (1, false, false));
        assert!(holds(&mut flash, Region::App(1), MOS_APP));
    }
}
