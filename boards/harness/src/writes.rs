//! The writes to a flash in their order, and the flash after a cut in one of them.
//!
//! ```text
//! applied        writes 0 .. N are whole, N has not begun
//! torn by bytes  writes 0 .. N are whole, and so are the first bytes of N
//! torn by bits   writes 0 .. N are whole, and every byte of N has some of its bits changed
//! ```

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ota_core::flash::Extent;

/// One write: a program that clears bits, or an erase that sets all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
}

/// How the supply fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tear {
    /// Before the write.
    Before,
    /// Behind so many bytes of it; chance says how many.
    Bytes,
    /// In the midst of every byte.
    Bits,
}

impl Tear {
    pub(crate) const ALL: [Self; 3] = [Self::Before, Self::Bytes, Self::Bits];
}

/// Numbers that a seed determines (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Reads a log of the preloaded library.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Write>> {
    let log = std::fs::read(path).context("the log of the writes")?;
    let mut rest = &log[..];
    let mut writes = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_at_checked(16).context("half a head in the log")?;
        let number = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes);
        let (offset, length) = (number(0)? as usize, number(8)? as usize);
        let (bytes, behind) = behind.split_at_checked(length).context("half a write in the log")?;
        writes.push(Write { offset, bytes: bytes.to_vec() });
        rest = behind;
    }
    ensure!(!writes.is_empty(), "nothing was written");
    Ok(writes)
}

/// Reads what firmware for tests has told of each change: erased pages, programmed words. `flash` is
/// what it held before.
pub(crate) fn read_words(path: &Path, flash: &[u8], page: usize) -> Result<Vec<Write>> {
    let log = std::fs::read_to_string(path).context("the log of the writes")?;
    let mut flash = flash.to_vec();
    let mut writes = Vec::new();
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next().context("an empty line in the log")?;
        let offset = usize::from_str_radix(words.next().context("no offset")?, 16)?;
        let bytes = match kind {
            "E" => vec![0xFF; page],
            "W" => {
                let word = u32::from_str_radix(words.next().context("no word")?, 16)?;
                let old = flash.get(offset..offset + 4).context("behind the flash")?;
                word.to_be_bytes().iter().zip(old).map(|(new, old)| new & old).collect()
            }
            _ => bail!("a line of another kind in the log: {line}"),
        };
        let write = Write { offset, bytes };
        write.apply(&mut flash);
        writes.push(write);
    }
    ensure!(!writes.is_empty(), "nothing was written");
    Ok(writes)
}

impl Write {
    /// Whether it changes this part of the flash.
    pub(crate) fn is_within(&self, extent: Extent) -> bool {
        (extent.address as usize..(extent.address + extent.size) as usize).contains(&self.offset)
    }

    /// Does it.
    pub(crate) fn apply(&self, flash: &mut [u8]) {
        flash[self.offset..][..self.bytes.len()].copy_from_slice(&self.bytes);
    }

    /// What a cut leaves where it was to write.
    pub(crate) fn torn(&self, old: &[u8], tear: Tear, chance: &mut Chance) -> Vec<u8> {
        match tear {
            Tear::Before => old.to_vec(),
            Tear::Bytes => {
                let whole = 1 + chance.below(self.bytes.len().saturating_sub(1));
                [&self.bytes[..whole], &old[whole..]].concat()
            }
            // Bits that change anyhow: those of a program fall, those of an erase rise.
            Tear::Bits => {
                let change = |(new, old): (&u8, &u8)| old ^ ((old ^ new) & chance.next() as u8);
                self.bytes.iter().zip(old).map(change).collect()
            }
        }
    }
}

/// The flash after a cut in write `at`. `at` may be the number of writes: nothing is cut then.
pub(crate) fn flash_after(
    base: &[u8],
    writes: &[Write],
    at: usize,
    tear: Tear,
    chance: &mut Chance,
) -> Vec<u8> {
    let mut flash = base.to_vec();
    writes[..at].iter().for_each(|write| write.apply(&mut flash));
    if let Some(write) = writes.get(at) {
        let place = &mut flash[write.offset..][..write.bytes.len()];
        let torn = write.torn(place, tear, chance);
        place.copy_from_slice(&torn);
    }
    flash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_leaves_what_was_written_before_and_a_part_of_one_write() {
        let base = [0xFF; 16];
        let writes =
            [Write { offset: 0, bytes: vec![0; 4] }, Write { offset: 8, bytes: vec![0x0F; 4] }];
        let mut chance = Chance(1);
        let mut after = |at, tear| flash_after(&base, &writes, at, tear, &mut chance);
        assert_eq!(after(0, Tear::Before), base);
        assert_eq!(after(1, Tear::Before)[..4], [0; 4]);
        assert_eq!(after(1, Tear::Before)[8..], [0xFF; 8]);
        assert_eq!(after(2, Tear::Before)[8..12], [0x0F; 4]);
        let bytes = after(1, Tear::Bytes);
        assert_eq!((bytes[8], bytes[11]), (0x0F, 0xFF));
        let bits = after(1, Tear::Bits);
        assert!(bits[8..12].iter().all(|byte| byte & 0x0F == 0x0F), "{bits:?}");
        assert!(bits[8..12] != [0x0F; 4] && bits[8..12] != [0xFF; 4], "{bits:?}");
    }

    #[test]
    fn what_firmware_tells_is_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "E 00000004\nW 00000000 ff0f3301\nW 000").unwrap();
        let writes = read_words(&path, &[0xF0, 0xFF, 0xFF, 0, 0, 0, 0, 0], 4).unwrap();
        let word = Write { offset: 0, bytes: vec![0xF0, 0x0F, 0x33, 0] };
        assert_eq!(writes, [Write { offset: 4, bytes: vec![0xFF; 4] }, word]);
        std::fs::write(&path, "X 00000004\n").unwrap();
        assert!(read_words(&path, &[0; 8], 4).is_err());
    }

    #[test]
    fn half_a_log_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let whole = [&8u64.to_le_bytes()[..], &2u64.to_le_bytes(), &[1, 2]].concat();
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_log(&path).unwrap(), [Write { offset: 8, bytes: vec![1, 2] }]);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read_log(&path).is_err(), "{length}");
        }
    }
}
