//! What an image is told to do when it runs, for tests of what happens to bad images.
//!
//! ```text
//! application  | ... any bytes ... | "ota-sim:" | behaviour, 8 characters, padded with spaces |
//! ```
//! `ota-sim bundle create --behaviour` writes such an end; an image without one is healthy.
//!
//! The harness puts the version before it, so that an application can tell what it is from the memory
//! that it runs from, whatever the boot record says:
//!
//! ```text
//! | "version:" | version, 24 characters, padded with NULs | mark |
//! ```

use ota_core::descriptor::Head;

/// Length of the mark at the end of an image, in bytes.
const LENGTH: usize = 16;

/// Length of the version before it, in bytes.
const VERSION_LENGTH: usize = 32;
const VERSION_MAGIC: &[u8] = b"version:";

/// The version in front of the mark of an image, if it has one.
pub fn version_in(end: &[u8]) -> Option<&str> {
    let before = end.get(..end.len().checked_sub(LENGTH)?)?;
    let stamp = before.get(before.len().checked_sub(VERSION_LENGTH)?..)?;
    let padded = stamp.strip_prefix(VERSION_MAGIC)?;
    core::str::from_utf8(padded).ok().map(|text| text.trim_end_matches('\0'))
}

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
}

/// The end of the image that runs, with this descriptor: the version and the mark.
#[cfg(target_arch = "arm")]
pub fn end_of_running(head: &Head) -> &'static [u8] {
    let end = head.app_len() as usize;
    let start = end.saturating_sub(VERSION_LENGTH + LENGTH);
    let place = (crate::APP_ADDRESS as usize + start) as *const u8;
    // SAFETY: the loader has copied the whole image there, and this program leaves it alone.
    unsafe { core::slice::from_raw_parts(place, end - start) }
}

/// There is no image to be run.
#[cfg(not(target_arch = "arm"))]
pub fn end_of_running(_: &Head) -> &'static [u8] {
    &[]
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

    #[test]
    fn a_version_stands_before_the_mark() {
        let end = [&b"code"[..], b"version:1.2.3", &[0; 19], b"ota-sim:healthy "].concat();
        assert_eq!(version_in(&end), Some("1.2.3"));
        assert_eq!(version_in(&end[..end.len() - 1]), None);
        assert_eq!(version_in(b"ota-sim:healthy "), None);
    }
}
