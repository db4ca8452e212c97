//! The application's part of the state machine: a pure function from a record and an event to the
//! next record, or the reason why not.
//!
//! | event | needs | leaves |
//! |---|---|---|
//! | `StageStarted` | committed, slot not active, not golden | slot staging; revert = active if it was the slot |
//! | `StageFinished` | that slot staging | active = slot, unproven, uncommitted; revert = what ran |
//! | `StageAborted` | that slot staging | slot empty, or still staging if it was interrupted |
//! | `Commit` | uncommitted, booted = active | committed, proven, counter raised |
//! | `GoodStart` | booted = active | committed if uncommitted and the timeout is 0 |
//! | `BadStart`, `CommitTimeout` | uncommitted, booted = active | active = revert, committed |
//! | `Revert` | uncommitted, or another bootable image | active = revert, committed |
//! | `SnapshotFinished` | that slot staging | slot bootable; on request: active on trial, revert = slot |
//! | `SetBootState` | slots bootable, not below the counter (an uncommitted one needs a way back) | as given; see below |
//!
//! An image is *unproven* from its installation until its first confirmation. It only ever runs
//! as the active one, uncommitted: it is never a way back, and `SetBootState` puts it on trial. So
//! revert names a proven image, or is active itself, and then there is no other.
//!
//! Whether the loader or the application wrote last never matters: every record stands for itself.

use crate::record::{NO_SLOT, NOTE_LEN, Reason, Record, SlotState};

/// What happened, or what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job is about to write `slot`.
    StageStarted {
        /// The slot.
        slot: u8,
    },
    /// Everything before these offsets is in flash and was read back.
    Checkpoint(Checkpoint),
    /// A new image is whole in `slot`.
    StageFinished {
        /// The slot.
        slot: u8,
        /// CRC-32 of its descriptor.
        descriptor_crc: u32,
        /// Seconds for the commit; 0: by a good start.
        commit_timeout_s: u32,
        /// As for `StageAborted`, of this job and all before it.
        clean: bool,
    },
    /// The job that wrote `slot` ended without an image.
    StageAborted {
        /// The slot.
        slot: u8,
        /// Every flash operation of the job returned: what looks blank is blank.
        clean: bool,
    },
    /// A copy of the running image is whole in `slot`.
    SnapshotFinished {
        /// The slot.
        slot: u8,
        /// CRC-32 of its descriptor.
        descriptor_crc: u32,
        /// Put the running image on trial, with the copy to roll back to.
        set_as_revert: bool,
        /// Seconds for the commit; `None`: as before.
        commit_timeout_s: Option<u32>,
        /// As for `StageAborted`, of this job and all before it.
        clean: bool,
    },
    /// Confirm the running image, whose security counter is given.
    Commit {
        /// The running image's counter.
        security_counter: u32,
    },
    /// The application started well.
    GoodStart {
        /// The running image's counter.
        security_counter: u32,
    },
    /// The application reports that its start failed.
    BadStart,
    /// The time for the commit is over.
    CommitTimeout,
    /// Roll back, to an image whose security counter is given.
    Revert {
        /// The counter of the image in the revert slot.
        security_counter: u32,
    },
    /// Change what is given.
    SetBootState {
        /// What to change.
        change: BootStateChange,
        /// The counter of the image that is active then.
        security_counter: u32,
        /// The counter of the image to revert to then.
        revert_counter: u32,
    },
    /// Keep these bytes of the application's.
    SetNote([u8; NOTE_LEN]),
}

/// How far a staging job has come, for a resume after a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The part being written: 0 app, 1 data.
    pub part: u8,
    /// Whether the other part is complete.
    pub other_done: bool,
    /// Identity of the source; 0: there is no checkpoint.
    pub source: u32,
    /// Offset in the stream, in bytes.
    pub stream_offset: u32,
    /// Offset in the part, in bytes.
    pub part_offset: u32,
}

const OTHER_DONE: u8 = 0x10;

impl Checkpoint {
    /// The checkpoint of a record, if it has one.
    pub fn of(record: &Record) -> Option<Self> {
        let (bits, source, stream_offset, part_offset) = record.checkpoint();
        let other_done = bits & OTHER_DONE != 0;
        let found = Self { part: bits & 1, other_done, source, stream_offset, part_offset };
        (source != 0 && record.stage_slot().is_some()).then_some(found)
    }
}

/// A partial change of the boot state; `None` keeps a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootStateChange {
    /// The slot to boot.
    pub active: Option<u8>,
    /// Whether it is confirmed; `false`: one more trial.
    pub committed: Option<bool>,
    /// The slot to roll back to.
    pub revert: Option<u8>,
    /// Seconds for the commit.
    pub commit_timeout_s: Option<u32>,
}

/// Why an event was refused. The record is unchanged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refused {
    /// The active image is not the one that runs: reboot first.
    NotBooted {
        /// The chosen slot.
        active: u8,
        /// The running slot; [`NO_SLOT`] if unknown.
        booted: u8,
    },
    /// There is nothing to commit.
    AlreadyCommitted,
    /// The running image is not confirmed yet: commit or revert it first.
    Uncommitted {
        /// Its slot.
        slot: u8,
    },
    /// A job is writing flash.
    Busy {
        /// The slot that it writes.
        slot: u8,
    },
    /// There is no other image to revert to.
    NothingToRevert,
    /// The image to revert to is older than the device accepts.
    BelowCounter {
        /// Its security counter.
        found: u32,
        /// The device's.
        needed: u32,
    },
    /// There is no such slot.
    NoSuchSlot {
        /// What was asked for.
        slot: u8,
        /// How many slots there are.
        slots: u8,
    },
    /// The slot holds no bootable image.
    NotBootable {
        /// The slot.
        slot: u8,
    },
    /// The slot may not be overwritten: it is active, golden, or the only one to roll back to.
    Protected {
        /// The slot.
        slot: u8,
    },
    /// The image in this slot was never confirmed: it can be put on trial, and not be relied on.
    Unproven {
        /// The slot.
        slot: u8,
    },
    /// The image is bound to another slot or address.
    Bound {
        /// The slot that it cannot run in.
        slot: u8,
    },
    /// Nothing was asked for.
    NothingToDo,
    /// No application runs, only the loader's recovery: it takes updates, and nothing else.
    NothingRuns,
    /// The event does not fit what the record says is under way.
    NotStaging {
        /// The slot.
        slot: u8,
    },
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::NotBooted { active, booted: NO_SLOT } => {
                write!(f, "slot {active} is not running; reboot into slot {active} first")
            }
            Self::NotBooted { active, booted } => {
                write!(f, "slot {booted} is running; reboot into slot {active} first")
            }
            Self::AlreadyCommitted => f.write_str("the running firmware is committed already"),
            Self::Uncommitted { slot } => {
                write!(f, "the firmware in slot {slot} is not committed; commit or revert it first")
            }
            Self::Busy { slot } => {
                write!(f, "slot {slot} is being written; wait for the end or abort it")
            }
            Self::NothingRuns => {
                f.write_str("no firmware is running; install one: begin an update")
            }
            Self::NothingToRevert => f.write_str("there is no other bootable image to revert to"),
            Self::BelowCounter { found, needed } => {
                write!(f, "security counter {found} is below the device's {needed}")
            }
            Self::NoSuchSlot { slot, slots } => {
                write!(f, "no slot {slot}; this device has {slots}, numbered from 0")
            }
            Self::NotBootable { slot } => write!(f, "slot {slot} holds no bootable image"),
            Self::Protected { slot } => write!(f, "slot {slot} may not be overwritten"),
            Self::Unproven { slot } => write!(
                f,
                "the firmware in slot {slot} was never committed; make it active on trial \
                 (is_committed false), and commit it when it runs"
            ),
            Self::Bound { slot } => {
                write!(f, "the image is bound to another slot and cannot run in slot {slot}")
            }
            Self::NothingToDo => f.write_str(
                "give at least one of active_slot, is_committed, revert_slot, commit_timeout",
            ),
            Self::NotStaging { slot } => write!(f, "slot {slot} is not being written"),
        }
    }
}

impl core::error::Error for Refused {}

/// The record after `event`.
///
/// # Errors
/// [`Refused`]: why the event cannot be; nothing changes.
pub fn next(record: &Record, event: &Event) -> Result<Record, Refused> {
    let mut next = *record;
    match *event {
        Event::StageStarted { slot } => stage_started(&mut next, slot)?,
        Event::Checkpoint(point) => {
            let slot = next.stage_slot().unwrap_or(NO_SLOT);
            staging(&next, slot)?;
            let bits = point.part & 1 | if point.other_done { OTHER_DONE } else { 0 };
            next.set_checkpoint(bits, point.source, point.stream_offset, point.part_offset);
        }
        Event::StageFinished { slot, descriptor_crc, commit_timeout_s, clean } => {
            staging(&next, slot)?;
            committed(&next)?;
            staged(&mut next, slot, descriptor_crc, clean);
            next.set_unproven(slot, true);
            next.set_revert(next.active());
            next.set_active(slot);
            next.set_uncommitted(true);
            next.set_commit_timeout_s(commit_timeout_s);
            next.set_reason(Reason::Update);
        }
        Event::StageAborted { slot, clean } => {
            staging(&next, slot)?;
            let state = if clean { SlotState::Empty } else { SlotState::Staging };
            next.set_slot(slot, state, 0);
            end_of_stage(&mut next);
        }
        Event::SnapshotFinished {
            slot,
            descriptor_crc,
            set_as_revert,
            commit_timeout_s,
            clean,
        } => {
            staging(&next, slot)?;
            staged(&mut next, slot, descriptor_crc, clean);
            if set_as_revert {
                next.set_revert(slot);
                next.set_uncommitted(false);
            }
            if let Some(seconds) = commit_timeout_s {
                next.set_commit_timeout_s(seconds);
            }
        }
        Event::Commit { security_counter } => {
            if next.committed() {
                return Err(Refused::AlreadyCommitted);
            }
            booted(&next)?;
            commit(&mut next, security_counter);
        }
        Event::GoodStart { security_counter } => {
            booted(&next)?;
            if !next.committed() && next.commit_timeout_s() == 0 {
                commit(&mut next, security_counter);
            }
        }
        Event::BadStart => give_up(&mut next, Reason::BadStart)?,
        Event::CommitTimeout => give_up(&mut next, Reason::CommitTimeout)?,
        Event::Revert { security_counter } => revert(&mut next, security_counter)?,
        Event::SetBootState { change, security_counter, revert_counter } => {
            set_boot_state(&mut next, &change, security_counter)?;
            let needed = next.security_counter();
            if !next.committed() && revert_counter < needed {
                // A failed trial would find no way back.
                return Err(Refused::BelowCounter { found: revert_counter, needed });
            }
        }
        Event::SetNote(note) => next.set_note(&note),
    }
    Ok(next)
}

fn stage_started(next: &mut Record, slot: u8) -> Result<(), Refused> {
    exists(next, slot)?;
    committed(next)?;
    if slot == next.active() || slot == next.booted() {
        return Err(Refused::Protected { slot });
    }
    next.set_slot(slot, SlotState::Staging, 0);
    next.set_stage_slot(slot);
    next.set_checkpoint(0, 0, 0, 0);
    if next.revert() == slot {
        // From the first erase on, that image is gone.
        next.set_revert(next.active());
    }
    Ok(())
}

fn staged(next: &mut Record, slot: u8, descriptor_crc: u32, clean: bool) {
    next.set_slot(slot, SlotState::Bootable, descriptor_crc);
    if !clean {
        next.set_entered(slot);
    }
    end_of_stage(next);
}

fn end_of_stage(next: &mut Record) {
    next.set_stage_slot(NO_SLOT);
    next.set_checkpoint(0, 0, 0, 0);
}

fn commit(next: &mut Record, security_counter: u32) {
    next.set_committed();
    next.set_unproven(next.active(), false);
    // Only now: a counter raised before the commit would forbid the way back.
    next.set_security_counter(next.security_counter().max(security_counter));
}

/// Rolls an uncommitted image back.
fn give_up(next: &mut Record, reason: Reason) -> Result<(), Refused> {
    if next.committed() {
        return Err(Refused::AlreadyCommitted);
    }
    booted(next)?;
    roll_back(next, reason);
    Ok(())
}

fn revert(next: &mut Record, security_counter: u32) -> Result<(), Refused> {
    let slot = next.revert();
    if !next.bootable(slot) || (next.committed() && slot == next.active()) {
        return Err(Refused::NothingToRevert);
    }
    if security_counter < next.security_counter() {
        let needed = next.security_counter();
        return Err(Refused::BelowCounter { found: security_counter, needed });
    }
    roll_back(next, Reason::RevertRequested);
    Ok(())
}

fn roll_back(next: &mut Record, reason: Reason) {
    next.set_active(next.revert());
    next.set_committed();
    next.set_reason(reason);
}

/// The slot to revert to after `change`: one that becomes active is replaced by the one that was, for
/// a way back must lead somewhere else. If that was never confirmed, there is none.
pub(crate) fn revert_after(record: &Record, change: &BootStateChange) -> u8 {
    let kept = match change.active {
        Some(slot) if slot == record.revert() && !record.unproven(record.active()) => {
            record.active()
        }
        Some(_) | None => record.revert(),
    };
    change.revert.unwrap_or(kept)
}

fn set_boot_state(
    next: &mut Record,
    change: &BootStateChange,
    security_counter: u32,
) -> Result<(), Refused> {
    if *change == BootStateChange::default() {
        return Err(Refused::NothingToDo);
    }
    let revert = revert_after(next, change);
    let switches = change.active.is_some_and(|slot| slot != next.active());
    for slot in [change.active, change.revert].into_iter().flatten() {
        exists(next, slot)?;
        if !next.bootable(slot) {
            return Err(Refused::NotBootable { slot });
        }
    }
    if switches && security_counter < next.security_counter() {
        let needed = next.security_counter();
        return Err(Refused::BelowCounter { found: security_counter, needed });
    }
    if let Some(slot) = change.active {
        next.set_active(slot);
    }
    let active = next.active();
    let untried = switches && next.unproven(active);
    if next.unproven(revert) {
        return Err(Refused::Unproven { slot: revert });
    }
    if untried && change.committed == Some(true) {
        return Err(Refused::Unproven { slot: active });
    }
    next.set_revert(revert);
    if let Some(seconds) = change.commit_timeout_s {
        next.set_commit_timeout_s(seconds);
    }
    match change.committed {
        Some(false) => next.set_uncommitted(false),
        Some(true) if !next.committed() && !switches => {
            booted(next)?;
            commit(next, security_counter);
        }
        Some(true) => next.set_committed(),
        None if untried || (switches && !next.committed()) => next.set_uncommitted(false),
        None => {}
    }
    if switches {
        next.set_reason(Reason::SetBootState);
    }
    Ok(())
}

fn exists(record: &Record, slot: u8) -> Result<(), Refused> {
    let slots = record.slot_count();
    if slot < slots { Ok(()) } else { Err(Refused::NoSuchSlot { slot, slots }) }
}

fn committed(record: &Record) -> Result<(), Refused> {
    if record.committed() { Ok(()) } else { Err(Refused::Uncommitted { slot: record.active() }) }
}

fn booted(record: &Record) -> Result<(), Refused> {
    if record.booted() == record.active() {
        Ok(())
    } else {
        Err(Refused::NotBooted { active: record.active(), booted: record.booted() })
    }
}

fn staging(record: &Record, slot: u8) -> Result<(), Refused> {
    if record.stage_slot() == Some(slot) && record.slot_state(slot) == SlotState::Staging {
        Ok(())
    } else {
        Err(Refused::NotStaging { slot })
    }
}
