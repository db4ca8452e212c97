//! Queries: `a=1&b=%22x%22`.

use core::fmt;

use crate::limits::MAX_QUERY_BYTES;

/// A name or a value that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum QueryError {
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than [`MAX_QUERY_BYTES`].
    TooLong,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEscape => f.write_str("% must be followed by two hexadecimal digits"),
            Self::NotUtf8 => f.write_str("the target is not UTF-8"),
            Self::TooLong => {
                write!(f, "a part of the target is longer than {MAX_QUERY_BYTES} bytes")
            }
        }
    }
}

impl core::error::Error for QueryError {}

/// Room for something decoded.
pub(super) struct Decoder([u8; MAX_QUERY_BYTES]);

impl Decoder {
    pub(super) const fn new() -> Self {
        Self([0; MAX_QUERY_BYTES])
    }

    /// A part of a path.
    pub(super) fn path(&mut self, text: &str) -> Result<&str, QueryError> {
        self.decode(text, b'+')
    }

    /// A name or a value of a query, in which `+` is a space.
    pub(super) fn query(&mut self, text: &str) -> Result<&str, QueryError> {
        self.decode(text, b' ')
    }

    fn decode(&mut self, text: &str, plus: u8) -> Result<&str, QueryError> {
        let mut used = 0usize;
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            let byte = match byte {
                b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
                b'+' => plus,
                byte => byte,
            };
            *self.0.get_mut(used).ok_or(QueryError::TooLong)? = byte;
            used = used.saturating_add(1);
        }
        let decoded = self.0.get(..used).ok_or(QueryError::TooLong)?;
        core::str::from_utf8(decoded).map_err(|_| QueryError::NotUtf8)
    }
}

fn digit(byte: Option<u8>) -> Result<u8, QueryError> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16));
    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or(QueryError::BadEscape)
}

/// Names and values, still encoded. A name without `=` has the empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_decoded() {
        let mut decoder = Decoder::new();
        for (text, decoded) in [
            ("", Ok("")),
            ("OTA%2eStatus", Ok("OTA.Status")),
            ("%22%C3%A9%22+1", Ok("\"é\" 1")),
            ("é", Ok("é")),
            ("%", Err(QueryError::BadEscape)),
            ("%4", Err(QueryError::BadEscape)),
            ("%4g", Err(QueryError::BadEscape)),
            ("%+1", Err(QueryError::BadEscape)),
            ("%é", Err(QueryError::BadEscape)),
            ("%C3", Err(QueryError::NotUtf8)),
        ] {
            assert_eq!(decoder.query(text), decoded, "{text}");
        }
        assert_eq!(decoder.path("a+b"), Ok("a+b"));
    }

    #[test]
    fn max_query_bytes() {
        let mut decoder = Decoder::new();
        let text = "%41".repeat(MAX_QUERY_BYTES);
        assert_eq!(decoder.query(&text), Ok(&*"A".repeat(MAX_QUERY_BYTES)));
        assert_eq!(decoder.query(&(text + "A")), Err(QueryError::TooLong));
    }

    #[test]
    fn queries_have_names_and_values() {
        let found: std::vec::Vec<_> = pairs("a=1&&b&=c&d=e=f").collect();
        assert_eq!(found, [("a", "1"), ("b", ""), ("", "c"), ("d", "e=f")]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in ".{0,60}", plain in "[%+a0-9]{0,9}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let mut decoder = Decoder::new();
            prop_assert_eq!(decoder.query(&encoded), Ok(&*text));
            let _ = decoder.query(&plain);
        }
    }
}
