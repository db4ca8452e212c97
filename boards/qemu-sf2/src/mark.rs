//! What an image is told to do when it runs, for tests of what happens to bad images.
//!
//! ```text
//! application  | ... any bytes ... | "ota-sim:" | behaviour, 8 characters, padded with spaces |
//! ```
//! `ota-sim bundle create --behaviour` writes such an end; an image without one is healthy.

use ota_core::descriptor::Head;

/// Length of the mark at the end of an image, in bytes.
const LENGTH: usize = 16;

/// What an image does when it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Starts well and says so.
    Healthy,
    /// Resets before it has said anything.
    Crashes,
    /// Stops doing anything at its start: only a watchdog brings the device back.
    Hangs,
    /// Runs and can be talked to, but never reports a good start.
    NeverCommits,
    /// Reports that its start went wrong.
    BadStart,
}

impl Behaviour {
    /// The behaviour of an image that ends with `end`.
    pub fn of(end: &[u8]) -> Self {
        let marks: [(&[u8; LENGTH], Self); 4] = [
            (b"ota-sim:crashes ", Self::Crashes),
            (b"ota-sim:hangs   ", Self::Hangs),
            (b"ota-sim:nocommit", Self::NeverCommits),
            (b"ota-sim:badstart", Self::BadStart),
        ];
        let found = marks.into_iter().find(|(mark, _)| end.ends_with(*mark));
        found.map_or(Self::Healthy, |(_, behaviour)| behaviour)
    }

    /// The behaviour of the image that runs, with this descriptor.
    #[cfg(target_arch = "arm")]
    pub fn of_running(head: &Head) -> Self {
        let end = head.app_len() as usize;
        let start = end.saturating_sub(LENGTH);
        let place = (crate::APP_ADDRESS as usize + start) as *const u8;
        // SAFETY: the loader has copied the whole image there, and this program leaves it alone.
        Self::of(unsafe { core::slice::from_raw_parts(place, end - start) })
    }

    /// There is no image to be run.
    #[cfg(not(target_arch = "arm"))]
    pub fn of_running(_: &Head) -> Self {
        Self::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_at_the_end_only() {
        for (end, behaviour) in [
            (&b"codeota-sim:crashes "[..], Behaviour::Crashes),
            (b"codeota-sim:hangs   ", Behaviour::Hangs),
            (b"codeota-sim:nocommit", Behaviour::NeverCommits),
            (b"ota-sim:badstart", Behaviour::BadStart),
            (b"ota-sim:healthy ", Behaviour::Healthy),
            (b"ota-sim:badstart.", Behaviour::Healthy),
            (b"", Behaviour::Healthy),
        ] {
            assert_eq!(Behaviour::of(end), behaviour);
        }
    }
}
