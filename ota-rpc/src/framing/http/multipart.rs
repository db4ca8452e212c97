//! Forms with a file in them, `multipart/form-data` of RFC 7578, piece by piece as they come in.
//!
//! ```text
//! --BOUNDARY CR LF
//! Content-Disposition: form-data; name="commit_timeout" CR LF
//! CR LF
//! 300
//! CR LF --BOUNDARY CR LF
//! Content-Disposition: form-data; name="filedata"; filename="fw.zip" CR LF
//! CR LF
//! (bytes of the file)
//! CR LF --BOUNDARY--
//! ```
//! The file is never copied: its bytes are those of the input. The few that may or may not be the
//! start of a delimiter when the input ends are not kept either, since the delimiter has them.

#[cfg(test)]
mod tests;

use core::fmt;

use heapless::{String, Vec};

use super::parameters::{BadHeader, Parameters};
use crate::limits::{
    MAX_BOUNDARY_BYTES, MAX_FIELD_BYTES, MAX_PART_LINE_BYTES, MAX_PART_LINES, MAX_PARTS,
};

/// What every delimiter starts with. A boundary has no CR, so a delimiter can only start anew at
/// one: that is why one number is enough to remember how much of it was seen.
const DELIMITER_START: &[u8] = b"\r\n--";
const DELIMITER_BYTES: usize = MAX_BOUNDARY_BYTES + DELIMITER_START.len();

/// A form on its way. Takes less than 600 bytes.
#[derive(Debug)]
pub struct Multipart {
    delimiter: Vec<u8, DELIMITER_BYTES>,
    /// How many bytes of the delimiter were the last ones of the input.
    matched: usize,
    state: State,
    /// The line of a head, or the value of a field.
    text: String<MAX_PART_LINE_BYTES>,
    name: String<MAX_FIELD_BYTES>,
    /// The part whose head is read.
    kind: Kind,
    parts: usize,
    lines: usize,
    has_file: bool,
}

/// A piece of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'e> {
    /// A file begins: a part that has the name of one, whatever its own name is.
    FileStart,
    /// More bytes of it, at least one.
    File(&'e [u8]),
    /// It was whole.
    FileEnd,
    /// A field that is no file.
    Field {
        /// Its name.
        name: &'e str,
        /// Its value. What is not ASCII is replaced by `?`.
        value: &'e str,
    },
    /// The form has ended. What follows does not matter.
    End,
}

/// Why a form is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MultipartError {
    /// The type of the body is not `multipart/form-data` with a boundary of at most
    /// [`MAX_BOUNDARY_BYTES`].
    NotAForm,
    /// There is something between a delimiter and the end of its line.
    BadDelimiter,
    /// A line of a head is longer than [`MAX_PART_LINE_BYTES`].
    LineTooLong,
    /// A head has more than [`MAX_PART_LINES`].
    TooManyLines,
    /// The header `Content-Disposition` cannot be read.
    BadDisposition,
    /// A field is longer than [`MAX_FIELD_BYTES`].
    FieldTooLong,
    /// There are more than [`MAX_PARTS`].
    TooManyParts,
    /// There is a second file.
    SecondFile,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAForm => f.write_str("the body must be multipart/form-data with a boundary"),
            Self::BadDelimiter => f.write_str("a delimiter between parts is malformed"),
            Self::LineTooLong => {
                write!(f, "the head of a part has a line of more than {MAX_PART_LINE_BYTES} bytes")
            }
            Self::TooManyLines => {
                write!(f, "the head of a part has more than {MAX_PART_LINES} lines")
            }
            Self::BadDisposition => f.write_str("the Content-Disposition of a part is malformed"),
            Self::FieldTooLong => write!(f, "a field is longer than {MAX_FIELD_BYTES} bytes"),
            Self::TooManyParts => write!(f, "the form has more than {MAX_PARTS} parts"),
            Self::SecondFile => f.write_str("the form has more than one file"),
        }
    }
}

impl core::error::Error for MultipartError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a part, or before the first one: up to the next delimiter.
    Body(Kind),
    /// Behind a delimiter, up to the end of its line, or the second dash of the last one.
    Delimiter { has_dash: bool },
    /// In the head of a part.
    Head,
    /// Behind the last part.
    End,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing that matters.
    Other,
    Field,
    File,
}

/// What comes next within a part.
enum Scanned<'i> {
    /// The input has ended.
    Nothing,
    /// These bytes.
    Data(&'i [u8]),
    /// The first bytes of the delimiter, which was none after all.
    Start(usize),
    /// A delimiter.
    Delimiter,
}

impl Multipart {
    /// A form whose request has this header `Content-Type`.
    ///
    /// # Errors
    /// [`MultipartError::NotAForm`].
    pub fn new(content_type: &str) -> Result<Self, MultipartError> {
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let boundary = Parameters::new(parameters, ';').find("boundary").ok().flatten();
        let is_plain = |boundary: &&str| {
            (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len())
                && boundary.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let is_form = kind.trim_ascii().eq_ignore_ascii_case("multipart/form-data");
        let boundary = boundary.filter(is_plain).filter(|_| is_form);
        let boundary = boundary.ok_or(MultipartError::NotAForm)?;
        let mut delimiter = Vec::new();
        let fits = delimiter.extend_from_slice(DELIMITER_START).is_ok()
            && delimiter.extend_from_slice(boundary.as_bytes()).is_ok();
        if !fits {
            return Err(MultipartError::NotAForm);
        }
        Ok(Self {
            delimiter,
            // The first delimiter may be at the very start, as if a line had ended before.
            matched: 2,
            state: State::Body(Kind::Other),
            text: String::new(),
            name: String::new(),
            kind: Kind::Other,
            parts: 0,
            lines: 0,
            has_file: false,
        })
    }

    /// Takes what it can off `input`, and says what that was; none when all of it is taken and more
    /// is needed. How the form is cut into inputs makes no difference, but for the lengths of the
    /// file's pieces. Never panics.
    ///
    /// # Errors
    /// [`MultipartError`]: the form is of no use then.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Part<'s>>, MultipartError> {
        // Two steps, because the borrow checker does not see that a step without a part is over.
        while !input.is_empty() {
            match self.step(input)? {
                Step::None => {}
                Step::Start(bytes) => return Ok(self.delimiter.get(..bytes).map(Part::File)),
                Step::Data(data) => return Ok(Some(Part::File(data))),
                Step::FileStart => return Ok(Some(Part::FileStart)),
                Step::FileEnd => return Ok(Some(Part::FileEnd)),
                Step::Field => {
                    return Ok(Some(Part::Field { name: &self.name, value: &self.text }));
                }
                Step::End => return Ok(Some(Part::End)),
            }
        }
        Ok(None)
    }

    /// Whether the last delimiter has come. A form that ends before is not whole.
    pub fn has_ended(&self) -> bool {
        self.state == State::End
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, MultipartError> {
        match self.state {
            State::Body(kind) => self.body(kind, input),
            State::Delimiter { has_dash } => self.behind_delimiter(has_dash, input),
            State::Head => self.head(input),
            State::End => {
                *input = &[];
                Ok(Step::None)
            }
        }
    }

    fn body<'i>(&mut self, kind: Kind, input: &mut &'i [u8]) -> Result<Step<'i>, MultipartError> {
        let scanned = self.scan(input);
        Ok(match (scanned, kind) {
            (Scanned::Nothing, _) => Step::None,
            (Scanned::Data(data), Kind::File) => Step::Data(data),
            (Scanned::Start(bytes), Kind::File) => Step::Start(bytes),
            (Scanned::Data(data), Kind::Field) => {
                data.iter().try_for_each(|byte| self.field(*byte))?;
                Step::None
            }
            (Scanned::Start(bytes), Kind::Field) => {
                // At most as many as the delimiter has.
                for index in 0..bytes {
                    let byte = self.delimiter.get(index).copied();
                    byte.map_or(Ok(()), |byte| self.field(byte))?;
                }
                Step::None
            }
            (Scanned::Data(_) | Scanned::Start(_), Kind::Other) => Step::None,
            (Scanned::Delimiter, kind) => {
                self.state = State::Delimiter { has_dash: false };
                match kind {
                    Kind::File => Step::FileEnd,
                    Kind::Field => Step::Field,
                    Kind::Other => Step::None,
                }
            }
        })
    }

    /// Looks for the delimiter.
    fn scan<'i>(&mut self, input: &mut &'i [u8]) -> Scanned<'i> {
        loop {
            if self.matched == self.delimiter.len() {
                self.matched = 0;
                return Scanned::Delimiter;
            }
            let Some((first, rest)) = input.split_first() else { return Scanned::Nothing };
            if self.delimiter.get(self.matched) == Some(first) {
                self.matched = self.matched.saturating_add(1);
                *input = rest;
                continue;
            }
            match core::mem::take(&mut self.matched) {
                // What was matched were data, and this byte is looked at again.
                bytes @ 1.. => return Scanned::Start(bytes),
                0 => {
                    let end = input.iter().position(|byte| *byte == b'\r');
                    let (data, rest) = input.split_at(end.unwrap_or(input.len()));
                    *input = rest;
                    return Scanned::Data(data);
                }
            }
        }
    }

    fn field(&mut self, byte: u8) -> Result<(), MultipartError> {
        if self.text.len() >= MAX_FIELD_BYTES {
            return Err(MultipartError::FieldTooLong);
        }
        self.text.push(ascii(byte)).map_err(|_| MultipartError::FieldTooLong)
    }

    fn behind_delimiter<'i>(
        &mut self,
        has_dash: bool,
        input: &mut &'i [u8],
    ) -> Result<Step<'i>, MultipartError> {
        let Some((first, rest)) = input.split_first() else { return Ok(Step::None) };
        *input = rest;
        match (has_dash, first) {
            (false, b'-') => self.state = State::Delimiter { has_dash: true },
            (true, b'-') => {
                self.state = State::End;
                return Ok(Step::End);
            }
            (false, b'\n') => self.start_part()?,
            (false, b' ' | b'\t' | b'\r') => {}
            (false | true, _) => return Err(MultipartError::BadDelimiter),
        }
        Ok(Step::None)
    }

    fn start_part(&mut self) -> Result<(), MultipartError> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > MAX_PARTS {
            return Err(MultipartError::TooManyParts);
        }
        self.state = State::Head;
        self.kind = Kind::Other;
        self.lines = 0;
        self.text.clear();
        Ok(())
    }

    fn head<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, MultipartError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let (line, rest) = input.split_at(end.unwrap_or(input.len()));
        for byte in line {
            self.text.push(ascii(*byte)).map_err(|_| MultipartError::LineTooLong)?;
        }
        *input = rest;
        let Some((_, rest)) = rest.split_first() else { return Ok(Step::None) };
        *input = rest;
        let is_last = self.text.trim_end_matches('\r').is_empty();
        if is_last {
            return self.end_head();
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_PART_LINES {
            return Err(MultipartError::TooManyLines);
        }
        self.read_line().map_err(|BadHeader| MultipartError::BadDisposition)?;
        self.text.clear();
        Ok(Step::None)
    }

    fn read_line(&mut self) -> Result<(), BadHeader> {
        let Some((name, value)) = self.text.split_once(':') else { return Ok(()) };
        if !name.trim_ascii().eq_ignore_ascii_case("Content-Disposition") {
            return Ok(());
        }
        let Some((_, list)) = value.split_once(';') else { return Ok(()) };
        let list = list.trim_end_matches('\r');
        let parameter = |name| Parameters::new(list, ';').find(name);
        let file = parameter("filename")?.or(parameter("filename*")?);
        self.name.clear();
        self.kind = match (file, parameter("name")?) {
            // What a browser sends if nobody has chosen a file.
            (Some(""), _) => Kind::Other,
            (Some(_), _) => Kind::File,
            // A field with a name that does not fit is none that anybody asks for.
            (None, Some(name)) if self.name.push_str(name).is_ok() => Kind::Field,
            (None, _) => Kind::Other,
        };
        Ok(())
    }

    fn end_head<'i>(&mut self) -> Result<Step<'i>, MultipartError> {
        self.state = State::Body(self.kind);
        self.text.clear();
        if self.kind != Kind::File {
            return Ok(Step::None);
        }
        match core::mem::replace(&mut self.has_file, true) {
            true => Err(MultipartError::SecondFile),
            false => Ok(Step::FileStart),
        }
    }
}

/// A [`Part`] before it borrows from the parser.
enum Step<'i> {
    None,
    FileStart,
    Data(&'i [u8]),
    Start(usize),
    FileEnd,
    Field,
    End,
}

fn ascii(byte: u8) -> char {
    if byte.is_ascii() { char::from(byte) } else { '?' }
}
