//! `name=value` and `name="value"`, as headers have them, separated by commas or semicolons.

use core::fmt;

/// A header that is no list of parameters, or has one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BadHeader;

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header is no list of parameters, or has one twice")
    }
}

impl core::error::Error for BadHeader {}

/// The parameters in their order. Values come as they were written: without quotes, but with what is
/// escaped in them still escaped.
pub(super) struct Parameters<'a> {
    rest: &'a str,
    separator: char,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(list: &'a str, separator: char) -> Self {
        Self { rest: list, separator }
    }

    /// The first parameter of this name.
    pub(super) fn find(self, name: &str) -> Result<Option<&'a str>, BadHeader> {
        for parameter in self {
            let (found, value) = parameter?;
            if found.eq_ignore_ascii_case(name) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Takes a parameter and the separator behind it off `start`.
    fn take(&mut self, start: &'a str) -> Result<(&'a str, &'a str), BadHeader> {
        let (name, value) = start.split_once('=').ok_or(BadHeader)?;
        let name = name.trim_ascii_end();
        if name.is_empty() || name.contains([' ', '\t', '"', self.separator]) {
            return Err(BadHeader);
        }
        let value = value.trim_ascii_start();
        let (value, behind) = match value.strip_prefix('"') {
            Some(inside) => split_quoted(inside).ok_or(BadHeader)?,
            None => {
                let end = value.find([' ', '\t', '"', self.separator]).unwrap_or(value.len());
                value.split_at_checked(end).ok_or(BadHeader)?
            }
        };
        let behind = behind.trim_ascii_start();
        self.rest = match behind.strip_prefix(self.separator) {
            Some(next) => next,
            None if behind.is_empty() => "",
            None => return Err(BadHeader),
        };
        Ok((name, value))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a str, &'a str), BadHeader>;

    fn next(&mut self) -> Option<Self::Item> {
        // A list may have empty members.
        let separator = self.separator;
        let start = self.rest.trim_start_matches(|c| is_space(c) || c == separator);
        if start.is_empty() {
            return None;
        }
        let taken = self.take(start);
        if taken.is_err() {
            self.rest = "";
        }
        Some(taken)
    }
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Splits at the quote that ends a string, which is one without a `\` before it.
fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    let (inside, behind) = text.split_at_checked(end)?;
    Some((inside, behind.strip_prefix('"')?))
}
