//! What an image under test does when it runs: its last 16 bytes say it, as `ota-sim bundle create
//! --behaviour` marks them. An image without such an end is healthy.
//!
//! ```text
//! application  | ... any bytes ... | "ota-sim:" | behaviour, 8 characters, padded with spaces |
//! ```

use ota_core::FlashRead;
use ota_core::descriptor::Head;
use ota_core::flash::Region;

const MARK_LEN: u32 = 16;
const MAGIC: &[u8] = b"ota-sim:";

/// What an image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Starts well and says so.
    Healthy,
    /// Resets before it could say anything.
    Crashes,
    /// Stops doing anything: only a watchdog brings the device back.
    Hangs,
    /// Runs, but never reports a good start.
    NeverCommits,
    /// Reports that its start failed.
    BadStart,
}

impl Behaviour {
    /// The behaviour of the image in `slot`; of one that cannot be read: healthy.
    pub fn in_slot<F: FlashRead>(flash: &mut F, slot: u8) -> Self {
        let Ok(head) = Head::read(flash, slot) else { return Self::Healthy };
        // Flash is read in whole words, and the mark may begin in the middle of one.
        let start = head.app_len().saturating_sub(MARK_LEN);
        let mut bytes = [0; MARK_LEN as usize + 4];
        if flash.read(Region::App(slot), start & !3, &mut bytes).is_err() {
            return Self::Healthy;
        }
        let mark = bytes.iter().skip((start & 3) as usize).take(MARK_LEN as usize);
        Self::of(mark.copied())
    }

    fn of(mut mark: impl Iterator<Item = u8>) -> Self {
        if !MAGIC.iter().all(|byte| mark.next() == Some(*byte)) {
            return Self::Healthy;
        }
        let mut word = [0; 8];
        word.iter_mut().zip(mark).for_each(|(place, byte)| *place = byte);
        match &word {
            b"crashes " => Self::Crashes,
            b"hangs   " => Self::Hangs,
            b"nocommit" => Self::NeverCommits,
            b"badstart" => Self::BadStart,
            _ => Self::Healthy,
        }
    }
}
