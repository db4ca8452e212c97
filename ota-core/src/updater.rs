//! The application's engine over blocking flash.

use crate::descriptor::Descriptor;
#[cfg(feature = "async")]
use crate::flash::Op;
use crate::flash::{FlashMap, FlashRead};
use crate::machine::{Config, Machine, OpenError, Step};
use crate::record::{NOTE_LEN, Record};
use crate::report::{BootState, ImageInfo, Progress};
use crate::stage::{RawImage, StageError};
use crate::state::{BootStateChange, Event, Refused, revert_after};

/// Why a change of the boot state did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChangeError {
    /// The state machine refuses; nothing was changed.
    Refused(Refused),
    /// The record could not be written. [`Updater::boot_state`] tells what flash says now.
    RecordNotWritten,
}

impl core::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::RecordNotWritten => f.write_str("the boot record cannot be written: flash fails"),
        }
    }
}

impl core::error::Error for ChangeError {}

impl From<Refused> for ChangeError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// What a step of a job leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Step again; at most one change of flash was made.
    Working,
    /// The job wants bytes.
    WantsInput,
    /// No job is running: the last one ended well.
    Idle,
}

/// The engine of the running application: installs images, and commits or rolls back.
///
/// Opened once after the loader has booted. Long work goes on in steps of at most one flash
/// operation ([`Self::step`]), so that a watchdog can be fed and others can run;
/// [`Self::write`] and the like make all steps at once.
pub struct Updater<'b, F> {
    flash: F,
    machine: Machine<'b>,
    /// When the commit is overdue, in the caller's milliseconds.
    deadline_ms: Option<u64>,
}

/// A change of the boot state that the application may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Confirm the running image.
    Commit,
    /// The application has started well: commits an image whose commit timeout is 0.
    GoodStart,
    /// The application's start failed: rolls an uncommitted image back.
    BadStart,
    /// The time for the commit is over: rolls an uncommitted image back.
    CommitTimeout,
    /// Roll back to the previous image.
    Revert,
    /// Change parts of the boot state.
    Set(BootStateChange),
    /// Keep 16 bytes of the application's.
    Note([u8; NOTE_LEN]),
}

/// What does not change flash by itself: the same for every driver.
impl<'b, F: FlashRead> Updater<'b, F> {
    /// Reads the record. `buffer` is lent for the engine's life: at least
    /// [`crate::MIN_BUFFER`] bytes, a whole erase sector to let equal sectors be skipped.
    /// `now_ms` starts the time for the commit, if the running image is on trial.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        mut flash: F,
        config: Config,
        buffer: &'b mut [u8],
        now_ms: u64,
    ) -> Result<Self, OpenError> {
        let machine = Machine::open(&mut flash, config, buffer)?;
        let state = BootState::of(machine.record());
        let on_trial = !state.committed && state.booted == Some(state.active);
        let timed = on_trial && state.commit_timeout_s > 0;
        let timeout_ms = u64::from(state.commit_timeout_s).saturating_mul(1000);
        let deadline_ms = timed.then(|| now_ms.saturating_add(timeout_ms));
        Ok(Self { flash, machine, deadline_ms })
    }

    /// The boot state.
    pub fn boot_state(&self) -> BootState {
        BootState::of(self.machine.record())
    }

    /// The record in force.
    pub fn record(&self) -> &Record {
        self.machine.record()
    }

    /// The configuration given at the start.
    pub fn config(&self) -> &Config {
        self.machine.config()
    }

    /// The image that runs, as far as its descriptor can be read.
    pub fn running_image(&mut self) -> Option<ImageInfo> {
        self.machine.running().and_then(|slot| self.image(slot))
    }

    /// The image in `slot`, as far as its descriptor can be read.
    pub fn image(&mut self, slot: u8) -> Option<ImageInfo> {
        Descriptor::read(&mut self.flash, slot).ok().map(ImageInfo)
    }

    /// How far the running job has come; `None`: no job is running.
    pub fn progress(&self) -> Option<Progress<'_>> {
        self.machine.job().map(|job| Progress {
            slot: job.site().slot,
            received: job.received,
            announced: job.announced,
            wanted_offset: job.wanted_offset(),
            version: job.version(),
            skipped_parts: job.skipped().map_or(0, |skipped| skipped.count),
        })
    }

    /// Begins to install a bundle and returns the slot that it goes to. Nothing is written until its
    /// manifest has been found good.
    ///
    /// # Errors
    /// [`StageError`]: a job is running, the running image is uncommitted, or no slot is free.
    pub fn begin(
        &mut self,
        commit_timeout_s: u32,
        announced: Option<u32>,
    ) -> Result<u8, StageError> {
        self.machine.begin_stage(&mut self.flash, None, commit_timeout_s, announced)
    }

    /// Begins to install an application that comes without a bundle around it.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_raw(&mut self, image: RawImage, commit_timeout_s: u32) -> Result<u8, StageError> {
        let announced = image.len;
        self.machine.begin_stage(&mut self.flash, Some(image), commit_timeout_s, announced)
    }

    /// Begins to copy the running image to another slot; [`Self::run`] or [`Self::step`] does it.
    ///
    /// # Errors
    /// [`StageError`]: as for [`Self::begin`], or the image is bound to its slot or does not fit.
    pub fn begin_snapshot(
        &mut self,
        set_as_revert: bool,
        commit_timeout_s: Option<u32>,
    ) -> Result<u8, StageError> {
        if self.machine.record().committed() {
            // The timer was for the image that is committed now, not for the trial to come.
            self.deadline_ms = None;
        }
        self.machine.begin_snapshot(&mut self.flash, set_as_revert, commit_timeout_s)
    }

    /// Takes some of the next bytes of the stream and says how many; 0 while steps have to be made
    /// first.
    ///
    /// # Errors
    /// [`StageError::NotRunning`]. What is wrong with the bytes is told by the next steps.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, StageError> {
        self.machine.push(&self.flash, bytes)
    }

    /// Says that the stream goes on at `offset`, because a resumed job has what lies before. False:
    /// it has not; go on where the stream was.
    pub fn seek(&mut self, offset: u32) -> bool {
        self.machine.job_mut().is_some_and(|job| job.seek(offset))
    }

    /// Changes what was given to [`Self::begin`] while the stream still comes: a form may say it
    /// behind the file.
    pub fn set_commit_timeout(&mut self, commit_timeout_s: u32) {
        if let Some(job) = self.machine.job_mut() {
            job.commit_timeout_s = commit_timeout_s;
        }
    }

    /// Says that the stream has ended; the steps that follow read everything back and make the image
    /// active, on trial.
    ///
    /// # Errors
    /// [`StageError::NotRunning`].
    pub fn end_of_input(&mut self) -> Result<(), StageError> {
        self.machine.end_of_input()
    }

    /// Leaves the job as a reset would: a later one with the same bundle resumes it, once a change of
    /// the record that is under way is made. False: it is too late, the image is complete, and the
    /// steps that follow make it what boots next.
    pub fn suspend(&mut self) -> bool {
        self.machine.suspend()
    }

    /// Whether a change that was asked for while a job ran could not be written. Told once, and
    /// before another is asked for; when no job runs, the step that failed says so.
    pub fn change_failed(&mut self) -> bool {
        self.machine.request_failed()
    }

    /// Gives flash and buffer back, as at a reset: what is under way is left as it is.
    pub fn into_parts(self) -> (F, &'b mut [u8]) {
        (self.flash, self.machine.into_buffer())
    }

    /// The flash, to read it; the engine assumes that it alone changes its regions.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Asks for a change. It is made by the steps that follow; [`Self::commit`] and the like ask and
    /// make them. A change that is being made must be finished first.
    ///
    /// # Errors
    /// [`Refused`]: nothing changes.
    pub fn ask(&mut self, change: Change) -> Result<(), Refused> {
        let record = self.machine.record();
        if record.committed() {
            // The timer was for the image that is committed now.
            self.deadline_ms = None;
        }
        let slot = match change {
            Change::Revert => record.revert(),
            Change::Set(set) => set.active.unwrap_or(record.active()),
            Change::Commit
            | Change::GoodStart
            | Change::BadStart
            | Change::CommitTimeout
            | Change::Note(_) => record.booted(),
        };
        let security_counter = self.machine.counter_of(&mut self.flash, slot);
        let event = match change {
            Change::Commit => Event::Commit { security_counter },
            Change::GoodStart => Event::GoodStart { security_counter },
            Change::BadStart => Event::BadStart,
            Change::CommitTimeout => Event::CommitTimeout,
            Change::Revert => Event::Revert { security_counter },
            Change::Set(change) => {
                let revert = revert_after(self.machine.record(), &change);
                let revert_counter = self.machine.counter_of(&mut self.flash, revert);
                Event::SetBootState { change, security_counter, revert_counter }
            }
            Change::Note(note) => Event::SetNote(note),
        };
        self.machine.request(&event)
    }

    /// Whether the time for the commit is over: then ask for [`Change::CommitTimeout`] and reboot.
    pub fn overdue(&self, now_ms: u64) -> bool {
        let on_trial = !self.machine.record().committed();
        on_trial && self.deadline_ms.is_some_and(|deadline| now_ms >= deadline)
    }

    /// Whether a change of the record is under way.
    pub fn is_changing(&self) -> bool {
        self.machine.appending()
    }

    fn changed(&mut self) -> Result<(), ChangeError> {
        if self.change_failed() { Err(ChangeError::RecordNotWritten) } else { Ok(()) }
    }

    /// Makes the next steps end the job. True: it is too late for that.
    fn begin_abort(&mut self) -> bool {
        self.machine.abort();
        self.machine.ending()
    }

    /// Whether an image was rolled back because its time was over.
    fn gave_up(&mut self, made: Result<(), ChangeError>) -> Result<bool, ChangeError> {
        match made {
            Ok(()) => Ok(true),
            // Another image was chosen meanwhile: the one that runs has no time to keep.
            Err(ChangeError::Refused(_)) => {
                self.deadline_ms = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// What the steps after the end of the stream came to.
fn finished(state: JobState) -> Result<(), StageError> {
    match state {
        JobState::Idle | JobState::Working => Ok(()),
        JobState::WantsInput => Err(StageError::MissingPart { part: "app" }),
    }
}

/// What the steps after an abort came to.
fn aborted(late: bool, state: Result<JobState, StageError>) -> Result<(), StageError> {
    match state {
        Ok(_) if late => Err(StageError::TooLate),
        Err(StageError::RecordNotWritten) => Err(StageError::RecordNotWritten),
        // It may have failed by itself before; then it is over too.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The blocking driver.
impl<F: FlashMap> Updater<'_, F> {
    /// One step of what is under way: at most one change of flash.
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image, and its slot is unmarked.
    pub fn step(&mut self) -> Result<JobState, StageError> {
        let ok = match self.machine.step(&mut self.flash)? {
            Step::Op(op) => op.perform(&mut self.flash).is_ok(),
            Step::Again => return Ok(JobState::Working),
            Step::Input => return Ok(JobState::WantsInput),
            Step::Idle => return Ok(JobState::Idle),
        };
        self.machine.done(ok);
        Ok(JobState::Working)
    }

    /// Makes steps until bytes are wanted or the job has ended.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn run(&mut self) -> Result<JobState, StageError> {
        loop {
            let state = self.step()?;
            if state != JobState::Working {
                return Ok(state);
            }
        }
    }

    /// Takes all of `bytes`, the next of the stream.
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StageError> {
        while !bytes.is_empty() {
            let taken = self.push(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.run()?;
        }
        Ok(())
    }

    /// The stream has ended: reads everything back and makes the image active, on trial. Reboot
    /// after it.
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image.
    pub fn finish(&mut self) -> Result<(), StageError> {
        self.end_of_input()?;
        finished(self.run()?)
    }

    /// Ends the job without an image.
    ///
    /// # Errors
    /// [`StageError::TooLate`]: the image is complete, and is what boots next.
    /// [`StageError::RecordNotWritten`]: its slot stays marked, which does no harm; or it was too late,
    /// and nobody knows: [`Self::boot_state`] tells what flash says now.
    pub fn abort(&mut self) -> Result<(), StageError> {
        let late = self.begin_abort();
        aborted(late, self.run())
    }

    /// Confirms the running image.
    ///
    /// # Errors
    /// [`ChangeError`]: it is committed already, or not the active one.
    pub fn commit(&mut self) -> Result<(), ChangeError> {
        self.change(Change::Commit)
    }

    /// Tells how the start of the application went. A good one commits an image whose commit timeout
    /// is 0; a bad one rolls an uncommitted image back. True: reboot now.
    ///
    /// # Errors
    /// [`ChangeError`]; a bad start of a committed image has nothing to roll back to.
    pub fn report_start(&mut self, good: bool) -> Result<bool, ChangeError> {
        self.change(if good { Change::GoodStart } else { Change::BadStart })?;
        Ok(!good)
    }

    /// Rolls back to the previous image: reboot after it.
    ///
    /// # Errors
    /// [`ChangeError`]: there is none, or it is too old.
    pub fn revert(&mut self) -> Result<(), ChangeError> {
        self.change(Change::Revert)
    }

    /// Changes parts of the boot state; no reboot, and a running commit timer runs on.
    ///
    /// # Errors
    /// [`ChangeError`]: a slot is out of range or holds no bootable image, or nothing was given.
    pub fn set_boot_state(&mut self, change: BootStateChange) -> Result<(), ChangeError> {
        self.change(Change::Set(change))
    }

    /// Keeps 16 bytes of the application's in the record.
    ///
    /// # Errors
    /// [`ChangeError::RecordNotWritten`].
    pub fn set_note(&mut self, note: [u8; NOTE_LEN]) -> Result<(), ChangeError> {
        self.change(Change::Note(note))
    }

    /// To be called now and then. True: the time for the commit is over, the image was rolled back;
    /// reboot now.
    ///
    /// # Errors
    /// [`ChangeError::RecordNotWritten`]; the next call tries again.
    pub fn tick(&mut self, now_ms: u64) -> Result<bool, ChangeError> {
        if !self.overdue(now_ms) {
            return Ok(false);
        }
        let made = self.change(Change::CommitTimeout);
        self.gave_up(made)
    }

    /// Makes a change durable; a job that is under way goes on afterwards.
    fn change(&mut self, change: Change) -> Result<(), ChangeError> {
        self.finish_change()?;
        self.ask(change)?;
        self.finish_change()?;
        self.changed()
    }

    fn finish_change(&mut self) -> Result<(), ChangeError> {
        while self.is_changing() {
            self.step().map_err(|_| ChangeError::RecordNotWritten)?;
        }
        Ok(())
    }
}

/// The asynchronous driver: the same steps, awaiting each change of flash.
#[cfg(feature = "async")]
impl<F: crate::flash::AsyncFlashMap> Updater<'_, F> {
    /// One step of what is under way: at most one change of flash. If it is dropped before its end,
    /// that change counts as failed.
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image, and its slot is unmarked.
    pub async fn step_async(&mut self) -> Result<JobState, StageError> {
        let ok = match self.machine.step(&mut self.flash)? {
            Step::Op(Op::Erase { region, offset }) => {
                self.flash.erase_sector(region, offset).await.is_ok()
            }
            Step::Op(Op::Program { region, offset, bytes }) => {
                self.flash.program(region, offset, bytes).await.is_ok()
            }
            Step::Again => return Ok(JobState::Working),
            Step::Input => return Ok(JobState::WantsInput),
            Step::Idle => return Ok(JobState::Idle),
        };
        self.machine.done(ok);
        Ok(JobState::Working)
    }

    /// Makes steps until bytes are wanted or the job has ended.
    ///
    /// # Errors
    /// As [`Self::step_async`].
    pub async fn run_async(&mut self) -> Result<JobState, StageError> {
        loop {
            let state = self.step_async().await?;
            if state != JobState::Working {
                return Ok(state);
            }
        }
    }

    /// Takes all of `bytes`, the next of the stream. If it is dropped before its end, go on from
    /// [`Progress::received`].
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image.
    pub async fn write_async(&mut self, mut bytes: &[u8]) -> Result<(), StageError> {
        while !bytes.is_empty() {
            let taken = self.push(bytes)?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.run_async().await?;
        }
        Ok(())
    }

    /// The stream has ended: reads everything back and makes the image active, on trial. Reboot
    /// after it.
    ///
    /// # Errors
    /// [`StageError`]: the job has ended without an image.
    pub async fn finish_async(&mut self) -> Result<(), StageError> {
        self.end_of_input()?;
        finished(self.run_async().await?)
    }

    /// Ends the job without an image.
    ///
    /// # Errors
    /// As [`Self::abort`].
    pub async fn abort_async(&mut self) -> Result<(), StageError> {
        let late = self.begin_abort();
        aborted(late, self.run_async().await)
    }

    /// To be called now and then: [`Self::tick`].
    ///
    /// # Errors
    /// [`ChangeError::RecordNotWritten`]; the next call tries again.
    pub async fn tick_async(&mut self, now_ms: u64) -> Result<bool, ChangeError> {
        if !self.overdue(now_ms) {
            return Ok(false);
        }
        let made = self.change_async(Change::CommitTimeout).await;
        self.gave_up(made)
    }

    /// Makes a change durable; a job that is under way goes on afterwards.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change_async(&mut self, change: Change) -> Result<(), ChangeError> {
        self.finish_change_async().await?;
        self.ask(change)?;
        self.finish_change_async().await?;
        self.changed()
    }

    async fn finish_change_async(&mut self) -> Result<(), ChangeError> {
        while self.is_changing() {
            self.step_async().await.map_err(|_| ChangeError::RecordNotWritten)?;
        }
        Ok(())
    }
}
