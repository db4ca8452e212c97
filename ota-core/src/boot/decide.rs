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
    /// Make the record durable, then boot.
    Boot(Choice),
    /// Nothing can be booted.
    Recover(RecoverReason),
}

/// An image that may be booted, and the record that says so.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The slot.
    pub slot: u8,
    /// What the record must say before the jump.
    pub record: Record,
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
pub fn decide(record: &Record, facts: &Facts) -> Decision {
    if facts.crash_loop && record.committed() {
        return Decision::Recover(RecoverReason::CrashLoop);
    }
    let on_trial = !record.committed();
    let trial_over = on_trial && (record.trials_left() == 0 || facts.read_only);
    // The active image, or the one to revert to when its trials are over.
    let wanted = if trial_over { record.revert() } else { record.active() };
    let others = (0..record.slot_count()).filter(|slot| {
        // A failed trial is never repeated, whatever else is missing.
        *slot != wanted && *slot != record.revert() && !(trial_over && *slot == record.active())
    });
    let candidates = [wanted, record.revert()].into_iter().chain(others);
    for slot in candidates.filter(|slot| record.bootable(*slot)) {
        let verdict = facts.verdicts.get(usize::from(slot)).copied().unwrap_or_default();
        match verdict {
            Verdict::Bad => {}
            Verdict::Unknown if facts.verify_always || !ordinary(record, slot) => {
                return Decision::Verify(slot);
            }
            Verdict::Unknown | Verdict::Good => {
                let record = booting(record, slot, trial_over, wanted);
                return Decision::Boot(Choice { slot, record });
            }
        }
    }
    Decision::Recover(RecoverReason::NoBootableImage)
}

/// Whether booting `slot` is what the last boot did, committed.
fn ordinary(record: &Record, slot: u8) -> bool {
    record.committed() && slot == record.active() && slot == record.booted()
}

/// The record that says that `slot` runs, and why.
fn booting(record: &Record, slot: u8, trial_over: bool, wanted: u8) -> Record {
    let mut next = *record;
    next.set_booted(slot);
    if slot == record.active() && !trial_over {
        // Ordinary, or a trial.
        next.set_trials_left(record.trials_left().saturating_sub(1));
        return next;
    }
    // Rolled back, or fallen through: what runs now is what is committed.
    next.set_active(slot);
    next.set_revert(slot);
    next.set_committed();
    let rolled_back = trial_over && slot == wanted;
    next.set_reason(if rolled_back { Reason::Unconfirmed } else { Reason::VerifyFailed });
    next
}
