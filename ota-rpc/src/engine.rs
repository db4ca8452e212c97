//! [`ota_core::Updater`] as the engine of the service.

#[cfg(feature = "async")]
mod awaited;
#[cfg(test)]
mod tests;

use core::fmt;

#[cfg(feature = "async")]
pub use awaited::Awaited;
use ota_core::{ChangeError, FlashMap, FlashRead, JobState, StageError, Updater};

use crate::ota::{Begin, BootState, BootStateChange, Ota, Progress, Report, Snapshot};

/// Any error of [`Updater`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The boot state was not changed.
    Change(ChangeError),
    /// An update or a snapshot failed.
    Stage(StageError),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(error) => error.fmt(f),
            Self::Stage(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<ChangeError> for EngineError {
    fn from(error: ChangeError) -> Self {
        Self::Change(error)
    }
}

impl From<StageError> for EngineError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl<F: FlashMap> Ota for Updater<'_, F> {
    type Error = EngineError;

    fn boot_state(&mut self) -> Result<BootState, EngineError> {
        Ok(boot_state(self))
    }

    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), EngineError> {
        Ok(Updater::set_boot_state(self, in_words_of_the_engine(change))?)
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        Ok(Updater::commit(self)?)
    }

    fn revert(&mut self) -> Result<(), EngineError> {
        Ok(Updater::revert(self)?)
    }

    fn report(&mut self) -> Report {
        report(self)
    }

    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, EngineError> {
        Ok(self.begin_snapshot(snapshot.set_as_revert, snapshot.commit_timeout_s)?)
    }

    fn may_begin(&mut self) -> Result<(), EngineError> {
        may_begin(self)
    }

    fn begin(&mut self, begin: &Begin) -> Result<(), EngineError> {
        Updater::begin(self, begin.commit_timeout_s, begin.size)?;
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), EngineError> {
        Ok(Updater::write(self, data)?)
    }

    fn wanted_offset(&mut self) -> Option<u32> {
        self.progress().map(|progress| progress.wanted_offset)
    }

    fn seek(&mut self, offset: u32) -> bool {
        Updater::seek(self, offset)
    }

    fn set_commit_timeout(&mut self, commit_timeout_s: u32) {
        Updater::set_commit_timeout(self, commit_timeout_s);
    }

    fn end_of_input(&mut self) -> Result<(), EngineError> {
        Ok(Updater::end_of_input(self)?)
    }

    fn step(&mut self) -> Result<Progress, EngineError> {
        progress(Updater::step(self)?)
    }

    fn abort(&mut self) -> Result<(), EngineError> {
        let aborted = Updater::abort(self);
        after_abort(self, aborted)
    }

    fn suspend(&mut self) {
        // Nothing is suspended that has come to its last append: only steps lead there.
        let _ = Updater::suspend(self);
    }
}

#[cfg(feature = "fimp")]
impl<F: FlashMap> crate::fimp::Notes for Updater<'_, F> {
    fn note(&mut self) -> [u8; ota_core::record::NOTE_LEN] {
        self.record().note()
    }

    fn set_note(&mut self, note: [u8; ota_core::record::NOTE_LEN]) -> bool {
        Updater::set_note(self, note).is_ok()
    }
}

// What does not change flash: the same for every driver.

fn boot_state<F: FlashRead>(updater: &Updater<'_, F>) -> BootState {
    let state = updater.boot_state();
    BootState {
        active_slot: state.active,
        is_committed: state.committed,
        revert_slot: state.revert,
        commit_timeout_s: state.commit_timeout_s,
    }
}

fn report<F: FlashRead>(updater: &Updater<'_, F>) -> Report {
    let state = updater.boot_state();
    Report { running_slot: state.booted, reason: state.reason.name() }
}

fn in_words_of_the_engine(change: &BootStateChange) -> ota_core::BootStateChange {
    ota_core::BootStateChange {
        active: change.active_slot,
        committed: change.is_committed,
        revert: change.revert_slot,
        commit_timeout_s: change.commit_timeout_s,
    }
}

fn may_begin<F: FlashRead>(updater: &mut Updater<'_, F>) -> Result<(), EngineError> {
    // Until it has seen a manifest, a job changes nothing.
    updater.begin(0, None)?;
    let _ = updater.suspend();
    Ok(())
}

fn progress(state: JobState) -> Result<Progress, EngineError> {
    match state {
        JobState::Working => Ok(Progress::Running),
        JobState::Idle => Ok(Progress::Done),
        // There are no more bytes. Waiting for them would be for ever.
        JobState::WantsInput => Err(StageError::MissingPart { part: "app" }.into()),
    }
}

fn after_abort<F: FlashRead>(
    updater: &Updater<'_, F>,
    aborted: Result<(), StageError>,
) -> Result<(), EngineError> {
    match aborted {
        // The slot stays marked, which does no harm.
        Err(StageError::RecordNotWritten) if updater.boot_state().committed => Ok(()),
        aborted => Ok(aborted?),
    }
}
