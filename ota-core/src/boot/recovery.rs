//! The record that an update begins from in a loader that has nothing to boot.
//!
//! | the record in force | it begins from |
//! |---|---|
//! | none | what the descriptors say, with slot 0 active: as after a boot that lost its record |
//! | on trial | the image before it, committed: as after a failed trial |
//! | committed | the same |
//!
//! The active slot counts as the one that runs, though nothing does: the engine keeps it, and
//! writes another.
//!
//! # Power loss
//! Nothing is written for it. The first append of the update is the first that has it; until then
//! each boot comes to the same.

use super::decide::Choice;
use super::from_descriptors;
use crate::flash::FlashRead;
use crate::record::{Log, Reason, Record};

/// The record where there is none. `None`: nothing may be appended either.
pub(crate) fn without_record<F: FlashRead>(
    flash: &mut F,
    log: &Log,
    trials: u8,
    buffer: &mut [u8],
) -> Option<Record> {
    if log.read_only() {
        return None;
    }
    let mut record = from_descriptors(flash, trials, log.all_blank(), buffer);
    record.set_reason(if log.all_blank() { Reason::Factory } else { Reason::RecordLost });
    Some(nothing_runs(record))
}

/// `record`, such that an update can begin.
pub(crate) fn nothing_runs(mut record: Record) -> Record {
    if !record.committed() {
        // Never the image on trial itself: it would come back as one that was confirmed.
        let others = (0..record.slot_count()).filter(|slot| *slot != record.active());
        let before = Some(record.revert()).filter(|slot| *slot != record.active());
        if let Some(slot) = before.or(others.min()) {
            Choice { slot, switch: Some(Reason::Unconfirmed) }.apply(&mut record);
        }
    }
    record.set_booted(record.active());
    record
}
