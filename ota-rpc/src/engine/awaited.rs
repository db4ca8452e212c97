//! The engine of the service over flash whose changes are awaited.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use ota_core::flash::AsyncFlashMap;
use ota_core::{Change, JobState, StageError, Updater};

use super::EngineError;
use crate::ota::{Begin, BootState, BootStateChange, Ota, Progress, Report, Snapshot};

/// The engine of a device whose other tasks run while flash is changed.
///
/// The service waits for nothing, so what takes long is only noted when it asks for it, and done by
/// [`Self::work`], one flash operation at each call:
///
/// ```text
/// loop {
///     while engine.is_writing() { engine.work().await }   // before the next request
///     let step = port.step(&mut io, &mut service, &mut engine, now_ms())?;
///     engine.work().await;                                 // a step of a check, a snapshot
///     // do step.action; wait for input or time if step.is_idle
/// }
/// ```
///
/// | asked for | done |
/// |---|---|
/// | [`Ota::write`] | noted, up to `N` bytes; what goes wrong is told by the next call |
/// | [`Ota::step`] | noted; its outcome is told by the next [`Ota::step`] |
/// | changes of the boot state, [`Ota::abort`] | at once, polling flash: about 100 bytes |
///
/// `N` is best the most bytes of one `OTA.Write`, three quarters of the longest request. With less,
/// or if nobody calls [`Self::work`] between requests, all is right, and the rest done at once.
pub struct Awaited<'b, F, const N: usize> {
    updater: Updater<'b, F>,
    /// Bytes of the update that came and are not all in flash.
    bytes: heapless::Vec<u8, N>,
    /// How many of them the engine has taken.
    taken: usize,
    /// It has steps to make before it takes more.
    is_stepping: bool,
    /// What became of bytes that were said to be taken.
    failed: Option<StageError>,
    /// The service wants a step.
    wants_step: bool,
    /// What came of it.
    stepped: Option<Result<JobState, StageError>>,
}

impl<'b, F: AsyncFlashMap, const N: usize> Awaited<'b, F, N> {
    /// The engine, with nothing to do.
    pub fn new(updater: Updater<'b, F>) -> Self {
        Self {
            updater,
            bytes: heapless::Vec::new(),
            taken: 0,
            is_stepping: false,
            failed: None,
            wants_step: false,
            stepped: None,
        }
    }

    /// The engine itself, for what the application asks of it: the report of a start, the tick.
    pub fn updater(&mut self) -> &mut Updater<'b, F> {
        &mut self.updater
    }

    /// Whether bytes of an update wait for [`Self::work`].
    pub fn is_writing(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// One step of what there is to do: at most one change of flash. If it is dropped before its
    /// end, that change counts as failed.
    pub async fn work(&mut self) {
        if self.is_writing() {
            if let Err(error) = self.write_some().await {
                self.forget();
                self.failed = Some(error);
            }
        } else if self.wants_step {
            self.stepped = Some(self.updater.step_async().await);
            self.wants_step = false;
        }
    }

    async fn write_some(&mut self) -> Result<(), StageError> {
        if !self.is_stepping {
            let rest = self.bytes.get(self.taken..).unwrap_or_default();
            let taken = self.updater.push(rest)?;
            self.taken = self.taken.saturating_add(taken);
            self.is_stepping = true;
        }
        self.is_stepping = self.updater.step_async().await? == JobState::Working;
        if !self.is_stepping && self.taken >= self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        Ok(())
    }

    /// Writes what waits, now. What went wrong since the last call is told here.
    fn catch_up(&mut self) -> Result<(), StageError> {
        while self.is_writing() {
            in_place(self.work());
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Whether the job has ended well, which the next [`Ota::step`] tells.
    pub(super) fn is_done(&self) -> bool {
        self.stepped == Some(Ok(JobState::Idle))
    }

    /// Nothing that was noted is wanted any more.
    fn forget(&mut self) {
        self.bytes.clear();
        self.taken = 0;
        self.is_stepping = false;
        self.failed = None;
        self.wants_step = false;
        self.stepped = None;
    }

    fn change(&mut self, change: Change) -> Result<(), EngineError> {
        Ok(in_place(self.updater.change_async(change))?)
    }
}

impl<F: AsyncFlashMap, const N: usize> Ota for Awaited<'_, F, N> {
    type Error = EngineError;

    fn boot_state(&mut self) -> Result<BootState, EngineError> {
        Ok(super::boot_state(&self.updater))
    }

    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), EngineError> {
        self.change(Change::Set(super::in_words_of_the_engine(change)))
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.change(Change::Commit)
    }

    fn revert(&mut self) -> Result<(), EngineError> {
        self.change(Change::Revert)
    }

    fn report(&mut self) -> Report {
        super::report(&self.updater)
    }

    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, EngineError> {
        self.forget();
        Ok(self.updater.begin_snapshot(snapshot.set_as_revert, snapshot.commit_timeout_s)?)
    }

    fn may_begin(&mut self) -> Result<(), EngineError> {
        super::may_begin(&mut self.updater)
    }

    fn begin(&mut self, begin: &Begin) -> Result<(), EngineError> {
        self.forget();
        self.updater.begin(begin.commit_timeout_s, begin.size)?;
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), EngineError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        if self.bytes.extend_from_slice(data).is_err() {
            self.catch_up()?;
            if self.bytes.extend_from_slice(data).is_err() {
                in_place(self.updater.write_async(data))?;
            }
        }
        Ok(())
    }

    /// As far as what came is written: a sender learns it one chunk later than it might.
    fn wanted_offset(&mut self) -> Option<u32> {
        self.updater.progress().map(|progress| progress.wanted_offset)
    }

    fn seek(&mut self, offset: u32) -> bool {
        match self.catch_up() {
            Ok(()) => self.updater.seek(offset),
            Err(error) => {
                // The next write tells.
                self.failed = Some(error);
                false
            }
        }
    }

    fn set_commit_timeout(&mut self, commit_timeout_s: u32) {
        self.updater.set_commit_timeout(commit_timeout_s);
    }

    fn end_of_input(&mut self) -> Result<(), EngineError> {
        self.catch_up()?;
        Ok(self.updater.end_of_input()?)
    }

    fn step(&mut self) -> Result<Progress, EngineError> {
        match self.stepped.take() {
            Some(stepped) => {
                let progress = super::progress(stepped?)?;
                self.wants_step = progress == Progress::Running;
                Ok(progress)
            }
            None => {
                self.wants_step = true;
                Ok(Progress::Running)
            }
        }
    }

    fn abort(&mut self) -> Result<(), EngineError> {
        if self.is_done() {
            return Err(StageError::TooLate.into());
        }
        self.forget();
        let aborted = in_place(self.updater.abort_async());
        super::after_abort(&self.updater, aborted)
    }

    fn suspend(&mut self) {
        if self.is_done() {
            return;
        }
        self.forget();
        let _ = self.updater.suspend();
    }
}

#[cfg(feature = "fimp")]
impl<F: AsyncFlashMap, const N: usize> crate::fimp::Notes for Awaited<'_, F, N> {
    fn note(&mut self) -> [u8; ota_core::record::NOTE_LEN] {
        self.updater.record().note()
    }

    fn set_note(&mut self, note: [u8; ota_core::record::NOTE_LEN]) -> bool {
        self.change(Change::Note(note)).is_ok()
    }
}

/// Polls to the end: for what the caller cannot wait for otherwise.
pub(super) fn in_place<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        core::hint::spin_loop();
    }
}
