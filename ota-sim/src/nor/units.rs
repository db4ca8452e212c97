//! A set of write units, one bit each.

use std::ops::Range;

/// Which of the flash's write units have a property. Takes no memory until the first is added.
#[derive(Debug, Default)]
pub(super) struct UnitSet {
    words: Vec<u64>,
    count: u32,
    units: u32,
}

impl UnitSet {
    /// An empty set for a flash of `units` write units.
    pub(super) const fn new(units: u32) -> Self {
        Self { words: Vec::new(), count: 0, units }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn contains(&self, unit: u32) -> bool {
        let (word, bit) = (unit as usize / 64, unit % 64);
        self.count != 0 && self.words[word] >> bit & 1 == 1
    }

    /// How many units of `range` are in the set.
    pub(super) fn count_in(&self, range: &Range<u32>) -> u32 {
        if self.count == 0 {
            return 0;
        }
        masks(range).map(|(word, mask)| (self.words[word] & mask).count_ones()).sum()
    }

    /// The first unit of `range` that is in the set.
    pub(super) fn first_in(&self, range: &Range<u32>) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        masks(range).find_map(|(word, mask)| {
            let hit = self.words[word] & mask;
            (hit != 0).then(|| word as u32 * 64 + hit.trailing_zeros())
        })
    }

    /// The bits of `range`, in words; equal sets give equal words.
    pub(super) fn words_in(&self, range: &Range<u32>) -> impl Iterator<Item = u64> {
        masks(range).map(|(word, mask)| self.words.get(word).map_or(0, |bits| bits & mask))
    }

    /// Adds all of `range`.
    pub(super) fn insert(&mut self, range: &Range<u32>) {
        if self.words.is_empty() {
            self.words.resize(self.units.div_ceil(64) as usize, 0);
        }
        for (word, mask) in masks(range) {
            self.count += (!self.words[word] & mask).count_ones();
            self.words[word] |= mask;
        }
    }

    /// Removes all of `range`.
    pub(super) fn remove(&mut self, range: &Range<u32>) {
        if self.count == 0 {
            return;
        }
        for (word, mask) in masks(range) {
            self.count -= (self.words[word] & mask).count_ones();
            self.words[word] &= !mask;
        }
    }

    /// Adds or removes one unit.
    pub(super) fn set(&mut self, unit: u32, member: bool) {
        if self.contains(unit) == member {
            return;
        }
        if member { self.insert(&(unit..unit + 1)) } else { self.remove(&(unit..unit + 1)) }
    }
}

impl Clone for UnitSet {
    fn clone(&self) -> Self {
        Self { words: self.words.clone(), count: self.count, units: self.units }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { words, count, units } = source;
        self.words.clone_from(words);
        self.count = *count;
        self.units = *units;
    }
}

/// The words that hold `range`, each with a mask of the bits that belong to it.
fn masks(range: &Range<u32>) -> impl Iterator<Item = (usize, u64)> + use<> {
    let Range { start, end } = *range;
    let words = if start < end { start / 64..end.div_ceil(64) } else { 0..0 };
    words.map(move |word| {
        let first = word * 64;
        let low = u64::MAX << (start.max(first) - first);
        let high = u64::MAX >> (first + 64 - end.min(first + 64));
        (word as usize, low & high)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_behave_like_a_plain_set() {
        let units = 300;
        let mut set = UnitSet::new(units);
        let mut plain = vec![false; units as usize];
        let steps = [
            (0..1, true),
            (60..130, true),
            (64..128, false),
            (127..300, true),
            (5..5, true),
            (0..300, false),
        ];
        for (range, member) in steps {
            if member {
                set.insert(&range)
            } else {
                set.remove(&range)
            }
            for unit in range {
                plain[unit as usize] = member;
            }
            let members = plain.iter().filter(|&&m| m).count() as u32;
            assert_eq!(set.count_in(&(0..units)), members);
            assert_eq!(set.is_empty(), members == 0);
            for unit in 0..units {
                assert_eq!(set.contains(unit), plain[unit as usize]);
                let next = (unit..units).find(|&u| plain[u as usize]);
                assert_eq!(set.first_in(&(unit..units)), next);
            }
        }
    }
}
