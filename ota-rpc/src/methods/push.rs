//! `OTA.Begin`, `OTA.Write`, `OTA.End`: an update in pieces, over any transport. This is what
//! `mos ota` does.

use ota_core::crc::Crc32;
use ota_core::json::Text;

use super::{Answered, Call, Done};
use crate::base64::{Base64Error, Decoder};
use crate::error::{Doing, code};
use crate::limits::WRITE_PIECE_BYTES;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Chunk, Job, Last, Receiving, Source};
use crate::writer::Words;

/// Starts to receive.
#[inline(never)]
pub(super) fn begin<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    call.need_idle("Failed to init updater: ")?;
    let (begin, timeout_s) = super::update::begin_of(call)?;
    if let Err(error) = call.ota.begin(&begin) {
        return Err(call.engine_error(Doing::StartUpdate, &error));
    }
    let receiving = Receiving::new(Source::Push, begin, timeout_s, call.now_ms);
    call.service.start(Job::Receiving(Receiving { has_begun: true, ..receiving }));
    call.null()
}

/// Receives a chunk. `mos ota` sends one again when the reply was lost, so the last one may come
/// any number of times; any other that is not the next is an error, which names the offset
/// expected.
///
/// When an interrupted update goes on, the reply names a `wanted_offset`: a sender may skip to it.
#[inline(never)]
pub(super) fn write<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let Job::Receiving(mut receiving @ Receiving { source: Source::Push, .. }) = call.service.job
    else {
        return Err(not_receiving(call));
    };
    let Some(offset) = call.uint("offset")? else {
        return Err(call.error(code::BAD_REQUEST, format_args!("offset is required")));
    };
    let data = call.frame.argument("data").and_then(|data| data.as_text());
    let Some(data) = data else {
        let message = format_args!("data is required: a base64 string");
        return Err(call.error(code::BAD_REQUEST, message));
    };
    // All of it is looked at before any of it is written: a chunk is taken whole or not at all.
    let chunk = match measure(data, offset) {
        Ok(chunk) => chunk,
        Err(error) => {
            return Err(call.error(code::BAD_REQUEST, format_args!("data: {error}")));
        }
    };
    if receiving.last == Some(chunk) {
        return acknowledge(call, receiving.received);
    }
    if offset != receiving.received {
        if !receiving.seek(offset, call.ota) {
            let expected = receiving.received;
            let message = format_args!("wrong offset {offset}: expected offset {expected}");
            return Err(call.error(code::FAILED, message));
        }
        // The engine has moved, so that is so whatever comes of this chunk.
        call.service.job = Job::Receiving(receiving);
    }
    if let Some(size) = receiving.begin.size.filter(|size| !receiving.has_room(*size, chunk.len)) {
        let message = format_args!("data goes beyond the size of {size} bytes given to OTA.Begin");
        return Err(call.error(code::FAILED, message));
    }
    write_chunk(call, data)?;
    accept(call, receiving, chunk)
}

/// Length and checksum of a chunk.
fn measure(data: Text<'_>, offset: u32) -> Result<Chunk, Base64Error> {
    let mut decoder = Decoder::new(data);
    let mut buffer = [0; WRITE_PIECE_BYTES];
    let mut crc = Crc32::new();
    let mut len = 0u32;
    loop {
        let piece = decoder.piece(&mut buffer)?;
        if piece.is_empty() {
            return Ok(Chunk { offset, len, crc: crc.value() });
        }
        crc.update(piece);
        len = len.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
    }
}

/// Hands a chunk to the engine. If that fails, the update has failed.
fn write_chunk<O: Ota, P: Platform>(
    call: &mut Call<'_, '_, '_, O, P>,
    data: Text<'_>,
) -> Result<(), Answered> {
    let mut decoder = Decoder::new(data);
    let mut buffer = [0; WRITE_PIECE_BYTES];
    while let Ok(piece @ [_, ..]) = decoder.piece(&mut buffer) {
        if let Err(error) = call.ota.write(piece) {
            call.service.fail_because(Doing::Update, &error, call.ota);
            return Err(call.engine_error(Doing::Update, &error));
        }
    }
    Ok(())
}

/// Notes the chunk.
fn accept<O: Ota, P>(
    call: &mut Call<'_, '_, '_, O, P>,
    mut receiving: Receiving,
    chunk: Chunk,
) -> Done {
    receiving.progress(chunk.len, call.now_ms);
    receiving.last = Some(chunk);
    call.service.job = Job::Receiving(receiving);
    acknowledge(call, receiving.received)
}

/// Says which offset is expected next, and from which one on bytes are of use if that is another.
fn acknowledge<O: Ota, P>(call: &mut Call<'_, '_, '_, O, P>, received: u32) -> Done {
    let wanted = call.ota.wanted_offset().filter(|wanted| *wanted > received);
    let out = call.result().object();
    out.key("offset").int(received);
    if let Some(wanted) = wanted {
        out.key("wanted_offset").int(wanted);
    }
    out.end_object();
    Ok(())
}

/// Applies what was received, if that is all; gives it up if it is not.
#[inline(never)]
pub(super) fn end<O: Ota, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let Job::Receiving(receiving) = call.service.job else {
        return Err(not_receiving(call));
    };
    if receiving.source == Source::Push && receiving.is_complete() {
        let outstanding = call.defer(None)?;
        if let Err(error) = call.ota.end_of_input() {
            call.service.fail_because(Doing::Update, &error, call.ota);
            return Err(call.engine_error(Doing::Update, &error));
        }
        call.service.job = Job::Finishing;
        return call.reply_later(outstanding);
    }
    let message = format_args!("Update aborted by OTA.End: {}", receiving.shortage());
    call.suspend_job(message);
    Err(call.error(code::FAILED, message))
}

/// Why there is nothing to write to or to end.
fn not_receiving<O, P>(call: &mut Call<'_, '_, '_, O, P>) -> Answered {
    let message = match (&call.service.job, call.service.last) {
        (Job::Receiving(_), _) => "the update in progress is a download: see OTA.Status",
        (Job::Finishing, _) => "the update is being checked: see OTA.Status",
        (Job::Snapshot(_), _) => "a snapshot is being made: see OTA.Status, or call OTA.Abort",
        (Job::Idle, Last::Applied) => "the update is applied already: reboot with Sys.Reboot",
        (Job::Idle, Last::Failed) => "the update has failed: see OTA.Status, then call OTA.Begin",
        (Job::Idle, Last::Nothing) => "no update in progress: call OTA.Begin",
    };
    call.error(code::FAILED, format_args!("{}", Words(message)))
}
