//! What a device takes from a bundle's manifest.
//!
//! The manifest is a JSON object; this much of it is looked at, anything else may stand beside it:
//!
//! ```text
//! { "name": "demo", "platform": "sim", "version": "1.1.0", "build_id": "20261120-...",
//!   "security_counter": 7,                                          ours, default 0
//!   "parts": {
//!     "app":  { "type": "app", "src": "app.bin", "size": 45856, "cs_sha1": .., "cs_sha256": ..,
//!               "slot": 0, "load_addr": 134250496 },                ours, default any and 0
//!     "fs":   { "type": "fs", "src": "fs.bin", ... },
//!     "boot": { "type": "boot", ... }                               skipped and reported
//! } }
//! ```
//!
//! # Invariants
//! * A [`Manifest`] is for this device's platform, and its parts fit the slot it was selected for.
//! * Its two parts are never the same file.
//! * The choice does not depend on the order of the parts.

use heapless::String;

use super::{BundleError, FieldProblem, MAX_NAME, Name, short_name};
use crate::crc::crc32;
use crate::descriptor::{ANY_SLOT, BUILD_ID_LEN, PLATFORM_LEN, VERSION_LEN};
use crate::flash::MAX_SLOTS;
use crate::json::{self, Kind, Text, Value};

/// What a bundle has to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector<'a> {
    /// This device's platform. Case does not matter.
    pub platform: &'a str,
    /// The slot that is to be written.
    pub target_slot: u8,
    /// That slot has room for a data part.
    pub has_data: bool,
}

/// What this device takes from a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the firmware.
    pub version: String<VERSION_LEN>,
    /// Which build of that version.
    pub build_id: String<BUILD_ID_LEN>,
    /// The platform, as the manifest writes it.
    pub platform: String<PLATFORM_LEN>,
    /// Name of the firmware, as far as it fits; empty if it has none.
    pub name: Name,
    /// Our extension: firmware below the device's counter does not run. 0 if not given.
    pub security_counter: u32,
    /// CRC-32 of the manifest's bytes: tells one bundle from another, by accident but not by malice.
    pub identity: u32,
    /// The application.
    pub app: PartPlan,
    /// The data part, if there is one and room for it.
    pub data: Option<PartPlan>,
    /// What else is in the bundle.
    pub skipped: Skipped,
}

/// One part that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPlan {
    /// Its file in the archive.
    pub src: Name,
    /// Its size in bytes, if the manifest gives it: see [`Self::check_size`].
    pub size: Option<u32>,
    /// SHA-256 of its bytes, if the manifest gives it.
    pub sha256: Option<[u8; 32]>,
    /// SHA-1 of its bytes, if the manifest gives it.
    pub sha1: Option<[u8; 20]>,
    /// Our extension: the address that the part was linked for; 0: runs anywhere.
    pub load_address: u32,
    /// The slots it may be written to: bit N for slot N; [`ANY_SLOT`] unless it is bound to one.
    pub slot_mask: u8,
}

/// The kinds of part that a slot has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PartKind {
    /// Manifest type `app`; also `app0` to `app7`, which is the same with `"slot"` 0 to 7.
    App,
    /// Manifest type `fs`.
    Data,
}

/// Parts of types that the layout has no place for. A part that is bound to another slot is not
/// counted: a bundle is expected to have those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many there are.
    pub count: u16,
    /// Name of the one written first, as far as it fits; empty if there is none.
    pub first: Name,
}

impl Manifest {
    /// Reads the whole bytes of a manifest and picks what fits `selector`.
    ///
    /// # Errors
    /// Any [`BundleError`] about a manifest; nothing has been written by then.
    pub fn select(bytes: &[u8], selector: &Selector<'_>) -> Result<Self, BundleError> {
        let root = Object { part: None, value: json::parse(bytes)? };
        root.check_kind()?;
        let platform = root.required_text("platform")?;
        let version = root.required_text("version")?;
        let build_id = root.required_text("build_id")?;
        let parts = root.parts()?;
        if !platform.eq_ignore_ascii_case(selector.platform) {
            return Err(BundleError::WrongPlatform {
                found: short_name(platform.chars()),
                expected: short_name(selector.platform.chars()),
            });
        }
        let skipped = survey(parts, selector)?;
        let app = choose(parts, selector, PartKind::App)?.ok_or(BundleError::MissingAppPart)?;
        let data = choose(parts, selector, PartKind::Data)?;
        if let Some(data) = &data
            && data.src == app.src
        {
            return Err(BundleError::SharedSource { src: app.src });
        }
        let name = root.field("name").and_then(Value::as_text);
        Ok(Self {
            version: root.decode("version", version)?,
            build_id: root.decode("build_id", build_id)?,
            platform: root.decode("platform", platform)?,
            name: name.map(|name| short_name(name.chars())).unwrap_or_default(),
            security_counter: root.number("security_counter")?.unwrap_or(0),
            identity: crc32(bytes),
            app,
            data,
            skipped,
        })
    }

    /// Which wanted part the file `name` of the archive is; none if it is to be skipped.
    pub fn wanted(&self, name: &str) -> Option<(PartKind, &PartPlan)> {
        if self.app.src == name {
            return Some((PartKind::App, &self.app));
        }
        let data = self.data.as_ref().filter(|data| data.src == name)?;
        Some((PartKind::Data, data))
    }
}

impl PartPlan {
    /// To be asked when the part's file starts: has it the size that the manifest gives?
    ///
    /// # Errors
    /// [`BundleError::SizeMismatch`] if `announced`, the size in the file's header, is another.
    pub fn check_size(&self, announced: u32) -> Result<(), BundleError> {
        match self.size {
            Some(expected) if expected != announced => Err(BundleError::SizeMismatch {
                file: self.src.clone(),
                expected,
                found: announced,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn read(part: &Part<'_>) -> Result<Self, BundleError> {
        let object = &part.object;
        Ok(Self {
            src: object.file_name("src")?,
            size: object.number("size")?,
            sha256: object.checksum("cs_sha256")?,
            sha1: object.checksum("cs_sha1")?,
            load_address: object.number("load_addr")?.unwrap_or(0),
            slot_mask: part.slot.map_or(ANY_SLOT, |slot| 1u8.checked_shl(slot).unwrap_or(0)),
        })
    }
}

impl PartKind {
    /// As the manifest's `type`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Data => "fs",
        }
    }
}

/// Checks that all parts can be understood as far as that matters, and counts those that do not.
fn survey(parts: Value<'_>, selector: &Selector<'_>) -> Result<Skipped, BundleError> {
    let mut skipped = Skipped::default();
    for (name, value) in parts.entries() {
        if Part::read(name, value, selector)?.kind.is_none() {
            if skipped.count == 0 {
                skipped.first = short_name(name.chars());
            }
            skipped.count = skipped.count.saturating_add(1);
        }
    }
    Ok(skipped)
}

/// The part of `kind` for the target slot: the one bound to it, else the one bound to none.
fn choose(
    parts: Value<'_>,
    selector: &Selector<'_>,
    kind: PartKind,
) -> Result<Option<PartPlan>, BundleError> {
    let slot = selector.target_slot;
    let of_kind = || {
        let all =
            parts.entries().filter_map(|(name, value)| Part::read(name, value, selector).ok());
        all.filter(|part| part.kind == Some(kind))
    };
    let bound = Some(u32::from(slot));
    let wanted = if of_kind().any(|part| part.slot == bound) { bound } else { None };
    let mut fitting = of_kind().filter(|part| part.slot == wanted);
    match (fitting.next(), fitting.next()) {
        (Some(part), None) => PartPlan::read(&part).map(Some),
        (Some(first), Some(second)) => Err(BundleError::AmbiguousParts {
            first: first.object.part_name().unwrap_or_default(),
            second: second.object.part_name().unwrap_or_default(),
            slot,
        }),
        (None, _) => match of_kind().next() {
            None => Ok(None),
            Some(_) => Err(BundleError::NoPartForSlot { kind: kind.as_str(), slot }),
        },
    }
}

/// A part as it stands in the manifest.
struct Part<'a> {
    object: Object<'a>,
    /// None: to be skipped.
    kind: Option<PartKind>,
    /// The slot it is bound to; always none for a part to be skipped.
    slot: Option<u32>,
}

impl<'a> Part<'a> {
    fn read(
        name: Text<'a>,
        value: Value<'a>,
        selector: &Selector<'_>,
    ) -> Result<Self, BundleError> {
        let object = Object { part: Some(name), value };
        object.check_kind()?;
        let kind = object.field("type").and_then(Value::as_text);
        let (kind, of_type) = match kind {
            Some(kind) if kind == PartKind::App.as_str() => (PartKind::App, None),
            Some(kind) if kind == PartKind::Data.as_str() && selector.has_data => {
                (PartKind::Data, None)
            }
            kind => match kind.and_then(slot_of_type) {
                Some(slot) => (PartKind::App, Some(slot)),
                None => return Ok(Self { object, kind: None, slot: None }),
            },
        };
        let slot = object.number("slot")?;
        let in_range = slot.is_none_or(|slot| usize::try_from(slot).is_ok_and(|n| n < MAX_SLOTS));
        if !in_range {
            return Err(object.error("slot", FieldProblem::NotA("a slot number from 0 to 7")));
        }
        if of_type.is_some() && slot.is_some() && slot != of_type {
            return Err(object.error("slot", FieldProblem::NotA("the slot in its type")));
        }
        Ok(Self { object, kind: Some(kind), slot: slot.or(of_type) })
    }
}

/// N of the types `app0` to `app7`.
fn slot_of_type(kind: Text<'_>) -> Option<u32> {
    let mut chars = kind.chars();
    for expected in PartKind::App.as_str().chars() {
        chars.next().filter(|&c| c == expected)?;
    }
    let slot = chars.next()?.to_digit(10)?;
    let fits = chars.next().is_none() && usize::try_from(slot).is_ok_and(|n| n < MAX_SLOTS);
    fits.then_some(slot)
}

/// A JSON object of the manifest, and where it is.
struct Object<'a> {
    /// Name of the part that it is; none for the whole manifest.
    part: Option<Text<'a>>,
    value: Value<'a>,
}

impl<'a> Object<'a> {
    fn check_kind(&self) -> Result<(), BundleError> {
        match self.value.kind() {
            Kind::Object => Ok(()),
            Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Array => {
                Err(self.error("", FieldProblem::NotA("a JSON object")))
            }
        }
    }

    /// The member `key`, unless it is `null`.
    fn field(&self, key: &str) -> Option<Value<'a>> {
        self.value.get(key).filter(|value| value.kind() != Kind::Null)
    }

    /// The object of parts, which has at least one.
    fn parts(&self) -> Result<Value<'a>, BundleError> {
        const KEY: &str = "parts";
        let parts = self.field(KEY).ok_or_else(|| self.error(KEY, FieldProblem::Missing))?;
        if parts.kind() != Kind::Object {
            return Err(self.error(KEY, FieldProblem::NotA("a JSON object")));
        }
        match parts.entries().next() {
            Some(_) => Ok(parts),
            None => Err(self.error(KEY, FieldProblem::Missing)),
        }
    }

    fn required_text(&self, key: &'static str) -> Result<Text<'a>, BundleError> {
        let value = self.field(key).ok_or_else(|| self.error(key, FieldProblem::Missing))?;
        let text = value.as_text().ok_or_else(|| self.error(key, FieldProblem::NotA("text")))?;
        match text.chars().next() {
            Some(_) => Ok(text),
            None => Err(self.error(key, FieldProblem::Missing)),
        }
    }

    /// A number, or as Mongoose OS has it also text with a number, such as `"0x8020000"`.
    fn number(&self, key: &'static str) -> Result<Option<u32>, BundleError> {
        let Some(value) = self.field(key) else {
            return Ok(None);
        };
        match value.lenient_u32() {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(key, FieldProblem::NotA("a number of 32 bits"))),
        }
    }

    /// `N` bytes as hex, upper or lower case.
    fn checksum<const N: usize>(&self, key: &'static str) -> Result<Option<[u8; N]>, BundleError> {
        let Some(value) = self.field(key) else {
            return Ok(None);
        };
        match value.as_text().and_then(hex) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(self.error(key, FieldProblem::NotHex { digits: N.saturating_mul(2) })),
        }
    }

    fn file_name(&self, key: &'static str) -> Result<Name, BundleError> {
        let mut name = Name::new();
        for c in self.required_text(key)?.chars() {
            name.push(c).map_err(|_| self.error(key, FieldProblem::TooLong { limit: MAX_NAME }))?;
        }
        Ok(name)
    }

    fn decode<const N: usize>(
        &self,
        key: &'static str,
        text: Text<'a>,
    ) -> Result<String<N>, BundleError> {
        text.decode_into()
            .map_err(|too_long| self.error(key, FieldProblem::TooLong { limit: too_long.limit }))
    }

    fn part_name(&self) -> Option<Name> {
        self.part.map(|name| short_name(name.chars()))
    }

    fn error(&self, key: &'static str, problem: FieldProblem) -> BundleError {
        BundleError::Field { part: self.part_name(), key, problem }
    }
}

fn hex<const N: usize>(text: Text<'_>) -> Option<[u8; N]> {
    let mut digits = text.chars().map(|c| c.to_digit(16));
    let mut bytes = [0; N];
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}
