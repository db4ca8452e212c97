//! CRC-32 (IEEE 802.3, the one of ZIP and Ethernet).
//!
//! Bit by bit without a table, about 50 bytes of code: the `crc` crate's form without a table takes
//! its parameters at run time and is 120 bytes larger. On hosts, with feature `fast-crc`, by
//! `crc32fast`, which uses the processor's instructions. Tests compare with the `crc` crate.

/// CRC-32 of anything followed by its own CRC-32, little-endian. So bytes that end with their CRC-32
/// are whole if, and only if, theirs is this.
pub(crate) const RESIDUE: u32 = 0x2144_DF1C;

#[cfg(not(feature = "fast-crc"))]
mod method {
    /// Bits reversed, as the algorithm takes the lowest bit first.
    const POLYNOMIAL: u32 = 0xEDB8_8320;

    #[derive(Clone)]
    pub(super) struct Hasher(u32);

    impl Hasher {
        pub(super) const fn new() -> Self {
            Self(u32::MAX)
        }

        #[inline(never)]
        pub(super) fn update(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 ^= u32::from(*byte);
                for _ in 0..8 {
                    let carry = self.0 & 1;
                    self.0 >>= 1;
                    if carry == 1 {
                        self.0 ^= POLYNOMIAL;
                    }
                }
            }
        }

        pub(super) const fn finalize(self) -> u32 {
            !self.0
        }
    }
}

#[cfg(feature = "fast-crc")]
use crc32fast as method;

/// A running CRC-32.
#[derive(Clone)]
pub struct Crc32(method::Hasher);

impl Crc32 {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self(method::Hasher::new())
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all that was added.
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

/// CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Crc32, RESIDUE, crc32};

    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_catalogue_says(bytes: std::vec::Vec<u8>, cut: prop::sample::Index) {
            let mut crc = Crc32::new();
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            crc.update(head);
            crc.update(tail);
            let expected = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
            prop_assert_eq!(crc.value(), expected);
            crc.update(&expected.to_le_bytes());
            prop_assert_eq!(crc.value(), RESIDUE);
        }
    }
}
