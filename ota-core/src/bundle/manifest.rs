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

use super::fields::{
    Wrong, check_object, checksum, decode, field, file_name, number, required_text,
};
use super::{BundleError, FieldProblem, Name, short_name};
use crate::crc::crc32;
use crate::descriptor::{ANY_SLOT, BUILD_ID_LEN, PLATFORM_LEN, VERSION_LEN};
use crate::flash::MAX_SLOTS;
use crate::json::{self, Text, Value};

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
    /// CRC-32 of the manifest's bytes: tells one bundle from another, unless by malice.
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
        let Top { platform, version, build_id, name, security_counter, parts } =
            Top::read(json::parse(bytes)?).map_err(|wrong| wrong.at(None))?;
        if !platform.eq_ignore_ascii_case(selector.platform) {
            return Err(BundleError::WrongPlatform {
                found: short_name(platform.chars()),
                expected: short_name(selector.platform.chars()),
            });
        }
        let mut skipped = Skipped::default();
        let mut apps = Choice::default();
        let mut data = Choice::default();
        for (name, value) in parts.entries() {
            let part = Part::read(name, value, selector).map_err(|wrong| wrong.at(Some(name)))?;
            match part.kind {
                Some(PartKind::App) => apps.offer(part, selector.target_slot),
                Some(PartKind::Data) => data.offer(part, selector.target_slot),
                None => skipped.add(name),
            }
        }
        let slot = selector.target_slot;
        let app = apps.settle(PartKind::App, slot)?.ok_or(BundleError::MissingAppPart)?;
        let data = data.settle(PartKind::Data, slot)?;
        if let Some(data) = &data
            && data.src == app.src
        {
            return Err(BundleError::SharedSource { src: short_name(app.src.chars()) });
        }
        Ok(Self {
            version: decode("version", version).map_err(|wrong| wrong.at(None))?,
            build_id: decode("build_id", build_id).map_err(|wrong| wrong.at(None))?,
            platform: decode("platform", platform).map_err(|wrong| wrong.at(None))?,
            name: name.map(|name| short_name(name.chars())).unwrap_or_default(),
            security_counter,
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
    /// Whether the manifest gives a digest of its bytes.
    pub fn is_digested(&self) -> bool {
        self.sha256.is_some() || self.sha1.is_some()
    }

    /// To be asked when the part's file starts: has it the size that the manifest gives?
    ///
    /// # Errors
    /// [`BundleError::SizeMismatch`] if `announced`, the size in the file's header, is another.
    pub fn check_size(&self, announced: u32) -> Result<(), BundleError> {
        match self.size {
            Some(expected) if expected != announced => Err(BundleError::SizeMismatch {
                file: short_name(self.src.chars()),
                expected,
                found: announced,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn read(part: &Part<'_>) -> Result<Self, Wrong> {
        let fields = part.fields;
        Ok(Self {
            src: file_name(fields, "src")?,
            size: number(fields, "size")?,
            sha256: checksum(fields, "cs_sha256")?,
            sha1: checksum(fields, "cs_sha1")?,
            load_address: number(fields, "load_addr")?.unwrap_or(0),
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

impl Skipped {
    fn add(&mut self, name: Text<'_>) {
        if self.count == 0 {
            self.first = short_name(name.chars());
        }
        self.count = self.count.saturating_add(1);
    }
}

/// The top level of a manifest.
struct Top<'a> {
    platform: Text<'a>,
    version: Text<'a>,
    build_id: Text<'a>,
    name: Option<Text<'a>>,
    security_counter: u32,
    /// An object with at least one member.
    parts: Value<'a>,
}

impl<'a> Top<'a> {
    fn read(manifest: Value<'a>) -> Result<Self, Wrong> {
        check_object(manifest, "")?;
        let parts = field(manifest, "parts").ok_or(Wrong::new("parts", FieldProblem::Missing))?;
        check_object(parts, "parts")?;
        if parts.entries().next().is_none() {
            return Err(Wrong::new("parts", FieldProblem::Missing));
        }
        Ok(Self {
            platform: required_text(manifest, "platform")?,
            version: required_text(manifest, "version")?,
            build_id: required_text(manifest, "build_id")?,
            name: field(manifest, "name").and_then(Value::as_text),
            security_counter: number(manifest, "security_counter")?.unwrap_or(0),
            parts,
        })
    }
}

/// A part as it stands in the manifest.
#[derive(Clone, Copy)]
struct Part<'a> {
    name: Text<'a>,
    fields: Value<'a>,
    /// None: to be skipped.
    kind: Option<PartKind>,
    /// The slot it is bound to; always none for a part to be skipped.
    slot: Option<u32>,
}

impl<'a> Part<'a> {
    fn read(name: Text<'a>, fields: Value<'a>, selector: &Selector<'_>) -> Result<Self, Wrong> {
        check_object(fields, "")?;
        let (kind, of_type) = match field(fields, "type").and_then(Value::as_text) {
            Some(kind) if kind == PartKind::App.as_str() => (PartKind::App, None),
            Some(kind) if kind == PartKind::Data.as_str() && selector.has_data => {
                (PartKind::Data, None)
            }
            kind => match kind.and_then(slot_of_type) {
                Some(slot) => (PartKind::App, Some(slot)),
                None => return Ok(Self { name, fields, kind: None, slot: None }),
            },
        };
        let slot = number(fields, "slot")?;
        if !slot.is_none_or(is_slot) {
            return Err(Wrong::new("slot", FieldProblem::NotA("a slot number from 0 to 7")));
        }
        if of_type.is_some() && slot.is_some() && slot != of_type {
            return Err(Wrong::new("slot", FieldProblem::NotA("the slot in its type")));
        }
        Ok(Self { name, fields, kind: Some(kind), slot: slot.or(of_type) })
    }
}

/// N of the types `app0` to `app7`.
fn slot_of_type(kind: Text<'_>) -> Option<u32> {
    let mut chars = kind.chars();
    for expected in PartKind::App.as_str().chars() {
        chars.next().filter(|&c| c == expected)?;
    }
    let slot = chars.next()?.to_digit(10)?;
    (chars.next().is_none() && is_slot(slot)).then_some(slot)
}

fn is_slot(slot: u32) -> bool {
    usize::try_from(slot).is_ok_and(|slot| slot < MAX_SLOTS)
}

/// The parts of one kind, as far as the choice between them depends on them.
#[derive(Default)]
struct Choice<'a> {
    /// There is one, for whatever slot.
    any: bool,
    /// The first two that are bound to the target slot.
    bound: [Option<Part<'a>>; 2],
    /// The first two that are bound to no slot.
    free: [Option<Part<'a>>; 2],
}

impl<'a> Choice<'a> {
    fn offer(&mut self, part: Part<'a>, target_slot: u8) {
        self.any = true;
        let list = match part.slot {
            None => &mut self.free,
            Some(slot) if slot == u32::from(target_slot) => &mut self.bound,
            Some(_) => return,
        };
        if let Some(place) = list.iter_mut().find(|place| place.is_none()) {
            *place = Some(part);
        }
    }

    /// The part bound to the target slot, else the one bound to none.
    fn settle(&self, kind: PartKind, slot: u8) -> Result<Option<PartPlan>, BundleError> {
        let fitting = if matches!(self.bound, [None, _]) { &self.free } else { &self.bound };
        match fitting {
            [Some(part), None] => match PartPlan::read(part) {
                Ok(plan) => Ok(Some(plan)),
                Err(wrong) => Err(wrong.at(Some(part.name))),
            },
            [Some(first), Some(second)] => Err(BundleError::AmbiguousParts {
                first: short_name(first.name.chars()),
                second: short_name(second.name.chars()),
                slot,
            }),
            [None, _] if self.any => Err(BundleError::NoPartForSlot { kind: kind.as_str(), slot }),
            [None, _] => Ok(None),
        }
    }
}
