//! The kinds of flash that campaigns run on: every preset, and small ones whose record regions have
//! room for next to nothing.

use crate::nor::{Part, Rule, Shape};

/// A flash, and what is special about it in a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name, for tables and replay lines.
    pub name: &'static str,
    /// The part. Its sectors are small enough for a campaign.
    pub part: Part,
    /// The rules for programming twice that it is tried under.
    pub rules: &'static [Rule],
    /// Sectors of the record; `None`: two, or a kilobyte of smaller ones.
    pub record_sectors: Option<u32>,
}

const EVERY_RULE: &[Rule] = &[Rule::Free, Rule::AllZero, Rule::Never];

/// All kinds.
pub const ALL: &[Kind] = &[
    Kind::of(Part::NRF52840),
    Kind::of(Part::STM32L4),
    Kind::of(Part::STM32H7),
    Kind::of(Part::STM32L0),
    Kind::of(Part::RP2040),
    Kind::of(Part::ESP32),
    Kind::of(Part::ESP32_ENCRYPTED),
    Kind { rules: EVERY_RULE, ..Kind::of(Part::GENERIC_4K4) },
    Kind { rules: EVERY_RULE, ..Kind::of(Part::GENERIC_2K8) },
    Kind::small("record-3x1", 128, 3),
    Kind::small("record-2x2", 256, 2),
];

impl Kind {
    /// A preset, under its own rule. Sectors are at most 4 KiB: a larger one only makes each point
    /// slower, for a tear is scaled to the sector.
    const fn of(part: Part) -> Self {
        let rules: &[Rule] = match part.rule {
            Rule::Free => &[Rule::Free],
            Rule::AllZero => &[Rule::AllZero],
            Rule::Never => &[Rule::Never],
        };
        let shape = part.shape;
        let sector_size = if shape.sector_size < 4096 { shape.sector_size } else { 4096 };
        let part = Part { shape: Shape { sector_size, ..shape }, ..part };
        Self { name: part.name, part, rules, record_sectors: None }
    }

    /// Small sectors, and just so many of them for the record: a sector of 128 bytes has room for
    /// one cell, one of 256 for two.
    const fn small(name: &'static str, sector_size: u32, record_sectors: u32) -> Self {
        let part = Part::GENERIC_4K4;
        let shape = Shape { sector_size, page_size: sector_size, ..part.shape };
        Self {
            name,
            part: Part { name, shape, ..part },
            rules: &[Rule::Free, Rule::Never],
            record_sectors: Some(record_sectors),
        }
    }

    /// The kind called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.name == name)
    }
}
