//! WebSocket: one text message is one frame, at the URI `/rpc`. The handshake and the masks are the
//! HTTP server's business; here are the rules of this protocol.
//!
//! `mos` offers the subprotocol `clubby.cesanta.com`, devices offer `json-rpc`. `mos` is content if
//! the reply repeats its own or has none, and refuses any other.

use core::fmt;

use crate::limits::MAX_REQUEST_BYTES;

/// Where clients connect to.
pub const PATH: &str = "/rpc";

/// What `mos` and devices call the protocol. A client of this crate's kind offers the first.
pub const SUBPROTOCOLS: [&str; 2] = ["clubby.cesanta.com", "json-rpc"];

/// The subprotocol to answer: the first known one of `offered`, the value of
/// `Sec-WebSocket-Protocol`. None: leave the header out.
pub fn subprotocol(offered: &str) -> Option<&'static str> {
    offered.split(',').find_map(|offer| {
        SUBPROTOCOLS.into_iter().find(|known| known.eq_ignore_ascii_case(offer.trim_ascii()))
    })
}

/// A message, whole: pieces are put together by the server, up to [`MAX_REQUEST_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text. `mos` ends it with a newline, which is white space to JSON.
    Text(&'a [u8]),
    /// Anything else that has a payload.
    Binary(&'a [u8]),
}

/// Why a connection is to be closed, by RFC 6455, section 7.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Close {
    /// The device reboots.
    GoingAway,
    /// The message is not text.
    NotText,
    /// The message is not UTF-8.
    NotUtf8,
    /// The message is longer than [`MAX_REQUEST_BYTES`].
    TooBig,
}

impl Close {
    /// The number in the close frame.
    pub const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::NotText => 1003,
            Self::NotUtf8 => 1007,
            Self::TooBig => 1009,
        }
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GoingAway => "the device reboots",
            Self::NotText => "a frame must be a text message",
            Self::NotUtf8 => "a text message must be UTF-8",
            Self::TooBig => "the message is longer than any request",
        })
    }
}

impl core::error::Error for Close {}

/// Whether a message whose header announces `len` bytes may come: asked before any of it is kept.
///
/// # Errors
/// [`Close::TooBig`].
pub fn admit(len: u64) -> Result<(), Close> {
    match usize::try_from(len) {
        Ok(len) if len <= MAX_REQUEST_BYTES => Ok(()),
        _ => Err(Close::TooBig),
    }
}

/// The frame in a message, for [`crate::Service::handle`].
///
/// # Errors
/// [`Close`]: close the connection with this.
pub fn frame(message: Message<'_>) -> Result<&[u8], Close> {
    let Message::Text(text) = message else { return Err(Close::NotText) };
    admit(u64::try_from(text.len()).unwrap_or(u64::MAX))?;
    match core::str::from_utf8(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Close::NotUtf8),
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_subprotocols_are_repeated_and_others_are_not() {
        for (offered, answer) in [
            ("clubby.cesanta.com", Some("clubby.cesanta.com")),
            ("json-rpc", Some("json-rpc")),
            ("chat, json-rpc ,clubby.cesanta.com", Some("json-rpc")),
            ("JSON-RPC", Some("json-rpc")),
            ("clubby.cesanta.com.evil", None),
            ("", None),
            (",,", None),
        ] {
            assert_eq!(subprotocol(offered), answer, "{offered}");
        }
    }

    #[test]
    fn a_text_message_is_a_frame() {
        // mos-wire.txt
        let recorded = b"{\"src\":\"mos\",\"id\":1161911994112,\"method\":\"OTA.GetBootState\"}\n";
        assert_eq!(frame(Message::Text(recorded)), Ok(&recorded[..]));
        assert_eq!(frame(Message::Binary(recorded)), Err(Close::NotText));
        assert_eq!(frame(Message::Text(b"{\"a\":\"\xc3\"}")), Err(Close::NotUtf8));
    }

    #[test]
    fn a_gigabyte_is_refused_when_it_is_announced() {
        assert_eq!(admit(1 << 30), Err(Close::TooBig));
        assert_eq!(admit(u64::MAX), Err(Close::TooBig));
        assert_eq!(admit(12 * 1024), Ok(()));
        let long = vec![b' '; 12 * 1024 + 1];
        assert_eq!(frame(Message::Text(&long)), Err(Close::TooBig));
        assert_eq!(Close::TooBig.code(), 1009);
    }

    proptest! {
        #[test]
        fn a_message_is_a_frame_or_the_end(text: vec::Vec<u8>, offered: std::string::String) {
            match core::str::from_utf8(&text) {
                Ok(_) => prop_assert_eq!(frame(Message::Text(&text)), Ok(&text[..])),
                Err(_) => prop_assert_eq!(frame(Message::Text(&text)), Err(Close::NotUtf8)),
            }
            let answer = subprotocol(&offered);
            prop_assert!(answer.is_none_or(|answer| offered.to_lowercase().contains(answer)));
        }
    }
}
