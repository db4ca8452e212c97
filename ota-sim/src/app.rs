//! The simulated application: what an image does when it runs.
//!
//! The image decides by its last 16 bytes:
//!
//! ```text
//! application  | ... any bytes ... | "ota-sim:" | behaviour, 8 characters, padded with spaces |
//! ```
//!
//! An image without such an end, which is to say any real firmware, is healthy.

use std::fmt;
use std::str::FromStr;

use ota_core::FlashRead;
use ota_core::descriptor::Head;
use ota_core::flash::Region;

/// Length of the mark at the end of an image, in bytes.
pub const MARK_LEN: usize = 16;
const MAGIC: &[u8; 8] = b"ota-sim:";

/// What an image does when it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Starts well and says so: the engine commits it at once if its commit timeout is 0, and waits
    /// for `OTA.Commit` otherwise.
    #[default]
    Healthy,
    /// Resets shortly after its start, before it could say anything.
    Crashes,
    /// Stops doing anything at its start: only a watchdog brings the device back.
    Hangs,
    /// Runs and can be talked to, but never reports a good start: nothing but `OTA.Commit` confirms
    /// it.
    NeverCommits,
    /// Finds out at its start that something is wrong, and reports that.
    BadStart,
}

/// The word is none for a behaviour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no behaviour {0:?}; there are: healthy, crashes, hangs, nocommit, badstart")]
pub struct UnknownBehaviour(String);

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Healthy, Self::Crashes, Self::Hangs, Self::NeverCommits, Self::BadStart];

    /// The word in the mark.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Crashes => "crashes",
            Self::Hangs => "hangs",
            Self::NeverCommits => "nocommit",
            Self::BadStart => "badstart",
        }
    }

    /// What makes an image behave so: its last bytes.
    pub fn mark(self) -> [u8; MARK_LEN] {
        let mut mark = [b' '; MARK_LEN];
        mark[..MAGIC.len()].copy_from_slice(MAGIC);
        mark[MAGIC.len()..][..self.name().len()].copy_from_slice(self.name().as_bytes());
        mark
    }

    /// The behaviour of an image that ends with `end`.
    pub fn of(end: &[u8]) -> Self {
        Self::ALL.into_iter().find(|one| end.ends_with(&one.mark())).unwrap_or_default()
    }

    /// The behaviour of the image in `slot`. What cannot be read is healthy: the loader, not the
    /// simulation, is to find damage.
    pub fn in_slot<F: FlashRead>(flash: &mut F, slot: u8) -> Self {
        let Ok(head) = Head::read(flash, slot) else { return Self::default() };
        // Flash is read in whole words, and the mark may begin in the middle of one.
        let end = head.app_len();
        let start = end.saturating_sub(MARK_LEN as u32) & !3;
        let mut bytes = [0; MARK_LEN + 4];
        let words = ((end - start).next_multiple_of(4) as usize).min(bytes.len());
        if flash.read(Region::App(slot), start, &mut bytes[..words]).is_err() {
            return Self::default();
        }
        Self::of(&bytes[..(end - start) as usize])
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, UnknownBehaviour> {
        let found = Self::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| UnknownBehaviour(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory;
    use crate::flash::SimFlash;
    use crate::layout::Board;
    use crate::nor::Nor;

    #[test]
    fn every_behaviour_survives_its_mark_and_its_name() {
        for one in Behaviour::ALL {
            let image = [b"code".as_slice(), &one.mark()].concat();
            assert_eq!(Behaviour::of(&image), one);
            assert_eq!(one.name().parse(), Ok(one));
        }
        assert!("explodes".parse::<Behaviour>().is_err());
    }

    #[test]
    fn images_without_a_mark_are_healthy() {
        for image in [&b""[..], b"ota-sim:", b"ota-sim:unheard ", b"ota-sim:crashes  "] {
            assert_eq!(Behaviour::of(image), Behaviour::Healthy);
        }
    }

    #[test]
    fn the_mark_is_found_in_flash_at_any_length_of_image() {
        let board: Board = "4k4".parse().unwrap();
        for padding in 0..9 {
            let app = [vec![7; padding], Behaviour::Hangs.mark().to_vec()].concat();
            let image = factory::Image { app, ..factory::Image::new("1.0.0", "sim") };
            let flash = factory::flash(&board, &image).unwrap();
            let nor = Nor::with_image(board.part(), &flash);
            let mut map = SimFlash::new(nor, &board).unwrap();
            assert_eq!(Behaviour::in_slot(&mut map, 0), Behaviour::Hangs);
            assert_eq!(Behaviour::in_slot(&mut map, 1), Behaviour::Healthy);
        }
    }
}
