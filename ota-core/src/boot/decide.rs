//! Which image to boot: a pure function of the record and of what was found out.

use crate::flash::MAX_SLOTS;
use crate::record::{Reason, Record};

/// What is known of the image in a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Not looked at yet.
    #[default]
    Unknown,
    /// Whole.
    Good,
    /// Not to be booted.
    Bad,
}

/// What [`decide`] knows besides the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Of each slot.
    pub verdicts: [Verdict; MAX_SLOTS],
    /// Whether the committed image is verified at an ordinary boot too.
    pub verify_always: bool,
    /// The record cannot be written: no uncommitted image may run, for its trials could not be
    /// counted.
    pub read_only: bool,
    /// The committed image has crashed too often in a row.
    pub crash_loop: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// Verify this slot, note the verdict, ask again.
    Verify(u8),
    /// Make the record that [`Choice::apply`] gives durable, then boot.
    Boot(Choice),
    /// Nothing can be booted.
    Recover(RecoverReason),
}

/// An image that may be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The slot.
    pub slot: u8,
    /// `None`: it is the active one, as it should be. Else it was rolled back to, or fallen through
    /// to, for this reason.
    pub switch: Option<Reason>,
}

impl Choice {
    /// Makes `record` say what it must before the jump: that the slot runs, and why.
    pub fn apply(self, record: &mut Record) {
        record.set_booted(self.slot);
        match self.switch {
            // Ordinary, or a trial.
            None => record.set_trials_left(record.trials_left().saturating_sub(1)),
            // What runs now is what is committed.
            Some(reason) => {
                record.set_active(self.slot);
                record.set_revert(self.slot);
                record.set_committed();
                record.set_reason(reason);
            }
        }
    }
}

/// Why the loader has nothing to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RecoverReason {
    /// No slot holds an image that verifies.
    NoBootableImage,
    /// The committed image crashes again and again.
    CrashLoop,
    /// The record region cannot hold a record: the layout is wrong.
    RecordTooSmall,
}

/// Decides what to boot. Ask again after each [`Decision::Verify`]; at most one for each slot comes,
/// then the answer stands.
///
/// | state | boots |
/// |---|---|
/// | committed | active |
/// | uncommitted, trials left | active, one trial less |
/// | uncommitted, none left, or the record cannot be written | revert |
/// | what was wanted does not verify | revert, then any other bootable slot |
///
/// An image that was never confirmed boots as the active one on trial, and not otherwise: a failed
/// trial is never repeated, whatever else is missing.
pub fn decide(record: &Record, facts: &Facts) -> Decision {
    if facts.crash_loop && record.committed() {
        return Decision::Recover(RecoverReason::CrashLoop);
    }
    let on_trial = !record.committed();
    let trial_over = on_trial && (record.trials_left() == 0 || facts.read_only);
    // The active image, or the one to revert to when its trials are over.
    let wanted = if trial_over { record.revert() } else { record.active() };
    // Then the one to revert to, then every slot.
    for turn in (0u8..).take(MAX_SLOTS.wrapping_add(2)) {
        let slot = match turn {
            0 => wanted,
            1 => record.revert(),
            other => other.wrapping_sub(2),
        };
        let may_try = slot == record.active() && !trial_over;
        let Some(verdict) = facts.verdicts.get(usize::from(slot)) else { continue };
        if !record.bootable(slot) || (record.unproven(slot) && !may_try) {
            continue;
        }
        match verdict {
            Verdict::Bad => {}
            Verdict::Unknown if facts.verify_always || !ordinary(record, slot) => {
                return Decision::Verify(slot);
            }
            Verdict::Unknown | Verdict::Good => {
                let switch = if may_try {
                    None
                } else if trial_over && slot == record.revert() {
                    Some(Reason::Unconfirmed)
                } else {
                    Some(Reason::VerifyFailed)
                };
                return Decision::Boot(Choice { slot, switch });
            }
        }
    }
    Decision::Recover(RecoverReason::NoBootableImage)
}

/// Whether booting `slot` is what the last boot did, committed.
fn ordinary(record: &Record, slot: u8) -> bool {
    record.committed() && slot == record.active() && slot == record.booted()
}
