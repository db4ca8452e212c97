//! CRC-32 (IEEE 802.3, the one of ZIP and Ethernet), by the `crc` crate.
//!
//! Without a table on targets (about 60 bytes of code), with 16 KiB of tables on hosts: feature
//! `crc-table`. The values are the same.

#[cfg(feature = "crc-table")]
type Method = crc::Table<16>;
#[cfg(not(feature = "crc-table"))]
type Method = crc::NoTable;

static CRC: crc::Crc<u32, Method> = crc::Crc::<u32, Method>::new(&crc::CRC_32_ISO_HDLC);

/// A running CRC-32.
#[derive(Clone)]
pub struct Crc32(crc::Digest<'static, u32, Method>);

impl Crc32 {
    /// Of no bytes yet.
    pub fn new() -> Self {
        Self(CRC.digest())
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
    CRC.checksum(bytes)
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
