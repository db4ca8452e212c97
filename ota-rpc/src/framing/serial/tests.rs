use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::frame::Frame;

/// What came in, with the frame's text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Frame(String, bool, bool),
    Other(Received),
}

/// What comes out of pieces of a line, with room for frames of 200 bytes.
fn received<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Item> {
    let mut buffer = [0; 200];
    let mut receiver = Receiver::serial(&mut buffer);
    let mut items = Vec::new();
    for mut piece in pieces {
        while let Some(received) = receiver.receive(&mut piece) {
            items.push(match received {
                Received::Frame { quotes, crc } => {
                    let text = core::str::from_utf8(receiver.frame()).unwrap();
                    Item::Frame(text.to_string(), quotes, crc)
                }
                other => Item::Other(other),
            });
        }
        assert!(piece.is_empty());
    }
    items
}

fn frame(text: &str, quotes: bool, crc: bool) -> Item {
    Item::Frame(text.to_string(), quotes, crc)
}

fn dropped(why: Dropped) -> Item {
    Item::Other(Received::Dropped(why))
}

const HELLO: Item = Item::Other(Received::Handshake);
const EMPTY: Item = Item::Other(Received::EmptyLine);

/// The first recorded session, without the pauses.
const REQUEST: &str = r#"{"src":"mos","id":1252160732327,"method":"OTA.GetBootState"}"#;
const SESSION: &[u8] = b"\"\"\"\x04\"\"\"\n\n\"\"\"\n\"\"\"{\"src\":\"mos\",\"id\":1252160732327,\"method\":\"OTA.GetBootState\"}520e1668\"\"\"\n";

#[test]
fn the_recorded_session_is_understood_however_it_is_split() {
    let expected = [HELLO, EMPTY, frame(REQUEST, true, true)];
    for size in 1..=SESSION.len() {
        assert_eq!(received(SESSION.chunks(size)), expected, "{size}");
    }
    for at in 0..=SESSION.len() {
        assert_eq!(received(<[&[u8]; 2]>::from(SESSION.split_at(at))), expected, "{at}");
    }
    // Without the pacing of 16 bytes each 5 ms.
    let quick = b"\n\"\"\"{\"src\":\"mos\",\"id\":2024939570592,\"method\":\"OTA.Update\",\"params\":{\"url\":\"http://x/fw.zip\",\"commit_timeout\":300}}3e032f66\"\"\"\n";
    let text = core::str::from_utf8(&quick[4..quick.len() - 12]).unwrap();
    assert_eq!(received([&quick[..]]), [EMPTY, frame(text, true, true)]);
}

#[test]
fn lines_that_are_frames() {
    for (line, quotes, crc) in [
        ("{\"a\":1}\n", false, false),
        ("{\"a\":1}\r\n", false, false),
        ("{\"a\":1} \n", false, false),
        ("{\"a\":1}561bacaf\n", false, true),
        ("{\"a\":1}561BACAF\r\n", false, true),
        ("{\"a\":1}561bacaf,a,b\n", false, true),
        ("{\"a\":1}561bacaf,\n", false, true),
        ("boot: ok{\"a\":1}\n", false, false),
        ("\"\"{\"a\":1}\n", false, false),
        ("\"\"\"{\"a\":1}\"\"\"", true, false),
        ("\"\"\"{\"a\":1}561bacaf\"\"\"", true, true),
        ("\"\"\"{\"a\":1}\n", true, false),
        ("{\"a\":1}\"\"\"", true, false),
        ("\"\"\"\"\"\"\"{\"a\":1}\"\"\"", true, false),
        ("\u{11}{\"\u{13}a\":\u{11}1}\n", false, false),
    ] {
        let frames = received([line.as_bytes()]);
        let frames: Vec<_> =
            frames.into_iter().filter(|item| matches!(item, Item::Frame(..))).collect();
        assert_eq!(frames, [frame("{\"a\":1}", quotes, crc)], "{line:?}");
    }
}

#[test]
fn lines_that_are_none() {
    let expected = 0x561b_acaf;
    for (line, why) in [
        ("{\"a\":1}561bacae\n", Some(Dropped::BadCrc { found: 0x561b_acae, expected })),
        // A checksum of which a part was lost is not a frame without one.
        ("{\"a\":1}561baca\n", Some(Dropped::BadTrailer)),
        ("{\"a\":1}561bacaf7\n", Some(Dropped::BadTrailer)),
        ("{\"a\":1}561b acaf\n", Some(Dropped::BadTrailer)),
        ("{\"a\":1}+61bacaf\n", Some(Dropped::BadTrailer)),
        ("{\"a\":1},a\n", Some(Dropped::BadTrailer)),
        ("{\"a\":1} ok\n", Some(Dropped::BadTrailer)),
        ("{\"a\":\"\"\"\"\n", Some(Dropped::Unfinished)),
        ("{\"a\":1\n", Some(Dropped::Unfinished)),
        ("{\"a\":\"\u{e9}\"}\n", Some(Dropped::NotAscii)),
        ("I (33) boot: ESP-IDF\n", None),
        ("\"\"\n", None),
    ] {
        let items = received([line.as_bytes()]);
        let expected: Vec<_> = why.into_iter().map(dropped).collect();
        assert_eq!(items, expected, "{line:?}");
    }
}

#[test]
fn handshakes_and_empty_lines() {
    assert_eq!(received([&b"\n\r\n\n"[..]]), [EMPTY, EMPTY, EMPTY]);
    assert_eq!(received([HANDSHAKE]), [HELLO]);
    assert_eq!(received([&b"\x04\n"[..]]), [HELLO]);
    assert_eq!(received([&b"\x04\x04\nx\x04\n\"\x04\n"[..]]), []);
    assert_eq!(received([&b"\"\"\"\"\"\"\"\"\"\n"[..]]), []);
}

#[test]
fn flow_control_is_told_at_once_and_in_order() {
    let [on, off] = [Received::Xon, Received::Xoff].map(Item::Other);
    let line = b"{\"a\x13\"\x11:1}\x13\n\x11";
    let expected = [off.clone(), on.clone(), off, frame("{\"a\":1}", false, false), on];
    assert_eq!(received([&line[..]]), expected);
}

#[test]
fn the_buffer_is_the_limit_and_the_next_frame_is_found() {
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(192));
    assert_eq!(text.len(), 200);
    for (end, quotes) in [("\n", false), ("\"\"\"", true)] {
        let line = format!("{text}{end}");
        assert_eq!(received([line.as_bytes()]), [frame(&text, quotes, false)]);
        let line = format!("{{{text}{end}{{}}\n");
        let too_long = dropped(Dropped::TooLong { capacity: 200 });
        assert_eq!(received([line.as_bytes()]), [too_long, frame("{}", quotes, false)]);
    }
    // Bytes that clear do not make the rest of a long line a frame.
    let line = format!("{}\u{e9}{{}}\n{{}}\n", "{".repeat(300));
    let too_long = dropped(Dropped::TooLong { capacity: 200 });
    assert_eq!(received([line.as_bytes()]), [too_long, frame("{}", false, false)]);
    let mut none = Receiver::serial(&mut []);
    assert_eq!(
        none.receive(&mut &b"{\n"[..]),
        Some(Received::Dropped(Dropped::TooLong { capacity: 0 }))
    );
}

#[test]
fn a_hundred_thousand_brackets_are_one_line() {
    for bracket in ["{", "[", "{\"a\":", "}"] {
        let line = format!("{}\n{{}}\n", bracket.repeat(100_000));
        let items = received(line.as_bytes().chunks(4096));
        assert_eq!(items.last(), Some(&frame("{}", false, false)));
        assert!(items.len() <= 2);
    }
}

#[test]
fn noise_before_a_frame_on_its_own_line_is_skipped() {
    let line = b"\xff\xfe\x00\x80{\"id\":1}\n";
    assert_eq!(received([&line[..]]), [frame("{\"id\":1}", false, false)]);
    // What is left of a frame that was cleared is no frame.
    let line = "{\"tag\":\"é\",\"params\":{\"id\":1,\"method\":\"OTA.Revert\"}}\n";
    let items = received([line.as_bytes()]);
    assert_eq!(items[0], dropped(Dropped::NotAscii));
    let Item::Frame(text, ..) = &items[1] else { panic!("{items:?}") };
    assert!(Frame::parse(text.as_bytes()).is_err());
}

#[test]
fn envelopes_are_what_mos_reads() {
    // mos-wire.txt
    let text = br#"{"id":1252160732327,"src":"esp_stub","dst":"mos","result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#;
    let mut buffer = [0; 256];
    for (quotes, crc, head, tail) in [
        (true, true, "\n\"\"\"", "bfbadee8\"\"\"\n"),
        (true, false, "\n\"\"\"", "\"\"\"\n"),
        (false, true, "\n", "bfbadee8\n"),
        (false, false, "\n", "\n"),
    ] {
        Envelope::inside(&mut buffer)[..text.len()].copy_from_slice(text);
        let range = Envelope { quotes, crc }.close(&mut buffer, text.len()).unwrap();
        let expected = [head.as_bytes(), text, tail.as_bytes()].concat();
        assert_eq!(buffer[range], expected);
    }
}

#[test]
fn an_envelope_too_small_holds_nothing() {
    for capacity in 0..40 {
        let mut buffer = std::vec![0; capacity];
        let room = Envelope::inside(&mut buffer).len();
        assert_eq!(room, capacity.saturating_sub(16));
        let envelope = Envelope { quotes: true, crc: true };
        let len = envelope.close(&mut buffer, room).map_or(0, |range| range.len());
        assert_eq!(len, if capacity < 16 { 0 } else { capacity });
        assert_eq!(envelope.close(&mut buffer, room + 1), None);
    }
}

/// Bytes that come close to frames.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        "[\\{\\}\"\n\r\x04\x11\x13a0,]{0,8}".prop_map(String::into_bytes),
        Just(SESSION.to_vec()),
        Just(b"\"\"\"".to_vec()),
        Just(b"{\"a\":1}561bacaf".to_vec()),
        (1..300usize).prop_map(|len| std::vec![b'{'; len]),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn how_bytes_are_split_makes_no_difference(bytes in any_line(), cuts: Vec<Index>) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort();
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for (index, cut) in cuts.iter().enumerate() {
            let before = index.checked_sub(1).map_or(0, |index| cuts[index]);
            let (piece, later) = rest.split_at(cut - before);
            pieces.push(piece);
            rest = later;
        }
        pieces.push(rest);
        prop_assert_eq!(received(pieces), received([&bytes[..]]));
    }

    #[test]
    fn a_frame_after_junk_and_a_newline_is_found(junk in any_line(), quotes: bool, crc: bool) {
        let mut buffer = [0; 200];
        let text = REQUEST.as_bytes();
        Envelope::inside(&mut buffer)[..text.len()].copy_from_slice(text);
        let range = Envelope { quotes, crc }.close(&mut buffer, text.len()).unwrap();
        let items = received([&junk[..], &buffer[range]]);
        let Some(Item::Frame(found, _, found_crc)) = items.last() else {
            panic!("{items:?}");
        };
        prop_assert_eq!((found.as_str(), *found_crc), (REQUEST, crc));
    }

    #[test]
    fn any_frame_comes_through_an_envelope(
        tag: String,
        params in "[ -~]{0,40}",
        quotes: bool,
        crc: bool,
    ) {
        let mut buffer = [0; 4096];
        let mut json = crate::Writer::new(Envelope::inside(&mut buffer));
        json.object().key("id").int(1).key("tag").string(&tag).key("p").string(&params);
        json.end_object();
        let len = json.finish().unwrap();
        let text = Envelope::inside(&mut buffer)[..len].to_vec();
        let range = Envelope { quotes, crc }.close(&mut buffer, len).unwrap();
        let mut room = [0; 4096];
        let mut receiver = Receiver::serial(&mut room);
        let mut input = &buffer[range];
        prop_assert_eq!(receiver.receive(&mut input), Some(Received::EmptyLine));
        prop_assert_eq!(receiver.receive(&mut input), Some(Received::Frame { quotes, crc }));
        prop_assert_eq!(receiver.frame(), text);
    }

    #[test]
    fn a_flipped_bit_is_found_by_the_checksum(at: Index, bit in 0..7u32) {
        let text = br#"{"src":"mos","id":1252160732327,"method":"OTA.GetBootState"}520e1668"#;
        let mut line = [&text[..], b"\n"].concat();
        line[at.index(text.len())] ^= 1 << bit;
        for item in received([&line[..]]) {
            // Only half of the digits of a checksum differ in case, which means nothing.
            if let Item::Frame(found, ..) = item {
                prop_assert_eq!(found, REQUEST);
            }
        }
    }
}
