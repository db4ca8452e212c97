//! Promises of the application's engine that were once broken: each test first reaches the state in
//! which they were.

mod common;

use common::device::{Device, bundle, image, install_bundle};
use ota_core::flash::Extent;
use ota_core::record::{Reason, SlotState};
use ota_core::{BootStateChange, Change, ChangeError, Config, JobState, RawImage, Refused};
use ota_core::{StageError, Updater};
use ota_sim::factory::Image;
use ota_sim::flash::SimFlash;
use ota_sim::nor::{Nor, NorDevice, NorError, PendingOp, Shape};

const BOARD: &str = "sim:app=4K,data=0";

fn images() -> [Image; 3] {
    [image("1.0.0", 2048), image("2.0.0", 2041), image("3.0.0", 3000)]
}

/// Slot 0 runs, committed; nothing else was ever installed.
fn fresh(board: &str) -> Device {
    let mut device = Device::factory(board, &images()[0]);
    device.boot().unwrap();
    device
}

/// Slot 1 runs on trial.
fn on_trial(board: &str) -> Device {
    let mut device = fresh(board);
    device.install(&images()[1], 300).unwrap();
    assert!(device.boot().unwrap().needs_watchdog);
    device
}

/// Slot 0 runs, committed; slot 1 holds an image whose trial failed.
fn rolled_back() -> Device {
    let mut device = on_trial(BOARD);
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.record.reason()), (0, Reason::Unconfirmed));
    assert!(plan.record.bootable(1) && plan.record.unproven(1));
    device
}

const KEEP: BootStateChange =
    BootStateChange { active: None, committed: None, revert: None, commit_timeout_s: None };

fn set(device: &mut Device, change: BootStateChange) -> Result<(), ChangeError> {
    device.app(|app| app.set_boot_state(change))
}

fn unproven(slot: u8) -> Result<(), ChangeError> {
    Err(ChangeError::Refused(Refused::Unproven { slot }))
}

#[test]
fn what_was_never_confirmed_is_no_way_back() {
    // Away from an image on trial: it is not what is rolled back to.
    for committed in [None, Some(true), Some(false)] {
        let mut device = on_trial(BOARD);
        set(&mut device, BootStateChange { active: Some(0), committed, ..KEEP }).unwrap();
        assert_eq!(device.app(|app| app.boot_state().revert), 0, "{committed:?}");
        for _ in 0..4 {
            assert_eq!(device.boot().unwrap().slot, 0, "{committed:?}");
        }
        let again = device.app(|app| app.revert());
        assert_eq!(again, Err(ChangeError::Refused(Refused::NothingToRevert)), "{committed:?}");
    }
    // Named as one.
    let mut device = on_trial(BOARD);
    assert_eq!(set(&mut device, BootStateChange { revert: Some(1), ..KEEP }), unproven(1));
    let mut device = rolled_back();
    assert_eq!(set(&mut device, BootStateChange { revert: Some(1), ..KEEP }), unproven(1));
}

#[test]
fn a_failed_image_can_be_tried_again_and_no_more() {
    let mut device = rolled_back();
    let vouched = BootStateChange { active: Some(1), committed: Some(true), ..KEEP };
    assert_eq!(set(&mut device, vouched), unproven(1));
    set(&mut device, BootStateChange { active: Some(1), ..KEEP }).unwrap();
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.needs_watchdog), (1, true));
    // Not confirmed: back again. Confirmed: it is as good as any.
    let mut failed = device.clone();
    assert_eq!(failed.boot().unwrap().slot, 0);
    device.app(|app| app.commit()).unwrap();
    set(&mut device, BootStateChange { active: Some(0), ..KEEP }).unwrap();
    assert_eq!(device.boot().unwrap().slot, 0);
    device.app(|app| app.revert()).unwrap();
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.needs_watchdog), (1, false));
}

#[test]
fn what_was_never_confirmed_is_not_fallen_through_to() {
    let mut device = rolled_back();
    let start = device.app_address(0);
    device.nor.poke(start, &[0; 64]);
    assert!(device.holds(1, &images()[1]), "the failed image is whole");
    assert_eq!(device.boot().unwrap_err(), ota_core::RecoverReason::NoBootableImage);
    // One that was confirmed is.
    let mut device = on_trial(BOARD);
    device.app(|app| app.commit()).unwrap();
    set(&mut device, BootStateChange { active: Some(0), ..KEEP }).unwrap();
    device.boot().unwrap();
    device.nor.poke(start, &[0; 64]);
    let plan = device.boot().unwrap();
    assert_eq!((plan.slot, plan.record.reason()), (1, Reason::VerifyFailed));
}

#[test]
fn with_three_slots_a_failed_image_is_overwritten_before_a_good_one() {
    let mut device = on_trial("sim:app=4K,data=0,slots=3");
    device.app(|app| app.commit()).unwrap();
    device.install(&images()[2], 300).unwrap();
    device.boot().unwrap();
    assert_eq!(device.boot().unwrap().slot, 1, "slot 2 has failed");
    let states = device.app(|app| [0, 1, 2].map(|slot| app.record().slot_state(slot)));
    assert_eq!(states, [SlotState::Bootable; 3]);
    assert_eq!(device.app(|app| app.begin(0, None)), Ok(2));
}

/// Pushes a bundle up to its end, and steps until nothing but the last append is to be done.
fn almost_done(app: &mut Updater<'_, SimFlash<'_>>, bundle: &[u8]) {
    app.begin(300, None).unwrap();
    app.write(bundle).unwrap();
    app.end_of_input().unwrap();
    while app.progress().is_some() {
        assert_eq!(app.step(), Ok(JobState::Working));
    }
    assert!(app.is_changing(), "the image is about to be made known");
}

#[test]
fn an_abort_that_comes_too_late_says_so() {
    let mut device = fresh(BOARD);
    let next = bundle(&images()[1]);
    for steps in 0..4 {
        let mut copy = device.clone();
        copy.app(|app| {
            almost_done(app, &next);
            for _ in 0..steps {
                app.step().unwrap();
            }
            let late = app.is_changing();
            let expected = if late { Err(StageError::TooLate) } else { Ok(()) };
            assert_eq!(app.abort(), expected, "after {steps} steps");
            assert!(!app.boot_state().committed);
        });
        assert_eq!(copy.boot().unwrap().slot, 1, "after {steps} steps");
    }
    // One that comes in time.
    device.app(|app| {
        app.begin(300, None).unwrap();
        app.write(&next).unwrap();
        app.end_of_input().unwrap();
        app.abort().unwrap();
        assert_eq!(app.record().stage_slot(), None);
    });
    assert_eq!(device.boot().unwrap().slot, 0);
}

#[test]
fn an_abort_while_the_slot_is_being_marked_unmarks_it() {
    let mut device = fresh(BOARD);
    let next = bundle(&images()[1]);
    let mut marking = 0;
    for steps in 1..40 {
        device.app(|app| {
            app.begin(300, None).unwrap();
            let mut rest = &next[..];
            for _ in 0..steps {
                let taken = app.push(rest).unwrap();
                rest = &rest[taken..];
                if app.is_changing() {
                    break;
                }
                app.step().unwrap();
            }
            marking += u32::from(app.is_changing() && app.record().stage_slot().is_none());
            app.abort().unwrap();
            assert_eq!(app.record().stage_slot(), None, "after {steps} steps");
            assert_ne!(app.record().slot_state(1), SlotState::Staging, "after {steps} steps");
        });
    }
    assert!(marking > 0, "aborts while the slot was being marked: {marking}");
    device.app(|app| install_bundle(app, &next, 300)).unwrap();
    assert_eq!(device.boot().unwrap().slot, 1);
}

#[test]
fn a_snapshot_of_a_rotten_image_costs_nothing() {
    let [old, new, _] = images();
    let mut device = Device::updated(BOARD, &old, &new);
    let start = device.app_address(1);
    device.nor.flip(start + 1000, 3);
    assert!(!device.holds(1, &new), "what runs has rotted since it was verified");
    let erases = device.nor.counters().erases;
    let made = device.app(|app| {
        app.begin_snapshot(true, None).unwrap();
        app.run()
    });
    assert_eq!(made, Err(StageError::SourceDamaged { slot: 1 }));
    assert_eq!(device.nor.counters().erases, erases);
    assert!(device.holds(0, &old), "the only good image");
    assert_eq!(device.boot().unwrap().slot, 0, "the way back still works");
}

/// Flash whose record cannot be changed for a while.
struct Stubborn<'a> {
    nor: &'a mut Nor,
    record: Extent,
    refuses: &'a std::cell::Cell<bool>,
}

impl NorDevice for Stubborn<'_> {
    fn shape(&self) -> Shape {
        self.nor.shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.nor.read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        let record = self.record.address..self.record.address + self.record.size;
        if self.refuses.get() && record.contains(&op.address()) {
            return Err(NorError::Failed { address: op.address() });
        }
        self.nor.perform(op)
    }
}

/// Runs `body` with the application's engine on such flash.
fn on_stubborn<R>(
    device: &mut Device,
    body: impl FnOnce(&mut Updater<'_, SimFlash<'_>>, &std::cell::Cell<bool>) -> R,
) -> R {
    let refuses = std::cell::Cell::new(false);
    let record = device.board.layout().record;
    let stubborn = Stubborn { nor: &mut device.nor, record, refuses: &refuses };
    let mut buffer = vec![0; device.board.buffer_size()];
    let map = SimFlash::new(stubborn, &device.board).unwrap();
    let mut app = Updater::open(map, Config::new("sim"), &mut buffer, 0).unwrap();
    body(&mut app, &refuses)
}

/// Begins to install the second image, fails to keep a note in the middle, and goes on with the
/// record mended or not.
fn install_around_a_lost_note(device: &mut Device, mended: bool) -> Result<(), StageError> {
    let next = bundle(&images()[1]);
    on_stubborn(device, |app, refuses| {
        app.begin(300, None).unwrap();
        app.write(&next[..2000]).unwrap();
        refuses.set(true);
        assert_eq!(app.set_note([7; 16]), Err(ChangeError::RecordNotWritten));
        assert!(app.progress().is_some(), "the job is still there");
        refuses.set(!mended);
        let ended = app.write(&next[2000..]).and_then(|()| app.finish());
        assert_eq!(app.progress(), None);
        ended
    })
}

#[test]
fn a_note_that_cannot_be_written_does_not_end_a_job_in_silence() {
    let mut device = fresh(BOARD);
    let ended = install_around_a_lost_note(&mut device, false);
    assert_eq!(ended, Err(StageError::RecordNotWritten));
    assert_eq!(device.boot().unwrap().slot, 0);
    install_around_a_lost_note(&mut device, true).unwrap();
    assert_eq!(device.boot().unwrap().slot, 1);
}

#[test]
fn a_job_whose_append_failed_in_another_call_has_failed() {
    let mut device = fresh(BOARD);
    let next = bundle(&images()[1]);
    on_stubborn(&mut device, |app, refuses| {
        app.begin(300, None).unwrap();
        app.write(&next).unwrap();
        app.end_of_input().unwrap();
        while app.progress().is_some() {
            app.step().unwrap();
        }
        refuses.set(true);
        assert!(app.is_changing(), "the image is about to be made known");
        assert_eq!(app.set_note([7; 16]), Err(ChangeError::RecordNotWritten));
        assert_eq!(app.run(), Err(StageError::RecordNotWritten), "not Idle: that is success");
        assert_eq!(app.run(), Ok(JobState::Idle));
        assert!(app.boot_state().committed);
    });
}

#[test]
fn nothing_else_is_chosen_while_a_job_runs() {
    let [old, new, next] = images();
    let mut device = Device::updated("sim:app=4K,data=0,slots=3", &old, &new);
    device.app(|app| {
        app.begin(300, None).unwrap();
        assert_eq!(app.boot_state().revert, 0, "there is a way back");
        let busy = Err(ChangeError::Refused(Refused::Busy { slot: 2 }));
        assert_eq!(app.revert(), busy);
        assert_eq!(app.set_boot_state(BootStateChange { active: Some(0), ..KEEP }), busy);
        app.write(&bundle(&next)).unwrap();
        assert_eq!(app.revert(), busy);
        app.abort().unwrap();
        app.revert().unwrap();
    });
    assert_eq!(device.boot().unwrap().slot, 0);
}

#[test]
fn an_application_that_knows_where_it_runs_confirms_nothing_else() {
    // The loader could not write the record, and booted the committed image all the same.
    let mut device = fresh(BOARD);
    device.install(&images()[1], 0).unwrap();
    let record = device.board.layout().record;
    let cells = device.nor.peek(record.address..record.address + record.size).to_vec();
    assert!(device.boot().unwrap().needs_watchdog);
    let running = Config { running: Some(0), ..Config::new("sim") };
    let mut buffer = vec![0; device.board.buffer_size()];
    assert!(cells != device.nor.peek(record.address..record.address + record.size));
    let map = SimFlash::new(&mut device.nor, &device.board).unwrap();
    let mut app = Updater::open(map, running, &mut buffer, 0).unwrap();
    assert_eq!(app.boot_state().booted, Some(0));
    let refused = Err(ChangeError::Refused(Refused::NotBooted { active: 1, booted: 0 }));
    assert_eq!(app.commit(), refused);
    assert_eq!(app.report_start(true).map(|_| ()), refused);
}

fn busy<T: std::fmt::Debug>(result: &Result<T, StageError>) -> bool {
    matches!(result, Err(StageError::Refused(Refused::Busy { .. })))
}

#[test]
fn no_job_begins_while_the_record_is_about_to_say_something_else() {
    // A failed job is about to be unmarked.
    let mut device = Device::factory("sim:app=64K,data=0", &images()[0]);
    device.boot().unwrap();
    let next = bundle(&image("2.0.0", 50_000));
    device.app(|app| {
        app.begin(300, None).unwrap();
        app.write(&next[..40_000]).unwrap();
        app.end_of_input().unwrap();
        assert_eq!(app.step(), Ok(JobState::Working));
        assert!(app.is_changing(), "the slot is being unmarked");
        assert!(app.suspend());
        assert!(busy(&app.begin(300, None)));
        assert_eq!(app.run(), Ok(JobState::Idle));
        app.begin(300, None).unwrap();
        app.write(&next).unwrap();
        app.finish().unwrap();
    });
    assert_eq!(device.boot().unwrap().slot, 1);

    // Another image was chosen, and that is not in flash yet.
    let [old, new, _] = images();
    let mut device = Device::updated("sim:app=4K,data=0,slots=3", &old, &new);
    device.app(|app| {
        app.ask(Change::Revert).unwrap();
        assert!(busy(&app.begin(300, None)));
        assert!(busy(&app.begin_snapshot(false, None)));
        assert_eq!(app.run(), Ok(JobState::Idle));
        assert!(matches!(
            app.begin(300, None),
            Err(StageError::Refused(Refused::NotBooted { .. }))
        ));
    });
    assert_eq!(device.boot().unwrap().slot, 0);
}

#[test]
fn a_resumed_job_is_never_behind_its_checkpoint() {
    let mut device = Device::factory("sim:app=64K,data=0", &images()[0]);
    device.boot().unwrap();
    let next = bundle(&image("2.0.0", 50_000));
    let mut pending = 0;
    device.app(|app| {
        app.begin(300, None).unwrap();
        let mut rest = &next[..];
        let mut checkpoint = app.record().checkpoint();
        while !rest.is_empty() {
            let taken = app.push(rest).unwrap();
            rest = &rest[taken..];
            app.step().unwrap();
            // The line breaks while a checkpoint is being appended.
            if app.is_changing() && app.record().stage_slot().is_some() {
                assert_eq!(app.record().checkpoint(), checkpoint);
                assert!(app.suspend());
                assert!(busy(&app.begin(300, None)));
                app.run().unwrap();
                checkpoint = app.record().checkpoint();
                app.begin(300, None).unwrap();
                rest = &next[..];
                pending += 1;
                assert!(pending < 10);
            }
        }
        app.finish().unwrap();
    });
    assert!(pending > 1, "checkpoints that were under way: {pending}");
    assert_eq!(device.boot().unwrap().slot, 1);
}

#[test]
fn a_note_that_was_asked_for_and_not_written_is_no_failure_of_the_job() {
    let mut device = fresh(BOARD);
    let next = bundle(&images()[1]);
    on_stubborn(&mut device, |app, refuses| {
        app.begin(300, None).unwrap();
        app.write(&next).unwrap();
        app.ask(Change::Note([7; 16])).unwrap();
        refuses.set(true);
        // Steps of the job make that change too.
        while app.is_changing() {
            assert_eq!(app.step(), Ok(JobState::Working));
        }
        refuses.set(false);
        assert!(app.change_failed() && !app.change_failed(), "told once");
        // Nobody asks what became of this one: the next change has its own answer.
        app.ask(Change::Note([8; 16])).unwrap();
        refuses.set(true);
        while app.is_changing() {
            assert_eq!(app.step(), Ok(JobState::Working));
        }
        refuses.set(false);
        app.set_note([9; 16]).unwrap();
        app.finish().unwrap();
        assert_eq!(app.boot_state().note, [9; 16]);
    });
    assert_eq!(device.boot().unwrap().slot, 1);
}

#[test]
fn the_end_may_be_told_twice() {
    for steps in 0..40 {
        let mut device = fresh(BOARD);
        device.app(|app| {
            let new = &images()[1];
            let raw = RawImage { len: Some(new.app.len() as u32), ..RawImage::default() };
            app.begin_raw(raw, 300).unwrap();
            app.write(&new.app).unwrap();
            app.end_of_input().unwrap();
            for _ in 0..steps {
                app.step().unwrap();
            }
            // Until the image is known, it may be said; then the job is over.
            let done = app.progress().is_none() && !app.is_changing();
            let expected = if done { Err(StageError::NotRunning) } else { Ok(()) };
            assert_eq!(app.finish(), expected, "after {steps} steps");
        });
        assert_eq!(device.boot().unwrap().slot, 1, "after {steps} steps");
    }
}

#[test]
fn the_slot_of_a_job_is_named_as_no_way_back() {
    let [old, new, _] = images();
    let mut device = Device::updated("sim:app=4K,data=0,slots=3", &old, &new);
    device.app(|app| {
        assert_eq!(app.begin(300, None), Ok(2));
        let change = BootStateChange { revert: Some(0), ..KEEP };
        let refused = Err(ChangeError::Refused(Refused::Busy { slot: 2 }));
        assert_eq!(app.set_boot_state(change), refused);
        app.abort().unwrap();
        app.set_boot_state(change).unwrap();
    });
}
