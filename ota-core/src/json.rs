//! A bounded JSON reader over a lent byte slice.
//!
//! Manifests and RPC frames come from outside, so [`parse`] checks the *whole* text against RFC
//! 8259 once, without recursion, before any of it is looked at. What it returns is a [`Value`]: a
//! `Copy` view of a checked span. Looking into a view walks the text again, which costs time
//! instead of memory: nothing is copied and there is no tree.
//!
//! # Invariants
//! * A [`Value`] spans exactly one valid JSON value, and a [`Text`] the inside of one valid JSON
//!   string. Both are only made by the scanner, so accessors have no errors of syntax to report.
//! * No more than [`MAX_DEPTH`] arrays and objects are open at once: the scanner's whole memory of
//!   them is one bit each.

mod scan;
#[cfg(test)]
mod tests;
mod text;

use scan::Scanner;
pub use scan::{JsonError, MAX_DEPTH};
pub use text::{Chars, Text, TooLong};

/// Checks that `text` is one JSON value, with nothing but white space around it.
///
/// # Errors
/// [`JsonError`]: the first thing wrong, and where. Valid JSON nested deeper than [`MAX_DEPTH`] is
/// refused too.
pub fn parse(text: &[u8]) -> Result<Value<'_>, JsonError> {
    let text = core::str::from_utf8(text)
        .map_err(|error| JsonError::NotUtf8 { offset: error.valid_up_to() })?;
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    let value = scanner.value()?;
    scanner.skip_space();
    match scanner.is_at_end() {
        true => Ok(value),
        false => Err(JsonError::TrailingData { offset: scanner.offset() }),
    }
}

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number: see [`Value::as_i64`].
    Number,
    /// A string: see [`Value::as_text`].
    String,
    /// `[...]`: see [`Value::items`].
    Array,
    /// `{...}`: see [`Value::entries`] and [`Value::get`].
    Object,
}

/// A view of one valid JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
}

impl<'a> Value<'a> {
    /// The value as it was written, without the white space around it.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// What the value is: its first byte tells.
    pub fn kind(self) -> Kind {
        match self.raw.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Null,
        }
    }

    /// The member `key` of an object: the last one if the key is repeated, none if there is none or
    /// if this is no object. Keys are compared after their escapes are decoded.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.entries().filter(|(name, _)| *name == *key).last().map(|(_, value)| value)
    }

    /// The members of an object in the order written; nothing for any other kind.
    pub fn entries(self) -> Entries<'a> {
        Entries(Walk::inside(self, Kind::Object))
    }

    /// The items of an array; nothing for any other kind.
    pub fn items(self) -> Items<'a> {
        Items(Walk::inside(self, Kind::Array))
    }

    /// `true` or `false`, if it is one of them.
    pub fn as_bool(self) -> Option<bool> {
        match self.raw {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A number written as a plain integer that fits.
    pub fn as_i64(self) -> Option<i64> {
        // Rust also takes a leading `+`, which the scanner has excluded.
        self.raw.parse().ok()
    }

    /// A number written as a plain non-negative integer that fits.
    pub fn as_u64(self) -> Option<u64> {
        self.raw.parse().ok()
    }

    /// The text of a string.
    pub fn as_text(self) -> Option<Text<'a>> {
        Some(Text::new(self.raw.strip_prefix('"')?.strip_suffix('"')?))
    }

    /// An integer as Mongoose OS reads one: a number, *or* a string with a number in it, by the
    /// rules of C's `strtol` with base 0 (`300`, `"300"`, `"0x12c"`; `"010"` is eight).
    ///
    /// None for anything else: trailing garbage, a fraction, an exponent, no digits, or too large.
    pub fn lenient_i64(self) -> Option<i64> {
        // What is no string has no backslash, so it reads like the inside of one.
        strtol(self.as_text().unwrap_or(Text::new(self.raw)).chars())
    }

    /// [`Self::lenient_i64`] if it fits 32 bits without a sign.
    pub fn lenient_u32(self) -> Option<u32> {
        u32::try_from(self.lenient_i64()?).ok()
    }
}

/// C's `strtol(text, &end, 0)`, except that there must be digits, that `end` must be the end of
/// `text`, and that a value out of range is none instead of the nearest one.
fn strtol(mut text: Chars<'_>) -> Option<i64> {
    let is_space = |c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let mut next = text.next();
    while next.is_some_and(is_space) {
        next = text.next();
    }
    let is_negative = next == Some('-');
    if is_negative || next == Some('+') {
        next = text.next();
    }
    let (mut base, mut any_digit) = (10, false);
    if next == Some('0') {
        next = text.next();
        (base, any_digit) = (8, true);
        if matches!(next, Some('x' | 'X')) {
            next = text.next();
            (base, any_digit) = (16, false);
        }
    }
    let mut value = 0i64;
    while let Some(c) = next {
        let digit = i64::from(c.to_digit(base)?);
        value = value.checked_mul(i64::from(base))?;
        // Towards the sign, so that i64::MIN fits.
        value = match is_negative {
            true => value.checked_sub(digit)?,
            false => value.checked_add(digit)?,
        };
        any_digit = true;
        next = text.next();
    }
    any_digit.then_some(value)
}

/// Iterator over the members of an object: [`Value::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a>(Walk<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(|scanner| {
            let key = scanner.key()?;
            Ok((key, scanner.value()?))
        })
    }
}

/// Iterator over the items of an array: [`Value::items`].
#[derive(Clone, Debug)]
pub struct Items<'a>(Walk<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.step(Scanner::value)
    }
}

/// A walk through the members of one array or object with the scanner that has checked it; what it
/// could find wrong has been found already, so an error just ends the walk.
#[derive(Clone, Debug)]
struct Walk<'a>(Option<Scanner<'a>>);

impl<'a> Walk<'a> {
    /// Behind the opening bracket of `value`; nowhere if that is not of `kind`, or is empty.
    fn inside(value: Value<'a>, kind: Kind) -> Self {
        if value.kind() != kind {
            return Self(None);
        }
        let mut scanner = Scanner::new(value.raw);
        scanner.skip();
        scanner.skip_space();
        Self((!matches!(scanner.peek(), Some(b']' | b'}'))).then_some(scanner))
    }

    fn step<T>(
        &mut self,
        read: impl FnOnce(&mut Scanner<'a>) -> Result<T, JsonError>,
    ) -> Option<T> {
        let mut scanner = self.0.take()?;
        let member = read(&mut scanner).ok()?;
        scanner.skip_space();
        if scanner.peek() == Some(b',') {
            scanner.skip();
            scanner.skip_space();
            self.0 = Some(scanner);
        }
        Some(member)
    }
}
