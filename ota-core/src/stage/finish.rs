//! The end of a job: proof that flash holds the image, then its descriptor.

use super::digest::PartDigest;
use super::error::FlashAction;
use super::{Job, Next, Phase, Source, StageError};
use crate::bundle::PartKind;
use crate::descriptor::{self, Descriptor};
use crate::flash::{FlashRead, MAX_PROGRAM, Region, Want};
use crate::state::Event;

/// Where the end of a job stands.
#[allow(clippy::large_enum_variant, reason = "one job at a time, and no heap")]
pub(super) enum Finish {
    /// A part is read back.
    ReadBack { part: PartKind, offset: u32, digest: PartDigest },
    /// The descriptor is programmed, from the buffer.
    Describe { at: usize },
}

impl Job {
    /// All parts are in flash: steps lead to the end.
    pub(super) fn begin_finish(&mut self) {
        self.read_back_part(PartKind::App);
    }

    /// Whether the bytes that came are all that is needed, and flash has them.
    pub(super) fn ready_to_finish(&self) -> bool {
        matches!(self.phase, Phase::Input) && self.current.is_none() && self.app.is_some()
    }

    fn read_back_part(&mut self, part: PartKind) {
        let digest = PartDigest::new(false);
        self.phase = Phase::Finish(Finish::ReadBack { part, offset: 0, digest });
    }

    #[inline(never)]
    pub(super) fn finish_step<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
    ) -> Result<Next, StageError> {
        match &mut self.phase {
            Phase::Finish(Finish::ReadBack { .. }) => self.read_back(flash, buffer),
            Phase::Finish(Finish::Describe { at }) => {
                let at = *at;
                self.describe(flash, buffer, ok, at)
            }
            Phase::Source { .. }
            | Phase::Input
            | Phase::Mark
            | Phase::EraseDescriptor { .. }
            | Phase::Flush { .. }
            | Phase::Redigest(_) => Ok(Next::Again),
        }
    }

    fn read_back<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
    ) -> Result<Next, StageError> {
        let Phase::Finish(Finish::ReadBack { part, offset, digest }) = &mut self.phase else {
            return Ok(Next::Again);
        };
        let (part, region) = (*part, self.site.region(*part));
        let expected = match part {
            PartKind::App => self.app,
            PartKind::Data => self.data,
        };
        let Some(expected) = expected else { return Err(StageError::NotRunning) };
        if *offset < expected.len {
            *offset = digest.read(flash, region, *offset..expected.len, buffer)?;
            return Ok(Next::Again);
        }
        if digest.value() != expected {
            return Err(StageError::ReadBack { part: super::name(part) });
        }
        if part == PartKind::App && self.data.is_some() {
            self.read_back_part(PartKind::Data);
            return Ok(Next::Again);
        }
        self.put_descriptor(buffer)?;
        self.phase = Phase::Finish(Finish::Describe { at: 0 });
        Ok(Next::Again)
    }

    fn put_descriptor(&self, buffer: &mut [u8]) -> Result<(), StageError> {
        let descriptor = self
            .app
            .and_then(|app| self.source.descriptor(self.site.platform, app, self.data))
            .ok_or(StageError::NotRunning)?;
        crate::bytes::put(buffer, 0, descriptor.as_bytes());
        Ok(())
    }

    fn describe<F: FlashRead>(
        &mut self,
        flash: &mut F,
        buffer: &mut [u8],
        ok: bool,
        at: usize,
    ) -> Result<Next, StageError> {
        let start = self.site.app_room;
        if at > 0 && !ok {
            return Err(self.fault(FlashAction::Program, start));
        }
        if at < descriptor::LEN {
            let len = descriptor::LEN.saturating_sub(at).min(MAX_PROGRAM);
            self.phase = Phase::Finish(Finish::Describe { at: at.saturating_add(len) });
            let offset = start.saturating_add(crate::bytes::len32(at));
            let region = Region::App(self.site.slot);
            return Ok(Next::Want(Want::Program { region, offset, start: at, len }));
        }
        let written = Descriptor::read(flash, self.site.slot).ok();
        let same = written.filter(|found| buffer.starts_with(found.as_bytes()));
        let Some(descriptor) = same else {
            return Err(StageError::ReadBack { part: "descriptor" });
        };
        Ok(Next::Finished(self.announcement(descriptor.crc())))
    }

    fn announcement(&self, descriptor_crc: u32) -> Event {
        let (slot, clean) = (self.site.slot, self.site.trusted);
        match &self.source {
            Source::Copy(copy) => Event::SnapshotFinished {
                slot,
                descriptor_crc,
                set_as_revert: copy.set_as_revert,
                commit_timeout_s: self.replace_timeout.then_some(self.commit_timeout_s),
                clean,
            },
            Source::Bundle { .. } | Source::Raw(_) => Event::StageFinished {
                slot,
                descriptor_crc,
                commit_timeout_s: self.commit_timeout_s,
                clean,
            },
        }
    }
}
