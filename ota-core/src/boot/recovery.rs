//! The record that an update begins from in a loader that has nothing to boot.
//!
//! | the record in force | it begins from |
//! |---|---|
//! | none | what the descriptors say, with slot 0 active: as after a boot that lost its record |
//! | on trial | the image before it, committed: as after a failed trial |
//! | committed | the same |
//!
//! A golden slot is the active one in any case. Requests of an application (commit, revert, snapshot,
//! boot state) are refused: there is none.
//!
//! # Power loss
//! Nothing is written for it, unless the log has to be healed. The first append of the update is the
//! first that has it; until then each boot comes to the same.

use super::decide::Choice;
use super::from_descriptors;
use crate::flash::FlashRead;
use crate::machine::Config;
use crate::record::{Log, NO_SLOT, Reason, Record, SlotState};

/// The record where there is none. `None`: nothing may be appended either.
pub(crate) fn without_record<F: FlashRead>(
    flash: &mut F,
    log: &Log,
    config: &Config,
    buffer: &mut [u8],
) -> Option<Record> {
    if log.read_only() {
        return None;
    }
    let mut record = from_descriptors(flash, config.trials, log.all_blank(), buffer);
    record.set_reason(if log.all_blank() { Reason::Factory } else { Reason::RecordLost });
    Some(nothing_runs(record, config.golden))
}

/// `record`, such that an update can begin: the engine keeps the active slot, and writes another.
///
/// What is chosen here need not be whole: nothing runs, and says so (`booted`), so that whatever becomes
/// durable of this is verified before it boots, and an image that was never confirmed does not.
pub(crate) fn nothing_runs(mut record: Record, golden: Option<u8>) -> Record {
    let active = record.active();
    // The one that may not be written anyhow, or else the image would find no place.
    let golden = golden.filter(|slot| *slot < record.slot_count());
    // Not the image on trial, if there is another: it would look as one that was confirmed.
    let before = Some(record.revert()).filter(|slot| *slot != active || !record.unproven(active));
    let other = (0..record.slot_count()).find(|slot| *slot != active);
    if let Some(slot) = golden.filter(|slot| *slot != active) {
        Choice { slot, switch: Some(Reason::VerifyFailed) }.apply(&mut record);
    } else if !record.committed()
        && let Some(slot) = golden.or(before).or(other)
    {
        Choice { slot, switch: Some(Reason::Unconfirmed) }.apply(&mut record);
    }
    let active = record.active();
    if record.committed() && record.unproven(active) {
        // It has had its trial, and must not come back as one that was confirmed.
        record.set_slot(active, SlotState::Empty, 0);
    }
    record.set_booted(NO_SLOT);
    record
}
