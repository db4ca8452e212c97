//! Base64 in the standard alphabet with padding (RFC 4648, section 4), decoded in pieces.

use core::fmt;

use ota_core::json::{Chars, Text};

/// Why a text is not accepted as base64. Positions are counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base64Error {
    /// A character that cannot be here: not in the alphabet, or padding too early, or anything
    /// behind padding.
    Character { position: usize },
    /// The last group has fewer than four characters: padding is missing, or the text was cut.
    Incomplete { length: usize },
    /// Bits that the last group does not use are not zero: no encoder does that.
    LooseBits,
}

impl fmt::Display for Base64Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character { position } => write!(f, "bad base64 character at {position}"),
            Self::Incomplete { length } => {
                write!(f, "{length} characters of base64 are not groups of four: use padding")
            }
            Self::LooseBits => f.write_str("base64 ends with bits that encode nothing"),
        }
    }
}

impl core::error::Error for Base64Error {}

/// A decoder of one text.
pub(crate) struct Decoder<'a> {
    chars: Chars<'a>,
    /// Characters decoded.
    position: usize,
    /// Padding was met.
    ended: bool,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(text: Text<'a>) -> Self {
        Self { chars: text.chars(), position: 0, ended: false }
    }

    /// Decodes the next piece into `buffer`, as many groups of three bytes as fit. None is left
    /// when it is empty.
    ///
    /// # Errors
    /// [`Base64Error`]. Pieces before may have been good, so a caller who must not act on a bad
    /// text decodes all of it before.
    pub(crate) fn piece<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Base64Error> {
        let mut used = 0usize;
        for place in buffer.chunks_exact_mut(3) {
            let Some((bytes, count)) = self.group()? else { break };
            place.copy_from_slice(&bytes);
            used = used.saturating_add(count);
        }
        Ok(buffer.get(..used).unwrap_or_default())
    }

    /// The next group's bytes, and how many of them count.
    fn group(&mut self) -> Result<Option<([u8; 3], usize)>, Base64Error> {
        let mut bits = 0u32;
        let mut padding = 0usize;
        for index in 0..4 {
            let Some(c) = self.chars.next() else {
                return match index {
                    0 => Ok(None),
                    _ => Err(Base64Error::Incomplete { length: self.position }),
                };
            };
            let value = match c {
                '=' if index >= 2 && !self.ended => {
                    padding = padding.saturating_add(1);
                    Some(0)
                }
                _ if padding > 0 || self.ended => None,
                _ => sextet(c),
            };
            let value = value.ok_or(Base64Error::Character { position: self.position })?;
            bits = bits << 6 | value;
            self.position = self.position.saturating_add(1);
        }
        self.ended = padding > 0;
        let [_, bytes @ ..] = bits.to_be_bytes();
        let count = bytes.len().saturating_sub(padding);
        match bytes.iter().skip(count).all(|byte| *byte == 0) {
            true => Ok(Some((bytes, count))),
            false => Err(Base64Error::LooseBits),
        }
    }
}

/// The six bits that `c` stands for.
fn sextet(c: char) -> Option<u32> {
    let from =
        |first: char, value: u32| u32::from(c).wrapping_sub(u32::from(first)).wrapping_add(value);
    match c {
        'A'..='Z' => Some(from('A', 0)),
        'a'..='z' => Some(from('a', 26)),
        '0'..='9' => Some(from('0', 52)),
        '+' => Some(62),
        '/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use ota_core::json;
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &str, piece_bytes: usize) -> Result<Vec<u8>, Base64Error> {
        let text = format!("\"{text}\"");
        let mut decoder = Decoder::new(json::parse(text.as_bytes()).unwrap().as_text().unwrap());
        let mut buffer = std::vec![0; piece_bytes];
        let mut all = Vec::new();
        loop {
            match decoder.piece(&mut buffer)? {
                [] => return Ok(all),
                piece => all.extend_from_slice(piece),
            }
        }
    }

    /// The plain way: all bits in a row.
    fn encode(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: Vec<u8> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let mut text: String = bits
            .chunks(6)
            .map(|six| (0..6).fold(0, |value, bit| value << 1 | six.get(bit).unwrap_or(&0)))
            .map(|value: u8| char::from(alphabet[usize::from(value)]))
            .collect();
        while !text.len().is_multiple_of(4) {
            text.push('=');
        }
        text
    }

    #[test]
    fn test_vectors_of_rfc_4648_decode() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYmFy\\u0059\\/==", "foobara"),
        ] {
            match text.contains('\\') {
                false => assert_eq!(decode(text, 3).unwrap(), bytes.as_bytes()),
                true => assert_eq!(decode(text, 3), Err(Base64Error::LooseBits)),
            }
        }
        assert_eq!(decode("\\u002b\\/8=", 3).unwrap(), [0xfb, 0xff]);
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for (text, error) in [
            ("Zg", Base64Error::Incomplete { length: 2 }),
            ("Zm9vY", Base64Error::Incomplete { length: 5 }),
            ("Z===", Base64Error::Character { position: 1 }),
            ("====", Base64Error::Character { position: 0 }),
            ("Zg=a", Base64Error::Character { position: 3 }),
            ("Zg==Zg==", Base64Error::Character { position: 4 }),
            ("Zg==\\n", Base64Error::Character { position: 4 }),
            ("Zm-v", Base64Error::Character { position: 2 }),
            ("Zm9\\u00e9", Base64Error::Character { position: 3 }),
            ("Zh==", Base64Error::LooseBits),
            ("Zm9=", Base64Error::LooseBits),
        ] {
            assert_eq!(decode(text, 192), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn all_bytes_survive_in_pieces_of_any_size(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            piece in 3..200usize,
        ) {
            prop_assert_eq!(decode(&encode(&bytes), piece).unwrap(), bytes);
        }

        #[test]
        fn hostile_text_is_decoded_or_refused(text in "[A-Za-z0-9+/=]{0,40}") {
            if let Ok(bytes) = decode(&text, 6) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
