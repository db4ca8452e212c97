//! Members of a manifest's objects, of the kind they have to be.
//!
//! A member that is `null` counts as absent everywhere.

use heapless::String;

use super::{BundleError, FieldProblem, MAX_NAME, Name, short_name};
use crate::json::{Kind, Text, TooLong, Value};

/// A field that is not what it has to be; which part it is in is for the caller to say.
pub(super) struct Wrong {
    key: &'static str,
    problem: FieldProblem,
}

impl Wrong {
    pub(super) const fn new(key: &'static str, problem: FieldProblem) -> Self {
        Self { key, problem }
    }

    /// In this part; none: at the top level.
    pub(super) fn at(self, part: Option<Text<'_>>) -> BundleError {
        BundleError::Field {
            part: part.map(|name| short_name(name.chars())),
            key: self.key,
            problem: self.problem,
        }
    }
}

/// Whether the member `key` is an object; the empty key is the part or the manifest itself.
pub(super) fn check_object(value: Value<'_>, key: &'static str) -> Result<(), Wrong> {
    match value.kind() {
        Kind::Object => Ok(()),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
            Err(Wrong::new(key, FieldProblem::NotA("a JSON object")))
        }
    }
}

/// The member `key`, unless it is `null`.
pub(super) fn field<'a>(object: Value<'a>, key: &str) -> Option<Value<'a>> {
    object.get(key).filter(|value| value.kind() != Kind::Null)
}

/// The text of the member `key`, which must not be empty.
pub(super) fn required_text<'a>(object: Value<'a>, key: &'static str) -> Result<Text<'a>, Wrong> {
    let value = field(object, key).ok_or(Wrong::new(key, FieldProblem::Missing))?;
    let text = value.as_text().ok_or(Wrong::new(key, FieldProblem::NotA("text")))?;
    match text.chars().next() {
        Some(_) => Ok(text),
        None => Err(Wrong::new(key, FieldProblem::Missing)),
    }
}

/// A number, or as Mongoose OS has it also text with a number, such as `"0x8020000"`.
pub(super) fn number(object: Value<'_>, key: &'static str) -> Result<Option<u32>, Wrong> {
    let Some(value) = field(object, key) else {
        return Ok(None);
    };
    match value.lenient_u32() {
        Some(number) => Ok(Some(number)),
        None => Err(Wrong::new(key, FieldProblem::NotA("a number of 32 bits"))),
    }
}

/// The text of the member `key`, which names a file.
pub(super) fn file_name(object: Value<'_>, key: &'static str) -> Result<Name, Wrong> {
    let mut name = Name::new();
    for c in required_text(object, key)?.chars() {
        name.push(c).map_err(|_| Wrong::new(key, FieldProblem::TooLong { limit: MAX_NAME }))?;
    }
    Ok(name)
}

/// Decodes the text of the member `key`. Such texts end up in descriptors (padded with zeros), HTTP
/// headers and terminals: control characters have no place in them.
pub(super) fn decode<const N: usize>(
    key: &'static str,
    text: Text<'_>,
) -> Result<String<N>, Wrong> {
    if text.chars().any(char::is_control) {
        return Err(Wrong::new(key, FieldProblem::NotA("text without control characters")));
    }
    text.decode_into().map_err(|TooLong { limit }| Wrong::new(key, FieldProblem::TooLong { limit }))
}

/// `N` bytes as hex, upper or lower case.
pub(super) fn checksum<const N: usize>(
    object: Value<'_>,
    key: &'static str,
) -> Result<Option<[u8; N]>, Wrong> {
    let Some(value) = field(object, key) else {
        return Ok(None);
    };
    let mut bytes = [0; N];
    match value.as_text().and_then(|text| read_hex(text, &mut bytes)) {
        Some(()) => Ok(Some(bytes)),
        None => Err(Wrong::new(key, FieldProblem::NotHex { digits: N.saturating_mul(2) })),
    }
}

/// Reads exactly as many digits as fill `bytes`.
fn read_hex(text: Text<'_>, bytes: &mut [u8]) -> Option<()> {
    let mut digits = text.chars().map(|c| c.to_digit(16));
    for byte in bytes {
        let mut value = 0;
        for _ in 0..2 {
            value = value << 4 | digits.next()??;
        }
        *byte = u8::try_from(value).ok()?;
    }
    digits.next().is_none().then_some(())
}
