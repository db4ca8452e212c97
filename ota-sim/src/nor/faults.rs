//! Faults other than a torn operation, and how they are armed.

use std::ops::Range;

use super::random::Random;
use super::{Nor, Tear};

/// When a device that stopped answering answers again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// After the next [`Nor::power_on`]: a hung controller.
    UntilPowerCycle,
    /// Never: a broken one.
    ForEver,
}

/// How a worn-out sector behaves when it is programmed or erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bad {
    /// Reports failure, changes nothing.
    Refuses,
    /// Reports failure and leaves the operation half done.
    Garbles {
        /// Picks the bits.
        seed: u64,
    },
    /// Reports success and leaves the operation half done: only reading back tells.
    Lies {
        /// Picks the bits.
        seed: u64,
    },
}

/// Reads that fail now and then: every `every`-th read call, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFaults {
    every: u32,
    left: u32,
}

impl ReadFaults {
    /// Every `every`-th read fails, the first one at a random place among the first `every`. With
    /// 1, every read fails; retrying helps from 2 on.
    pub fn new(every: u32, seed: u64) -> Self {
        let every = every.max(1);
        Self { every, left: Random::new(seed).below(every) }
    }

    /// Counts one read; whether it fails.
    pub(super) fn strikes(&mut self) -> bool {
        let strikes = self.left == 0;
        self.left = if strikes { self.every - 1 } else { self.left - 1 };
        strikes
    }
}

/// All that is armed.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) cut: Option<(u64, Tear)>,
    pub(super) stop: Option<(u64, Stop)>,
    pub(super) reads: Option<ReadFaults>,
    /// Start of the sector, behaviour.
    pub(super) bad: Vec<(u32, Bad)>,
}

impl Faults {
    pub(super) fn stopped(&self, ops: u64) -> bool {
        self.stop.is_some_and(|(at, _)| ops >= at)
    }

    /// A hang that has struck ends; one that has not stays armed.
    pub(super) fn power_cycled(&mut self, ops: u64) {
        if self.stopped(ops) && matches!(self.stop, Some((_, Stop::UntilPowerCycle))) {
            self.stop = None;
        }
    }

    pub(super) fn bad_sector(&self, start: u32) -> Option<Bad> {
        self.bad.iter().find(|(sector, _)| *sector == start).map(|(_, bad)| *bad)
    }
}

impl Clone for Faults {
    fn clone(&self) -> Self {
        Self { bad: self.bad.clone(), ..*self }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { cut, stop, reads, bad } = source;
        self.cut = *cut;
        self.stop = *stop;
        self.reads = *reads;
        self.bad.clone_from(bad);
    }
}

impl Nor {
    /// Cuts power inside mutating operation number `op`, counted as [`Nor::ops`] does. Replaces a
    /// cut that is still armed.
    pub fn cut_at(&mut self, op: u64, tear: Tear) {
        self.faults.cut = Some((op, tear));
    }

    /// Cuts power inside the operation that comes after `ops` more.
    pub fn cut_after(&mut self, ops: u64, tear: Tear) {
        self.cut_at(self.ops + ops, tear);
    }

    /// The cut that is armed.
    pub fn armed_cut(&self) -> Option<(u64, Tear)> {
        self.faults.cut
    }

    /// Disarms the cut.
    pub fn disarm_cut(&mut self) {
        self.faults.cut = None;
    }

    /// The device stops answering, reads included, once `op` mutating operations were begun
    /// (counted as [`Nor::ops`] does: `stop_at(nor.ops(), ..)` stops it now).
    pub fn stop_at(&mut self, op: u64, stop: Stop) {
        self.faults.stop = Some((op, stop));
    }

    /// Whether the device answers, when power is on.
    pub fn answers(&self) -> bool {
        !self.faults.stopped(self.ops)
    }

    /// Makes reads fail now and then, or no more.
    pub fn set_read_faults(&mut self, faults: Option<ReadFaults>) {
        self.faults.reads = faults;
    }

    /// The sector that holds `address` is worn out from now on.
    ///
    /// # Panics
    /// If `address` lies behind the flash.
    pub fn set_bad_sector(&mut self, address: u32, bad: Bad) {
        assert!(address < self.part.shape.capacity, "{address:#x} lies behind the flash");
        let start = self.part.shape.sector_around(address).start;
        self.faults.bad.retain(|(sector, _)| *sector != start);
        self.faults.bad.push((start, bad));
    }

    /// Bit rot: the bit numbered `bit` (0 to 7) of the byte at `address` changes. Check bits of ECC
    /// parts are taken to miss it; use [`Nor::set_unreadable`] for a rot that they catch.
    ///
    /// # Panics
    /// If there is no such bit.
    pub fn flip(&mut self, address: u32, bit: u8) {
        assert!(bit < 8, "a byte has no bit {bit}");
        let byte = self.data[address as usize] ^ 1 << bit;
        self.poke(address, &[byte]);
    }

    /// Fills `range` with random bytes, as a wild write or a foreign program would.
    ///
    /// # Panics
    /// If `range` ends behind the flash.
    pub fn corrupt(&mut self, range: Range<u32>, seed: u64) {
        let mut random = Random::at(seed, u64::from(range.start));
        let bytes: Vec<u8> = range.clone().map(|_| random.next_word() as u8).collect();
        self.poke(range.start, &bytes);
    }

    /// Overwrites bytes past all rules: test set-up. Their units count as programmed and sound,
    /// except that dead ones stay dead.
    ///
    /// # Panics
    /// If the range ends behind the flash.
    pub fn poke(&mut self, address: u32, bytes: &[u8]) {
        let shape = self.part.shape;
        let Some(range) = shape.bounds(address, bytes.len()) else {
            panic!("{} bytes at {address:#x} end behind the flash", bytes.len());
        };
        self.data[range.start as usize..range.end as usize].copy_from_slice(bytes);
        let units = shape.units_around(&range);
        self.programmed.insert(&units);
        self.weak.remove(&units);
    }

    /// Units that hold any byte of `range` cannot be read until their sector is erased.
    ///
    /// # Panics
    /// If `range` ends behind the flash.
    pub fn set_unreadable(&mut self, range: Range<u32>) {
        assert!(range.end <= self.part.shape.capacity, "{range:#x?} ends behind the flash");
        let units = self.part.shape.units_around(&range);
        self.programmed.insert(&units);
        self.dead.insert(&units);
        self.weak.remove(&units);
    }
}
