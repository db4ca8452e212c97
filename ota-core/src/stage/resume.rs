//! Going on where an interrupted job stopped.
//!
//! The bundle's head has been read again and its manifest is the one of the checkpoint. What lies
//! before the checkpoint is digested from flash, so that the digests of the parts come out as if
//! every byte had been streamed; everything behind it is erased and written anew.

use super::digest::PartDigest;
use super::input::part_bit;
use super::writer::Writer;
use super::{Job, Next, Phase, Source, StageError, name};
use crate::bundle::{PartKind, Reader};
use crate::flash::FlashRead;
use crate::state::Checkpoint;

/// A digest of what is in flash, under way.
pub(super) struct Redigest {
    part: PartKind,
    offset: u32,
    end: u32,
    /// What comes after this part.
    then: Option<Checkpoint>,
}

impl Job {
    /// How many bytes of the stream may be dropped: they are in flash.
    pub(super) fn bytes_to_skip(&self) -> u32 {
        match &self.source {
            Source::Bundle { reader, .. } => reader.stream_offset().saturating_sub(self.received),
            Source::Raw(_) | Source::Copy(_) => 0,
        }
    }

    /// Offset in the stream of the first byte that is of use: a source that can seek goes there.
    pub(crate) fn wanted_offset(&self) -> u32 {
        self.received.saturating_add(self.bytes_to_skip())
    }

    /// The stream goes on at `offset`, between what was received and what is wanted.
    pub(crate) fn seek(&mut self, offset: u32) -> bool {
        let possible = (self.received..=self.wanted_offset()).contains(&offset);
        if possible {
            self.received = offset;
        }
        possible
    }

    /// Starts over from `point`, if everything it needs is known.
    pub(super) fn begin_resume(&mut self, point: Checkpoint) {
        let current =
            if point.part == part_bit(PartKind::App) { PartKind::App } else { PartKind::Data };
        let other = match current {
            PartKind::App => PartKind::Data,
            PartKind::Data => PartKind::App,
        };
        let plan = |part| self.source.plan(part);
        let size = |part| plan(part).and_then(|plan| plan.size);
        let fits = size(current).is_some_and(|size| point.part_offset < size);
        // Without a digest there is nothing to check what lies in flash by.
        let sure = !point.other_done
            || size(other).is_some() && plan(other).is_some_and(|plan| plan.is_digested());
        if !fits || !sure {
            return;
        }
        self.marked = true;
        let first = if point.other_done { other } else { current };
        self.redigest_part(first, point);
    }

    fn redigest_part(&mut self, part: PartKind, point: Checkpoint) {
        let plan = self.source.plan(part);
        let with_sha1 = plan.is_some_and(|plan| plan.sha1.is_some());
        let size = plan.and_then(|plan| plan.size).unwrap_or(0);
        let is_current = part_bit(part) == point.part;
        let end = if is_current { point.part_offset } else { size };
        self.digest = PartDigest::new(with_sha1);
        let then = Some(point);
        self.phase = Phase::Redigest(Redigest { part, offset: 0, end, then });
    }

    pub(super) fn redigest<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
    ) -> Result<Next, StageError> {
        let Phase::Redigest(state) = &mut self.phase else { return Ok(Next::Again) };
        let region = self.site.region(state.part);
        if state.offset < state.end {
            match self.digest.read(flash, region, state.offset..state.end, buffer) {
                Ok(offset) => state.offset = offset,
                Err(_) => self.start_anew(),
            }
            return Ok(Next::Again);
        }
        let (part, then) = (state.part, state.then.take());
        let Some(point) = then else { return Ok(Next::Again) };
        if part_bit(part) != point.part {
            return Ok(self.other_part_done(part, point));
        }
        self.current = Some(part);
        let Some(geometry) = flash.geometry(region) else {
            self.start_anew();
            return Ok(Next::Again);
        };
        // Behind the checkpoint nothing is trusted.
        self.writer = Some(Writer::new(region, geometry, point.part_offset, false));
        self.checkpointed = point.part_offset;
        let size = self.source.plan(part).and_then(|plan| plan.size).unwrap_or(0);
        let left = size.saturating_sub(point.part_offset);
        if let Source::Bundle { reader, .. } = &mut self.source {
            *reader = Reader::resume_in_file(point.stream_offset, left);
        }
        // The interrupted job may have come as far as writing the descriptor.
        self.phase = Phase::EraseDescriptor { offset: self.site.app_room };
        Ok(Next::Again)
    }

    /// The part that was complete before the interruption: is it still?
    fn other_part_done(&mut self, part: PartKind, point: Checkpoint) -> Next {
        let whole =
            self.source.plan(part).is_some_and(|plan| self.digest.check(plan, name(part)).is_ok());
        if !whole {
            self.start_anew();
            return Next::Again;
        }
        self.current = Some(part);
        self.part_complete();
        let current = if part == PartKind::App { PartKind::Data } else { PartKind::App };
        self.redigest_part(current, point);
        Next::Again
    }

    /// What is in flash is not what it should be: take the whole stream again.
    fn start_anew(&mut self) {
        self.marked = false;
        self.app = None;
        self.data = None;
        self.current = None;
        self.writer = None;
        self.phase = Phase::Input;
    }
}
