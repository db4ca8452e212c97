//! `OTA.Update`, `OTA.Status`, `OTA.Abort`.

use super::{Answered, Call, Done};
use crate::error::{Doing, code};
use crate::limits::{MAX_URL_BYTES, UPDATE_REPLY_MS};
use crate::ota::{Begin, Ota};
use crate::platform::Platform;
use crate::service::{Action, Download, Job, Last, Receiving, Source};

/// Asks the owner to fetch an update; replies when it has ended, or after 15 s.
#[inline(never)]
pub(super) fn update<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let url = call.frame.argument("url").and_then(|url| url.as_text());
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        let message = format_args!("Malformed request: url of the update is required: a string");
        return Err(call.error(code::FAILED, message));
    };
    if url.chars().map(char::len_utf8).sum::<usize>() > MAX_URL_BYTES {
        let message = format_args!("Malformed request: url is longer than {MAX_URL_BYTES} bytes");
        return Err(call.error(code::FAILED, message));
    }
    call.need_idle("Failed to init updater: ")?;
    let (begin, timeout_s) = begin_of(call)?;
    let outstanding = call.defer(Some(call.now_ms.saturating_add(UPDATE_REPLY_MS)))?;
    if let Err(error) = call.ota.may_begin() {
        return Err(call.engine_error(Doing::StartUpdate, &error));
    }
    let begin = Begin { size: None, ..begin };
    let receiving = Receiving::new(Source::Feed, begin, timeout_s, call.now_ms);
    call.service.start(Job::Receiving(receiving));
    let commit_timeout_s = begin.commit_timeout_s;
    call.action = Some(Action::Download(Download { url, commit_timeout_s, timeout_s }));
    call.reply_later(outstanding)
}

/// The arguments that `OTA.Update` and `OTA.Begin` share, and `timeout`.
pub(super) fn begin_of<O, P: Platform>(
    call: &mut Call<'_, '_, '_, O, P>,
) -> Result<(Begin, u32), Answered> {
    let config_s = call.service.config.commit_timeout_s;
    let commit_timeout_s = call.uint("commit_timeout")?.unwrap_or(config_s);
    let begin = Begin { size: call.uint("size")?, commit_timeout_s };
    let timeout_s = call.uint("timeout")?;
    Ok((begin, call.service.timeout_or_default(timeout_s)))
}

/// How an update is doing, or did. `state` is 0 idle, 1 in progress, 2 failed, 3 applied: `mos ota`
/// starts one at 0 and 2 only.
#[inline(never)]
pub(super) fn status<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let service = &*call.service;
    let (state, progress) = match (&service.job, service.last) {
        (Job::Receiving(receiving), _) => (1, Some((receiving.received, receiving.begin.size))),
        (Job::Finishing | Job::Snapshot(_), _) => (1, None),
        (Job::Idle, Last::Nothing) => (0, None),
        (Job::Idle, Last::Failed) => (2, None),
        (Job::Idle, Last::Applied) => (3, None),
    };
    let out = call.out.key("result").object();
    out.key("state").int(state).key("message").string(service.message());
    if let Some((received, size)) = progress {
        out.key("received").int(received);
        if let Some(size) = size {
            out.key("size").int(size).key("progress_percent").int(percent(received, size));
        }
    }
    // The state of an update is told even when the record cannot be read.
    if let Ok(state) = call.ota.boot_state() {
        out.key("is_committed").bool(state.is_committed);
        out.key("commit_timeout").int(state.commit_timeout_s);
    }
    let report = call.ota.report();
    if let Some(slot) = report.running_slot {
        out.key("running_slot").int(slot);
    }
    out.key("reason").string(report.reason).end_object();
    Ok(())
}

fn percent(part: u32, whole: u32) -> u32 {
    // In 32 bits, of which 100 takes seven: the last ones of large numbers do not count.
    let shift = if whole >> 25 == 0 { 0 } else { 7 };
    let percent = (part >> shift).saturating_mul(100).checked_div(whole >> shift);
    percent.unwrap_or(100).min(100)
}

/// Gives up the update or snapshot that runs, wherever it comes from.
#[inline(never)]
pub(super) fn abort<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    if !call.service.is_busy() {
        let message = format_args!("no update in progress: nothing to abort");
        return Err(call.error(code::FAILED, message));
    }
    match call.abort_job(format_args!("Update aborted by OTA.Abort")) {
        Ok(()) => call.null(),
        Err(error) => Err(call.engine_error(Doing::Update, &error)),
    }
}
