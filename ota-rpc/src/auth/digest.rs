//! Hashes, as digest authentication uses them: over text, and written as text.

use core::fmt::{self, Write};

use md5::Md5;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Bytes of the longest digest.
const MAX_DIGEST_BYTES: usize = 32;

/// The hash of a device: `rpc.auth_algo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Algorithm {
    /// 0. Broken for other uses; here it still takes a search for the password.
    Md5,
    /// 1.
    Sha256,
}

impl Algorithm {
    /// As challenges and credentials name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Length of a digest in bytes.
    const fn digest_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => MAX_DIGEST_BYTES,
        }
    }

    fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher::Md5(Md5::new()),
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }
}

/// A digest. Displayed, it is lower-case hexadecimal; `{:?}` does not show it, because the digest
/// of a password is as good as the password.
///
/// `==` takes the same time wherever two digests of one algorithm differ.
#[derive(Clone, Copy, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    /// The rest is zero.
    bytes: [u8; MAX_DIGEST_BYTES],
}

impl Digest {
    /// What a device stores instead of a password: the digest of `user:realm:password`, called HA1.
    pub fn of_password(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Self {
        Self::of(algorithm, format_args!("{user}:{realm}:{password}"))
    }

    /// Reads hexadecimal digits: 32 are MD5, 64 are SHA-256; any other number is none.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let algorithm = match hex.len() {
            32 => Algorithm::Md5,
            64 => Algorithm::Sha256,
            _ => return None,
        };
        let mut digest = Self::zero(algorithm);
        for (byte, pair) in digest.bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            for digit in pair {
                let digit = char::from(*digit).to_digit(16)?;
                *byte = *byte << 4 | u8::try_from(digit).ok()?;
            }
        }
        Some(digest)
    }

    /// Which hash made it.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Of a text. Clients make their answers of it.
    pub fn of(algorithm: Algorithm, text: fmt::Arguments<'_>) -> Self {
        let mut hasher = algorithm.hasher();
        // A hasher takes everything; and what is displayed here never fails.
        let _ = hasher.write_fmt(text);
        hasher.finish()
    }

    fn new(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut digest = Self::zero(algorithm);
        digest.bytes.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        digest
    }

    /// A digest of nothing, to spend as much time on users that do not exist as on others.
    pub(crate) const fn zero(algorithm: Algorithm) -> Self {
        Self { algorithm, bytes: [0; MAX_DIGEST_BYTES] }
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.bytes.ct_eq(&other.bytes).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes.iter().take(self.algorithm.digest_bytes());
        bytes.into_iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.algorithm.name())
    }
}

enum Hasher {
    Md5(Md5),
    Sha256(Sha256),
}

impl Hasher {
    fn finish(self) -> Digest {
        match self {
            Self::Md5(hasher) => Digest::new(Algorithm::Md5, &hasher.finalize()),
            Self::Sha256(hasher) => Digest::new(Algorithm::Sha256, &hasher.finalize()),
        }
    }
}

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self {
            Self::Md5(hasher) => hasher.update(text),
            Self::Sha256(hasher) => hasher.update(text),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standards() {
        // RFC 1321 A.5, FIPS 180-4.
        let abc = |algorithm| Digest::of(algorithm, format_args!("abc")).to_string();
        assert_eq!(abc(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(
            abc(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn hexadecimal_is_read_and_written() {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
            let digest = Digest::of_password(algorithm, "admin", "RPC", "secret");
            let hex = digest.to_string();
            assert_eq!(Digest::from_hex(&hex), Some(digest));
            assert_eq!(Digest::from_hex(&hex.to_uppercase()), Some(digest));
            assert_eq!(Digest::from_hex(&hex[1..]), None);
            assert_eq!(Digest::from_hex(&format!("+{}", &hex[1..])), None);
            assert_eq!(Digest::from_hex(&format!("é{}", &hex[2..])), None);
        }
        assert_eq!(Digest::from_hex(""), None);
    }

    #[test]
    fn digests_of_two_algorithms_differ() {
        let [md5, sha256] = [Algorithm::Md5, Algorithm::Sha256].map(Digest::zero);
        assert_ne!(md5, sha256);
    }

    #[test]
    fn a_digest_is_not_shown_by_accident() {
        let digest = Digest::of_password(Algorithm::Md5, "admin", "RPC", "secret");
        assert_eq!(format!("{digest:?}"), "Digest(MD5)");
    }
}
