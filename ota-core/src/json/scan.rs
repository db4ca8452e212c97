//! The scanner: one pass over the text, no recursion, one bit of memory per open bracket.

use core::fmt;

use super::{Text, Value};

/// The most arrays and objects that may be open at once.
pub const MAX_DEPTH: usize = 16;

/// Why a text is not accepted as JSON. Offsets are in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum JsonError {
    /// The text ends inside a value.
    Truncated {
        /// Length of the text.
        offset: usize,
    },
    /// A byte that cannot be here.
    Unexpected {
        /// Where it is.
        offset: usize,
    },
    /// A `\` in a string that starts no escape, or half of a surrogate pair.
    BadEscape {
        /// Where the part that is wrong starts.
        offset: usize,
    },
    /// More than [`MAX_DEPTH`] arrays and objects within each other.
    TooDeep {
        /// Of the bracket that is one too many.
        offset: usize,
    },
    /// Not UTF-8.
    NotUtf8 {
        /// Of the first byte that is not.
        offset: usize,
    },
    /// Something follows the value.
    TrailingData {
        /// Where that starts.
        offset: usize,
    },
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { offset } => write!(f, "JSON ends too early, after {offset} bytes"),
            Self::Unexpected { offset } => write!(f, "unexpected byte in JSON at offset {offset}"),
            Self::BadEscape { offset } => write!(f, "bad escape in JSON at offset {offset}"),
            Self::TooDeep { offset } => {
                write!(f, "JSON nested deeper than {MAX_DEPTH} at offset {offset}")
            }
            Self::NotUtf8 { offset } => write!(f, "JSON is not UTF-8 at offset {offset}"),
            Self::TrailingData { offset } => {
                write!(f, "data after the end of JSON at offset {offset}")
            }
        }
    }
}

impl core::error::Error for JsonError {}

/// A position in a text.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    #[inline(never)]
    pub(super) fn skip_space(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    /// One value, with all that it contains; the scanner stands at its first byte.
    pub(super) fn value(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            let closed = match self.need()? {
                b'{' => self.open(&mut open, Bracket::Object)?,
                b'[' => self.open(&mut open, Bracket::Array)?,
                b'"' => self.string().map(|_| true)?,
                b'-' | b'0'..=b'9' => self.number().map(|()| true)?,
                b'n' => self.word("null").map(|()| true)?,
                b't' => self.word("true").map(|()| true)?,
                b'f' => self.word("false").map(|()| true)?,
                _ => return Err(self.unexpected()),
            };
            if closed && self.close(&mut open)? {
                return Ok(Value { raw: self.since(start) });
            }
        }
    }

    /// A member's key and the colon; the scanner is left before the member's value.
    pub(super) fn key(&mut self) -> Result<Text<'a>, JsonError> {
        let key = self.string()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(key)
    }

    /// Enters an array or object up to the first value in it. True if it is empty, hence closed.
    fn open(&mut self, open: &mut Nesting, bracket: Bracket) -> Result<bool, JsonError> {
        if !open.push(bracket) {
            return Err(JsonError::TooDeep { offset: self.at });
        }
        self.skip();
        self.skip_space();
        if self.need()? == bracket.end() {
            self.skip();
            open.pop();
            return Ok(true);
        }
        if bracket == Bracket::Object {
            self.key()?;
        }
        Ok(false)
    }

    /// After a value: leaves all arrays and objects that end here, and goes on to the next value of
    /// the one that does not. True if none is left.
    fn close(&mut self, open: &mut Nesting) -> Result<bool, JsonError> {
        while let Some(bracket) = open.top() {
            self.skip_space();
            let byte = self.need()?;
            if byte == bracket.end() {
                self.skip();
                open.pop();
                continue;
            }
            self.expect(b',')?;
            self.skip_space();
            if bracket == Bracket::Object {
                self.key()?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.need()? {
                b'"' => break,
                b'\\' => self.escape()?,
                0x00..=0x1f => return Err(self.unexpected()),
                _ => self.skip(),
            }
        }
        let text = Text::new(self.since(start));
        self.skip();
        Ok(text)
    }

    /// One escape; a surrogate pair is one.
    fn escape(&mut self) -> Result<(), JsonError> {
        let offset = self.at;
        self.skip();
        match self.need()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.skip();
                Ok(())
            }
            b'u' => match self.hex4()? {
                0xd800..=0xdbff => self.low_surrogate(),
                0xdc00..=0xdfff => Err(JsonError::BadEscape { offset }),
                _ => Ok(()),
            },
            _ => Err(JsonError::BadEscape { offset }),
        }
    }

    fn low_surrogate(&mut self) -> Result<(), JsonError> {
        let offset = self.at;
        if self.need()? != b'\\' {
            return Err(JsonError::BadEscape { offset });
        }
        self.skip();
        if self.need()? != b'u' {
            return Err(JsonError::BadEscape { offset });
        }
        match self.hex4()? {
            0xdc00..=0xdfff => Ok(()),
            _ => Err(JsonError::BadEscape { offset }),
        }
    }

    /// `uXXXX`
    fn hex4(&mut self) -> Result<u32, JsonError> {
        self.skip();
        let mut value = 0;
        for _ in 0..4 {
            let digit = char::from(self.need()?).to_digit(16);
            let digit = digit.ok_or(JsonError::BadEscape { offset: self.at })?;
            value = value << 4 | digit;
            self.skip();
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.skip_if(b"-");
        match self.need()? {
            b'0' => self.skip(),
            _ => self.digits()?,
        }
        if self.skip_if(b".") {
            self.digits()?;
        }
        if self.skip_if(b"eE") {
            self.skip_if(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), JsonError> {
        match self.need()? {
            b'0'..=b'9' => self.skip_while(|byte| byte.is_ascii_digit()),
            _ => return Err(self.unexpected()),
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.need()? != byte {
            return Err(self.unexpected());
        }
        self.skip();
        Ok(())
    }

    fn need(&self) -> Result<u8, JsonError> {
        self.peek().ok_or(JsonError::Truncated { offset: self.at })
    }

    fn skip_if(&mut self, any: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| any.contains(&byte));
        if found {
            self.skip();
        }
        found
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.skip();
        }
    }

    fn unexpected(&self) -> JsonError {
        JsonError::Unexpected { offset: self.at }
    }

    /// What was read since `start`. Values start and end with ASCII, so both are boundaries of
    /// characters.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Array,
    Object,
}

impl Bracket {
    fn end(self) -> u8 {
        match self {
            Self::Array => b']',
            Self::Object => b'}',
        }
    }
}

/// The open brackets, innermost in the lowest bit: 1 for an object. A guard bit above the outermost
/// tells how many there are.
struct Nesting(u32);

/// Room for the guard.
const _: () = assert!(MAX_DEPTH < 32);

impl Default for Nesting {
    fn default() -> Self {
        Self(1)
    }
}

impl Nesting {
    /// False if there are too many.
    fn push(&mut self, bracket: Bracket) -> bool {
        let fits = self.0 >> MAX_DEPTH == 0;
        if fits {
            self.0 = self.0 << 1 | u32::from(bracket == Bracket::Object);
        }
        fits
    }

    fn pop(&mut self) {
        self.0 >>= 1;
    }

    fn top(&self) -> Option<Bracket> {
        match (self.0, self.0 & 1) {
            (..=1, _) => None,
            (_, 1) => Some(Bracket::Object),
            _ => Some(Bracket::Array),
        }
    }
}
