//! What the campaign does to a device: what comes before the cuts, what is cut, what comes after.

use ota_core::BootStateChange;

use super::app::{App, Ask};
use super::images::Images;
use super::model::{ImageId, Model, Request};
use super::product::Product;

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
    /// A reset and a boot, after so many crashes that the loader is to go to recovery.
    Crashed,
    /// Install an image, and ask for something in the midst of it: at each step in turn.
    Interrupt(ImageId, Ask),
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
            Self::Interrupt(image, ask) => {
                Request::Interrupted { image, counter: images.get(image).counter, ask }
            }
            Self::Note(byte) => Request::Note([byte; 16]),
            Self::Boot | Self::Crashed | Self::FillRecord(_) => Request::Note([0; 16]),
        }
    }

    /// Does it, with bundles that bring data or not. Errors are texts.
    pub fn run(self, app: &mut dyn App, images: &Images, data: bool) -> Result<(), String> {
        let bundle = |image| images.get(image).bundle(data);
        match self {
            Self::Boot | Self::Crashed | Self::FillRecord(_) | Self::Interrupt(..) => Ok(()),
            Self::Install(image, timeout_s) => app.install(bundle(image), timeout_s, None),
            Self::BreakOff(image, limit) => app.install(bundle(image), 0, Some(limit)),
            Self::Abandon(image, limit) => app.abandon(bundle(image), limit),
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
    /// What its device is.
    pub product: Product,
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
    /// The first sector of slot 1 takes every operation and garbles it, without a word.
    Lies,
    /// The first sector of slot 1 garbles every operation and says so.
    Garbles,
    /// The first sector of slot 1 refuses every operation.
    Refuses,
    /// Every seventh read fails, once.
    ReadsFail,
    /// The image in this slot has rotted.
    Rot(u8),
    /// The second chip does not answer any more.
    SecondDead,
    /// Nothing can be written to the record any more.
    RecordWorn,
}
