//! Updates and snapshots: one at a time, from the first byte to the end.
//!
//! ```text
//! Idle -> Receiving -> Finishing -> Idle (applied; the reboot follows)
//!    \          \___________\____-> Idle (failed: message)
//!     \-> Snapshot --------------> Idle
//! ```
//! Whatever starts is also ended here: the engine is told to give up, the requester is answered,
//! and `OTA.Status` has the message.

use core::fmt::{self, Write};

use super::{Last, Service};
use crate::channel::ChannelId;
use crate::error::{Doing, Explain, classify, code};
use crate::limits::REBOOT_DELAY_MS;
use crate::ota::{Begin, Ota};
use crate::outstanding::{Answer, Outstanding, Stage};
use crate::platform::Platform;
use crate::reboot::Reboot;
use crate::writer::Words;

/// What runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    /// Nothing.
    Idle,
    /// Bytes of an update come in.
    Receiving(Receiving),
    /// They have come, and are checked.
    Finishing,
    /// The running image is copied to this slot.
    Snapshot(u8),
}

/// An update on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiving {
    pub(crate) source: Source,
    pub(crate) begin: Begin,
    /// Whether the engine was told to begin: of a download, only when there is something.
    pub(crate) has_begun: bool,
    /// Bytes received, hence the next offset.
    pub(crate) received: u32,
    /// The last chunk of `OTA.Write`, which may come again.
    pub(crate) last: Option<Chunk>,
    pub(crate) timeout_s: u32,
    pub(crate) deadline_ms: u64,
}

/// Where an update comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `OTA.Write`.
    Push,
    /// [`Service::feed`].
    Feed,
    /// A form over this channel.
    Upload(ChannelId),
}

/// A chunk that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl Receiving {
    pub(crate) fn new(source: Source, begin: Begin, timeout_s: u32, now_ms: u64) -> Self {
        let mut new = Self {
            source,
            begin,
            has_begun: false,
            received: 0,
            last: None,
            timeout_s,
            deadline_ms: 0,
        };
        new.progress(0, now_ms);
        new
    }

    /// Notes `len` more bytes, and that the sender is alive.
    pub(crate) fn progress(&mut self, len: u32, now_ms: u64) {
        let timeout_ms = u64::from(self.timeout_s).saturating_mul(1000);
        self.deadline_ms = now_ms.saturating_add(timeout_ms);
        self.received = self.received.saturating_add(len);
    }

    /// The next bytes start at `offset`, if the engine has all before.
    pub(crate) fn seek<O: Ota>(&mut self, offset: u32, ota: &mut O) -> bool {
        let possible = offset > self.received && ota.seek(offset);
        if possible {
            self.received = offset;
        }
        possible
    }

    /// Whether `len` more bytes are not more than `size`.
    pub(crate) fn has_room(&self, size: u32, len: u32) -> bool {
        self.received.checked_add(len).is_some_and(|end| end <= size)
    }

    /// For messages.
    pub(crate) fn shortage(&self) -> impl fmt::Display + use<> {
        Shortage { received: self.received, size: self.begin.size }
    }

    /// Whether all bytes have come, as far as can be told: the engine knows better.
    pub(crate) fn is_complete(&self) -> bool {
        self.received > 0 && self.begin.size.is_none_or(|size| size == self.received)
    }
}

/// How far an update came that ended too early.
struct Shortage {
    received: u32,
    size: Option<u32>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.size {
            Some(size) => write!(f, "{} of {size} bytes received", self.received),
            None => write!(f, "{} bytes received, more expected", self.received),
        }
    }
}

/// [`Service::feed`] takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FeedError {
    /// Another update or a snapshot runs.
    Busy,
    /// No download or upload is under way: it was aborted or timed out, or never started.
    NotReceiving,
    /// The update has failed just now. [`Service::message`] says why.
    Failed,
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "another update is in progress",
            Self::NotReceiving => "no update is being received",
            Self::Failed => "the update has failed",
        })
    }
}

impl core::error::Error for FeedError {}

/// Why an update could not be fetched.
#[derive(Clone, Copy, Debug)]
pub struct SourceError<'m> {
    /// What the requester gets; -10 is `Failed to connect`, and -404 the HTTP status 404.
    pub code: i32,
    /// What the requester reads.
    pub message: &'m str,
}

impl<P: Platform> Service<'_, P> {
    /// Begins to receive an update that comes over neither `OTA.Write` nor `OTA.Update`, such as
    /// a file in an HTTP POST. `timeout_s` 0 is the configured one.
    ///
    /// # Errors
    /// [`FeedError::Busy`] if something runs, [`FeedError::Failed`] if the engine refuses.
    pub fn begin_upload<O: Ota>(
        &mut self,
        begin: Begin,
        timeout_s: u32,
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), FeedError> {
        self.begin_from(Source::Feed, begin, timeout_s, now_ms, ota)
    }

    /// Begins to receive what is fed from `source`.
    pub(crate) fn begin_from<O: Ota>(
        &mut self,
        source: Source,
        begin: Begin,
        timeout_s: u32,
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), FeedError> {
        let timeout_s = self.timeout_or_default(Some(timeout_s));
        if self.is_busy() {
            return Err(FeedError::Busy);
        }
        ota.begin(&begin).map_err(|error| {
            let (_, prefix) = classify(Doing::StartUpdate, error.class());
            self.note(format_args!("{}{error}", Words(prefix)));
            FeedError::Failed
        })?;
        let receiving = Receiving::new(source, begin, timeout_s, now_ms);
        self.start(Job::Receiving(Receiving { has_begun: true, ..receiving }));
        Ok(())
    }

    /// The length of the download in bytes, once it is known (`Content-Length`). To be called
    /// before the first [`Self::feed`].
    pub fn feed_size(&mut self, size: u32) {
        if let Job::Receiving(receiving) = &mut self.job
            && !receiving.has_begun
        {
            receiving.begin.size = Some(size);
        }
    }

    /// The next bytes of a download or an upload.
    ///
    /// # Errors
    /// [`FeedError`]: stop fetching.
    pub fn feed<O: Ota>(&mut self, data: &[u8], now_ms: u64, ota: &mut O) -> Result<(), FeedError> {
        self.feed_from(Source::Feed, data, now_ms, ota)
    }

    /// The next bytes of what `source` sends: nobody writes into the update of another.
    pub(crate) fn feed_from<O: Ota>(
        &mut self,
        source: Source,
        data: &[u8],
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), FeedError> {
        let Job::Receiving(mut receiving) = self.job else {
            return Err(FeedError::NotReceiving);
        };
        if receiving.source != source {
            return Err(FeedError::NotReceiving);
        }
        if !receiving.has_begun {
            ota.begin(&receiving.begin).map_err(|error| {
                self.fail_because(Doing::StartUpdate, &error, ota);
                FeedError::Failed
            })?;
            receiving.has_begun = true;
        }
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if let Some(size) = receiving.begin.size.filter(|size| !receiving.has_room(*size, len)) {
            self.fail(code::FAILED, format_args!("Update aborted: more than {size} bytes"), ota);
            return Err(FeedError::Failed);
        }
        ota.write(data).map_err(|error| {
            self.fail_because(Doing::Update, &error, ota);
            FeedError::Failed
        })?;
        receiving.progress(len, now_ms);
        self.job = Job::Receiving(receiving);
        Ok(())
    }

    /// Where a download may go on, if the engine has what lies before from an interrupted one.
    /// Looked at after each [`Self::feed`], an HTTP client can ask for a `Range` and call
    /// [`Self::feed_seek`].
    pub fn feed_wanted<O: Ota>(&self, ota: &mut O) -> Option<u32> {
        let Job::Receiving(receiving) = self.job else { return None };
        ota.wanted_offset().filter(|offset| *offset > receiving.received)
    }

    /// The bytes that are fed next start at `offset`. False if that cannot be: go on as before.
    pub fn feed_seek<O: Ota>(&mut self, offset: u32, ota: &mut O) -> bool {
        let Job::Receiving(receiving @ Receiving { source: Source::Feed, .. }) = &mut self.job
        else {
            return false;
        };
        receiving.seek(offset, ota)
    }

    /// The download or upload has ended: all bytes have come, or there was an error. What follows
    /// is up to [`Self::poll`].
    pub fn end_feed<O: Ota>(&mut self, ended: Result<(), SourceError<'_>>, ota: &mut O) {
        self.end_from(Source::Feed, ended, ota);
    }

    /// What `source` sends has ended.
    pub(crate) fn end_from<O: Ota>(
        &mut self,
        source: Source,
        ended: Result<(), SourceError<'_>>,
        ota: &mut O,
    ) {
        if !matches!(self.job, Job::Receiving(receiving) if receiving.source == source) {
            return;
        }
        match ended {
            Ok(()) => self.finish_or_fail(ota),
            Err(error) => {
                self.fail(error.code, format_args!("{}", Words(error.message)), ota);
                // What is not there is no update.
                #[cfg(feature = "fimp")]
                if error.code == code::NO_FILE {
                    self.failure = Some(crate::error::Class::Package);
                }
            }
        }
    }

    /// What the last failure was, or how the last update ended: the message of `OTA.Status`.
    pub fn message(&self) -> &str {
        match (&self.job, self.last) {
            (Job::Receiving(_) | Job::Finishing | Job::Snapshot(_), _) => "progress",
            (Job::Idle, Last::Nothing) => "idle",
            (Job::Idle, Last::Applied) => "Update applied, rebooting",
            (Job::Idle, Last::Failed) => &self.message,
        }
    }

    /// All bytes are said to have come: go on to check them, or fail if some are missing.
    pub(crate) fn finish_or_fail<O: Ota>(&mut self, ota: &mut O) {
        match self.job {
            Job::Receiving(receiving) if receiving.is_complete() => match ota.end_of_input() {
                Ok(()) => self.job = Job::Finishing,
                Err(error) => self.fail_because(Doing::Update, &error, ota),
            },
            Job::Receiving(receiving) => {
                self.fail(
                    code::FAILED,
                    format_args!("Update aborted: {}", receiving.shortage()),
                    ota,
                );
            }
            Job::Idle | Job::Finishing | Job::Snapshot(_) => {}
        }
    }

    /// Ends what runs, because the engine could not go on.
    pub(crate) fn fail_because<O: Ota>(&mut self, doing: Doing, error: &O::Error, ota: &mut O) {
        let (code, prefix) = classify(doing, error.class());
        self.fail(code, format_args!("{}{error}", Words(prefix)), ota);
        #[cfg(feature = "fimp")]
        {
            self.failure = Some(error.class());
        }
    }

    /// Ends what runs without success, such that the same update may go on later.
    pub(crate) fn fail<O: Ota>(&mut self, code: i32, message: fmt::Arguments<'_>, ota: &mut O) {
        ota.suspend();
        self.failed(code, message);
    }

    /// What ran has failed, and the engine has nothing to give up.
    pub(crate) fn failed(&mut self, code: i32, message: fmt::Arguments<'_>) {
        self.note(message);
        #[cfg(feature = "fimp")]
        {
            self.failure = None;
        }
        self.job = Job::Idle;
        // To `mos`, an error with code 0 is a success.
        self.settle(Answer::Failed(if code == 0 { code::FAILED } else { code }));
    }

    /// Something new runs; how the last thing ended does not matter any more.
    pub(crate) fn start(&mut self, job: Job) {
        self.job = job;
        self.last = Last::Nothing;
    }

    /// The update is in place: reboot, after the reply if one is waited for.
    pub(crate) fn applied(&mut self, now_ms: u64) {
        self.job = Job::Idle;
        self.last = Last::Applied;
        self.settle(Answer::Applied);
        let announced =
            |outstanding: &Outstanding| outstanding.stage == Stage::Settled(Answer::Applied);
        if !self.outstanding.as_ref().is_some_and(announced) {
            self.reboot = Reboot::soon(REBOOT_DELAY_MS, now_ms);
        }
    }

    pub(crate) fn settle(&mut self, answer: Answer) {
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.settle(answer);
        }
    }

    /// Keeps the message of a failure; what does not fit is cut off.
    fn note(&mut self, message: fmt::Arguments<'_>) {
        // An update that waits for the reboot stays in place, whatever is refused meanwhile.
        if self.last != Last::Applied {
            self.last = Last::Failed;
        }
        self.message.clear();
        let _ = Cut(&mut self.message).write_fmt(message);
    }

    /// 0 is as good as none.
    pub(crate) fn timeout_or_default(&self, timeout_s: Option<u32>) -> u32 {
        timeout_s.filter(|timeout_s| *timeout_s > 0).unwrap_or(self.config.update_timeout_s)
    }
}

/// Keeps of what is written to it as many characters as fit.
struct Cut<'s, const N: usize>(&'s mut heapless::String<N>);

impl<const N: usize> Write for Cut<'_, N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_char(c))
    }

    fn write_char(&mut self, c: char) -> fmt::Result {
        self.0.push(c).map_err(|_| fmt::Error)
    }
}
