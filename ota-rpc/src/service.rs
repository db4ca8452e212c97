//! The service: requests in, replies and actions out.

mod permit;
mod poll;
mod rate;
mod reply;
#[cfg(test)]
pub(crate) mod tests;
mod transfer;
mod upload;

use heapless::String;
use ota_core::json::Text;

pub use permit::Permit;
pub use poll::{Deferred, Polled};
pub(crate) use rate::Rate;
pub(crate) use transfer::{Chunk, Job, Receiving, Source};
pub use transfer::{FeedError, SourceError};
use upload::GONE;

use crate::channel::{Channel, ChannelId};
use crate::frame::Rejected;
use crate::limits::{DEFAULT_UPDATE_TIMEOUT_S, MAX_MESSAGE_BYTES};
use crate::ota::Ota;
use crate::outstanding::{Answer, Outstanding, Stage};
use crate::platform::Platform;
use crate::reboot::Reboot;
use crate::writer::NoRoom;

/// What a service is told at the start.
#[derive(Clone, Copy, Debug)]
pub struct Config<'d> {
    /// Name of the device: `src` of its replies, and the only `dst` that it listens to.
    pub device_id: &'d str,
    /// An update without progress for this long is aborted, in s; a request may ask for another.
    pub update_timeout_s: u32,
    /// `commit_timeout` of updates that do not give one, in s; 0: they commit themselves.
    pub commit_timeout_s: u32,
    /// Who may do what. None: everybody everything, which is for lines and loopback addresses that
    /// nobody else can reach. See [`Config::is_open`].
    #[cfg(feature = "auth")]
    pub access: Option<crate::auth::Access<'d>>,
}

impl<'d> Config<'d> {
    /// The defaults of Mongoose OS.
    pub const fn new(device_id: &'d str) -> Self {
        Self {
            device_id,
            update_timeout_s: DEFAULT_UPDATE_TIMEOUT_S,
            commit_timeout_s: 0,
            #[cfg(feature = "auth")]
            access: None,
        }
    }
}

/// The RPC service of a device: all methods over all transports, one request at a time.
///
/// It does no input or output. The owner hands it requests, calls [`Self::poll`] about every 10 ms
/// and at once while that says `busy`, sends what comes out, and does the [`Action`]s:
///
/// | owner | service |
/// |---|---|
/// | a request came | [`Self::handle`]: a reply, or one that comes later; an action |
/// | time has passed | [`Self::poll`]: replies that come later, timeouts, the reboot |
/// | a reply is out of the device | [`Self::reply_flushed`]: a planned reboot waits for it |
/// | a connection has ended | [`Self::channel_closed`] |
/// | [`Action::Download`] | [`Self::feed_size`], [`Self::feed`] ..., [`Self::end_feed`] |
#[derive(Debug)]
pub struct Service<'d, P> {
    pub(crate) config: Config<'d>,
    pub(crate) platform: P,
    pub(crate) job: Job,
    /// How the last update ended, if none runs.
    pub(crate) last: Last,
    /// Of the last failure: for `OTA.Status` and for replies that come later.
    pub(crate) message: String<MAX_MESSAGE_BYTES>,
    /// What sort of failure that was, if the engine's.
    #[cfg(feature = "fimp")]
    pub(crate) failure: Option<crate::error::Class>,
    pub(crate) outstanding: Option<Outstanding>,
    pub(crate) reboot: Reboot,
    pub(crate) rate: Rate,
    #[cfg(feature = "auth")]
    pub(crate) guard: crate::auth::Guard,
}

/// How the last update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// There was none since the start.
    Nothing,
    /// It failed; `message` says why.
    Failed,
    /// It is in place, and runs after the reboot.
    Applied,
}

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'r> {
    /// The reply.
    pub reply: Reply,
    /// What the owner has to do besides, after sending the reply.
    pub action: Option<Action<'r>>,
}

/// The reply to a request. Lengths count bytes from the start of the buffer that was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Send this many bytes.
    Frame(usize),
    /// It comes from [`Service::poll`], with the id of this channel.
    Later,
    /// There is none: a notification, or a reply of somebody else.
    None,
    /// Not a frame for this device. HTTP answers 400 and other transports of single requests close.
    Rejected {
        /// Why.
        why: Rejected,
        /// Length of an error frame; 0 if silence is asked for. It has no `dst`.
        len: usize,
    },
    /// Nothing was done: not even an error fits the buffer.
    NoRoom(NoRoom),
}

/// What the owner of a service has to do.
#[derive(Clone, Copy, Debug)]
pub enum Action<'r> {
    /// Fetch an update and hand it to [`Service::feed`].
    Download(Download<'r>),
    /// Stop fetching it.
    AbortDownload,
    /// Reboot now: the reply that announces it is out.
    Reboot,
}

/// An update to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Download<'r> {
    /// Where from. Part of the request, so it has to be copied before that is gone; decoded it has
    /// at most [`crate::limits::MAX_URL_BYTES`].
    pub url: Text<'r>,
    /// What the update's commit timeout will be, in s. The service sees to it.
    pub commit_timeout_s: u32,
    /// After how long without progress the update is aborted, in s. The service sees to it.
    pub timeout_s: u32,
}

impl<'d, P: Platform> Service<'d, P> {
    /// A service that has nothing to do yet.
    pub fn new(config: Config<'d>, platform: P) -> Self {
        Self {
            config,
            platform,
            job: Job::Idle,
            last: Last::Nothing,
            message: String::new(),
            #[cfg(feature = "fimp")]
            failure: None,
            outstanding: None,
            reboot: Reboot::Off,
            rate: Rate::NEW,
            #[cfg(feature = "auth")]
            guard: crate::auth::Guard::new(),
        }
    }

    /// The device's description of itself.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The device's description of itself, to change it.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Carries out a request and writes the reply to `out`. `now_ms` is any clock that never goes
    /// back, in ms.
    ///
    /// Of the text nothing is trusted. `out` should have 1 KiB; `RPC.List` needs about 400 bytes,
    /// `Sys.GetInfo` 500. A request whose id, src and tag leave less than
    /// [`MIN_REPLY_BYTES`](crate::limits::MIN_REPLY_BYTES) of it is not carried out, and answered
    /// by error 500 without its tag.
    pub fn handle<'r, O: Ota>(
        &mut self,
        request: &'r [u8],
        from: Channel<'_>,
        now_ms: u64,
        ota: &mut O,
        out: &mut [u8],
    ) -> Outcome<'r> {
        reply::handle(self, request, from, now_ms, ota, out)
    }

    /// The last reply to `channel` has left the device: a reboot that it announces is due 100 ms
    /// later. Without this call, the reboot waits 5 s more.
    pub fn reply_flushed(&mut self, channel: ChannelId, now_ms: u64) {
        self.reboot.flushed(channel, now_ms);
    }

    /// `channel` has ended: what was to be sent there is dropped. An update that came over it by
    /// `OTA.Write` goes on, because its sender may connect again; one that is uploaded as a form
    /// ends with it.
    pub fn channel_closed(&mut self, channel: ChannelId, now_ms: u64) {
        self.reboot.flushed(channel, now_ms);
        self.upload_closed(channel);
        let is_waiting = |outstanding: &&mut Outstanding| outstanding.channel == channel;
        if let Some(outstanding) = self.outstanding.as_mut().filter(is_waiting) {
            if outstanding.stage == Stage::Settled(Answer::Applied) {
                self.reboot = Reboot::soon(crate::limits::REBOOT_DELAY_MS, now_ms);
            }
            outstanding.stage = Stage::Sent;
        }
    }

    /// Whether an update or a snapshot runs.
    pub fn is_busy(&self) -> bool {
        !matches!(self.job, Job::Idle)
    }
}
