//! A JSON writer into a lent buffer.
//!
//! Commas are its business, not the caller's; so is the end of the buffer: what does not fit is
//! dropped, and [`Writer::finish`] says so. There is no way to get at a truncated text.
//!
//! All output is ASCII, because a serial line allows nothing else: other characters are written as
//! `\uXXXX`.

use core::fmt::{self, Write};

use ota_core::json::{Text, Value};

/// The buffer is too small for the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct NoRoom {
    /// The buffer's length in bytes.
    pub capacity: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "does not fit a buffer of {} bytes", self.capacity)
    }
}

impl core::error::Error for NoRoom {}

/// Writes JSON.
///
/// ```
/// let mut buffer = [0; 64];
/// let mut json = ota_rpc::Writer::new(&mut buffer);
/// json.object().key("slot").int(1).key("name").string("app").end_object();
/// assert_eq!(json.finish(), Ok(br#"{"slot":1,"name":"app"}"#.len()));
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    used: usize,
    /// A value came before, so the next one is preceded by a comma.
    comma: bool,
    overflow: bool,
}

/// A position to go back to: [`Writer::mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    used: usize,
    comma: bool,
}

impl Mark {
    /// The start of the buffer.
    pub(crate) const START: Self = Self { used: 0, comma: false };
}

impl<'b> Writer<'b> {
    /// Writes from the start of `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, used: 0, comma: false, overflow: false }
    }

    /// The length of the text.
    ///
    /// # Errors
    /// [`NoRoom`] if the buffer was too small. What it holds then is not to be sent.
    pub fn finish(self) -> Result<usize, NoRoom> {
        match self.overflow {
            true => Err(NoRoom { capacity: self.buffer.len() }),
            false => Ok(self.used),
        }
    }

    /// Whether something did not fit.
    pub fn has_overflowed(&self) -> bool {
        self.overflow
    }

    /// Length of the buffer in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.len()
    }

    /// How many more bytes fit.
    pub(crate) fn room(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    /// Remembers this position.
    pub fn mark(&self) -> Mark {
        Mark { used: self.used, comma: self.comma }
    }

    /// Forgets all that was written since `mark` was made, and that it did not fit.
    pub fn rewind(&mut self, mark: Mark) {
        // A mark of another writer must not bring unwritten bytes to light.
        self.used = mark.used.min(self.used);
        self.comma = mark.comma;
        self.overflow = false;
    }

    /// `{`
    pub fn object(&mut self) -> &mut Self {
        self.open(b'{')
    }

    /// `}`
    pub fn end_object(&mut self) -> &mut Self {
        self.close(b'}')
    }

    /// `[`
    pub fn array(&mut self) -> &mut Self {
        self.open(b'[')
    }

    /// `]`
    pub fn end_array(&mut self) -> &mut Self {
        self.close(b']')
    }

    /// The key of an object's next member.
    #[inline(never)]
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.string(key);
        self.byte(b':');
        self.comma = false;
        self
    }

    /// `null`
    pub fn null(&mut self) -> &mut Self {
        self.word("null")
    }

    /// `true` or `false`
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.word(if value { "true" } else { "false" })
    }

    /// An integer.
    pub fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        let value = value.into();
        self.decimal(value < 0, value.unsigned_abs())
    }

    /// An integer without a sign.
    pub fn uint(&mut self, value: impl Into<u64>) -> &mut Self {
        self.decimal(false, value.into())
    }

    /// A string.
    #[inline(never)]
    pub fn string(&mut self, value: &str) -> &mut Self {
        self.quoted(|json| json.each(value, Self::escaped))
    }

    /// A string, or `null` if there is none.
    #[inline(never)]
    pub fn string_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.string(value),
            None => self.null(),
        }
    }

    /// A string that came from another JSON text.
    #[inline(never)]
    pub fn text(&mut self, value: Text<'_>) -> &mut Self {
        self.quoted(|json| value.chars().for_each(|c| json.escaped(c)))
    }

    /// A string of anything that can be displayed.
    pub fn display(&mut self, value: impl fmt::Display) -> &mut Self {
        self.arguments(format_args!("{value}"))
    }

    /// A string of a formatted message.
    #[inline(never)]
    pub(crate) fn arguments(&mut self, value: fmt::Arguments<'_>) -> &mut Self {
        // Escaping never fails: running out of room is noted in `overflow`.
        self.quoted(|json| {
            let _ = Escape(json).write_fmt(value);
        })
    }

    /// A value of another JSON text, as it was written (but for non-ASCII characters).
    #[inline(never)]
    pub fn value(&mut self, value: Value<'_>) -> &mut Self {
        self.separate();
        self.each(value.raw(), Self::ascii);
        self
    }

    /// A value that is only letters and digits.
    #[inline(never)]
    pub(crate) fn word(&mut self, value: &str) -> &mut Self {
        self.separate();
        self.each(value, Self::ascii);
        self
    }

    /// A string of digits, as a number.
    pub(crate) fn digits(&mut self, value: Text<'_>) -> &mut Self {
        self.separate();
        value.chars().for_each(|c| self.ascii(c));
        self
    }

    /// A number. Not by `core::fmt`, whose 64-bit division is 1.5 kB on a 32-bit processor.
    #[inline(never)]
    fn decimal(&mut self, is_negative: bool, value: u64) -> &mut Self {
        self.separate();
        if is_negative {
            self.byte(b'-');
        }
        // The last digit first, by long division of a byte at a time.
        let mut digits = [0; 20];
        let mut limbs = value.to_be_bytes().map(u32::from);
        let mut count = 0usize;
        for place in digits.iter_mut() {
            let rest = limbs.iter_mut().fold(0, |rest, limb| {
                let part = rest << 8 | *limb;
                *limb = part / 10;
                part % 10
            });
            *place = digit(rest);
            count = count.saturating_add(1);
            if limbs == [0; 8] {
                break;
            }
        }
        digits.iter().take(count).rev().for_each(|digit| self.byte(*digit));
        self
    }

    fn quoted(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.separate();
        self.byte(b'"');
        inside(self);
        self.byte(b'"');
        self
    }

    #[inline(never)]
    fn open(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.byte(bracket);
        self.comma = false;
        self
    }

    #[inline(never)]
    fn close(&mut self, bracket: u8) -> &mut Self {
        self.byte(bracket);
        self.comma = true;
        self
    }

    /// The comma before a value, if there is to be one.
    #[inline(never)]
    fn separate(&mut self) {
        if self.comma {
            self.byte(b',');
        }
        self.comma = true;
    }

    #[inline(never)]
    fn byte(&mut self, byte: u8) {
        match self.buffer.get_mut(self.used) {
            Some(place) if !self.overflow => {
                *place = byte;
                self.used = self.used.saturating_add(1);
            }
            _ => self.overflow = true,
        }
    }

    /// In one place, because decoding UTF-8 is 100 bytes.
    #[inline(never)]
    fn each(&mut self, text: &str, write: fn(&mut Self, char)) {
        text.chars().for_each(|c| write(self, c));
    }

    /// One character of a string.
    #[inline(never)]
    fn escaped(&mut self, c: char) {
        let short = match c {
            '"' | '\\' => c,
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\0'..=' ' | '\x7f' if c != ' ' => return self.unicode(u32::from(c)),
            _ => return self.ascii(c),
        };
        self.byte(b'\\');
        self.ascii(short);
    }

    /// One character of a string, unescaped unless it is not ASCII.
    #[inline(never)]
    fn ascii(&mut self, c: char) {
        let code = u32::from(c);
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => self.byte(byte),
            _ => match code.checked_sub(0x1_0000) {
                None => self.unicode(code),
                Some(pair) => {
                    self.unicode(0xd800 | pair >> 10);
                    self.unicode(0xdc00 | pair & 0x3ff);
                }
            },
        }
    }

    /// `\uXXXX`
    fn unicode(&mut self, unit: u32) {
        self.byte(b'\\');
        self.byte(b'u');
        for shift in [12, 8, 4, 0] {
            self.byte(digit(unit >> shift & 0xf));
        }
    }
}

/// A hexadecimal digit.
pub(crate) fn digit(value: u32) -> u8 {
    char::from_digit(value, 16).map_or(b'0', |digit| digit as u8)
}

/// A text in a message. Displayed by `str` itself it could be padded, which is 640 bytes of code.
pub(crate) struct Words<'a>(pub(crate) &'a str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Escapes what is written to it, as the inside of a string.
struct Escape<'w, 'b>(&'w mut Writer<'b>);

impl Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.each(text, Writer::escaped);
        Ok(())
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        self.0.escaped(c);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use ota_core::json;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut buffer = [0; 256];
        let mut json = Writer::new(&mut buffer);
        write(&mut json);
        let len = json.finish().unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn commas_are_where_they_belong() {
        let text = written(|json| {
            json.object().key("a").array().end_array().key("b").array().int(-1).uint(2u32);
            json.object().end_object().object().key("c").null().end_object().end_array();
            json.key("d").bool(true).key("e").string_or_null(None).end_object();
        });
        assert_eq!(text, r#"{"a":[],"b":[-1,2,{},{"c":null}],"d":true,"e":null}"#);
    }

    #[test]
    fn strings_are_ascii() {
        let text = written(|json| {
            json.string("\"\\/\n\r\t\x00\x1f\x7fé\u{1f600}");
        });
        let escaped = r#""\"\\/\n\r\t\u0000\u001f\u007f\u00e9\ud83d\ude00""#;
        assert_eq!(text, escaped);
    }

    #[test]
    fn integers_have_64_bits() {
        let text = written(|json| {
            json.array().int(i64::MIN).int(i64::MAX).uint(u64::MAX).end_array();
        });
        assert_eq!(text, "[-9223372036854775808,9223372036854775807,18446744073709551615]");
    }

    #[test]
    fn values_of_others_are_copied() {
        let value = r#"{ "é" : [1e5, "\u0041\n"] }"#;
        let text = written(|json| {
            json.value(json::parse(value.as_bytes()).unwrap());
        });
        assert_eq!(text, value.replace('é', "\\u00e9"));
    }

    #[test]
    fn a_rewound_writer_has_room_again() {
        let mut buffer = [0; 12];
        let mut json = Writer::new(&mut buffer);
        let mark = json.object().mark();
        json.key("too").string("long for this");
        assert!(json.has_overflowed());
        json.rewind(mark);
        json.key("ok").int(1).end_object();
        assert_eq!(json.finish(), Ok(8));
        assert_eq!(&buffer[..8], b"{\"ok\":1}");
    }

    proptest! {
        #[test]
        fn a_text_is_whole_or_not_there(value in any::<String>(), capacity in 0..80usize) {
            let mut buffer = vec![0; capacity];
            let mut json = Writer::new(&mut buffer);
            json.array().string(&value).int(7).end_array();
            match json.finish() {
                Ok(len) => {
                    let read: (String, u8) = serde_json::from_slice(&buffer[..len]).unwrap();
                    prop_assert_eq!(read, (value, 7));
                    prop_assert!(buffer[..len].is_ascii());
                }
                Err(error) => {
                    prop_assert_eq!(error, NoRoom { capacity });
                    prop_assert!(value.chars().count() + 6 > capacity || !value.is_ascii()
                        || value.contains(|c: char| c.is_control() || c == '"' || c == '\\'));
                }
            }
        }
    }
}
