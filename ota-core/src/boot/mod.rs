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

pub use decide::{Choice, Decision, Facts, RecoverReason, Verdict, decide};

use crate::descriptor::Head;
use crate::flash::FlashMap;
use crate::record::{Append, AppendFailed, Log, Reason, Record, SlotState};
use crate::verify::{Check, Wanted, verify};

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
    let mut log = Log::open(flash).map_err(|_| RecoverReason::RecordTooSmall)?;
    let mut facts = Facts {
        verify_always: options.verify_always,
        read_only: log.read_only(),
        crash_loop: options.crash_limit > 0 && options.crashes >= options.crash_limit,
        ..Facts::default()
    };
    let (record, found) = match &log.newest {
        Some(newest) => (newest.record, true),
        None => (from_descriptors(flash, options, log.all_blank), false),
    };
    loop {
        match decide(&record, &facts) {
            Decision::Recover(reason) => return Err(reason),
            Decision::Verify(slot) => {
                let wanted = Wanted {
                    check: options.check,
                    descriptor_crc: Some(record.descriptor_crc(slot)),
                    security_counter: record.security_counter(),
                };
                let good = verify(flash, slot, &wanted, buffer).is_ok();
                if let Some(verdict) = facts.verdicts.get_mut(usize::from(slot)) {
                    *verdict = if good { Verdict::Good } else { Verdict::Bad };
                }
            }
            Decision::Boot(choice) => {
                let mut next = choice.record;
                if !found {
                    next = first_record(next, choice.slot, flash, log.all_blank);
                }
                let durable = !log.read_only() && settle(flash, &mut log, &next).is_ok();
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

/// A record made of what the descriptors say, for when there is none: the lowest slot that verifies
/// is booted, because none but it is called active.
fn from_descriptors<F: FlashMap>(flash: &mut F, options: &BootOptions, fresh: bool) -> Record {
    let slots = flash.slots();
    let mut record = Record::new(slots, 0, options.trials, Reason::Factory);
    for slot in 0..slots {
        match Head::read(flash, slot) {
            Ok(head) => record.set_slot(slot, SlotState::Bootable, head.crc()),
            // In a fresh device nothing was ever interrupted.
            Err(_) if fresh => record.set_slot(slot, SlotState::Empty, 0),
            Err(_) => record.set_slot(slot, SlotState::Staging, 0),
        }
    }
    record.set_booted(crate::record::NO_SLOT);
    record
}

/// The first record: `slot` runs, committed, and its security counter is the device's.
fn first_record<F: FlashMap>(mut record: Record, slot: u8, flash: &mut F, fresh: bool) -> Record {
    record.set_reason(if fresh { Reason::Factory } else { Reason::RecordLost });
    if let Ok(head) = Head::read(flash, slot) {
        record.set_security_counter(head.security_counter());
    }
    record
}

/// Makes `record` the record in force, healthy; a settled one in two cells, so that the loss of any
/// one changes nothing. Writes nothing if that is so already.
fn settle<F: FlashMap>(flash: &mut F, log: &mut Log, record: &Record) -> Result<(), AppendFailed> {
    let settled = record.committed() && record.booted() == record.active();
    loop {
        let newest = log.newest.as_ref().filter(|newest| newest.record == *record);
        let in_force = newest.is_some() && log.healthy();
        if in_force && (!settled || newest.is_some_and(|newest| newest.backed_up)) {
            return Ok(());
        }
        let mut append = log.append(record);
        match append_now(flash, &mut append) {
            Ok(()) => log.appended(&append),
            // One good cell is enough to go on with.
            Err(AppendFailed) if in_force => return Ok(()),
            Err(AppendFailed) => return Err(AppendFailed),
        }
    }
}

/// Drives an append to its end.
fn append_now<F: FlashMap>(flash: &mut F, append: &mut Append) -> Result<(), AppendFailed> {
    let mut ok = true;
    while let Some(want) = append.step(flash, ok)? {
        ok = append.op(want).perform(flash).is_ok();
    }
    Ok(())
}
