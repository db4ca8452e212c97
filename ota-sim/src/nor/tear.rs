//! The ways in which a cut leaves an operation half done.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::random::{BitDraw, Random};
use super::{OpKind, ParseError, PendingOp, Shape};

/// How far an operation came when power failed. `Display` and `FromStr` give the short form for
/// replay lines. Units are the write units of the operation's range, counted from 0.
///
/// In the first group each unit is done or untouched (a cut between two words); in the second
/// some units are cut inside and become *torn*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tear {
    /// `none`: the cut came before the operation; nothing happened.
    None,
    /// `whole`: the operation was completed but nobody was told.
    Whole,
    /// `head`: the first half of the units is done.
    Head,
    /// `tail`: the second half of the units is done.
    Tail,
    /// `all-but-last`: all units but the last are done.
    AllButLast,
    /// `all-but-first`: all units but the first are done.
    AllButFirst,
    /// `firstN`: the first N units are done.
    First {
        /// N.
        units: u32,
    },
    /// `units:SEED`: each unit is done or not, at random.
    Units {
        /// Picks.
        seed: u64,
    },
    /// `torn-atN:SEED`: the units before unit N are done, unit N is cut at half of its bits, the
    /// others are untouched: a driver that programs word by word.
    TornAt {
        /// N.
        unit: u32,
        /// Picks the bits.
        seed: u64,
    },
    /// `bitsP:SEED`: every unit is cut; each bit that should change did so with P percent.
    /// `bits0` looks as if nothing had happened and `bits100` as if all was well, until the weak
    /// bits are rolled again. With [`super::Weak::Off`] these two equal `none` and `whole`.
    Bits {
        /// P, 0 to 100.
        percent: u8,
        /// Picks the bits.
        seed: u64,
    },
    /// `zeros`: an erase cut after pre-programming: every bit of the sector, blank units
    /// included, is at the programmed level and torn. For a program: as `none`.
    Zeros,
}

impl Tear {
    /// What becomes of unit `unit` of an operation of `kind` on `count` units.
    fn fate(&self, kind: OpKind, unit: u32, count: u32) -> Fate {
        let done = match *self {
            Self::None => false,
            Self::Whole => true,
            Self::Head => unit < count / 2,
            Self::Tail => unit >= count / 2,
            Self::AllButLast => unit + 1 < count,
            Self::AllButFirst => unit > 0,
            Self::First { units } => unit < units,
            Self::Units { seed } => Random::at(seed, u64::from(unit)).below(2) == 1,
            Self::TornAt { unit: at, .. } if unit == at => return Fate::Torn,
            Self::TornAt { unit: at, .. } => unit < at,
            Self::Bits { .. } => return Fate::Torn,
            Self::Zeros => match kind {
                OpKind::Erase => return Fate::Torn,
                OpKind::Program => false,
            },
        };
        if done { Fate::Done } else { Fate::Untouched }
    }

    /// The runs of units that share a fate, in ascending order.
    pub(super) fn runs(self, kind: OpKind, count: u32) -> impl Iterator<Item = (Range<u32>, Fate)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= count {
                return None;
            }
            let (start, fate) = (at, self.fate(kind, at, count));
            at += 1;
            while at < count && self.fate(kind, at, count) == fate {
                at += 1;
            }
            Some((start..at, fate))
        })
    }

    /// The bits that already changed in torn units of an operation at `address`.
    pub(super) fn draw(self, address: u32) -> BitDraw {
        let (percent, seed) = match self {
            Self::Bits { percent, seed } => (percent, seed),
            Self::TornAt { seed, .. } => (50, seed),
            Self::None
            | Self::Whole
            | Self::Head
            | Self::Tail
            | Self::AllButLast
            | Self::AllButFirst
            | Self::First { .. }
            | Self::Units { .. }
            | Self::Zeros => (0, 0),
        };
        BitDraw::new(Random::at(seed, u64::from(address)), percent)
    }

    /// Whether every bit of a torn unit is at one side for now.
    pub(super) const fn settled(self) -> bool {
        matches!(self, Self::Bits { percent: 0 | 100.., .. })
    }

    /// `bits0` and `bits100` differ from `none` and `whole` in nothing but weakness.
    pub(super) const fn without_weakness(self) -> Self {
        match self {
            Self::Bits { percent: 0, .. } => Self::None,
            Self::Bits { percent: 100.., .. } => Self::Whole,
            other => other,
        }
    }
}

/// What becomes of a unit when its operation is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Untouched,
    Done,
    Torn,
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Whole => f.write_str("whole"),
            Self::Head => f.write_str("head"),
            Self::Tail => f.write_str("tail"),
            Self::AllButLast => f.write_str("all-but-last"),
            Self::AllButFirst => f.write_str("all-but-first"),
            Self::First { units } => write!(f, "first{units}"),
            Self::Units { seed } => write!(f, "units:{seed}"),
            Self::TornAt { unit, seed } => write!(f, "torn-at{unit}:{seed}"),
            Self::Bits { percent, seed } => write!(f, "bits{percent}:{seed}"),
            Self::Zeros => f.write_str("zeros"),
        }
    }
}

impl FromStr for Tear {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new("tear", text))
    }
}

fn parse(text: &str) -> Option<Tear> {
    let (head, seed) = match text.split_once(':') {
        Some((head, seed)) => (head, Some(seed.parse().ok()?)),
        None => (text, None),
    };
    let tear = match (head, seed) {
        ("none", None) => Tear::None,
        ("whole", None) => Tear::Whole,
        ("head", None) => Tear::Head,
        ("tail", None) => Tear::Tail,
        ("all-but-last", None) => Tear::AllButLast,
        ("all-but-first", None) => Tear::AllButFirst,
        ("zeros", None) => Tear::Zeros,
        ("units", Some(seed)) => Tear::Units { seed },
        (_, None) => Tear::First { units: head.strip_prefix("first")?.parse().ok()? },
        (_, Some(seed)) => {
            if let Some(unit) = head.strip_prefix("torn-at") {
                Tear::TornAt { unit: unit.parse().ok()?, seed }
            } else {
                let percent = head.strip_prefix("bits")?.parse().ok()?;
                (percent <= 100).then_some(Tear::Bits { percent, seed })?
            }
        }
    };
    Some(tear)
}

/// How many tears [`tears_for`] lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TearBudget {
    /// The first seed; further ones count up from it.
    pub seed: u64,
    /// How many seeds for each random tear.
    pub seeds: u32,
    /// The densities of `bits`, in percent. 0 and 100 take no seed.
    pub percents: &'static [u8],
    /// Cut programs at every unit, cleanly and torn, rather than at the ends and in the middle.
    pub every_unit: bool,
}

impl TearBudget {
    /// Each kind of tear once.
    pub const BRIEF: Self =
        Self { seed: 1, seeds: 1, percents: &[0, 10, 50, 90, 99, 100], every_unit: false };

    /// Every unit, and three seeds for each random tear.
    pub const FULL: Self = Self { seeds: 3, every_unit: true, ..Self::BRIEF };
}

/// The tears that make sense for `op`: none that must equal another by its definition. Two may
/// still leave the same flash (every bit drawn the same way, a unit without bits to change):
/// compare what [`super::Nor::apply_torn`] returns before counting them.
pub fn tears_for(
    op: &PendingOp<'_>,
    shape: &Shape,
    budget: &TearBudget,
) -> impl Iterator<Item = Tear> + use<> {
    let count = op.units(shape);
    let is_erase = op.kind() == OpKind::Erase;
    let TearBudget { seed, seeds, percents, every_unit } = *budget;
    let every_unit = every_unit && !is_erase;
    let seeds = move || (0..u64::from(seeds)).map(move |i| seed.wrapping_add(i));

    let plain = [Tear::None, Tear::Whole].into_iter();
    // One unit has no halves; of two and three units some ends are halves.
    let halves = [Tear::Head, Tear::Tail].into_iter().filter(move |_| count >= 2);
    let last = (count >= 3).then_some(Tear::AllButLast);
    let first = (count >= 4).then_some(Tear::AllButFirst);
    let ends = last.into_iter().chain(first);
    let cuts = (1..if every_unit { count } else { 0 })
        .filter(move |&units| units != count / 2 && units != count - 1)
        .map(|units| Tear::First { units });
    let mixed = seeds().map(|seed| Tear::Units { seed }).filter(move |_| count >= 3);
    let torn_at = (0..count)
        .filter(move |&unit| every_unit || [0, count / 2, count - 1].contains(&unit))
        // The only unit of an operation, torn, is what `bits50` does.
        .filter(move |_| count >= 2)
        .flat_map(move |unit| seeds().map(move |seed| Tear::TornAt { unit, seed }));
    let bits = percents.iter().flat_map(move |&percent| {
        let settled = percent == 0 || percent >= 100;
        let taken = if settled { 1 } else { usize::MAX };
        seeds().take(taken).map(move |seed| match settled {
            true => Tear::Bits { percent, seed: 0 },
            false => Tear::Bits { percent, seed },
        })
    });
    let zeros = is_erase.then_some(Tear::Zeros).into_iter();
    plain.chain(halves).chain(ends).chain(cuts).chain(mixed).chain(torn_at).chain(bits).chain(zeros)
}
