//! Messages: one JSON object each, in the envelope that all of FIMP shares.
//!
//! ```text
//! {"type":"evt.ota_start.report","serv":"ota","val_t":"null","val":null,"tags":null,"props":null,
//!  "ver":"1","corid":"","src":"NAME","ctime":"2026-11-21T10:00:00.000Z","uid":"..."}
//! ```
//! `tags` and `props` are always there, because a client in Python looks them up unasked; whole
//! numbers are written as such, because one in Go reads `10.0` as 0.

use core::fmt;

use ota_core::json::{Kind, Text, Value};

use super::time::rfc3339;
use crate::writer::Writer;

/// A command as it was received. All views are into its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command<'a> {
    /// `cmd.ota_update.install`
    pub(super) name: Text<'a>,
    pub(super) val_t: Option<Text<'a>>,
    pub(super) val: Option<Value<'a>>,
    /// What its reply is to be known by.
    pub(super) uid: Option<Text<'a>>,
    /// Where its reply is wanted.
    pub(super) resp_to: Option<Text<'a>>,
    pub(super) serv: Option<Text<'a>>,
}

impl<'a> Command<'a> {
    /// None: no message, or one that is no command.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let message = ota_core::json::parse(message).ok()?;
        let text = |key| message.get(key).and_then(Value::as_text);
        let name = text("type")?;
        // What others report is none of a device's business.
        if !name.chars().take(4).eq("cmd.".chars()) {
            return None;
        }
        Some(Self {
            name,
            val_t: text("val_t"),
            val: message.get("val").filter(|value| value.kind() != Kind::Null),
            uid: text("uid"),
            resp_to: text("resp_to").filter(|topic| !topic.is_empty()),
            serv: text("serv"),
        })
    }

    /// The value, which has to be a string.
    pub(super) fn string(&self) -> Result<Text<'a>, WrongType<'a>> {
        match (self.val_t, self.val.and_then(Value::as_text)) {
            (Some(val_t), Some(text)) if val_t == *"string" => Ok(text),
            (val_t, _) => Err(WrongType { expected: "string", found: val_t }),
        }
    }

    /// There has to be no value.
    pub(super) fn null(&self) -> Result<(), WrongType<'a>> {
        match self.val_t {
            Some(val_t) if val_t == *"null" && self.val.is_none() => Ok(()),
            val_t => Err(WrongType { expected: "null", found: val_t }),
        }
    }
}

/// A value is not what it has to be.
pub(super) struct WrongType<'a> {
    expected: &'static str,
    found: Option<Text<'a>>,
}

impl fmt::Display for WrongType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "wrong value type. expected {expected}, got ")?;
        match found {
            None => f.write_str("none"),
            Some(found) if *found == *expected => write!(f, "{expected} with another value"),
            Some(found) => found.chars().take(16).try_for_each(|c| fmt::Write::write_char(f, c)),
        }
    }
}

/// The type of a value, as FIMP calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Null,
    String,
    IntMap,
    Object,
}

impl ValueType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::String => "string",
            Self::IntMap => "int_map",
            Self::Object => "object",
        }
    }
}

/// What is around a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    pub(super) serv: &'a str,
    pub(super) name: &'a str,
    pub(super) val_t: ValueType,
    /// The request that this replies to.
    pub(super) corid: Option<Text<'a>>,
    pub(super) src: &'a str,
    pub(super) unix_ms: u64,
    pub(super) uid: Uid,
}

/// The id of a message: 128 bits.
pub(super) type Uid = [u32; 4];

impl Envelope<'_> {
    /// Everything before the value, which is to be written next; then [`Self::close`].
    pub(super) fn open(&self, out: &mut Writer<'_>) {
        out.object().key("type").string(self.name).key("serv").string(self.serv);
        out.key("val_t").string(self.val_t.name()).key("val");
    }

    /// Everything behind the value.
    pub(super) fn close(&self, out: &mut Writer<'_>) {
        out.key("tags").null().key("props").null();
        self.end(out);
    }

    /// Everything behind `tags` and `props`.
    pub(super) fn end(&self, out: &mut Writer<'_>) {
        out.key("ver").string("1").key("corid");
        match self.corid {
            Some(corid) => out.text(corid),
            None => out.string(""),
        };
        out.key("src").string(self.src).key("ctime");
        // A clock that far ahead is as good as none.
        let stamp = rfc3339(self.unix_ms).or_else(|| rfc3339(0)).unwrap_or_default();
        out.string(&stamp).key("uid").display(Uuid(self.uid)).end_object();
    }
}

/// A random UUID, version 4: RFC 9562.
struct Uuid(Uid);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        let halves = [b >> 16, b & 0xfff | 0x4000, c >> 16 & 0x3fff | 0x8000, c & 0xffff];
        for (value, bits, dash) in [
            (a, 32, true),
            (halves[0], 16, true),
            (halves[1], 16, true),
            (halves[2], 16, true),
            (halves[3], 16, false),
            (d, 32, false),
        ] {
            for shift in (0..bits).rev().step_by(4) {
                let digit = crate::writer::digit(value >> (shift & !3) & 0xf);
                fmt::Write::write_char(f, char::from(digit))?;
            }
            if dash {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}

/// Bits that are spread evenly, from some that are not: for ids that have to be the same each time
/// they are made, or where there is no chance to be had.
pub(super) fn spread(seed: u64, count: u32) -> Uid {
    let mut word = 0u32;
    [0u64, 1, 2, 3].map(|place| {
        let mut state = seed ^ u64::from(count) << 40 ^ place << 56;
        for _ in 0..4 {
            state = (state ^ state >> 31).wrapping_mul(0x9fb2_1c65_1e98_df25);
        }
        word = word.rotate_left(7) ^ (state >> 32) as u32;
        word
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::string::ToString;

    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        assert_eq!(Uuid([!0; 4]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Uuid([0; 4]).to_string(), "00000000-0000-4000-8000-000000000000");
        let ids =
            (0..1000).flat_map(|seed| [0, 1].map(|count| Uuid(spread(seed, count)).to_string()));
        assert_eq!(ids.collect::<HashSet<_>>().len(), 2000);
    }

    #[test]
    fn commands_are_read_as_they_come() {
        let text =
            br#"{ "uid":"u", "val":"\/a", "val_t":"string","type":"cmd.x","serv":"ota","tags":7}"#;
        let command = Command::parse(text).unwrap();
        assert!(command.name == *"cmd.x" && command.uid.unwrap() == *"u");
        assert!(command.string().ok().unwrap() == *"/a");
        assert!(command.null().is_err() && command.resp_to.is_none());
        for (text, words) in [
            (r#"{"type":"cmd.x","val_t":"int","val":1}"#, "expected string, got int"),
            (r#"{"type":"cmd.x","val":"a"}"#, "expected string, got none"),
            (r#"{"type":"cmd.x","val_t":"string","val":1}"#, "got string with another value"),
            (r#"{"type":"cmd.x","val_t":"string"}"#, "got string with another value"),
        ] {
            let error = Command::parse(text.as_bytes()).unwrap().string().err().unwrap();
            assert!(error.to_string().ends_with(words), "{error}");
        }
        for text in ["", "[]", "{}", r#"{"type":7}"#, r#"{"type":"evt.x"}"#, r#"{"type":"cmd"}"#] {
            assert!(Command::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
