//! The flash itself: state, reads, power, counters, snapshots.

use std::ops::Range;

use super::cell::Physics;
use super::faults::Faults;
use super::random::Random;
use super::units::UnitSet;
use super::weak::WeakSet;
use super::{Flicker, NorError, OpRecord, Part, Rule, Shape, Weak};

/// A NOR flash in memory.
///
/// Cloning is a few block copies, and `clone_from` reuses the memory of its target: a campaign
/// keeps one scratch flash and clones into it before every operation.
#[derive(Debug)]
pub struct Nor {
    pub(super) part: Part,
    pub(super) weak_mode: Weak,
    /// What each byte reads as.
    pub(super) data: Vec<u8>,
    /// Units programmed or torn since their last completed erase. A unit outside this set holds
    /// the erase value, and is neither torn nor dead.
    pub(super) programmed: UnitSet,
    /// Units that cannot be read until erased.
    pub(super) dead: UnitSet,
    /// Torn units whose bits are weak.
    pub(super) weak: WeakSet,
    /// Rolls weak bits at each read, in [`Weak::PerRead`].
    pub(super) read_rolls: Random,
    pub(super) powered: bool,
    pub(super) faults: Faults,
    pub(super) ops: u64,
    pub(super) counters: Counters,
    /// Erases of each sector.
    pub(super) wear: Vec<u32>,
    /// Programs of each unit since its erase; empty unless tracked.
    pub(super) unit_programs: Vec<u8>,
    pub(super) log: Option<Vec<OpRecord>>,
}

/// What a flash was asked to do since the counters were last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Read calls, failed ones included.
    pub reads: u64,
    /// Bytes asked for by them.
    pub read_bytes: u64,
    /// Program operations (at most a page each), cut ones included.
    pub programs: u64,
    /// Bytes given to them.
    pub programmed_bytes: u64,
    /// Sector erases, cut ones included.
    pub erases: u64,
    /// Units that were programmed although they had been since their last erase.
    pub reprogrammed_units: u64,
    /// Time that all this takes by the part's [`super::Timings`], in nanoseconds.
    pub time_ns: u64,
}

impl Nor {
    /// A blank flash, powered, without weak bits.
    ///
    /// # Panics
    /// If [`Shape::check`] refuses the part's shape.
    pub fn new(part: &Part) -> Self {
        let part = *part;
        if let Err(error) = part.shape.check() {
            panic!("{}: {error}", part.name);
        }
        let Shape { capacity, write_size, erase_value, .. } = part.shape;
        Self {
            weak_mode: Weak::Off,
            data: vec![erase_value; capacity as usize],
            programmed: UnitSet::new(part.shape.units()),
            dead: UnitSet::new(part.shape.units()),
            weak: WeakSet::new(write_size as usize),
            read_rolls: Random::new(0),
            powered: true,
            faults: Faults::default(),
            ops: 0,
            counters: Counters::default(),
            wear: vec![0; part.shape.sectors() as usize],
            unit_programs: Vec::new(),
            log: None,
            part,
        }
    }

    /// A flash that holds `image`, as after factory programming: units that differ from the erase
    /// value count as programmed once. What `image` does not fill is blank.
    ///
    /// # Panics
    /// As [`Nor::new`], or if `image` is larger than the flash.
    pub fn with_image(part: &Part, image: &[u8]) -> Self {
        let mut nor = Self::new(part);
        nor.data[..image.len()].copy_from_slice(image);
        let size = part.shape.write_size as usize;
        for (unit, bytes) in (0..).zip(nor.data.chunks_exact(size)) {
            if bytes.iter().any(|&byte| byte != part.shape.erase_value) {
                nor.programmed.set(unit, true);
            }
        }
        nor
    }

    /// The same flash whose torn units behave as `weak` says from the next tear on.
    pub fn with_weak(mut self, weak: Weak) -> Self {
        self.weak_mode = weak;
        self
    }

    /// Which part this is.
    pub const fn part(&self) -> &Part {
        &self.part
    }

    /// Its geometry.
    pub const fn shape(&self) -> Shape {
        self.part.shape
    }

    /// How torn units behave.
    pub const fn weak_mode(&self) -> Weak {
        self.weak_mode
    }

    /// Reads `bytes.len()` bytes at `address`: a plain copy unless a fault lies in the range.
    ///
    /// # Errors
    /// [`NorError::OutOfBounds`], [`NorError::Unreadable`], [`NorError::ReadFault`],
    /// [`NorError::PoweredOff`], [`NorError::Stopped`]; `bytes` is left alone.
    pub fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.alive()?;
        let len = bytes.len();
        let Some(range) = self.part.shape.bounds(address, len) else {
            return Err(NorError::OutOfBounds { address, len });
        };
        let timings = &self.part.timings;
        self.counters.reads += 1;
        self.counters.read_bytes += len as u64;
        self.counters.time_ns += timings.read_call_ns + timings.read_byte_ns * len as u64;
        if !(self.dead.is_empty() && self.weak.is_empty() && self.faults.reads.is_none()) {
            self.read_faults(&range)?;
        }
        bytes.copy_from_slice(&self.data[range.start as usize..range.end as usize]);
        Ok(())
    }

    /// Everything that may spoil a read of `range`.
    fn read_faults(&mut self, range: &Range<u32>) -> Result<(), NorError> {
        if self.faults.reads.as_mut().is_some_and(|faults| faults.strikes()) {
            return Err(NorError::ReadFault { address: range.start });
        }
        let shape = self.part.shape;
        let units = shape.units_around(range);
        if let Some(unit) = self.dead.first_in(&units) {
            return Err(NorError::Unreadable { address: unit * shape.write_size });
        }
        let places = self.weak.places(&units);
        if places.is_empty() {
            return Ok(());
        }
        if self.weak_mode == Weak::PerRead {
            let flicker = Flicker::from_seed(self.read_rolls.next_word());
            self.roll(places.clone(), flicker);
        }
        match self.weak.first_unreadable(places) {
            Some(unit) => Err(NorError::Unreadable { address: unit * shape.write_size }),
            None => Ok(()),
        }
    }

    pub(super) fn roll(&mut self, places: Range<usize>, flicker: Flicker) {
        let Self { weak, data, part, .. } = self;
        weak.roll(places, flicker, part.ecc, data, part.shape.flip());
    }

    /// What the flash holds, past all faults: for oracles, never for the code under test.
    ///
    /// # Panics
    /// If `range` ends behind the flash.
    pub fn peek(&self, range: Range<u32>) -> &[u8] {
        &self.data[range.start as usize..range.end as usize]
    }

    /// All bytes of the flash, as [`Nor::peek`].
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Whether no unit of `range` was programmed or torn since its last completed erase. A torn
    /// unit may *read* blank and is not.
    pub fn is_blank(&self, range: Range<u32>) -> bool {
        self.programmed.count_in(&self.part.shape.units_around(&range)) == 0
    }

    /// Switches power off between operations.
    pub fn power_off(&mut self) {
        self.powered = false;
    }

    /// Whether power is on.
    pub const fn is_powered(&self) -> bool {
        self.powered
    }

    /// Boots: power is on, and weak bits read as `seed` rolls them until the next boot.
    pub fn power_on(&mut self, seed: u64) -> Flicker {
        let flicker = Flicker::from_seed(seed);
        self.power_on_as(flicker);
        self.read_rolls = Random::new(seed);
        flicker
    }

    /// Boots with a chosen roll instead of a random one.
    pub fn power_on_as(&mut self, flicker: Flicker) {
        self.powered = true;
        self.faults.power_cycled(self.ops);
        if !self.weak.is_empty() {
            let units = 0..self.part.shape.units();
            self.roll(self.weak.places(&units), flicker);
        }
    }

    /// How many mutating operations were begun since the flash was made, cut and failed ones
    /// included, refused ones not. The next one has this number in [`Nor::cut_at`].
    pub const fn ops(&self) -> u64 {
        self.ops
    }

    /// The counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sets the counters to zero, but not wear, unit counts and [`Nor::ops`].
    pub fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// How often each sector was erased, cut erases included.
    pub fn wear(&self) -> &[u32] {
        &self.wear
    }

    /// Starts to count programs per unit, from zero; off by default to keep clones small.
    pub fn track_units(&mut self) {
        self.unit_programs = vec![0; self.part.shape.units() as usize];
    }

    /// How often the unit at `address` was programmed since its last erase, counted from
    /// [`Nor::track_units`] on; stops at 255, 0 if not tracked.
    pub fn unit_programs(&self, address: u32) -> u8 {
        let unit = (address / self.part.shape.write_size) as usize;
        self.unit_programs.get(unit).copied().unwrap_or(0)
    }

    /// The most that any unit was programmed since its last erase, as [`Nor::unit_programs`].
    pub fn most_unit_programs(&self) -> u8 {
        self.unit_programs.iter().copied().max().unwrap_or(0)
    }

    /// Starts an empty operation log; off by default.
    pub fn start_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// The operations since [`Nor::start_log`]; empty if there is no log.
    pub fn log(&self) -> &[OpRecord] {
        self.log.as_deref().unwrap_or(&[])
    }

    /// Power is on and the device answers.
    pub(super) fn alive(&self) -> Result<(), NorError> {
        if !self.powered {
            return Err(NorError::PoweredOff);
        }
        if self.faults.stopped(self.ops) { Err(NorError::Stopped) } else { Ok(()) }
    }

    /// What holds for every unit.
    pub(super) fn physics(&self) -> Physics {
        Physics { rule: self.part.rule, ecc: self.part.ecc, weak: self.weak_mode != Weak::Off }
    }

    /// Whether programming `units` with `bytes` is within the part's rule.
    pub(super) fn check_rule(&self, units: &Range<u32>, bytes: &[u8]) -> Result<(), NorError> {
        let shape = &self.part.shape;
        let refused = match self.part.rule {
            Rule::Free => None,
            Rule::Never => self.programmed.first_in(units),
            Rule::AllZero if self.programmed.count_in(units) == 0 => None,
            Rule::AllZero => units
                .clone()
                .zip(bytes.chunks_exact(shape.write_size as usize))
                .find(|&(unit, bytes)| {
                    let all_programmed = bytes.iter().all(|&byte| byte == !shape.erase_value);
                    self.programmed.contains(unit) && !all_programmed
                })
                .map(|(unit, _)| unit),
        };
        match refused {
            Some(unit) => Err(NorError::NotErased { address: unit * shape.write_size }),
            None => Ok(()),
        }
    }
}
