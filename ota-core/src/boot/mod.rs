//! The loader's part: from flash to the slot that is to be jumped to.
//!
//! ```text
//! read the log -> decide <-> verify -> append (heal, trial count, what runs) -> jump
//! ```
//!
//! # Power loss
//! Reads change nothing. A cut in the append leaves the record in force before it or after it. A cut
//! between append and jump costs a trial of an uncommitted image: with one trial, its only one. Give
//! more than one to devices whose power is unsteady.

mod decide;
#[cfg(feature = "stage")]
mod recovery;

pub use decide::{Choice, Decision, Facts, RecoverReason, Verdict, decide};

use crate::descriptor::Head;
use crate::flash::{FlashMap, FlashRead};
use crate::record::{AppendFailed, Log, Reason, Record, SlotState};
use crate::verify::{Check, Wanted, verify};
#[cfg(feature = "stage")]
pub(crate) use recovery::{nothing_runs, without_record};

/// How the loader boots.
#[derive(Clone, Copy, Debug)]
pub struct BootOptions {
    /// How images are checked. A slot other than the committed one is always checked.
    pub check: Check,
    /// Whether the committed image is checked at every boot too.
    pub verify_always: bool,
    /// Trials of a new image, if the record has to be written anew; 1 as in Mongoose OS, 3 advised.
    pub trials: u8,
    /// How many times in a row the committed image has crashed: the board counts in retained RAM,
    /// and clears the count when the application has run for a while.
    pub crashes: u8,
    /// From how many crashes in a row on the loader goes to recovery; 0: never.
    pub crash_limit: u8,
}

impl Default for BootOptions {
    /// CRC-32 at every boot, one trial, no crash-loop guard.
    fn default() -> Self {
        Self { check: Check::Crc32, verify_always: true, trials: 1, crashes: 0, crash_limit: 0 }
    }
}

/// What to boot. When it is returned, the record says so too.
#[derive(Clone, Copy, Debug)]
pub struct BootPlan {
    /// The slot to jump to.
    pub slot: u8,
    /// The image is on trial: start the watchdog before the jump, so that one that hangs comes back.
    pub needs_watchdog: bool,
    /// The record as it is now, for the loader's log; not durable if it could not be written.
    pub record: Record,
    /// Whether `record` could be written. If not, a committed image boots all the same.
    pub durable: bool,
}

/// Decides what to boot and makes it durable. Nothing in here loops for ever, and a bad or missing
/// other slot or device does not matter.
///
/// `buffer` is where images pass through: 64 to 256 bytes.
///
/// # Errors
/// [`RecoverReason`]: there is nothing to boot; the loader should offer recovery.
pub fn boot<F: FlashMap>(
    flash: &mut F,
    options: &BootOptions,
    buffer: &mut [u8],
) -> Result<BootPlan, RecoverReason> {
    let mut log = Log::unread();
    if !log.read(flash) {
        return Err(RecoverReason::RecordTooSmall);
    }
    let (read_only, fresh) = (log.read_only(), log.all_blank());
    let mut facts = Facts {
        verify_always: options.verify_always,
        read_only,
        crash_loop: options.crash_limit > 0 && options.crashes >= options.crash_limit,
        ..Facts::default()
    };
    let found = log.newest.as_ref().is_some_and(|newest| newest.understood);
    let record = match &log.newest {
        Some(newest) if found => newest.record,
        Some(_) | None => from_descriptors(flash, options.trials, fresh, buffer),
    };
    // Of the image verified last.
    let mut security_counter = 0;
    loop {
        match decide(&record, &facts) {
            Decision::Recover(reason) => return Err(reason),
            Decision::Verify(slot) => {
                let mut verdict = Verdict::Bad;
                if let Some(counter) =
                    counter_of_verified(flash, slot, options.check, &record, buffer)
                {
                    verdict = Verdict::Good;
                    security_counter = counter;
                }
                if let Some(place) = facts.verdicts.get_mut(usize::from(slot)) {
                    *place = verdict;
                }
            }
            Decision::Boot(choice) => {
                let mut next = record;
                choice.apply(&mut next);
                if !found {
                    // The first record: `slot` runs, committed, and its security counter is the
                    // device's. It was verified just now, as no record says that it ran before.
                    next.set_reason(if fresh { Reason::Factory } else { Reason::RecordLost });
                    next.set_security_counter(security_counter);
                }
                let durable = !read_only && settle(flash, &mut log, &next).is_ok();
                if durable || next.committed() {
                    let needs_watchdog = !next.committed();
                    return Ok(BootPlan {
                        slot: choice.slot,
                        needs_watchdog,
                        record: next,
                        durable,
                    });
                }
                // The trial cannot be counted, so it is not made.
                facts.read_only = true;
            }
        }
    }
}

/// Verifies the image in `slot`, and gives its security counter.
#[inline(never)]
fn counter_of_verified<F: FlashMap>(
    flash: &mut F,
    slot: u8,
    check: Check,
    record: &Record,
    buffer: &mut [u8],
) -> Option<u32> {
    let descriptor_crc = Some(record.descriptor_crc(slot));
    let wanted = Wanted { check, descriptor_crc, security_counter: record.security_counter() };
    verify(flash, slot, &wanted, buffer).ok().map(|image| image.head().security_counter())
}

/// A record made of what the descriptors say, for when there is none: the lowest slot that verifies
/// is booted, because none but it is called active.
fn from_descriptors<F: FlashRead>(
    flash: &mut F,
    trials: u8,
    fresh: bool,
    buffer: &mut [u8],
) -> Record {
    let slots = flash.slots();
    let mut record = Record::new(slots, 0, trials, Reason::Factory);
    for slot in 0..slots {
        // Of no descriptor: its CRC is 0.
        let mut head = Head::blank();
        let state = match head.load(flash, slot, buffer) {
            Ok(()) => SlotState::Bootable,
            // In a fresh device nothing was ever interrupted.
            Err(_) if fresh => SlotState::Empty,
            Err(_) => SlotState::Staging,
        };
        record.set_slot(slot, state, head.crc());
        if !fresh {
            record.set_entered(slot);
        }
    }
    record.set_booted(crate::record::NO_SLOT);
    record
}

/// Makes `record` the record in force, healthy; a settled one in two cells, so that the loss of any
/// one changes nothing. Writes nothing if that is so already.
fn settle<F: FlashMap>(flash: &mut F, log: &mut Log, record: &Record) -> Result<(), AppendFailed> {
    if !log.holds(record) {
        log.write(flash, record)?;
    }
    // What is about to run is the active one, so `booted` equals `active`.
    let settled = record.committed();
    // Twice, as a cell that refuses may come to lie between the copies. Not for ever.
    for _ in 0..2 {
        let backed_up = log.newest.as_ref().is_some_and(|newest| newest.backed_up);
        if !settled || backed_up || log.write(flash, record).is_err() {
            // One good cell is enough to go on with.
            break;
        }
    }
    Ok(())
}
