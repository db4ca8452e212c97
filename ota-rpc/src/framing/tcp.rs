//! Plain TCP: the serial framing without checksum, handshake and flow control.
//!
//! ```text
//! \n"""{"src":"mos","id":1358841586124,"method":"OTA.GetBootState"}"""\n
//! ```
//! Both sides send this. A frame on a line of its own, without quotes, is accepted too, and
//! answered in the same way. TCP is reliable and carries 8 bits, so strings may be UTF-8; a checksum
//! that a peer sends all the same is checked, and none is sent.

pub use super::serial::{Dropped, Envelope, Received, Receiver};

/// What goes around the first frame of a client. A device answers as it was asked: see
/// [`envelope`].
pub const CLIENT: Envelope = Envelope { quotes: true, crc: false };

/// What goes around the reply to a frame that came with `quotes`.
pub const fn envelope(quotes: bool) -> Envelope {
    Envelope { quotes, crc: false }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    /// What comes out of `bytes` in pieces of `size`.
    fn frames(bytes: &[u8], size: usize) -> Vec<(String, bool)> {
        let mut buffer = [0; 256];
        let mut receiver = Receiver::tcp(&mut buffer);
        let mut frames = Vec::new();
        for mut piece in bytes.chunks(size) {
            while let Some(received) = receiver.receive(&mut piece) {
                if let Received::Frame { quotes, .. } = received {
                    let text = core::str::from_utf8(receiver.frame()).unwrap();
                    frames.push((String::from(text), quotes));
                }
            }
        }
        frames
    }

    #[test]
    fn the_recorded_request_is_found() {
        // mos-wire.txt, `mos --port tcp://127.0.0.1:18083 call OTA.GetBootState`
        let recorded =
            b"\n\"\"\"{\"src\":\"mos\",\"id\":1358841586124,\"method\":\"OTA.GetBootState\"}\"\"\"\n";
        let frame = r#"{"src":"mos","id":1358841586124,"method":"OTA.GetBootState"}"#;
        for size in 1..=recorded.len() {
            assert_eq!(frames(recorded, size), [(String::from(frame), true)]);
        }
    }

    #[test]
    fn joined_frames_are_told_apart_wherever_they_are_split() {
        let joined = b"\n\"\"\"{\"id\":1}\"\"\"\n\n\"\"\"{\"id\":2}\"\"\"\n{\"id\":3}\n";
        let expected = [("{\"id\":1}", true), ("{\"id\":2}", true), ("{\"id\":3}", false)]
            .map(|(text, quotes)| (String::from(text), quotes));
        for size in 1..=joined.len() {
            assert_eq!(frames(joined, size), expected, "{size}");
        }
    }

    #[test]
    fn strings_may_be_utf_8_and_control_bytes_are_no_flow_control() {
        let text = "{\"tag\":\"é\u{13}\"}";
        let bytes = std::format!("{text}\n");
        assert_eq!(frames(bytes.as_bytes(), 1), [(String::from(text), false)]);
    }

    #[test]
    fn replies_have_what_requests_had_but_never_a_checksum() {
        let mut buffer = [0; 64];
        for (quotes, expected) in [(true, &b"\n\"\"\"{}\"\"\"\n"[..]), (false, b"\n{}\n")] {
            Envelope::inside(&mut buffer)[..2].copy_from_slice(b"{}");
            let range = envelope(quotes).close(&mut buffer, 2).unwrap();
            assert_eq!(&buffer[range], expected);
        }
        assert_eq!(CLIENT, envelope(true));
    }
}
