//! What the engine tells about itself.

use crate::descriptor::Descriptor;
use crate::record::{NOTE_LEN, Reason, Record};

/// The boot state, as `OTA.GetBootState` shows it and a little more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootState {
    /// The slot that is chosen.
    pub active: u8,
    /// Whether its image is confirmed.
    pub committed: bool,
    /// The slot to roll back to; the active one if there is no other.
    pub revert: u8,
    /// Seconds for the commit; 0: a good start commits.
    pub commit_timeout_s: u32,
    /// The slot that runs, if that is known.
    pub booted: Option<u8>,
    /// Why the active slot is active.
    pub reason: Reason,
    /// Boots that the uncommitted image has left.
    pub trials_left: u8,
    /// This is the first boot of a new image: the time to migrate data.
    pub first_boot: bool,
    /// Images with a lower security counter are refused.
    pub security_counter: u32,
    /// The application's own bytes.
    pub note: [u8; NOTE_LEN],
}

impl BootState {
    /// What a record says.
    pub fn of(record: &Record) -> Self {
        let booted = Some(record.booted()).filter(|slot| *slot < record.slot_count());
        let running = booted == Some(record.active());
        let first_trial = record.trials_left().saturating_add(1) == record.trials_max();
        Self {
            active: record.active(),
            committed: record.committed(),
            revert: record.revert(),
            commit_timeout_s: record.commit_timeout_s(),
            booted,
            reason: record.reason(),
            trials_left: record.trials_left(),
            first_boot: running && record.new_image() && first_trial,
            security_counter: record.security_counter(),
            note: record.note(),
        }
    }
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The slot that is written.
    pub slot: u8,
    /// Bytes of the stream taken so far.
    pub received: u32,
    /// Bytes of the stream that were announced, if any were.
    pub announced: Option<u32>,
    /// The next byte of the stream that is of use: more than `received` after a resume.
    pub wanted_offset: u32,
    /// Version of the image; empty until the manifest has been read.
    pub version: &'a str,
    /// How many parts of the bundle this device has no place for.
    pub skipped_parts: u16,
}

/// The image in a slot, as its descriptor describes it.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageInfo(pub(crate) Descriptor);

impl ImageInfo {
    /// Its version.
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// Its build id.
    pub fn build_id(&self) -> &str {
        self.0.build_id()
    }

    /// Its platform.
    pub fn platform(&self) -> &str {
        self.0.platform()
    }

    /// The whole descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0
    }
}
