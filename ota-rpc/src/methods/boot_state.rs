//! `OTA.Commit`, `OTA.Revert`, `OTA.CreateSnapshot`, `OTA.GetBootState`, `OTA.SetBootState`.

use ota_core::json::Value;

use super::{Answered, Call, Done};
use crate::error::{Doing, code};
use crate::ota::{BootStateChange, Ota, Snapshot};
use crate::platform::Platform;
use crate::service::Job;
use crate::writer::Words;

/// Confirms the running image.
#[inline(never)]
pub(super) fn commit<O: Ota, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    match call.ota.commit() {
        Ok(()) => call.null(),
        Err(error) => Err(call.engine_error(Doing::Commit, &error)),
    }
}

/// Rolls back to the previous image, and reboots.
#[inline(never)]
pub(super) fn revert<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    if let Err(error) = call.ota.revert() {
        return Err(call.engine_error(Doing::Revert, &error));
    }
    if call.service.is_busy() {
        // The reboot would cut it off without a word to whoever waits for it. It is not too late: the
        // engine refuses a revert from the first byte of an update on.
        let _ = call.abort_job(format_args!("Update aborted by OTA.Revert"));
    }
    call.reboot()
}

/// Copies the running image to another slot; replies with the slot once that is done.
#[inline(never)]
pub(super) fn create_snapshot<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    call.need_idle("Failed to create snapshot: ")?;
    let snapshot = Snapshot {
        set_as_revert: call.bool("set_as_revert")? == Some(true),
        commit_timeout_s: stored_timeout(call)?,
    };
    let outstanding = call.defer(None)?;
    match call.ota.start_snapshot(&snapshot) {
        Ok(slot) => call.service.start(Job::Snapshot(slot)),
        Err(error) => return Err(call.engine_error(Doing::Snapshot, &error)),
    }
    call.reply_later(outstanding)
}

/// What is chosen to run.
pub(super) fn get<O: Ota, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let state = match call.ota.boot_state() {
        Ok(state) => state,
        Err(error) => return Err(call.engine_error(Doing::GetBootState, &error)),
    };
    let out = call.result().object();
    out.key("active_slot").int(state.active_slot);
    out.key("is_committed").bool(state.is_committed);
    out.key("revert_slot").int(state.revert_slot);
    out.key("commit_timeout").int(state.commit_timeout_s).end_object();
    Ok(())
}

/// Changes any of it.
#[inline(never)]
pub(super) fn set<O: Ota, P>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let has_timeout = call.given("commit_timeout").is_some();
    let change = BootStateChange {
        active_slot: slot(call, "active_slot")?,
        is_committed: call.bool("is_committed")?,
        revert_slot: slot(call, "revert_slot")?,
        commit_timeout_s: stored_timeout(call)?,
    };
    if change == BootStateChange::default() && !has_timeout {
        return Err(call.error(
            code::NO_KNOWN_KEY,
            format_args!("give active_slot, is_committed, revert_slot or commit_timeout"),
        ));
    }
    match call.ota.set_boot_state(&change) {
        Ok(()) => call.null(),
        Err(error) => Err(call.engine_error(Doing::SetBootState, &error)),
    }
}

/// The `commit_timeout` that is to be stored, in s. A negative one leaves what is stored, as in
/// Mongoose OS; of an update it would be an error, for there 0 would take its place.
#[inline(never)]
fn stored_timeout<O, P>(call: &mut Call<'_, '_, '_, O, P>) -> Result<Option<u32>, Answered> {
    match call.int("commit_timeout")? {
        Some(..0) => Ok(None),
        Some(0..) | None => call.uint("commit_timeout"),
    }
}

/// A slot's number. What cannot be one gets the error that the engine would give, which knows only
/// `u8`.
fn slot<O, P>(call: &mut Call<'_, '_, '_, O, P>, key: &str) -> Result<Option<u8>, Answered> {
    let Some(number) = call.int(key)? else { return Ok(None) };
    if let Ok(slot) = u8::try_from(number) {
        return Ok(Some(slot));
    }
    let given = call.frame.argument(key).map_or("", Value::raw);
    let (given, key) = (Words(given), Words(key));
    let message = format_args!("Failed to set boot state: there is no slot {given} for {key}");
    Err(call.error(code::BOOT_STATE_NOT_SET, message))
}
