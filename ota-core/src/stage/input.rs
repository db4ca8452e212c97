//! Bytes into a job.

use super::{Job, Next, Phase, Source, StageError, name};
use crate::bundle::{Event as Bundle, Manifest, PartKind, Selector};
use crate::flash::FlashRead;
use crate::state::{Checkpoint, Event};

impl Job {
    /// Takes some of `bytes` and says how many: none while flash has to be changed first. Call
    /// `step` until it wants input, then push the rest.
    ///
    /// # Errors
    /// [`StageError`]: the job is over, without an image.
    pub(crate) fn push<F: FlashRead>(
        &mut self,
        flash: &F,
        buffer: &mut [u8],
        bytes: &[u8],
    ) -> Result<usize, StageError> {
        if !matches!(self.phase, Phase::Input) || bytes.is_empty() {
            return Ok(0);
        }
        let taken = match self.source {
            Source::Bundle { .. } => self.push_bundle(flash, buffer, bytes)?,
            Source::Raw(_) => self.push_raw(flash, buffer, bytes)?,
            Source::Copy(_) => return Err(StageError::NotRunning),
        };
        self.received = self.received.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        Ok(taken)
    }

    fn push_bundle<F: FlashRead>(
        &mut self,
        flash: &F,
        buffer: &mut [u8],
        bytes: &[u8],
    ) -> Result<usize, StageError> {
        let skip = self.bytes_to_skip();
        if skip > 0 {
            // Before the checkpoint of a resumed job: it is in flash.
            return Ok(bytes.len().min(skip as usize));
        }
        // Of a file's data no more than the buffer has room for.
        let room = self.writer.as_ref().map_or(bytes.len(), |writer| writer.room(buffer));
        let Source::Bundle { reader, .. } = &mut self.source else { return Ok(0) };
        let fed = reader.feed(crate::bytes::head(bytes, room), buffer)?;
        match fed.event {
            Bundle::More | Bundle::Directory => {}
            Bundle::Manifest { len } => {
                self.manifest(crate::bytes::head(buffer, len))?;
            }
            Bundle::FileStart { size, .. } => self.file_start(flash, size)?,
            Bundle::Data(data) => self.data(buffer, data),
            Bundle::FileEnd => self.file_end()?,
        }
        Ok(fed.consumed)
    }

    fn push_raw<F: FlashRead>(
        &mut self,
        flash: &F,
        buffer: &mut [u8],
        bytes: &[u8],
    ) -> Result<usize, StageError> {
        let Source::Raw(raw) = &self.source else { return Ok(0) };
        let (len, counter) = (raw.len, raw.security_counter);
        if self.writer.is_none() {
            self.check_counter(counter)?;
            self.open_part(flash, PartKind::App, len.unwrap_or(1))?;
            return Ok(0);
        }
        let room = self.writer.as_ref().map_or(0, |writer| writer.room(buffer));
        let bytes = crate::bytes::head(bytes, room);
        let end = self.digest.len().saturating_add(crate::bytes::len32(bytes.len()));
        if let Some(expected) = len.filter(|len| end > *len) {
            return Err(StageError::Length { found: end, expected });
        }
        if end > self.site.app_room {
            let room = self.site.app_room;
            return Err(StageError::TooBig { part: name(PartKind::App), size: end, room });
        }
        self.data(buffer, bytes);
        Ok(bytes.len())
    }

    /// The manifest is complete: everything that can be refused by it is refused here, before flash
    /// is touched.
    #[inline(never)]
    fn manifest(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        let selector = Selector {
            platform: self.site.platform,
            target_slot: self.site.slot,
            has_data: self.site.data_room.is_some(),
        };
        let manifest = Manifest::select(bytes, &selector)?;
        self.check_counter(manifest.security_counter)?;
        let parts =
            [(PartKind::App, Some(&manifest.app)), (PartKind::Data, manifest.data.as_ref())];
        for (part, plan) in parts {
            let size = plan.and_then(|plan| plan.size).unwrap_or(0);
            let room = self.site.room(part);
            if size > room {
                return Err(StageError::TooBig { part: name(part), size, room });
            }
        }
        let resumes = self.site.checkpoint.filter(|point| point.source == manifest.identity);
        if let Source::Bundle { manifest: kept, .. } = &mut self.source {
            *kept = Some(manifest);
        }
        if let Some(point) = resumes {
            self.begin_resume(point);
        }
        Ok(())
    }

    fn check_counter(&self, found: u32) -> Result<(), StageError> {
        let needed = self.site.security_counter;
        if found < needed { Err(StageError::BelowCounter { found, needed }) } else { Ok(()) }
    }

    fn file_start<F: FlashRead>(&mut self, flash: &F, size: u32) -> Result<(), StageError> {
        let Source::Bundle { reader, manifest: Some(manifest) } = &mut self.source else {
            return Ok(());
        };
        let wanted = manifest.wanted(reader.file_name()).filter(|(part, _)| match part {
            // A second file of the same name is none that was announced.
            PartKind::App => self.app.is_none(),
            PartKind::Data => self.data.is_none(),
        });
        let Some((part, plan)) = wanted else {
            reader.skip_file();
            return Ok(());
        };
        plan.check_size(size)?;
        if part == PartKind::App && size == 0 {
            return Err(StageError::MissingPart { part: name(part) });
        }
        self.open_part(flash, part, size)
    }

    fn data(&mut self, buffer: &mut [u8], data: &[u8]) {
        let Some(writer) = &mut self.writer else { return };
        self.digest.update(data);
        writer.push(buffer, data);
        if writer.room(buffer) == 0 {
            self.phase = Phase::Flush { last: false };
        }
    }

    fn file_end(&mut self) -> Result<(), StageError> {
        let Some(part) = self.current else { return Ok(()) };
        if let Some(plan) = self.source.plan(part) {
            self.digest.check(plan, name(part))?;
        }
        self.close_part();
        Ok(())
    }

    /// The bytes of the current part have all come.
    pub(super) fn close_part(&mut self) {
        let empty = self.writer.as_ref().is_none_or(|writer| writer.is_empty());
        if empty {
            self.part_complete();
        } else {
            self.phase = Phase::Flush { last: true };
        }
    }

    /// The stream has ended. Says whether there are steps to be made.
    ///
    /// # Errors
    /// [`StageError`]: something is missing; the job is over, without an image.
    pub(crate) fn end_of_input(&mut self) -> Result<(), StageError> {
        if self.ending {
            return Ok(());
        }
        match &self.source {
            Source::Bundle { reader, manifest } => {
                reader.finish()?;
                let wants_data = manifest.as_ref().is_some_and(|m| m.data.is_some());
                if self.app.is_none() {
                    return Err(StageError::MissingPart { part: name(PartKind::App) });
                }
                if wants_data && self.data.is_none() {
                    return Err(StageError::MissingPart { part: name(PartKind::Data) });
                }
            }
            Source::Raw(raw) => {
                let found = self.digest.len();
                if self.current.is_none() || found == 0 || raw.len.is_some_and(|len| len != found) {
                    return Err(StageError::Length { found, expected: raw.len.unwrap_or(1) });
                }
                self.close_part();
            }
            // A copy knows its own end.
            Source::Copy(_) => return Ok(()),
        }
        self.ending = true;
        Ok(())
    }

    /// A checkpoint, if it is time for one: everything before it is in flash, in whole sectors.
    pub(super) fn checkpoint(&mut self) -> Option<Event> {
        let Source::Bundle { reader, manifest: Some(manifest) } = &self.source else { return None };
        let (part, writer) = (self.current?, self.writer.as_ref()?);
        let plan = self.source.plan(part)?;
        // Else there would be nothing to check a resumed part by.
        let digested = plan.is_digested();
        let offset = writer.offset();
        let due = offset.saturating_sub(self.checkpointed) >= self.site.checkpoint_interval;
        let resumable = digested && manifest.identity != 0 && writer.at_sector_start();
        if !due || !resumable || reader.file_remaining() == 0 {
            return None;
        }
        self.checkpointed = offset;
        Some(Event::Checkpoint(Checkpoint {
            part: part_bit(part),
            other_done: match part {
                PartKind::App => self.data.is_some(),
                PartKind::Data => self.app.is_some(),
            },
            source: manifest.identity,
            stream_offset: reader.stream_offset(),
            part_offset: offset,
        }))
    }

    /// Where nothing is pushed: the slot that is copied must be whole, before another is erased for
    /// its sake.
    pub(super) fn check_source<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        offset: u32,
    ) -> Result<Next, StageError> {
        let Source::Copy(copy) = &self.source else { return Err(StageError::NotRunning) };
        let (slot, head) = (copy.slot, copy.descriptor.head());
        if offset < head.app_len() {
            let region = crate::flash::Region::App(slot);
            let offset = self.digest.read(flash, region, offset..head.app_len(), buffer)?;
            self.phase = Phase::Source { offset };
            return Ok(Next::Again);
        }
        let found = self.digest.value();
        if (found.crc, found.sha256) != (head.app_crc(), head.app_sha256()) {
            return Err(StageError::SourceDamaged { slot });
        }
        self.phase = Phase::Input;
        Ok(Next::Again)
    }

    /// Where nothing is pushed: the next bytes of the slot that is copied.
    #[inline(never)]
    pub(super) fn copy_input<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
    ) -> Result<Next, StageError> {
        let Source::Copy(copy) = &self.source else { return Ok(Next::Input) };
        let (slot, descriptor) = (copy.slot, copy.descriptor.clone());
        let parts = [(PartKind::App, descriptor.head().app_len(), self.app.is_none())];
        let data = (PartKind::Data, descriptor.head().data_len(), self.data.is_none());
        let data = Some(data).filter(|(_, len, _)| *len > 0);
        let todo = parts.into_iter().chain(data).find(|(_, _, open)| *open);
        let Some((part, len, _)) = todo else {
            self.begin_finish();
            return Ok(Next::Again);
        };
        if self.current != Some(part) {
            self.open_part(flash, part, len)?;
            return Ok(Next::Again);
        }
        let Some(writer) = &mut self.writer else { return Err(StageError::NotRunning) };
        let left = len.saturating_sub(writer.offset());
        let free = writer.free(buffer);
        let take = left.min(u32::try_from(free.len()).unwrap_or(u32::MAX));
        let from = match part {
            PartKind::App => crate::flash::Region::App(slot),
            PartKind::Data => crate::flash::Region::Data(slot),
        };
        let padded = crate::bytes::round_up(take, 4) as usize;
        let piece = free.get_mut(..padded).unwrap_or_default();
        super::writer::read(flash, from, writer.offset(), piece)?;
        self.digest.update(crate::bytes::head(piece, take as usize));
        writer.advance(take as usize);
        let whole = take == left;
        if whole && part == PartKind::App && self.digest.value().crc != descriptor.head().app_crc()
        {
            return Err(StageError::SourceDamaged { slot });
        }
        self.phase = Phase::Flush { last: whole };
        Ok(Next::Again)
    }
}

/// How a checkpoint names a part.
pub(super) const fn part_bit(part: PartKind) -> u8 {
    match part {
        PartKind::App => 0,
        PartKind::Data => 1,
    }
}
