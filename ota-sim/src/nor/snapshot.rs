//! Copies and hashes of a flash, for campaigns that try out many continuations of one state.

use std::ops::Range;

use super::Nor;
use super::random::mix;

impl Nor {
    /// A hash over everything that can influence later behaviour of `range`: bytes, which units
    /// are programmed, torn or dead, and both sides of weak bits. Equal states of one range always
    /// hash alike; different ones collide with a probability of about 2^-64.
    pub fn state_hash(&self, range: Range<u32>) -> u64 {
        let units = self.part.shape.units_around(&range);
        let mut hash = hash_bytes(0, self.peek(range));
        for word in self.programmed.words_in(&units).chain(self.dead.words_in(&units)) {
            hash = hash_word(hash, word);
        }
        let (weak, readable, old, new) = self.weak.columns(self.weak.places(&units));
        for (&unit, &readable) in weak.iter().zip(readable) {
            hash = hash_word(hash, u64::from(unit) << 1 | u64::from(readable));
        }
        hash = hash_bytes(hash_bytes(hash, old), new);
        mix(hash)
    }
}

/// Folds `bytes` into `hash`, eight at a time.
fn hash_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    words.fold(hash ^ bytes.len() as u64, hash_word)
}

fn hash_word(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl Clone for Nor {
    fn clone(&self) -> Self {
        Self {
            part: self.part,
            weak_mode: self.weak_mode,
            data: self.data.clone(),
            programmed: self.programmed.clone(),
            dead: self.dead.clone(),
            weak: self.weak.clone(),
            read_rolls: self.read_rolls,
            powered: self.powered,
            faults: self.faults.clone(),
            ops: self.ops,
            counters: self.counters,
            wear: self.wear.clone(),
            unit_programs: self.unit_programs.clone(),
            log: self.log.clone(),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.data.clone_from(&source.data);
        self.programmed.clone_from(&source.programmed);
        self.dead.clone_from(&source.dead);
        self.weak.clone_from(&source.weak);
        self.faults.clone_from(&source.faults);
        self.wear.clone_from(&source.wear);
        self.unit_programs.clone_from(&source.unit_programs);
        self.log.clone_from(&source.log);
        // Taken apart without `..`, so that a new field cannot be forgotten here.
        let Self {
            part,
            weak_mode,
            read_rolls,
            powered,
            ops,
            counters,
            data: _,
            programmed: _,
            dead: _,
            weak: _,
            faults: _,
            wear: _,
            unit_programs: _,
            log: _,
        } = source;
        self.part = *part;
        self.weak_mode = *weak_mode;
        self.read_rolls = *read_rolls;
        self.powered = *powered;
        self.ops = *ops;
        self.counters = *counters;
    }
}
