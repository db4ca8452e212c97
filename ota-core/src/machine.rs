//! The application's engine without its flash: what to read and what to change, one step at a time.
//!
//! Both drivers, the blocking [`crate::Updater`] and the asynchronous one, run this very code.

use crate::boot::{nothing_runs, without_record};
use crate::descriptor::{Descriptor, Head};
use crate::flash::{FlashRead, Op, Region};
use crate::record::{Append, AppendFailed, Log, NO_SLOT, Next, Record};
use crate::stage::{self, CopySource, Job, RawImage, Site, Source, StageError, app_room, choose};
use crate::state::{BootStateChange, Checkpoint, Event, Refused, next};

/// The least length of the buffer that the engine is lent, in bytes.
pub const MIN_BUFFER: usize = 512;

/// What the engine must know of the product.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What bundles must name as their platform, compared without case.
    pub platform: &'static str,
    /// A slot that is never overwritten.
    pub golden: Option<u8>,
    /// How many boots a new image gets to be committed in; 1 as in Mongoose OS, 3 advised.
    pub trials: u8,
    /// Bytes of a part between two checkpoints, for resuming a broken download; rounded up to whole
    /// sectors.
    pub checkpoint_interval: u32,
    /// The slot that this application runs from, if it knows: by its own address, or told by the
    /// loader. The record says so too, unless the loader could not write it; then nothing is
    /// committed or installed until a reboot. Without it the engine would take the record's word, and
    /// might choose the very slot that runs to be written: give it wherever it can be known.
    pub running: Option<u8>,
    /// Nothing runs: this is a loader with recovery, and [`crate::boot()`] has found nothing to boot.
    /// An update can begin then whatever the record says, and where there is none. Without a record
    /// there is no security counter either: any image is taken.
    pub recovery: bool,
}

impl Config {
    /// The defaults: one trial, a checkpoint every 16 KiB, no golden slot, running what the record
    /// says.
    pub const fn new(platform: &'static str) -> Self {
        Self {
            platform,
            golden: None,
            trials: 1,
            checkpoint_interval: 16 * 1024,
            running: None,
            recovery: false,
        }
    }
}

/// Why the engine cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OpenError {
    /// The record region cannot hold a log: the layout is wrong.
    RecordTooSmall,
    /// There is no record. The loader writes the first one before it starts the application.
    NoRecord,
    /// The record is of a later format than this firmware knows; it is left alone.
    NewerFormat {
        /// The format found.
        found: u8,
    },
    /// The buffer is shorter than [`MIN_BUFFER`].
    BufferTooSmall {
        /// Its length in bytes.
        found: usize,
    },
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::RecordTooSmall => crate::record::RecordTooSmall.fmt(f),
            Self::NoRecord => {
                f.write_str("no boot record: boot once through the loader, which writes it")
            }
            Self::NewerFormat { found } => write!(
                f,
                "the boot record has format {found}, this firmware knows {}; install newer firmware",
                crate::record::FORMAT
            ),
            Self::BufferTooSmall { found } => {
                write!(f, "a buffer of {found} bytes; at least {MIN_BUFFER} are needed")
            }
        }
    }
}

impl core::error::Error for OpenError {}

/// What a step of the engine asks for.
pub(crate) enum Step<'a> {
    /// A change of flash. Its outcome goes to [`Machine::done`].
    Op(Op<'a>),
    /// To be asked again.
    Again,
    /// The job wants bytes.
    Input,
    /// There is nothing to do.
    Idle,
}

/// A change of the record under way.
struct Pending {
    append: Append,
    record: Record,
    of: Origin,
}

/// Who wants the record changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The application.
    Request,
    /// The job, on its way.
    Job,
    /// The job, which is over with it.
    EndOfJob,
}

/// The record, with what the application knows better.
fn as_it_runs(mut record: Record, config: &Config) -> Record {
    if config.recovery {
        return nothing_runs(record, config.golden);
    }
    if let Some(slot) = config.running.filter(|slot| *slot < record.slot_count()) {
        record.set_booted(slot);
    }
    record
}

/// The engine.
pub(crate) struct Machine<'b> {
    config: Config,
    buffer: &'b mut [u8],
    log: Log,
    record: Record,
    append: Option<Pending>,
    job: Option<Job>,
    /// Why the job has to end without an image: told when its slot is unmarked.
    failure: Option<StageError>,
    /// Outcomes of the changes asked for last, by an append and by the job: the application may
    /// change the record between two steps of a job. Not well until that is said: a driver may be
    /// dropped in the middle.
    append_ok: bool,
    job_ok: bool,
    /// A change that the application asked for was not written, while a job ran.
    request_failed: bool,
}

impl<'b> Machine<'b> {
    pub(crate) fn open<F: FlashRead>(
        flash: &mut F,
        config: Config,
        buffer: &'b mut [u8],
    ) -> Result<Self, OpenError> {
        if buffer.len() < MIN_BUFFER {
            return Err(OpenError::BufferTooSmall { found: buffer.len() });
        }
        let log = Log::open(flash).map_err(|_| OpenError::RecordTooSmall)?;
        let (record, heal) = match &log.newest {
            Some(newest) if newest.format > crate::record::FORMAT => {
                return Err(OpenError::NewerFormat { found: newest.format });
            }
            Some(newest) => (as_it_runs(newest.record, &config), !log.healthy()),
            None if config.recovery => {
                let made = without_record(flash, &log, &config, buffer);
                (made.ok_or(OpenError::NoRecord)?, false)
            }
            None => return Err(OpenError::NoRecord),
        };
        let mut machine = Self {
            config,
            buffer,
            log,
            record,
            append: None,
            job: None,
            failure: None,
            append_ok: true,
            job_ok: true,
            request_failed: false,
        };
        if heal {
            // The loader could not: it is done here, before anything.
            machine.change(record, Origin::Request);
        }
        Ok(machine)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    pub(crate) fn job_mut(&mut self) -> Option<&mut Job> {
        self.job.as_mut()
    }

    /// Applies an event of the application's: the record changes when the steps that follow are done.
    pub(crate) fn request(&mut self, event: &Event) -> Result<(), Refused> {
        // The job will choose the active slot when it ends, and overwrites the one that is its own.
        let chooses = matches!(
            event,
            Event::Revert { .. }
                | Event::SetBootState { change: BootStateChange { active: Some(_), .. }, .. }
                | Event::SetBootState { change: BootStateChange { committed: Some(_), .. }, .. }
                | Event::SetBootState { change: BootStateChange { revert: Some(_), .. }, .. }
        );
        if self.append.is_some() || (chooses && self.job.is_some()) {
            // A second change would silently take the place of the first.
            return Err(self.busy());
        }
        if self.config.recovery && !matches!(event, Event::SetNote(_)) {
            return Err(Refused::NothingRuns);
        }
        self.request_failed = false;
        self.apply(event, Origin::Request)
    }

    fn apply(&mut self, event: &Event, of: Origin) -> Result<(), Refused> {
        let mut record = next(&self.record, event)?;
        if matches!(event, Event::StageFinished { .. } | Event::SnapshotFinished { .. })
            && !record.committed()
        {
            record.set_trials_max(self.config.trials);
            record.set_trials_left(self.config.trials.max(1));
        }
        if record != self.record {
            self.change(record, of);
        }
        Ok(())
    }

    fn change(&mut self, record: Record, of: Origin) {
        self.append = Some(Pending { append: self.log.append(), record, of });
        self.append_ok = true;
    }

    /// Whether a change of the record is under way.
    pub(crate) fn appending(&self) -> bool {
        self.append.is_some()
    }

    /// Whether the job has done all but making its image known, which cannot be stopped any more.
    pub(crate) fn ending(&self) -> bool {
        self.append.as_ref().is_some_and(|pending| pending.of == Origin::EndOfJob)
    }

    /// Security counter of the image in `slot`; 0 if it has no readable descriptor.
    pub(crate) fn counter_of<F: FlashRead>(&self, flash: &mut F, slot: u8) -> u32 {
        Head::read(flash, slot).map_or(0, |head| head.security_counter())
    }

    /// Begins a job that is pushed bytes.
    ///
    /// On its own, as the other one that begins a job: the memory that making one takes is then not
    /// the caller's for as long as it runs.
    #[inline(never)]
    pub(crate) fn begin_stage<F: FlashRead>(
        &mut self,
        flash: &mut F,
        raw: Option<RawImage>,
        commit_timeout_s: u32,
        announced: Option<u32>,
    ) -> Result<u8, StageError> {
        let site = self.site(flash)?;
        let source = match raw {
            Some(raw) => Source::Raw(raw),
            None => Source::Bundle { reader: crate::bundle::Reader::new(), manifest: None },
        };
        let job = self.begin(site, source);
        job.commit_timeout_s = commit_timeout_s;
        job.announced = announced;
        Ok(site.slot)
    }

    /// Begins a job that copies the running image.
    #[inline(never)]
    pub(crate) fn begin_snapshot<F: FlashRead>(
        &mut self,
        flash: &mut F,
        set_as_revert: bool,
        commit_timeout_s: Option<u32>,
    ) -> Result<u8, StageError> {
        if self.config.recovery {
            return Err(Refused::NothingRuns.into());
        }
        let site = self.site(flash)?;
        let from = self.record.booted();
        let descriptor =
            Descriptor::read(flash, from).map_err(|_| StageError::SourceDamaged { slot: from })?;
        let image = descriptor.head();
        if !image.fits_slot(site.slot) || image.load_address() != 0 {
            return Err(Refused::Bound { slot: site.slot }.into());
        }
        let rooms = [(image.app_len(), site.app_room, "app")];
        let data = (image.data_len(), site.data_room.unwrap_or(0), "data");
        for (size, room, part) in rooms.into_iter().chain([data]) {
            if size > room {
                return Err(StageError::TooBig { part, size, room });
            }
        }
        let copy = CopySource { slot: from, descriptor, set_as_revert };
        let job = self.begin(site, Source::Copy(copy));
        job.replace_timeout = commit_timeout_s.is_some();
        job.commit_timeout_s = commit_timeout_s.unwrap_or(0);
        Ok(site.slot)
    }

    /// In place, as a job is large to be moved.
    fn begin(&mut self, site: Site, source: Source) -> &mut Job {
        self.job_ok = true;
        self.job.insert(Job::new(site, source))
    }

    /// Takes some of `bytes` for the job and says how many; step until input is wanted, then go on.
    pub(crate) fn push<F: FlashRead>(
        &mut self,
        flash: &F,
        bytes: &[u8],
    ) -> Result<usize, StageError> {
        if self.append.is_some() {
            return Ok(0);
        }
        let job = self.job.as_mut().ok_or(StageError::NotRunning)?;
        if self.failure.is_some() {
            return Ok(0);
        }
        match job.push(flash, self.buffer, bytes) {
            Ok(taken) => Ok(taken),
            Err(error) => {
                self.fail(error);
                Ok(0)
            }
        }
    }

    /// The stream has ended. May be said again.
    pub(crate) fn end_of_input(&mut self) -> Result<(), StageError> {
        if self.ending() {
            return Ok(());
        }
        let job = self.job.as_mut().ok_or(StageError::NotRunning)?;
        if let Err(error) = job.end_of_input() {
            self.fail(error);
        }
        Ok(())
    }

    /// Ends the job without an image, in the steps that follow.
    pub(crate) fn abort(&mut self) {
        if self.job.is_some() {
            self.fail(StageError::Aborted);
        }
    }

    /// Forgets the job but not how far it came: a later one may resume it. False: too late.
    pub(crate) fn suspend(&mut self) -> bool {
        self.job = None;
        self.failure = None;
        !self.ending()
    }

    /// Whether a change that was asked for while a job ran could not be written: told once.
    pub(crate) fn request_failed(&mut self) -> bool {
        core::mem::take(&mut self.request_failed)
    }

    pub(crate) fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// Tells the outcome of the change that the last step asked for.
    pub(crate) fn done(&mut self, ok: bool) {
        if self.append.is_some() {
            self.append_ok = ok;
        } else {
            self.job_ok = ok;
        }
    }

    /// One step: reads, and at most one change of flash.
    ///
    /// An error ends the job, and is given when its slot is unmarked again.
    pub(crate) fn step<F: FlashRead>(&mut self, flash: &mut F) -> Result<Step<'_>, StageError> {
        if self.append.is_some() {
            return self.append_step(flash);
        }
        if let Some(error) = self.failure.take() {
            if !self.gives_up() {
                return Err(error);
            }
            self.failure = Some(error);
            return Ok(Step::Again);
        }
        let ok = core::mem::replace(&mut self.job_ok, true);
        let Some(job) = &mut self.job else { return Ok(Step::Idle) };
        match job.step(flash, self.buffer, ok) {
            Ok(stage::Next::Want(want)) => {
                self.job_ok = false;
                return Ok(Step::Op(want.op(self.buffer)));
            }
            Ok(stage::Next::Input) => return Ok(Step::Input),
            Ok(stage::Next::Again) => {}
            Ok(stage::Next::Append(event)) => {
                if let Err(refused) = self.apply(&event, Origin::Job) {
                    self.fail(refused.into());
                }
            }
            Ok(stage::Next::Finished(event)) => match self.apply(&event, Origin::EndOfJob) {
                Ok(()) => self.job = None,
                Err(refused) => self.fail(refused.into()),
            },
            Err(error) => self.fail(error),
        }
        Ok(Step::Again)
    }

    fn append_step<F: FlashRead>(&mut self, flash: &mut F) -> Result<Step<'_>, StageError> {
        let ok = core::mem::replace(&mut self.append_ok, true);
        let Some(Pending { append, record, of }) = &mut self.append else {
            return Ok(Step::Again);
        };
        match self.log.step(append, record, flash, ok) {
            Ok(Next::Again) => return Ok(Step::Again),
            Ok(Next::Done) => {
                self.record = *record;
                self.append = None;
                return Ok(Step::Again);
            }
            Ok(Next::Erase) => {
                self.append_ok = false;
                let offset = append.offset();
                return Ok(Step::Op(Op::Erase { region: Region::Record, offset }));
            }
            Ok(Next::Program) => {
                self.append_ok = false;
                let offset = append.offset();
                let bytes = self.append.as_ref().map_or(&[][..], |pending| pending.append.bytes());
                return Ok(Step::Op(Op::Program { region: Region::Record, offset, bytes }));
            }
            Err(AppendFailed) => {}
        }
        let of = *of;
        // What is in force now is what the flash says, not what was hoped for.
        self.append = None;
        self.rescan(flash);
        if of == Origin::Request {
            if self.job.is_none() && self.failure.is_none() {
                return Err(StageError::RecordNotWritten);
            }
            // No matter of the job's, whose steps these may be.
            self.request_failed = true;
            return Ok(Step::Again);
        }
        self.job = None;
        // A slot that stays marked does no harm, but an abort promises to unmark it. Told by the next
        // step: this one may be made by who wants another change.
        let failure = self.failure.take().filter(|error| *error != StageError::Aborted);
        self.failure = failure.or(Some(StageError::RecordNotWritten));
        Ok(Step::Again)
    }

    fn rescan<F: FlashRead>(&mut self, flash: &mut F) {
        if let Ok(log) = Log::open(flash)
            && let Some(newest) = &log.newest
        {
            self.record = as_it_runs(newest.record, &self.config);
            self.log = log;
        }
    }

    /// The job is to end because of `error`, or of what came before that.
    fn fail(&mut self, error: StageError) {
        self.failure.get_or_insert(error);
    }

    /// Begins to unmark the slot of the job that has failed. False: there is nothing to unmark.
    fn gives_up(&mut self) -> bool {
        let event = self.job.as_ref().and_then(|job| job.abort_event(self.job_ok));
        self.job = None;
        // Refused if the slot was not marked after all.
        event.is_some_and(|event| self.apply(&event, Origin::Job).is_ok()) && self.append.is_some()
    }

    fn busy(&self) -> Refused {
        let writes = self.job.as_ref().map(|job| job.site().slot);
        let slot = writes.or(self.record.stage_slot()).unwrap_or(self.record.active());
        Refused::Busy { slot }
    }

    /// Where the next image goes.
    fn site<F: FlashRead>(&self, flash: &mut F) -> Result<Site, StageError> {
        // What is being appended decides where the next image goes, and whether it may; but for the
        // copy that heals the log.
        let changing = self.append.as_ref().is_some_and(|pending| pending.record != self.record);
        if self.job.is_some() || self.failure.is_some() || changing {
            return Err(self.busy().into());
        }
        if !self.record.committed() {
            return Err(Refused::Uncommitted { slot: self.record.active() }.into());
        }
        if self.record.booted() != self.record.active() && !self.config.recovery {
            let (active, booted) = (self.record.active(), self.record.booted());
            return Err(Refused::NotBooted { active, booted }.into());
        }
        let slot = choose(&self.record, self.config.golden).ok_or(StageError::NoSlot)?;
        let resumable = self.record.stage_slot() == Some(slot);
        Ok(Site {
            slot,
            trusted: !self.record.entered(slot),
            app_room: app_room(flash, slot),
            data_room: flash.geometry(Region::Data(slot)).map(|geometry| geometry.size),
            platform: self.config.platform,
            security_counter: self.record.security_counter(),
            checkpoint_interval: self.config.checkpoint_interval,
            checkpoint: Checkpoint::of(&self.record).filter(|_| resumable),
        })
    }

    /// The slot that runs.
    pub(crate) fn running(&self) -> Option<u8> {
        Some(self.record.booted()).filter(|slot| *slot != NO_SLOT && !self.config.recovery)
    }
}
