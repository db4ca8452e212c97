//! Points of a campaign: their names, what was found at them, and how they are counted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ota_core::flash::{Extent, Region};

use super::board::Board;
use super::rig::Rig;
use crate::nor::{OpKind, PendingOp, Random, Tear};

/// One power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The operation, counted from the first that is cut; for a second cut, from the boot on.
    pub op: u64,
    /// How it was torn.
    pub tear: Tear,
}

/// One or two power cuts; none: the scenario itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The cuts, in order.
    pub cuts: Vec<Cut>,
}

impl Point {
    /// A number that spreads points evenly, for choosing some and for rolling weak bits.
    pub fn hash(&self, seed: u64) -> u64 {
        self.cuts.iter().fold(seed, |hash, cut| hash_with(hash_op(hash, cut.op), cut.tear))
    }
}

/// The hash of a point that ends with a cut of operation `op`, but for the tear. `hash`: that of the
/// cuts before, or the seed.
pub(super) fn hash_op(hash: u64, op: u64) -> u64 {
    Random::at(hash, op).next_word()
}

/// The hash of a point that ends with this tear, after [`hash_op`].
pub(super) fn hash_with(hash: u64, tear: Tear) -> u64 {
    Random::at(hash, tear_number(tear)).next_word()
}

/// Whether the point of this hash is in a share of all points.
pub(super) fn is_within(hash: u64, share: f64) -> bool {
    (hash as f64) < share * u64::MAX as f64
}

/// A number for a tear.
fn tear_number(tear: Tear) -> u64 {
    let (kind, number, seed) = match tear {
        Tear::None => (0, 0, 0),
        Tear::Whole => (1, 0, 0),
        Tear::Head => (2, 0, 0),
        Tear::Tail => (3, 0, 0),
        Tear::AllButLast => (4, 0, 0),
        Tear::AllButFirst => (5, 0, 0),
        Tear::First { units } => (6, units, 0),
        Tear::Units { seed } => (7, 0, seed),
        Tear::TornAt { unit, seed } => (8, unit, seed),
        Tear::Bits { percent, seed } => (9, u32::from(percent), seed),
        Tear::Zeros => (10, 0, 0),
    };
    seed.rotate_left(40) ^ u64::from(number) << 8 ^ kind
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cuts.is_empty() {
            return f.write_str("-");
        }
        for (index, Cut { op, tear }) in self.cuts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{op}@{tear}")?;
        }
        Ok(())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cut = |text: &str| {
            let (op, tear) = text.split_once('@').ok_or_else(|| format!("no @ in {text:?}"))?;
            let op = op.parse().map_err(|error| format!("operation {op:?}: {error}"))?;
            let tear = tear.parse().map_err(|error| format!("tear {tear:?}: {error:?}"))?;
            Ok(Cut { op, tear })
        };
        if text == "-" {
            return Ok(Self { cuts: Vec::new() });
        }
        let cuts = text.split(',').map(cut).collect::<Result<Vec<_>, String>>()?;
        if cuts.len() > 2 {
            Err(format!("{} cuts; 1 or 2 work", cuts.len()))
        } else {
            Ok(Self { cuts })
        }
    }
}

/// What went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// In words.
    pub message: String,
}

impl Failure {
    pub(super) fn new(message: String) -> Self {
        Self { message }
    }
}

/// Where in flash an operation was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// The boot record.
    Record,
    /// The application of a slot.
    App,
    /// The data part of a slot.
    Data,
    /// The descriptor of a slot.
    Descriptor,
}

/// Where `op` writes on the chip of `device`.
pub(super) fn region_of(rig: &Rig, device: u8, op: &PendingOp<'_>) -> Where {
    let layout = rig.layout();
    let within = |extent: &Extent| {
        extent.device == device
            && (extent.address..extent.address + extent.size).contains(&op.address())
    };
    let region = layout.regions().find(|(_, extent)| within(extent));
    match region.expect("the engine stays within its regions").0 {
        Region::Record => Where::Record,
        Region::App(slot) if within(&rig.descriptor(slot)) => Where::Descriptor,
        Region::App(_) => Where::App,
        Region::Data(_) => Where::Data,
    }
}

/// A header and a seal: no cell is shorter.
const SMALLEST_CELL: usize = 8 + 4;

/// Addresses of the cells that are sealed now, in the order in which they were written. Found by
/// the bytes that the format document gives, not by the engine.
pub(super) fn sealed_cells(board: &Board, record: Extent) -> Vec<u32> {
    let bytes = board.peek(record);
    let position = |header: &[u8]| u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let is_header = |bytes: &[u8]| {
        bytes[0] == b'O'
            && bytes[2] == 1
            && u32::from(bytes[1]) == 0x40 + position(bytes).count_zeros()
    };
    let mut cells: Vec<(u32, u32)> = Vec::new();
    // The search for a seal is long, and most places hold no header.
    let last = bytes.len().saturating_sub(SMALLEST_CELL);
    for at in (0..=last).step_by(4).filter(|at| is_header(&bytes[*at..])) {
        let rest = &bytes[at + 8..];
        let seal = rest.windows(4).take(200).position(|word| word == b"SEAL");
        let next = || rest.windows(8).take(200).position(is_header);
        if seal.is_some_and(|seal| next().is_none_or(|next| seal < next)) {
            cells.push((position(&bytes[at..]), record.address + at as u32));
        }
    }
    cells.sort_unstable();
    cells.into_iter().map(|(_, at)| at).collect()
}

/// The kind of a tear, without its numbers.
fn tear_name(tear: Tear) -> &'static str {
    match tear {
        Tear::None => "none",
        Tear::Whole => "whole",
        Tear::Head => "head",
        Tear::Tail => "tail",
        Tear::AllButLast => "all-but-last",
        Tear::AllButFirst => "all-but-first",
        Tear::First { .. } => "first-n",
        Tear::Units { .. } => "units",
        Tear::TornAt { .. } => "torn-at",
        Tear::Bits { percent: 0, .. } => "bits0",
        Tear::Bits { percent: 1..=30, .. } => "bits10",
        Tear::Bits { percent: 31..=70, .. } => "bits50",
        Tear::Bits { percent: 71..=99, .. } => "bits90",
        Tear::Bits { .. } => "bits100",
        Tear::Zeros => "zeros",
    }
}

/// What a walk has found.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Points that were tried: distinct.
    pub points: u64,
    /// Of these, pairs of cuts.
    pub pairs: u64,
    /// Points that exist on the way, tried or not, before equal ones are struck out.
    pub listed: u64,
    /// Tears that left flash as another one did.
    pub without_effect: u64,
    /// How many failed.
    pub failed: u64,
    /// The first failures.
    pub failures: Vec<(Point, Failure)>,
    /// Points by operation and tear.
    pub coverage: BTreeMap<(Where, bool, &'static str), u64>,
}

/// Failures that are kept with their story.
const KEPT_FAILURES: usize = 5;

impl Tally {
    pub(super) fn note(
        &mut self,
        counted: bool,
        point: &Point,
        tear: Tear,
        kind: OpKind,
        region: Where,
        result: Result<(), Failure>,
    ) {
        if counted {
            self.points += 1;
            self.pairs += u64::from(point.cuts.len() == 2);
            let cell = (region, kind == OpKind::Erase, tear_name(tear));
            *self.coverage.entry(cell).or_default() += 1;
        }
        if let Err(failure) = result {
            self.failed += 1;
            if self.failures.len() < KEPT_FAILURES {
                self.failures.push((point.clone(), failure));
            }
        }
    }

    /// Adds what another walk has found.
    pub fn add(&mut self, other: &Self) {
        self.points += other.points;
        self.pairs += other.pairs;
        self.listed += other.listed;
        self.without_effect += other.without_effect;
        self.failed += other.failed;
        let room = KEPT_FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.iter().take(room).cloned());
        for (cell, points) in &other.coverage {
            *self.coverage.entry(*cell).or_default() += points;
        }
    }
}
