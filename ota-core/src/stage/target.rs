//! Which slot an image goes to.

use crate::record::{Record, SlotState};

/// The slot to write next: never the active one, the running one or a golden one. An empty slot comes
/// first, then one whose image was never confirmed, then any that is not kept to roll back to, then
/// that one: with two slots, it is the only.
pub(crate) fn choose(record: &Record, golden: Option<u8>) -> Option<u8> {
    let free =
        |slot: &u8| *slot != record.active() && *slot != record.booted() && Some(*slot) != golden;
    let rank = |slot: &u8| {
        let kept = *slot == record.revert();
        let bootable = record.slot_state(*slot) == SlotState::Bootable;
        // A job that was interrupted can only be resumed where it was.
        let resumed = record.stage_slot() == Some(*slot);
        (kept, !resumed, bootable, !record.unproven(*slot))
    };
    (0..record.slot_count()).filter(free).min_by_key(rank)
}
