//! The application from its start to the next reset: engine and RPC service, side by side.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use embedded_io::{Read, ReadReady, Write};
use ota_core::{BootState, ChangeError, Updater};
use ota_rpc::fimp::{Fimp, Publication};
use ota_rpc::framing::http::{Ended, Response, Upload};
use ota_rpc::framing::port::{Port, PortError, Step};
use ota_rpc::framing::udp;
use ota_rpc::service::{self, FeedError, SourceError};
use ota_rpc::{Channel, ChannelId, ChannelKind, Config, Service};

use super::platform::SimPlatform;
use super::{Event, FimpSettings, ResetCause, Settings, Switches};
use crate::app::Behaviour;
use crate::flash::SimFlash;
use crate::layout::Board;

/// The longest reply, in bytes.
pub const MAX_REPLY_BYTES: usize = 4096;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reply.
    pub reply: Reply,
    /// What is to be done besides.
    pub action: Option<Action>,
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This frame.
    Frame(Vec<u8>),
    /// It comes later, in [`Polled::reply`].
    Later,
    /// There is none: the request was a notification.
    None,
    /// The request is not one for this device. With the error frame to send, which may be empty.
    Rejected(Vec<u8>),
    /// The device is off, or hangs, or has nothing to run.
    NoAnswer,
}

/// What a device wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch an update and feed it.
    Download(Download),
    /// The same from a file.
    Read(UpdateFile),
    /// Stop fetching it.
    AbortDownload,
}

/// An update to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Where from.
    pub url: String,
    /// Headers to send along.
    pub headers: Vec<(&'static str, String)>,
}

/// An update in a folder of updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFile {
    /// The folder.
    pub root: PathBuf,
    /// As it was asked for.
    pub path: String,
}

/// A message of FIMP to be published, with QoS 1 and not retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FimpMessage {
    /// Where to.
    pub topic: String,
    /// JSON.
    pub payload: Vec<u8>,
}

/// What came of a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// A reply that was announced as coming later.
    pub reply: Option<(ChannelId, Vec<u8>)>,
    /// What is to be done.
    pub action: Option<Action>,
}

/// How an upload stands that takes no more bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// Its sender may not: an error frame.
    Denied(Vec<u8>),
    /// It was refused.
    Refused {
        /// HTTP status.
        status: u16,
        /// Body of the response.
        text: String,
    },
    /// The reply comes later, in [`Polled::reply`].
    Later,
    /// The device is off, or hangs, or was reset meanwhile.
    NoAnswer,
}

/// What came of a step of a serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// What is to be done.
    pub action: Option<Action>,
    /// There is nothing to do until something comes in or time passes.
    pub is_idle: bool,
}

/// Why a download failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// Code of the reply: -10 is `Failed to connect`, -404 the HTTP status 404, -1 anything else.
    pub code: i32,
    /// What is wrong, in words.
    pub message: String,
}

/// How far an update or a snapshot has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The slot that is written.
    pub slot: u8,
    /// Bytes of the stream so far.
    pub received: u32,
    /// Bytes of the whole stream, if that is known.
    pub announced: Option<u32>,
    /// Version of the new image; empty until the manifest has come.
    pub version: String,
}

impl Outcome {
    pub(super) fn no_answer() -> Self {
        Self { reply: Reply::NoAnswer, action: None }
    }
}

/// One run of the application.
pub(super) struct Session<'m> {
    updater: Updater<'m, SimFlash<'m>>,
    pub(super) service: Service<'m, SimPlatform<'m>>,
    /// Forms that are coming in, by the number of the channel.
    uploads: HashMap<u16, Upload>,
    fimp: Option<(Fimp<'m>, FimpSettings<'m>)>,
    /// Where replies are written.
    out: Vec<u8>,
}

impl<'m> Session<'m> {
    pub(super) fn new(
        mut updater: Updater<'m, SimFlash<'m>>,
        settings: Settings<'m>,
        switches: Switches,
        board: &Board,
        now_ms: u64,
    ) -> Self {
        let image = updater.running_image();
        let platform = SimPlatform::new(settings, switches, board, image.as_ref(), now_ms);
        let Settings { id, commit_timeout_s, access, fimp, .. } = settings;
        let config = Config { commit_timeout_s, access, ..Config::new(id) };
        let service = Service::new(config, platform);
        let fimp = fimp
            .map(|settings| (Fimp::new(settings.config, &service, &mut updater, now_ms), settings));
        let out = vec![0; MAX_REPLY_BYTES];
        Self { updater, service, uploads: HashMap::new(), fimp, out }
    }

    /// The application's report of its start, as its image behaves. The reset that follows.
    pub(super) fn report_start(
        &mut self,
        behaviour: Behaviour,
        events: &mut VecDeque<Event>,
    ) -> Option<ResetCause> {
        let good = match behaviour {
            Behaviour::NeverCommits => return None,
            Behaviour::BadStart => false,
            Behaviour::Healthy | Behaviour::Crashes | Behaviour::Hangs => true,
        };
        let was_committed = self.boot_state().committed;
        match self.updater.report_start(good) {
            Ok(true) => return Some(ResetCause::BadStart),
            Ok(false) if self.boot_state().committed && !was_committed => {
                events.push_back(Event::CommittedItself);
            }
            Ok(false) => {}
            Err(error) => events.push_back(Event::StartRefused(error)),
        }
        None
    }

    pub(super) fn into_ram(self) -> &'m mut [u8] {
        self.updater.into_parts().1
    }

    pub(super) fn boot_state(&self) -> BootState {
        self.updater.boot_state()
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        self.updater.progress().map(|progress| Progress {
            slot: progress.slot,
            received: progress.received,
            announced: progress.announced,
            version: progress.version.to_owned(),
        })
    }

    pub(super) fn has_run_for(&self, time_ms: u64, now_ms: u64) -> bool {
        let platform = self.service.platform();
        let since_poll_ms = now_ms.saturating_sub(platform.now_ms);
        platform.uptime_ms().saturating_add(since_poll_ms) >= time_ms
    }

    pub(super) fn rpc(&mut self, from: Channel<'_>, frame: &[u8], now_ms: u64) -> Outcome {
        self.service.platform_mut().now_ms = now_ms;
        let Self { updater, service, out, .. } = self;
        let room = match from.kind == ChannelKind::Udp {
            true => udp::limited(out),
            false => &mut out[..],
        };
        let outcome = service.handle(frame, from, now_ms, updater, room);
        let text = |length: usize| out[..length].to_vec();
        let reply = match outcome.reply {
            service::Reply::Frame(length) => Reply::Frame(text(length)),
            service::Reply::Later => Reply::Later,
            service::Reply::None => Reply::None,
            service::Reply::Rejected { len, .. } => Reply::Rejected(text(len)),
            // Nothing was done.
            service::Reply::NoRoom(_) => Reply::Rejected(Vec::new()),
        };
        let action = outcome.action.and_then(|action| self.action(action));
        self.look(now_ms);
        Outcome { reply, action }
    }

    pub(super) fn exchange<T: Read + ReadReady + Write>(
        &mut self,
        port: &mut Port<'_>,
        io: &mut T,
        now_ms: u64,
    ) -> Result<Exchanged, PortError<T::Error>> {
        self.service.platform_mut().now_ms = now_ms;
        let Step { action, is_idle } =
            port.exchange(io, &mut self.service, &mut self.updater, now_ms)?;
        self.look(now_ms);
        Ok(Exchanged { action: action.and_then(|action| self.action(action)), is_idle })
    }

    pub(super) fn begin_upload(
        &mut self,
        from: Channel<'_>,
        content_type: &str,
        now_ms: u64,
    ) -> Result<(), Uploaded> {
        self.service.platform_mut().now_ms = now_ms;
        let permit = self.service.permit_upload(from, now_ms, &mut self.out);
        let permit = permit.map_err(|denied| match denied {
            service::Reply::Frame(length) => Uploaded::Denied(self.out[..length].to_vec()),
            _ => Uploaded::Denied(Vec::new()),
        })?;
        let upload = Upload::new(permit, content_type, from.id)
            .map_err(|refusal| self.uploaded(Ended::Refused(refusal)))?;
        self.uploads.insert(from.id.0, upload);
        Ok(())
    }

    pub(super) fn feed_upload(
        &mut self,
        channel: ChannelId,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<(), Uploaded> {
        let Self { updater, service, uploads, .. } = self;
        let upload = uploads.get_mut(&channel.0).ok_or(Uploaded::NoAnswer)?;
        let fed = upload.feed(bytes, service, now_ms, updater);
        fed.map_err(|ended| {
            self.uploads.remove(&channel.0);
            self.uploaded(ended)
        })
    }

    pub(super) fn end_upload(&mut self, channel: ChannelId) -> Uploaded {
        let Some(upload) = self.uploads.remove(&channel.0) else { return Uploaded::NoAnswer };
        let ended = upload.end(&mut self.service, &mut self.updater);
        self.uploaded(ended)
    }

    fn uploaded(&self, ended: Ended) -> Uploaded {
        match ended {
            Ended::Later => Uploaded::Later,
            Ended::Refused(refusal) => {
                let response = Response::to_refusal(refusal, &self.service);
                Uploaded::Refused { status: response.status(), text: response.body().to_string() }
            }
        }
    }

    pub(super) fn channel_closed(&mut self, channel: ChannelId, now_ms: u64) {
        self.uploads.remove(&channel.0);
        self.service.channel_closed(channel, now_ms);
    }

    /// What the service has to do, and the reset that is due.
    pub(super) fn poll(&mut self, now_ms: u64) -> (Polled, Option<ResetCause>) {
        self.service.platform_mut().now_ms = now_ms;
        match self.updater.tick(now_ms) {
            Ok(true) => return (Polled::default(), Some(ResetCause::CommitTimeout)),
            Ok(false) => {}
            // Not written now; the next poll tries again.
            Err(ChangeError::RecordNotWritten | ChangeError::Refused(_)) => {}
        }
        let Self { updater, service, out, .. } = self;
        let polled = service.poll(now_ms, updater, out);
        let reset = matches!(polled.action, Some(service::Action::Reboot))
            && self.fimp.as_ref().is_none_or(|(fimp, _)| fimp.may_reboot(now_ms));
        let reply = polled.reply.and_then(|reply| {
            let length = reply.frame.ok()?;
            Some((reply.channel, out[..length].to_vec()))
        });
        let action = polled.action.and_then(|action| self.action(action));
        self.look(now_ms);
        (Polled { reply, action }, reset.then_some(ResetCause::Requested))
    }

    pub(super) fn feed(&mut self, bytes: &[u8], now_ms: u64) -> Result<Option<u32>, FeedError> {
        self.service.platform_mut().now_ms = now_ms;
        let fed = self.service.feed(bytes, now_ms, &mut self.updater);
        self.look(now_ms);
        fed?;
        Ok(self.service.feed_wanted(&mut self.updater))
    }

    pub(super) fn feed_seek(&mut self, offset: u32) -> bool {
        self.service.feed_seek(offset, &mut self.updater)
    }

    pub(super) fn end_feed(&mut self, ended: Result<(), FetchError>) {
        let ended = match &ended {
            Ok(()) => Ok(()),
            Err(FetchError { code, message }) => Err(SourceError { code: *code, message }),
        };
        self.service.end_feed(ended, &mut self.updater);
        self.look(self.service.platform().now_ms);
    }

    /// FIMP sees what the service did.
    fn look(&mut self, now_ms: u64) {
        if let Some((fimp, _)) = &mut self.fimp {
            fimp.look(&self.service, &mut self.updater, now_ms);
        }
    }

    pub(super) fn fimp(
        &mut self,
        topic: &str,
        message: &[u8],
        now_ms: u64,
    ) -> (Option<FimpMessage>, Option<Action>) {
        self.service.platform_mut().now_ms = now_ms;
        let Self { updater, service, fimp, out, .. } = self;
        let Some((fimp, settings)) = fimp else { return (None, None) };
        let handled = fimp.handle(topic, message, service, updater, now_ms, out);
        let reply = handled.reply.map(|reply| message_of(reply, out));
        let action = handled.fetch.then(|| fetch(fimp.path(), settings, service));
        (reply, action)
    }

    pub(super) fn user_starts(&mut self, now_ms: u64) -> Option<Action> {
        self.service.platform_mut().now_ms = now_ms;
        let Self { updater, service, fimp, .. } = self;
        let (fimp, settings) = fimp.as_mut()?;
        let starts = fimp.user_starts(service, updater, now_ms);
        starts.then(|| fetch(fimp.path(), settings, service))
    }

    pub(super) fn waits_for_user(&self) -> bool {
        self.fimp.as_ref().is_some_and(|(fimp, _)| fimp.waits_for_user())
    }

    pub(super) fn fimp_report(&mut self, now_ms: u64) -> Option<FimpMessage> {
        self.service.platform_mut().now_ms = now_ms;
        let Self { updater, service, fimp, out, .. } = self;
        let report = fimp.as_mut()?.0.poll(service, updater, now_ms, out)?;
        Some(message_of(report, out))
    }

    pub(super) fn fimp_delivered(&mut self) {
        if let Some((fimp, _)) = &mut self.fimp {
            fimp.delivered(&mut self.updater);
        }
    }

    pub(super) fn fimp_connected(&mut self, is_connected: bool) {
        match &mut self.fimp {
            Some((fimp, _)) if is_connected => fimp.connected(),
            Some((fimp, _)) => fimp.disconnected(),
            None => {}
        }
    }

    /// A reset comes with the poll, and is no action here.
    fn action(&self, action: service::Action<'_>) -> Option<Action> {
        match action {
            service::Action::Download(download) => {
                let headers = self.service.platform().download_headers();
                Some(Action::Download(Download { url: download.url.to_string(), headers }))
            }
            service::Action::AbortDownload => Some(Action::AbortDownload),
            service::Action::Reboot => None,
        }
    }
}

fn message_of(publication: Publication, out: &[u8]) -> FimpMessage {
    let Publication { topic, len } = publication;
    FimpMessage { topic: topic.as_str().to_owned(), payload: out[..len].to_vec() }
}

/// What FIMP calls a full path may be a URL too.
fn fetch(
    path: &str,
    settings: &FimpSettings<'_>,
    service: &Service<'_, SimPlatform<'_>>,
) -> Action {
    match path.contains("://") {
        true => {
            let headers = service.platform().download_headers();
            Action::Download(Download { url: path.to_owned(), headers })
        }
        false => Action::Read(UpdateFile { root: settings.root.to_owned(), path: path.to_owned() }),
    }
}
