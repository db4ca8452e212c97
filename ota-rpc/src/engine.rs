//! [`ota_core::Updater`] as the engine of the service.

#[cfg(test)]
mod tests;

use core::fmt;

use ota_core::{ChangeError, FlashMap, JobState, StageError, Updater};

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
        let state = Updater::boot_state(self);
        Ok(BootState {
            active_slot: state.active,
            is_committed: state.committed,
            revert_slot: state.revert,
            commit_timeout_s: state.commit_timeout_s,
        })
    }

    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), EngineError> {
        let change = ota_core::BootStateChange {
            active: change.active_slot,
            committed: change.is_committed,
            revert: change.revert_slot,
            commit_timeout_s: change.commit_timeout_s,
        };
        Ok(Updater::set_boot_state(self, change)?)
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        Ok(Updater::commit(self)?)
    }

    fn revert(&mut self) -> Result<(), EngineError> {
        Ok(Updater::revert(self)?)
    }

    fn report(&mut self) -> Report {
        let state = Updater::boot_state(self);
        Report { running_slot: state.booted, reason: state.reason.name() }
    }

    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, EngineError> {
        Ok(self.begin_snapshot(snapshot.set_as_revert, snapshot.commit_timeout_s)?)
    }

    fn may_begin(&mut self) -> Result<(), EngineError> {
        // Until it has seen a manifest, a job changes nothing.
        Updater::begin(self, 0, None)?;
        let _ = Updater::suspend(self);
        Ok(())
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
        match Updater::step(self)? {
            JobState::Working => Ok(Progress::Running),
            JobState::Idle => Ok(Progress::Done),
            // There are no more bytes. Waiting for them would be for ever.
            JobState::WantsInput => Err(StageError::MissingPart { part: "app" }.into()),
        }
    }

    fn abort(&mut self) -> Result<(), EngineError> {
        match Updater::abort(self) {
            // The slot stays marked, which does no harm.
            Err(StageError::RecordNotWritten) if Updater::boot_state(self).committed => Ok(()),
            aborted => Ok(aborted?),
        }
    }

    fn suspend(&mut self) {
        // Nothing is suspended that has come to its last append: only steps lead there.
        let _ = Updater::suspend(self);
    }
}
