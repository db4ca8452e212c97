//! What the campaign does to a device: what comes before the cuts, what is cut, what comes after.

use ota_core::BootStateChange;

use super::images::Images;
use super::model::{ImageId, Model, Request};
use super::rig::App;

/// One thing that happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A reset, and a boot.
    Boot,
    /// Install an image, with this commit timeout.
    Install(ImageId, u32),
    /// Install an image, but the line is cut after so many bytes; it may be resumed.
    BreakOff(ImageId, usize),
    /// Begin to install an image, and abort after so many bytes.
    Abandon(ImageId, usize),
    /// Confirm.
    Commit,
    /// Report how the start went.
    Start(bool),
    /// The time for the commit runs out.
    Overdue,
    /// Go back.
    Revert,
    /// Copy what runs; on trial; commit timeout.
    Snapshot(bool, Option<u32>),
    /// Change the boot state.
    Set(BootStateChange),
    /// Keep bytes of the application's.
    Note(u8),
    /// Keep bytes until the next append begins the next sector of the record, or so many later.
    FillRecord(u8),
}

impl Step {
    /// What the oracle is to think of it, on a device in state `model`.
    pub fn request(self, images: &Images, model: &Model) -> Request {
        let counter_of = |slot| model.image(slot).map_or(0, |image| images.get(image).counter);
        match self {
            Self::Install(image, timeout_s) => {
                Request::Install { image, counter: images.get(image).counter, timeout_s }
            }
            Self::BreakOff(..) | Self::Abandon(..) => Request::Abandon,
            Self::Commit => Request::Commit { counter: counter_of(model.booted) },
            Self::Start(true) => Request::GoodStart { counter: counter_of(model.booted) },
            Self::Start(false) => Request::BadStart,
            Self::Overdue => Request::Overdue,
            Self::Revert => Request::Revert { counter: counter_of(model.revert) },
            Self::Snapshot(on_trial, timeout_s) => Request::Snapshot { on_trial, timeout_s },
            Self::Set(change) => {
                let counters = (0..model.slots.len() as u8).map(counter_of).collect();
                Request::Set { change, counters }
            }
            Self::Note(byte) => Request::Note([byte; 16]),
            Self::Boot | Self::FillRecord(_) => Request::Note([0; 16]),
        }
    }

    /// Does it. Errors are texts.
    pub fn run(self, app: &mut dyn App, images: &Images) -> Result<(), String> {
        match self {
            Self::Boot | Self::FillRecord(_) => Ok(()),
            Self::Install(image, timeout_s) => {
                app.install(&images.get(image).bundle, timeout_s, None)
            }
            Self::BreakOff(image, limit) => app.install(&images.get(image).bundle, 0, Some(limit)),
            Self::Abandon(image, limit) => app.abandon(&images.get(image).bundle, limit),
            Self::Commit => app.commit(),
            Self::Start(good) => app.report_start(good),
            Self::Overdue => match app.overdue() {
                Ok(true) => Ok(()),
                Ok(false) => Err("no timer runs".into()),
                Err(error) => Err(error),
            },
            Self::Revert => app.revert(),
            Self::Snapshot(on_trial, timeout_s) => app.snapshot(on_trial, timeout_s),
            Self::Set(change) => app.set(change),
            Self::Note(byte) => app.note([byte; 16]),
        }
    }
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name, for tables and replay lines.
    pub name: &'static str,
    /// Slots of its device.
    pub slots: u8,
    /// Boots that a new image gets.
    pub trials: u8,
    /// Before the cuts.
    pub setup: &'static [Step],
    /// Cut at every operation.
    pub cut: &'static [Step],
    /// After a cut and a boot: cut again at depth 2.
    pub retry: &'static [Step],
    /// What is wrong with its flash from the first cut step on.
    pub fault: Fault,
}

/// What is wrong with the flash of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The first sector of slot 1 takes every operation and garbles it.
    Lies,
    /// Every seventh read fails, once.
    ReadsFail,
    /// The image in this slot has rotted.
    Rot(u8),
}

const KEEP: BootStateChange =
    BootStateChange { active: None, committed: None, revert: None, commit_timeout_s: None };
const UNCOMMIT: BootStateChange = BootStateChange { committed: Some(false), ..KEEP };
const SWITCH: BootStateChange = BootStateChange { active: Some(1), ..KEEP };
const SWITCH_ON_TRIAL: BootStateChange =
    BootStateChange { active: Some(0), committed: Some(false), ..KEEP };
const TIMEOUT: BootStateChange = BootStateChange { commit_timeout_s: Some(77), ..KEEP };
const NO_STEPS: &[Step] = &[];
use Step::{
    Abandon, Boot, BreakOff, Commit, FillRecord, Install, Note, Overdue, Revert, Set, Snapshot,
    Start,
};

const fn scenario(
    name: &'static str,
    setup: &'static [Step],
    cut: &'static [Step],
    retry: &'static [Step],
) -> Scenario {
    Scenario { name, slots: 2, trials: 1, setup, cut, retry, fault: Fault::None }
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    scenario("first-boot", NO_STEPS, &[Boot, Boot], NO_STEPS),
    scenario("staging", &[Boot], &[Install(1, 300)], &[Install(1, 300)]),
    scenario(
        "overwrite",
        &[Boot, Install(1, 300), Boot, Commit, Boot],
        &[Install(2, 0)],
        &[Install(2, 0)],
    ),
    scenario("trial-boot", &[Boot, Install(1, 300)], &[Boot], &[Commit]),
    Scenario {
        trials: 3,
        ..scenario("three-trials", &[Boot, Install(1, 300)], &[Boot, Boot, Boot, Boot], &[Commit])
    },
    scenario("early-commit", &[Boot, Install(1, 300)], &[Commit, Boot, Commit], &[Commit]),
    scenario("commit", &[Boot, Install(1, 300), Boot], &[Commit, Boot, Boot], &[Commit]),
    scenario("auto-commit", &[Boot, Install(1, 0), Boot], &[Start(true), Boot], &[Start(true)]),
    scenario("rollback", &[Boot, Install(1, 300), Boot], &[Boot, Boot], &[Install(2, 300)]),
    scenario("timeout", &[Boot, Install(1, 300), Boot], &[Overdue, Boot], &[Revert]),
    scenario("bad-start", &[Boot, Install(1, 300), Boot], &[Start(false), Boot], &[Revert]),
    scenario("revert-trial", &[Boot, Install(1, 300), Boot], &[Revert, Boot], &[Revert]),
    scenario(
        "revert-committed",
        &[Boot, Install(3, 300), Boot, Commit, Install(1, 0), Boot, Commit, Boot],
        &[Revert, Boot],
        &[Revert],
    ),
    scenario("snapshot", &[Boot], &[Snapshot(false, None), Boot], &[Snapshot(false, None)]),
    scenario(
        "snapshot-revert",
        &[Boot],
        &[Snapshot(true, Some(60)), Boot, Boot],
        &[Snapshot(true, Some(60))],
    ),
    scenario(
        "set-boot-state",
        &[Boot, Snapshot(false, None), Install(1, 9), Boot, Boot, Boot],
        &[Set(UNCOMMIT), Boot, Boot, Set(TIMEOUT)],
        &[Set(UNCOMMIT)],
    ),
    scenario(
        "set-switch",
        &[Boot, Install(3, 9), Boot, Commit, Install(1, 9), Boot, Commit],
        &[Set(SWITCH), Boot, Set(SWITCH_ON_TRIAL), Boot, Boot],
        &[Set(SWITCH_ON_TRIAL)],
    ),
    scenario("turn-over", &[Boot, FillRecord(0)], &[Note(1), Note(2), Boot, Note(3)], &[Note(4)]),
    scenario("turn-over-settled", &[Boot, FillRecord(1), Boot], &[Note(1), Boot], &[Note(4)]),
    scenario(
        "turn-over-commit",
        &[Boot, Install(1, 300), Boot, FillRecord(0)],
        &[Commit, Boot, Note(1), Boot],
        &[Commit],
    ),
    scenario(
        "resume",
        &[Boot, BreakOff(1, 22_000), Boot],
        &[Install(1, 300), Boot],
        &[Install(1, 300)],
    ),
    scenario(
        "resume-other",
        &[Boot, BreakOff(1, 22_000), Boot],
        &[Install(2, 300), Boot],
        &[Install(1, 300)],
    ),
    scenario("abort", &[Boot], &[Abandon(1, 20_000), Boot], &[Install(2, 300)]),
    Scenario {
        fault: Fault::Lies,
        ..scenario("lying-flash", &[Boot], &[Install(1, 300), Boot], NO_STEPS)
    },
    Scenario {
        fault: Fault::ReadsFail,
        ..scenario(
            "reads-fail",
            &[Boot, Install(1, 300), Boot, Commit, Boot],
            &[Boot, Note(1), Boot, Revert],
            NO_STEPS,
        )
    },
    Scenario {
        fault: Fault::Rot(0),
        ..scenario(
            "rot-active",
            &[Boot, Install(3, 300), Boot, Commit, Install(1, 0), Boot, Commit, Boot],
            &[Boot, Boot],
            &[Install(2, 300)],
        )
    },
    Scenario {
        fault: Fault::Rot(1),
        ..scenario("rot-trial", &[Boot, Install(1, 300)], &[Boot, Boot], &[Install(2, 300)])
    },
    Scenario {
        slots: 3,
        ..scenario(
            "three-slots",
            &[Boot, Install(1, 300), Boot, Commit],
            &[Install(2, 300), Boot, Commit],
            &[Install(2, 300)],
        )
    },
];

impl Scenario {
    /// The scenario called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }
}
