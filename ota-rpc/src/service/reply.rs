//! From a request to the method, and from its result to the reply.

use super::{Outcome, Reply, Service};
use crate::channel::Channel;
use crate::error::code;
use crate::frame::{Frame, Rejected};
use crate::methods::{self, Call};
use crate::ota::Ota;
use crate::platform::Platform;
use crate::writer::Writer;

/// [`Service::handle`].
pub(super) fn handle<'r, O: Ota, P: Platform>(
    service: &mut Service<'_, P>,
    request: &'r [u8],
    from: Channel<'_>,
    now_ms: u64,
    ota: &mut O,
    out: &mut [u8],
) -> Outcome<'r> {
    let frame = match Frame::parse(request) {
        Ok(frame) => frame,
        Err(why) => return rejected(service.config.device_id, &Frame::default(), why, out),
    };
    let device = service.config.device_id;
    if frame.dst.is_some_and(|dst| dst != device) {
        // A bus may have many devices: only one of them speaks.
        return Outcome::just(Reply::Rejected { why: Rejected::WrongDestination, len: 0 });
    }
    let Some(method) = frame.method else {
        return match frame.result.or(frame.error) {
            // Never answer an answer: two devices would go on for ever.
            Some(_) => Outcome::just(Reply::None),
            None => rejected(device, &frame, Rejected::NoMethod, out),
        };
    };
    let mut call = Call::new(service, ota, frame, from, now_ms, Writer::new(out));
    // The error, if there is one, is written already.
    let _ = methods::run(method, &mut call);
    end(call)
}

/// Closes the reply.
fn end<'r, O, P>(call: Call<'_, '_, 'r, O, P>) -> Outcome<'r> {
    let action = call.action;
    let reply = match (call.frame.id, call.later) {
        (None, _) => Reply::None,
        (Some(_), true) => Reply::Later,
        (Some(_), false) => finish(call),
    };
    Outcome { reply, action }
}

fn finish<O, P>(mut call: Call<'_, '_, '_, O, P>) -> Reply {
    call.out.end_object();
    if call.out.has_overflowed() {
        let _ = call.does_not_fit();
        call.out.end_object();
    }
    match call.out.finish() {
        Ok(len) => Reply::Frame(len),
        Err(no_room) => Reply::NoRoom(no_room),
    }
}

/// An error frame for what is no request.
fn rejected<'r>(device: &str, frame: &Frame<'_>, why: Rejected, out: &mut [u8]) -> Outcome<'r> {
    let len = frame.write_error(device, code::BAD_REQUEST, why, out).unwrap_or(0);
    Outcome::just(Reply::Rejected { why, len })
}

impl Outcome<'_> {
    fn just(reply: Reply) -> Self {
        Self { reply, action: None }
    }
}
