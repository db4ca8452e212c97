//! Datagrams: one is one frame, without delimiters; the reply goes to the sender.
//!
//! ```text
//! {"src":"mos","id":1672247822147,"method":"OTA.GetBootState"}
//! ```
//! The address of a sender is easily forged, so whoever sent what is no frame hears nothing, and no
//! reply is longer than fits one packet: [`MAX_DATAGRAM_BYTES`].

use crate::channel::Channel;
use crate::limits::MAX_DATAGRAM_BYTES;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Outcome, Reply, Service};

/// The part of `out` that a datagram may have. For replies that come later too: lend
/// [`Service::poll`] no more if the reply may be for UDP.
pub fn limited(out: &mut [u8]) -> &mut [u8] {
    let len = out.len().min(MAX_DATAGRAM_BYTES);
    out.get_mut(..len).unwrap_or_default()
}

/// [`Service::handle`] for a datagram. The reply, if there is one, is the datagram to be sent back.
pub fn handle<'r, O: Ota, P: Platform>(
    service: &mut Service<'_, P>,
    datagram: &'r [u8],
    from: Channel<'_>,
    now_ms: u64,
    ota: &mut O,
    out: &mut [u8],
) -> Outcome<'r> {
    let outcome = service.handle(datagram, from, now_ms, ota, limited(out));
    match outcome.reply {
        Reply::Rejected { why, .. } => {
            Outcome { reply: Reply::Rejected { why, len: 0 }, ..outcome }
        }
        Reply::Frame(_) | Reply::Later | Reply::None | Reply::NoRoom(_) => outcome,
    }
}
