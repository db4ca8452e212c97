//! Torn units whose bits are weak, and how they read at each boot.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::random::{BitDraw, Random};
use super::{ParseError, cell::TornUnit};

/// Whether torn units change between reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weak {
    /// They stay as the tear left them; on ECC parts they cannot be read until erased.
    Off,
    /// They are rolled anew at each [`super::Nor::power_on`] and stable in between.
    PerBoot,
    /// They are rolled anew at each read call too.
    PerRead,
}

/// How weak bits read from now on. `Display` and `FromStr` give the short form for replay lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flicker {
    /// `kept`: as they last read.
    Kept,
    /// `old`: as if the cut operations had never begun.
    Old,
    /// `new`: as if they had been completed.
    New,
    /// `units:SEED`: each unit old or new; on ECC parts, or unreadable.
    Units {
        /// Picks.
        seed: u64,
    },
    /// `bits:SEED`: each weak bit by itself; on ECC parts all torn units are unreadable.
    Bits {
        /// Picks.
        seed: u64,
    },
}

impl Flicker {
    /// The roll that `seed` stands for: old, new and each bit by itself are equally likely, the
    /// other two half as likely.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        match random.below(8) {
            0 | 1 => Self::Old,
            2 | 3 => Self::New,
            4 | 5 => Self::Bits { seed },
            6 => Self::Units { seed },
            _ => Self::Kept,
        }
    }
}

impl fmt::Display for Flicker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Old => f.write_str("old"),
            Self::New => f.write_str("new"),
            Self::Units { seed } => write!(f, "units:{seed}"),
            Self::Bits { seed } => write!(f, "bits:{seed}"),
        }
    }
}

impl FromStr for Flicker {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("flicker", text);
        match text.split_once(':') {
            None => match text {
                "kept" => Ok(Self::Kept),
                "old" => Ok(Self::Old),
                "new" => Ok(Self::New),
                _ => Err(wrong()),
            },
            Some((word, seed)) => {
                let seed = seed.parse().map_err(|_| wrong())?;
                match word {
                    "units" => Ok(Self::Units { seed }),
                    "bits" => Ok(Self::Bits { seed }),
                    _ => Err(wrong()),
                }
            }
        }
    }
}

/// The weak units of a flash, sorted by unit. Bytes are normalised (see `cell`) and lie in three
/// flat arrays, so that a clone is a few copies.
#[derive(Debug, Default)]
pub(super) struct WeakSet {
    size: usize,
    units: Vec<u32>,
    readable: Vec<bool>,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl WeakSet {
    /// An empty set of units of `size` bytes.
    pub(super) const fn new(size: usize) -> Self {
        Self { size, units: Vec::new(), readable: Vec::new(), old: Vec::new(), new: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The places in the set of the units in `range`.
    pub(super) fn places(&self, range: &Range<u32>) -> Range<usize> {
        let start = self.units.partition_point(|&unit| unit < range.start);
        let len = self.units[start..].partition_point(|&unit| unit < range.end);
        start..start + len
    }

    /// `unit` as part of a cell.
    pub(super) fn torn(&self, unit: u32) -> Option<TornUnit> {
        let place = self.units.binary_search(&unit).ok()?;
        let bytes = place * self.size..(place + 1) * self.size;
        let mut torn = TornUnit { old: [0; 32], new: [0; 32], readable: self.readable[place] };
        torn.old[..self.size].copy_from_slice(&self.old[bytes.clone()]);
        torn.new[..self.size].copy_from_slice(&self.new[bytes]);
        Some(torn)
    }

    /// Adds `unit`, which lies behind all others.
    pub(super) fn push(&mut self, unit: u32, torn: &TornUnit) {
        self.units.push(unit);
        self.readable.push(torn.readable);
        self.old.extend_from_slice(&torn.old[..self.size]);
        self.new.extend_from_slice(&torn.new[..self.size]);
    }

    /// Puts `with` in place of all units in `range`.
    pub(super) fn replace(&mut self, range: &Range<u32>, with: Self) {
        let places = self.places(range);
        let bytes = places.start * self.size..places.end * self.size;
        self.units.splice(places.clone(), with.units);
        self.readable.splice(places, with.readable);
        self.old.splice(bytes.clone(), with.old);
        self.new.splice(bytes, with.new);
    }

    /// Forgets all units in `range`.
    pub(super) fn remove(&mut self, range: &Range<u32>) {
        let places = self.places(range);
        if !places.is_empty() {
            self.replace(range, Self::new(self.size));
        }
    }

    /// All that is known of the units at `places`: numbers, readable or not, old and new bytes.
    pub(super) fn columns(&self, places: Range<usize>) -> (&[u32], &[bool], &[u8], &[u8]) {
        let bytes = places.start * self.size..places.end * self.size;
        let (old, new) = (&self.old[bytes.clone()], &self.new[bytes]);
        (&self.units[places.clone()], &self.readable[places], old, new)
    }

    /// The first unit at `places` that cannot be read.
    pub(super) fn first_unreadable(&self, places: Range<usize>) -> Option<u32> {
        places.into_iter().find(|&place| !self.readable[place]).map(|place| self.units[place])
    }

    /// Rolls how the units at `places` read, into `data`, whose bytes differ from normalised ones
    /// by `flip`.
    pub(super) fn roll(
        &mut self,
        places: Range<usize>,
        flicker: Flicker,
        ecc: bool,
        data: &mut [u8],
        flip: u8,
    ) {
        for place in places {
            let bytes = place * self.size..(place + 1) * self.size;
            let (old, new) = (&self.old[bytes.clone()], &self.new[bytes]);
            let unit = self.units[place];
            let start = unit as usize * self.size;
            let visible = &mut data[start..start + self.size];
            let side = match flicker {
                Flicker::Kept => continue,
                Flicker::Old => Side::Old,
                Flicker::New => Side::New,
                Flicker::Units { seed } => {
                    match Random::at(seed, u64::from(unit)).below(if ecc { 3 } else { 2 }) {
                        0 => Side::Old,
                        1 => Side::New,
                        _ => Side::Between(seed),
                    }
                }
                Flicker::Bits { seed } => Side::Between(seed),
            };
            match side {
                Side::Old => visible.copy_from_slice(old),
                Side::New => visible.copy_from_slice(new),
                Side::Between(seed) => {
                    let mut draw = BitDraw::new(Random::at(seed, u64::from(unit)), 50);
                    for ((byte, old), new) in visible.iter_mut().zip(old).zip(new) {
                        *byte = old ^ ((old ^ new) & draw.byte());
                    }
                }
            }
            visible.iter_mut().for_each(|byte| *byte ^= flip);
            self.readable[place] = !ecc || !matches!(side, Side::Between(_));
        }
    }
}

/// Where a torn unit falls.
enum Side {
    Old,
    New,
    Between(u64),
}

impl Clone for WeakSet {
    fn clone(&self) -> Self {
        Self {
            size: self.size,
            units: self.units.clone(),
            readable: self.readable.clone(),
            old: self.old.clone(),
            new: self.new.clone(),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { size, units, readable, old, new } = source;
        self.size = *size;
        self.units.clone_from(units);
        self.readable.clone_from(readable);
        self.old.clone_from(old);
        self.new.clone_from(new);
    }
}
