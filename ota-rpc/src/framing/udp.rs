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

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::channel::{ChannelId, ChannelKind};
    use crate::service::tests::bench::Bench;

    /// What comes back for a datagram.
    fn answer(bench: &mut Bench, datagram: &[u8]) -> String {
        let from = Channel::new(ChannelId(1), ChannelKind::Udp, "1.2.3.4:5678");
        let mut out = [0; 4096];
        let Bench { service, engine, now_ms, .. } = bench;
        let outcome = handle(service, datagram, from, *now_ms, engine, &mut out);
        let len = match outcome.reply {
            Reply::Frame(len) | Reply::Rejected { len, .. } => len,
            Reply::Later | Reply::None | Reply::NoRoom(_) => 0,
        };
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn the_recorded_datagram_is_answered_by_one_without_delimiters() {
        // mos-wire.txt
        let request = br#"{"src":"mos","id":1672247822147,"method":"OTA.GetBootState"}"#;
        let reply = r#"{"id":1672247822147,"src":"esp_stub","dst":"mos","result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#;
        assert_eq!(answer(&mut Bench::new(), request), reply);
    }

    #[test]
    fn what_is_no_frame_is_not_answered() {
        let joined = br#"{"id":1,"method":"RPC.Ping"}{"id":2,"method":"RPC.Ping"}"#;
        let text = core::str::from_utf8(joined).unwrap();
        for at in 0..=joined.len() {
            let (first, second) = text.split_at(at);
            let answers: Vec<_> = [first, second]
                .into_iter()
                .filter(|part| !answer(&mut Bench::new(), part.as_bytes()).is_empty())
                .collect();
            // Frames do not go on in the next datagram, and there is one in each.
            assert_eq!(answers.len(), if at == joined.len() / 2 { 2 } else { 0 }, "{at}");
        }
        for datagram in [&b"\xff"[..], b"[]", b"{}", b"", &b"[".repeat(65_507)] {
            assert_eq!(answer(&mut Bench::new(), datagram), "");
        }
    }

    #[test]
    fn max_datagram_bytes() {
        let reply_with = |tag_len: usize| {
            let tag = "t".repeat(tag_len);
            let request = format!("{{\"id\":1,\"tag\":\"{tag}\",\"method\":\"OTA.Commit\"}}");
            answer(&mut Bench::new(), request.as_bytes())
        };
        let around = reply_with(0).len();
        let longest = (0..MAX_DATAGRAM_BYTES - around)
            .rev()
            .map(reply_with)
            .find(|reply| reply.contains("result"))
            .unwrap();
        assert!(longest.len() + 150 > MAX_DATAGRAM_BYTES, "{}", longest.len());
        // No error fits beside the tag: there is one without it.
        for tag_len in [MAX_DATAGRAM_BYTES - around + 1, 4000] {
            let reply = reply_with(tag_len);
            assert!(reply.contains("500") && reply.len() <= MAX_DATAGRAM_BYTES, "{reply}");
        }
        assert_eq!(limited(&mut [0; 10]).len(), 10);
    }

    proptest! {
        #[test]
        fn any_datagram_is_answered_by_json_or_by_nothing(datagram: Vec<u8>) {
            let reply = answer(&mut Bench::new(), &datagram);
            prop_assert!(reply.is_empty() || serde_json::from_str::<serde_json::Value>(&reply).is_ok());
        }
    }
}
