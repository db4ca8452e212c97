//! An update that comes as a form, whose sender waits for one reply at its end.

use super::{FeedError, Job, Service, Source, SourceError};
use crate::channel::ChannelId;
use crate::ota::{Begin, Ota};
use crate::outstanding::{Outstanding, Stage};
use crate::platform::Platform;

/// The deadline of an upload whose connection has ended: no clock is before it.
pub(super) const GONE: u64 = 0;

impl<P: Platform> Service<'_, P> {
    /// Begins an upload. From then on its sender gets a reply from [`Self::poll`], however it ends.
    pub(crate) fn begin_form<O: Ota>(
        &mut self,
        channel: ChannelId,
        commit_timeout_s: Option<u32>,
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), FeedError> {
        let is_waiting = |outstanding: &Outstanding| outstanding.stage != Stage::Sent;
        if self.outstanding.as_ref().is_some_and(is_waiting) {
            return Err(FeedError::Busy);
        }
        let outstanding = Outstanding::of_upload(channel).map_err(|_| FeedError::Failed)?;
        let commit_timeout_s = commit_timeout_s.unwrap_or(self.config.commit_timeout_s);
        let begin = Begin { size: None, commit_timeout_s };
        self.begin_from(Source::Upload(channel), begin, 0, now_ms, ota)?;
        self.outstanding = Some(outstanding);
        Ok(())
    }

    /// The next bytes of the file.
    pub(crate) fn feed_form<O: Ota>(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), FeedError> {
        self.feed_from(Source::Upload(channel), data, now_ms, ota)
    }

    /// What the form says of the time for a commit.
    pub(crate) fn set_form_timeout<O: Ota>(
        &mut self,
        channel: ChannelId,
        commit_timeout_s: u32,
        ota: &mut O,
    ) {
        if let Job::Receiving(receiving) = &mut self.job
            && receiving.source == Source::Upload(channel)
        {
            receiving.begin.commit_timeout_s = commit_timeout_s;
            ota.set_commit_timeout(commit_timeout_s);
        }
    }

    /// The form has ended, well or not.
    pub(crate) fn end_form<O: Ota>(
        &mut self,
        channel: ChannelId,
        ended: Result<(), SourceError<'_>>,
        ota: &mut O,
    ) {
        self.end_from(Source::Upload(channel), ended, ota);
    }

    /// Nobody sends the rest any more: [`Self::poll`] gives the upload up.
    pub(super) fn upload_closed(&mut self, channel: ChannelId) {
        if let Job::Receiving(receiving) = &mut self.job
            && receiving.source == Source::Upload(channel)
        {
            receiving.deadline_ms = GONE;
        }
    }
}
