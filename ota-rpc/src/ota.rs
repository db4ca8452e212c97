//! What the service needs from the update engine.

use crate::error::Explain;

/// An update engine, as the `OTA.*` methods see it. [`ota_core::Updater`] is one.
///
/// Bytes are taken at once, in small pieces. The long jobs, a snapshot and the check of what was
/// received, advance by [`Self::step`], which [`crate::Service::poll`] calls until they end: the
/// watchdog is fed and other requests are answered meanwhile.
///
/// One thing is done at a time; the service keeps to that, and so must whoever else uses the
/// engine.
pub trait Ota {
    /// Why something was not done. Its text says what to do about it.
    type Error: Explain;

    /// What is chosen to run.
    ///
    /// # Errors
    /// If the boot record cannot be read.
    fn boot_state(&mut self) -> Result<BootState, Self::Error>;

    /// Changes the fields that are given, all or none. Does not reboot.
    ///
    /// # Errors
    /// If a slot does not exist or holds nothing that could be booted, or the record cannot be
    /// written: then nothing was changed.
    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), Self::Error>;

    /// Confirms the running image.
    ///
    /// # Errors
    /// If it is committed already, or is not the active one.
    fn commit(&mut self) -> Result<(), Self::Error>;

    /// Chooses the previous image. The service reboots afterwards.
    ///
    /// # Errors
    /// If there is none to go back to.
    fn revert(&mut self) -> Result<(), Self::Error>;

    /// What runs, and why; for `OTA.Status`.
    fn report(&mut self) -> Report;

    /// Starts to copy the running image into another slot, and says which. [`Self::step`] does it.
    ///
    /// # Errors
    /// If the active image is not committed, or there is no slot for the copy.
    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, Self::Error>;

    /// Whether [`Self::begin`] would be refused, without beginning anything: asked before a
    /// download is started.
    ///
    /// # Errors
    /// The reason to refuse.
    fn may_begin(&mut self) -> Result<(), Self::Error>;

    /// Begins to receive an update.
    ///
    /// # Errors
    /// If one runs, or the last one is not committed.
    fn begin(&mut self, begin: &Begin) -> Result<(), Self::Error>;

    /// The next bytes of the update, at most [`crate::limits::WRITE_PIECE_BYTES`] from `OTA.Write`,
    /// any number from [`crate::Service::feed`].
    ///
    /// # Errors
    /// If they are not those of a package for this device, or flash failed: the update has ended.
    fn write(&mut self, data: &[u8]) -> Result<(), Self::Error>;

    /// The next byte of the update that is of use. It is beyond those written when an update goes
    /// on that was interrupted; those before it may be left out with [`Self::seek`].
    fn wanted_offset(&mut self) -> Option<u32>;

    /// The next bytes written are those from `offset` on. False if some before are needed.
    fn seek(&mut self, offset: u32) -> bool;

    /// Changes [`Begin::commit_timeout_s`] of the update that is received.
    fn set_commit_timeout(&mut self, commit_timeout_s: u32);

    /// All bytes have come: [`Self::step`] checks them, and chooses them to run after the next
    /// reboot.
    ///
    /// # Errors
    /// If some are missing: the update has ended.
    fn end_of_input(&mut self) -> Result<(), Self::Error>;

    /// Advances a snapshot, or the check of what was received, by one flash operation.
    ///
    /// # Errors
    /// If that failed: the job has ended.
    fn step(&mut self) -> Result<Progress, Self::Error>;

    /// Gives up the update or snapshot that runs, if any. What is chosen to run stays as it is.
    ///
    /// # Errors
    /// If it is too late for that: [`Self::step`] will say that it is done.
    fn abort(&mut self) -> Result<(), Self::Error>;

    /// Like [`Self::abort`], but not for good: the bytes stopped coming, and if the same update
    /// begins again, it may go on where it was.
    fn suspend(&mut self) {
        // Nothing is told of what is not for good.
        let _ = self.abort();
    }
}

/// `OTA.GetBootState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BootState {
    /// The slot that is chosen.
    pub active_slot: u8,
    /// Whether its image was confirmed.
    pub is_committed: bool,
    /// The slot to go back to.
    pub revert_slot: u8,
    /// How long a new image has for `OTA.Commit`, in seconds; 0: it commits itself.
    pub commit_timeout_s: u32,
}

/// `OTA.SetBootState`: what is none stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BootStateChange {
    /// See [`BootState::active_slot`].
    pub active_slot: Option<u8>,
    /// See [`BootState::is_committed`].
    pub is_committed: Option<bool>,
    /// See [`BootState::revert_slot`].
    pub revert_slot: Option<u8>,
    /// See [`BootState::commit_timeout_s`].
    pub commit_timeout_s: Option<u32>,
}

/// What runs, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Report {
    /// The slot whose image runs, if that is known.
    pub running_slot: Option<u8>,
    /// Why it runs: `update`, `commit timeout`, ...
    pub reason: &'static str,
}

/// `OTA.CreateSnapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Snapshot {
    /// Make the copy the image to go back to, and put the active one on trial.
    pub set_as_revert: bool,
    /// Stored if it is given.
    pub commit_timeout_s: Option<u32>,
}

/// The start of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Begin {
    /// Its length in bytes, if that is known.
    pub size: Option<u32>,
    /// How long the new image will have for `OTA.Commit`, in seconds; 0: it commits itself.
    pub commit_timeout_s: u32,
}

/// Of a job that is done in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Progress {
    /// There is more to do.
    Running,
    /// It has ended well.
    Done,
}
