//! Bringing an image into a slot: from a bundle, from raw bytes, or from another slot.
//!
//! ```text
//! begin -> bytes are pushed -> [manifest checked] -> record: slot staging -> descriptor erased
//!       -> buffers flushed, record: checkpoints -> parts complete, digests checked
//!       -> everything read back and digested -> descriptor written and read back
//!       -> record: slot bootable, active, on trial
//! ```
//!
//! A job advances by `Job::step`: it reads, and asks for at most one change of flash or one append.
//!
//! # Invariants
//! 1. Nothing is erased or programmed before the record calls the slot *staging*.
//! 2. The record calls it *bootable* only after every byte of image and descriptor was read back.
//! 3. No byte is programmed twice between erases.
//! 4. In a slot that an interrupted job entered, nothing is trusted that was not re-digested.
//!
//! # Power loss
//! The running image is untouched throughout. The slot stays *staging* until a job ends in it;
//! what lies before the last checkpoint is kept and digested again, everything after it is erased and
//! written anew.

mod digest;
mod error;
mod finish;
mod input;
mod resume;
mod source;
mod target;
mod writer;

pub use error::{FlashAction, StageError};
pub use source::RawImage;
pub(crate) use source::{CopySource, Source};
pub(crate) use target::choose;

use crate::bundle::PartKind;
use crate::descriptor::{self, ExtentDigest};
use crate::flash::{FlashRead, Region, Want};
use crate::state::{Checkpoint, Event};
use digest::PartDigest;
use writer::{Flushed, Writer};

/// What the job needs to know of the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    /// The slot to write.
    pub(crate) slot: u8,
    /// No interrupted job has entered it.
    pub(crate) trusted: bool,
    /// Room for the application in bytes.
    pub(crate) app_room: u32,
    /// Room for a data part in bytes.
    pub(crate) data_room: Option<u32>,
    pub(crate) platform: &'static str,
    pub(crate) security_counter: u32,
    pub(crate) checkpoint_interval: u32,
    /// Where an interrupted job got to in this slot.
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Site {
    pub(crate) fn region(&self, part: PartKind) -> Region {
        match part {
            PartKind::App => Region::App(self.slot),
            PartKind::Data => Region::Data(self.slot),
        }
    }

    fn room(&self, part: PartKind) -> u32 {
        match part {
            PartKind::App => self.app_room,
            PartKind::Data => self.data_room.unwrap_or(0),
        }
    }
}

/// What the job wants next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A change of flash.
    Want(Want),
    /// A change of the record.
    Append(Event),
    /// To be asked again: something long is going on that changes nothing.
    Again,
    /// Bytes.
    Input,
    /// Nothing: the image is whole, and this makes it known.
    Finished(Event),
}

/// Where a job stands.
#[allow(clippy::large_enum_variant, reason = "one job at a time, and no heap")]
enum Phase {
    /// The slot to be copied is digested, from this offset on.
    Source { offset: u32 },
    /// Bytes are wanted.
    Input,
    /// The slot is to be marked, then its descriptor erased; then as the flag says.
    Mark,
    /// The sectors of the descriptor are erased, from this offset on.
    EraseDescriptor { offset: u32 },
    /// The buffer goes to flash; the part is complete then if so marked.
    Flush { last: bool },
    /// What an interrupted job left is digested again.
    Redigest(resume::Redigest),
    /// Everything is there: read back, describe, announce.
    Finish(finish::Finish),
}

/// A job: one image into one slot.
pub(crate) struct Job {
    site: Site,
    source: Source,
    phase: Phase,
    /// The part that bytes go to.
    current: Option<PartKind>,
    writer: Option<Writer>,
    digest: PartDigest,
    app: Option<ExtentDigest>,
    data: Option<ExtentDigest>,
    /// Seconds for the commit.
    pub(crate) commit_timeout_s: u32,
    pub(crate) replace_timeout: bool,
    /// The stream has ended, with nothing missing.
    ending: bool,
    /// The slot is marked in the record.
    marked: bool,
    /// A change of flash failed: nothing in the slot is to be trusted.
    failed: bool,
    /// Offset in the part at the last checkpoint.
    checkpointed: u32,
    /// Stream bytes taken, and how many will come if that was said.
    pub(crate) received: u32,
    pub(crate) announced: Option<u32>,
}

impl Job {
    pub(crate) fn new(site: Site, source: Source) -> Self {
        let copies = matches!(source, Source::Copy(_));
        Self {
            site,
            source,
            phase: if copies { Phase::Source { offset: 0 } } else { Phase::Input },
            current: None,
            writer: None,
            digest: PartDigest::new(false),
            app: None,
            data: None,
            commit_timeout_s: 0,
            replace_timeout: true,
            ending: false,
            marked: false,
            failed: false,
            checkpointed: 0,
            received: 0,
            announced: None,
        }
    }

    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// What undoes the marking of the slot, if it was marked.
    /// `ok`: the change asked for last succeeded.
    pub(crate) fn abort_event(&self, ok: bool) -> Option<Event> {
        let clean = self.site.trusted && !self.failed && ok;
        self.marked.then_some(Event::StageAborted { slot: self.site.slot, clean })
    }

    /// Version of the image, once it is known.
    pub(crate) fn version(&self) -> &str {
        match &self.source {
            Source::Bundle { manifest, .. } => manifest.as_ref().map_or("", |m| &m.version),
            Source::Raw(raw) => &raw.version,
            Source::Copy(copy) => copy.descriptor.version(),
        }
    }

    /// Parts of the bundle that this device has no place for.
    pub(crate) fn skipped(&self) -> Option<&crate::bundle::Skipped> {
        match &self.source {
            Source::Bundle { manifest: Some(manifest), .. } => Some(&manifest.skipped),
            Source::Bundle { .. } | Source::Raw(_) | Source::Copy(_) => None,
        }
    }

    /// One step. `ok`: the change asked for before succeeded.
    ///
    /// # Errors
    /// [`StageError`]: the job is over, without an image.
    pub(crate) fn step<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
    ) -> Result<Next, StageError> {
        let result = self.advance(flash, buffer, ok);
        self.failed |=
            matches!(result, Err(StageError::Flash { .. } | StageError::ReadBack { .. }));
        result
    }

    fn advance<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
    ) -> Result<Next, StageError> {
        if self.ending && self.ready_to_finish() {
            self.begin_finish();
            return Ok(Next::Again);
        }
        match &mut self.phase {
            Phase::Source { offset } => {
                let offset = *offset;
                self.check_source(flash, buffer, offset)
            }
            Phase::Input => self.copy_input(flash, buffer),
            Phase::Mark => {
                self.phase = Phase::EraseDescriptor { offset: self.site.app_room };
                self.marked = true;
                Ok(Next::Append(Event::StageStarted { slot: self.site.slot }))
            }
            Phase::EraseDescriptor { offset } => {
                let offset = *offset;
                self.erase_descriptor(flash, ok, offset)
            }
            Phase::Flush { last } => {
                let last = *last;
                self.flush(flash, buffer, ok, last)
            }
            Phase::Redigest(_) => self.redigest(flash, buffer),
            Phase::Finish(_) => self.finish_step(flash, buffer, ok),
        }
    }

    fn erase_descriptor<F: FlashRead>(
        &mut self,
        flash: &F,
        ok: bool,
        offset: u32,
    ) -> Result<Next, StageError> {
        let region = Region::App(self.site.slot);
        let Some(geometry) = flash.geometry(region) else { return Err(StageError::NoSlot) };
        if offset > self.site.app_room && !ok {
            return Err(self.fault(FlashAction::Erase, offset));
        }
        if offset >= geometry.size {
            self.phase = Phase::Input;
            return Ok(Next::Again);
        }
        self.phase =
            Phase::EraseDescriptor { offset: offset.saturating_add(geometry.sector_size.max(1)) };
        Ok(Next::Want(Want::Erase { region, offset }))
    }

    fn flush<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
        last: bool,
    ) -> Result<Next, StageError> {
        let Some(writer) = &mut self.writer else { return Err(StageError::NotRunning) };
        if let Flushed::Wants(want) = writer.flush(flash, buffer, ok)? {
            return Ok(Next::Want(want));
        }
        self.phase = Phase::Input;
        if last {
            self.part_complete();
            return Ok(Next::Again);
        }
        Ok(self.checkpoint().map_or(Next::Again, Next::Append))
    }

    /// A part is in flash, all of it.
    fn part_complete(&mut self) {
        let value = Some(self.digest.value());
        match self.current.take() {
            Some(PartKind::App) => self.app = value,
            Some(PartKind::Data) => self.data = value,
            None => {}
        }
        self.writer = None;
        self.checkpointed = 0;
    }

    /// Begins to write a part of `size` bytes.
    fn open_part<F: FlashRead>(
        &mut self,
        flash: &F,
        part: PartKind,
        size: u32,
    ) -> Result<(), StageError> {
        let region = self.site.region(part);
        let room = self.site.room(part);
        let geometry = flash.geometry(region).filter(|_| size <= room);
        let Some(geometry) = geometry else {
            return Err(StageError::TooBig { part: name(part), size, room });
        };
        let with_sha1 = self.source.plan(part).is_some_and(|plan| plan.sha1.is_some());
        self.current = Some(part);
        self.digest = PartDigest::new(with_sha1);
        // A data part belongs to the application's file system, whose writes may have been cut.
        let trusted = self.site.trusted && part == PartKind::App;
        self.writer = Some(Writer::new(region, geometry, 0, trusted));
        self.checkpointed = 0;
        if !self.marked {
            self.phase = Phase::Mark;
        }
        Ok(())
    }

    fn fault(&self, action: FlashAction, offset: u32) -> StageError {
        StageError::Flash { action, region: Region::App(self.site.slot), offset }
    }
}

/// What a part is called in messages.
pub(crate) const fn name(part: PartKind) -> &'static str {
    match part {
        PartKind::App => "app",
        PartKind::Data => "data",
    }
}

/// The most bytes that an application may have in a region.
pub(crate) fn app_room<F: FlashRead>(flash: &F, slot: u8) -> u32 {
    flash.geometry(Region::App(slot)).map_or(0, descriptor::offset)
}
