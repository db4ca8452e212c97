//! What happens in a device, in words: the lines of its console.

use std::fmt;

use ota_core::descriptor::Descriptor;
use ota_core::record::Reason;
use ota_core::{BootPlan, ChangeError, OpenError, RecoverReason};

use crate::app::Behaviour;
use crate::flash::SimFlash;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The loader has jumped to an image.
    Booted(BootReport),
    /// The loader found nothing to boot.
    Recovery(RecoverReason),
    /// The application could not open its engine: it runs, but cannot be updated.
    NoEngine(OpenError),
    /// The application's report of its start was refused.
    StartRefused(ChangeError),
    /// The image has confirmed itself: its commit timeout is 0 and it started well.
    CommittedItself,
    /// The device was reset.
    Reset(ResetCause),
    /// There is no more power.
    PowerLost,
}

/// Why a device was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// It was asked for, or an update is in place.
    Requested,
    /// The application crashed.
    Crash,
    /// The application hung, and the watchdog noticed.
    Watchdog,
    /// Nobody committed the image in time.
    CommitTimeout,
    /// The application found that its start failed.
    BadStart,
}

/// What the loader has booted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootReport {
    /// The slot.
    pub slot: u8,
    /// Version of the image.
    pub version: String,
    /// Which build of that version.
    pub build_id: String,
    /// Whether the image is confirmed.
    pub committed: bool,
    /// How many boots more the image gets to be confirmed in.
    pub trials_left: u8,
    /// Why this slot is active.
    pub reason: Reason,
    /// The slot to roll back to.
    pub revert_slot: u8,
    /// Whether the record says so too.
    pub durable: bool,
    /// What the image does.
    pub behaviour: Behaviour,
}

impl BootReport {
    pub(super) fn new(flash: &mut SimFlash<'_>, plan: &BootPlan, behaviour: Behaviour) -> Self {
        let descriptor = Descriptor::read(flash, plan.slot).ok();
        let text = |of: fn(&Descriptor) -> &str| {
            descriptor.as_ref().map_or_else(|| "unknown".to_owned(), |found| of(found).to_owned())
        };
        Self {
            slot: plan.slot,
            version: text(Descriptor::version),
            build_id: text(Descriptor::build_id),
            committed: plan.record.committed(),
            trials_left: plan.record.trials_left(),
            reason: plan.record.reason(),
            revert_slot: plan.record.revert(),
            durable: plan.durable,
            behaviour,
        }
    }
}

impl fmt::Display for BootReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, version, build_id, trials_left, .. } = self;
        write!(f, "loader: boots slot {slot}, version {version} ({build_id}), ")?;
        match (self.committed, trials_left) {
            (true, _) => f.write_str("committed")?,
            (false, 0) => write!(f, "on trial, the last before slot {}", self.revert_slot)?,
            (false, 1) => f.write_str("on trial, one more is left")?,
            (false, _) => write!(f, "on trial, {trials_left} more are left")?,
        }
        write!(f, "; reason: {}", self.reason.name())?;
        if !self.durable {
            f.write_str("; the boot record cannot be written")?;
        }
        Ok(())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted(report) => report.fmt(f),
            Self::Recovery(reason) => write!(f, "loader: nothing to boot: {}", words(*reason)),
            Self::NoEngine(error) => write!(f, "application: runs, but cannot update: {error}"),
            Self::StartRefused(error) => write!(f, "application: start report refused: {error}"),
            Self::CommittedItself => f.write_str("application: good start, committed"),
            Self::Reset(cause) => write!(f, "reset: {cause}"),
            Self::PowerLost => f.write_str("power lost"),
        }
    }
}

impl fmt::Display for ResetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "requested",
            Self::Crash => "the application crashed",
            Self::Watchdog => "watchdog, the application hung",
            Self::CommitTimeout => "not committed in time",
            Self::BadStart => "the application reports a bad start",
        })
    }
}

/// Why there is nothing to boot, in words.
const fn words(reason: RecoverReason) -> &'static str {
    match reason {
        RecoverReason::NoBootableImage => "no slot holds a whole image; make a factory flash image",
        RecoverReason::CrashLoop => {
            "the committed image crashes again and again; switch off and on"
        }
        RecoverReason::RecordTooSmall => "the layout has no room for the boot record",
    }
}
