//! Small deterministic generator: everything random in the model comes from a printed seed.

/// A SplitMix64 generator (Steele, Lea, Flood 2014): one word of state, every seed is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of `seed` at `place`: streams of different places are unrelated, so that one
    /// seed tears every operation in another way.
    pub fn at(seed: u64, place: u64) -> Self {
        let mut seeds = Self::new(seed);
        let first = seeds.next_word();
        Self::new(mix(first ^ place.wrapping_mul(0xD6E8_FEB8_6659_FD93)))
    }

    /// 64 random bits.
    pub fn next_word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a 32 x 32 bit product; the bias is below 2^-32.
        (((self.next_word() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// Scrambles a word: each output bit depends on every input bit.
pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Random bytes whose bits are 1 with a given probability, eight at a time.
#[derive(Clone, Debug)]
pub(super) struct BitDraw {
    random: Random,
    /// Probability of a 1, in 1024ths.
    weight: u32,
    pool: u64,
    bytes_left: u32,
}

impl BitDraw {
    /// Bits that are 1 with `percent` in 100; 0 and 100 are exact.
    pub(super) fn new(random: Random, percent: u8) -> Self {
        let weight = (u32::from(percent.min(100)) * 1024 + 50) / 100;
        Self { random, weight, pool: 0, bytes_left: 0 }
    }

    /// The next eight bits.
    pub(super) fn byte(&mut self) -> u8 {
        if self.bytes_left == 0 {
            self.pool = self.word();
            self.bytes_left = 8;
        }
        self.bytes_left -= 1;
        let byte = self.pool as u8;
        self.pool >>= 8;
        byte
    }

    /// 64 bits at once: each binary digit of the weight, least significant first, halves the
    /// distance to 1 (or) or to 0 (and). Ten draws instead of sixty-four.
    fn word(&mut self) -> u64 {
        match self.weight {
            0 => return 0,
            1024.. => return u64::MAX,
            _ => {}
        }
        let skip = self.weight.trailing_zeros();
        (skip..10).fold(0, |bits, digit| {
            let draw = self.random.next_word();
            if self.weight >> digit & 1 == 1 { bits | draw } else { bits & draw }
        })
    }
}
