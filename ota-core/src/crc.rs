//! CRC-32 (IEEE 802.3, the one of ZIP and Ethernet).
//!
//! By the `crc` crate without a table, about 60 bytes of code; on hosts, with feature `fast-crc`, by
//! `crc32fast`, which uses the processor's instructions. The values are the same: a test compares
//! both with the catalogue's.

#[cfg(not(feature = "fast-crc"))]
mod method {
    static CRC: crc::Crc<u32, crc::NoTable> =
        crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);

    pub(super) type Digest = crc::Digest<'static, u32, crc::NoTable>;

    pub(super) fn new() -> Digest {
        CRC.digest()
    }
}

#[cfg(feature = "fast-crc")]
mod method {
    pub(super) type Digest = crc32fast::Hasher;

    pub(super) fn new() -> Digest {
        crc32fast::Hasher::new()
    }
}

/// A running CRC-32.
#[derive(Clone)]
pub struct Crc32(method::Digest);

impl Crc32 {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self(method::new())
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
    #[test]
    fn check_value_of_the_catalogue() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
        let mut crc = super::Crc32::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), 0xCBF4_3926);
    }
}
