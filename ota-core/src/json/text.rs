//! The inside of a JSON string, decoded on the fly.

use core::fmt::{self, Write};

/// A JSON string as it was written, still escaped. Compare it with `==` to a `str`: that decodes.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
}

/// A string does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooLong {
    /// How many bytes of UTF-8 there is room for.
    pub limit: usize,
}

impl<'a> Text<'a> {
    /// `raw` was checked by the scanner.
    pub(super) fn new(raw: &'a str) -> Self {
        Self { raw }
    }

    /// What stands between the quotes, escapes and all.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether there is nothing between the quotes.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// The characters, decoded.
    pub fn chars(self) -> Chars<'a> {
        Chars { raw: self.raw.chars() }
    }

    /// Whether it is `other` but for the case of ASCII letters.
    pub fn eq_ignore_ascii_case(self, other: &str) -> bool {
        self.matches(other, |a, b| a.eq_ignore_ascii_case(&b))
    }

    /// Decodes into `buffer`; the result is the part of it that was used.
    ///
    /// # Errors
    /// [`TooLong`] if `buffer` is too small; what it holds then is of no use.
    pub fn decode(self, buffer: &mut [u8]) -> Result<&str, TooLong> {
        let too_long = TooLong { limit: buffer.len() };
        let mut used = 0usize;
        for c in self.chars() {
            let end = used.saturating_add(c.len_utf8());
            c.encode_utf8(buffer.get_mut(used..end).ok_or(too_long)?);
            used = end;
        }
        let text = buffer.get(..used).ok_or(too_long)?;
        Ok(core::str::from_utf8(text).unwrap_or_default())
    }

    /// Decodes into a string of its own.
    ///
    /// # Errors
    /// [`TooLong`] if it has more than `N` bytes of UTF-8.
    pub fn decode_into<const N: usize>(self) -> Result<heapless::String<N>, TooLong> {
        let mut text = heapless::String::new();
        for c in self.chars() {
            text.push(c).map_err(|_| TooLong { limit: N })?;
        }
        Ok(text)
    }

    /// Not generic, and never inlined: keys and names are compared in dozens of places.
    #[inline(never)]
    fn matches(self, other: &str, same: fn(char, char) -> bool) -> bool {
        let mut other = other.chars();
        self.chars().all(|c| other.next().is_some_and(|expected| same(c, expected)))
            && other.next().is_none()
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.matches(other, |a, b| a == b)
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Text<'_> {}

impl fmt::Display for Text<'_> {
    /// Decoded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| f.write_char(c))
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "longer than {} bytes", self.limit)
    }
}

impl core::error::Error for TooLong {}

/// Iterator over the decoded characters: [`Text::chars`].
#[derive(Clone, Debug)]
pub struct Chars<'a> {
    raw: core::str::Chars<'a>,
}

impl Iterator for Chars<'_> {
    type Item = char;

    #[inline(never)]
    fn next(&mut self) -> Option<char> {
        match self.raw.next()? {
            '\\' => self.escape(),
            c => Some(c),
        }
    }
}

impl Chars<'_> {
    fn escape(&mut self) -> Option<char> {
        Some(match self.raw.next()? {
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode()?,
            c => c,
        })
    }

    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if first & 0xfc00 != 0xd800 {
            return char::from_u32(first);
        }
        // A high surrogate: the scanner has seen `\u` and the low one behind it.
        self.raw.nth(1)?;
        let low = self.hex4()? & 0x3ff;
        char::from_u32(((first & 0x3ff) << 10 | low).saturating_add(0x1_0000))
    }

    #[inline(never)]
    fn hex4(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |value, _| Some(value << 4 | self.raw.next()?.to_digit(16)?))
    }
}
