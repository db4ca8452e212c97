//! A download under way.
//!
//! ```text
//! Ready -> Resolving -> Connecting -> Asking -> Body -> done
//!   ^ \________________/                |        |
//!   |   an address needs no name        |        | broken, or the engine has
//!   \___________________________________/_______/  what follows
//! ```
//! A connection that breaks is made again at the byte where it broke, a few times.

use core::fmt::{self, Write};
use core::net::Ipv4Addr;

use heapless::String;
use ota_core::json::Text;
use ota_rpc::limits::MAX_URL_BYTES;
use ota_rpc::{Ota, Platform, Service};
use smoltcp::socket::dns::QueryHandle;
use smoltcp::socket::tcp::{RecvError, Socket, State};

use crate::device::DEVICE;
use crate::http::{Body, CONNECT_FAILED, FAILED, Failure, Host, Transfer, Url};
use crate::log::log;
use crate::network::{Network, Resolved};

/// Fewer bytes than this are not worth another request.
const MIN_SKIP: u32 = 16 * 1024;
/// How often a broken connection is made again without a byte having come.
const RETRIES: u8 = 3;
const RETRY_PAUSE_MS: u64 = 300;
/// For an address by DHCP, and for the connection.
const CONNECT_MS: u64 = 10_000;
/// For the answer, and for each next byte.
const SILENCE_MS: u64 = 30_000;
/// What the engine gets at once, in bytes.
const PIECE: usize = 1024;

/// How a download ends.
pub(super) enum End {
    /// All bytes have come.
    Complete,
    /// The service takes no more, and answers by itself.
    Refused,
    /// Not all bytes can be had.
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

#[derive(Clone, Copy)]
enum Stage {
    /// To connect at this time, once there is a network and the last connection is gone.
    Ready { at_ms: u64 },
    /// The host's address is asked for.
    Resolving(QueryHandle),
    /// The connection is made.
    Connecting,
    /// It stands, and the request is out.
    Asking,
    /// The file comes, after `dropped` bytes that are not wanted; `left` bytes with those.
    Body { dropped: u32, left: Option<u32> },
}

/// A file on its way to the engine.
pub(super) struct Fetch {
    url: String<MAX_URL_BYTES>,
    transfer: Transfer,
    stage: Stage,
    /// When the stage has lasted too long.
    deadline_ms: u64,
    retries: u8,
    /// The engine has said where to go on, or may still say it.
    skip: Skip,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// The engine may want to go on somewhere else.
    Possible,
    /// The next answer is to begin where it wants to.
    Asked,
    /// It does, or that was tried.
    Done,
}

impl Fetch {
    pub(super) fn new(url: Text<'_>, now_ms: u64) -> Self {
        let mut new = Self {
            url: String::new(),
            transfer: Transfer::default(),
            stage: Stage::Ready { at_ms: now_ms },
            deadline_ms: now_ms + CONNECT_MS,
            retries: RETRIES,
            skip: Skip::Possible,
        };
        // The service refuses longer ones.
        let _ = write!(new.url, "{url}");
        new
    }

    /// Is dropped before its end, or at it: nobody asks DNS any more.
    pub(super) fn end(self, network: &mut Network) {
        if let Stage::Resolving(query) = self.stage {
            network.forget(query);
        }
    }

    /// Does what can be done without waiting.
    pub(super) fn step<O: Ota, P: Platform>(
        &mut self,
        network: &mut Network,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<(), End> {
        match self.stage {
            Stage::Ready { at_ms } if now_ms < at_ms => Ok(()),
            Stage::Ready { .. } => self.set_out(network, now_ms),
            Stage::Resolving(query) => self.resolve(network, query, now_ms),
            Stage::Connecting => self.ask(network.tcp(), service, now_ms),
            Stage::Asking => self.answer(network.tcp(), service, ota, now_ms),
            Stage::Body { left: Some(0), .. } => Err(End::Complete),
            Stage::Body { dropped, left } => {
                self.feed(network.tcp(), service, ota, now_ms, dropped, left)
            }
        }
    }

    fn set_out(&mut self, network: &mut Network, now_ms: u64) -> Result<(), End> {
        let Url { host, port, .. } = Url::parse(&self.url)?;
        if network.address().is_none() {
            return self.wait(now_ms, "this board got no address by DHCP");
        }
        let tcp = network.tcp();
        if tcp.is_open() {
            tcp.abort();
        }
        // Of the last connection something is left until its other end was told.
        if tcp.remote_endpoint().is_some() {
            return self.wait(now_ms, "the last connection does not end");
        }
        match host {
            Host::Address(address) => self.connect(network, address, port, now_ms),
            Host::Name(name) => match network.resolve(name) {
                Some(query) => {
                    self.stage = Stage::Resolving(query);
                    Ok(())
                }
                None => self.broken(now_ms, "this host cannot be asked for"),
            },
        }
    }

    /// Waits for DNS, which gives up by itself.
    fn resolve(
        &mut self,
        network: &mut Network,
        query: QueryHandle,
        now_ms: u64,
    ) -> Result<(), End> {
        let resolved = network.resolved(query);
        if resolved == Resolved::Pending {
            return Ok(());
        }
        // The query is gone.
        self.stage = Stage::Connecting;
        let port = Url::parse(&self.url)?.port;
        match resolved {
            Resolved::Address(address) => self.connect(network, address, port, now_ms),
            Resolved::Pending | Resolved::Unknown => {
                self.broken(now_ms, "DNS gives no address of this host")
            }
        }
    }

    fn connect(
        &mut self,
        network: &mut Network,
        address: Ipv4Addr,
        port: u16,
        now_ms: u64,
    ) -> Result<(), End> {
        self.go_to(Stage::Connecting, CONNECT_MS, now_ms);
        match network.connect(address, port) {
            true => Ok(()),
            false => self.broken(now_ms, "there is no way to this address"),
        }
    }

    /// Sends the request, once there is a connection.
    fn ask<P: Platform>(
        &mut self,
        tcp: &mut Socket<'static>,
        service: &Service<'_, P>,
        now_ms: u64,
    ) -> Result<(), End> {
        match tcp.state() {
            State::Established | State::CloseWait => {}
            State::Closed => return self.broken(now_ms, "the connection was refused"),
            _ => return self.wait(now_ms, "no answer"),
        }
        let url = Url::parse(&self.url)?;
        let info = service.platform().info();
        if self.transfer.request(&url, DEVICE, &info, &mut Sender(tcp)).is_err() {
            return self.broken(now_ms, "the request cannot be sent");
        }
        self.go_to(Stage::Asking, SILENCE_MS, now_ms);
        Ok(())
    }

    /// Reads the head of the answer, once it has come.
    fn answer<O: Ota, P: Platform>(
        &mut self,
        tcp: &mut Socket<'static>,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<(), End> {
        let may_grow = tcp.state() == State::Established;
        // Nothing was taken out before, so what has come is in one piece.
        let come = tcp.recv_queue();
        let Ok(head) = tcp.peek(come) else {
            return self.broken(now_ms, "the server closed it without an answer");
        };
        let Some(body) = self.transfer.answer(head)? else {
            return match may_grow {
                true => self.wait(now_ms, "the server does not answer the request"),
                false => self.broken(now_ms, "the server closed it within the head of its answer"),
            };
        };
        // As long as what was just looked at.
        let _ = tcp.recv(|_| (body.head, ()));
        if let Some(size) = self.transfer.size {
            service.feed_size(size);
        }
        if self.skip == Skip::Asked {
            self.skip = Skip::Done;
            let at = self.transfer.at;
            if !service.feed_seek(at, ota) {
                let words = format_args!("the update cannot go on at byte {at}");
                return Err(Failure::new(FAILED, words).into());
            }
        }
        let Body { dropped, length: left, .. } = body;
        self.go_to(Stage::Body { dropped, left }, SILENCE_MS, now_ms);
        Ok(())
    }

    /// Hands what has come to the engine.
    fn feed<O: Ota, P: Platform>(
        &mut self,
        tcp: &mut Socket<'static>,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
        dropped: u32,
        left: Option<u32>,
    ) -> Result<(), End> {
        let most = left.map_or(PIECE, |left| PIECE.min(left as usize));
        let taken = tcp.recv(|come| {
            let count = come.len().min(most);
            let (_, wanted) = come[..count].split_at(count.min(dropped as usize));
            let fed = match wanted {
                [] => Ok(()),
                wanted => service.feed(wanted, now_ms, ota),
            };
            (count, fed.map(|()| (count as u32, wanted.len() as u32)))
        });
        let (count, wanted) = match taken {
            Ok(Ok((0, _))) => return self.wait(now_ms, "nothing came for 30 s"),
            Ok(Ok(taken)) => taken,
            Ok(Err(_)) => return Err(End::Refused),
            Err(RecvError::Finished) if left.is_none() => return Err(End::Complete),
            Err(RecvError::Finished) => return self.broken(now_ms, "the server closed it"),
            Err(RecvError::InvalidState) => return self.broken(now_ms, "the server reset it"),
        };
        self.transfer.at += wanted;
        if wanted > 0 {
            self.retries = RETRIES;
        }
        let (dropped, left) = (dropped - (count - wanted), left.map(|left| left - count));
        self.go_to(Stage::Body { dropped, left }, SILENCE_MS, now_ms);
        self.skip(service.feed_wanted(ota), now_ms);
        Ok(())
    }

    /// Goes on where the engine wants to, if that is far enough from here.
    fn skip(&mut self, wanted: Option<u32>, now_ms: u64) {
        let Self { skip: Skip::Possible, transfer: Transfer { at, size: Some(size), .. }, .. } =
            self
        else {
            return;
        };
        if let Some(wanted) = wanted
            && wanted < *size
            && wanted.saturating_sub(*at) >= MIN_SKIP
        {
            *at = wanted;
            log!("download: goes on at byte {}", wanted);
            self.skip = Skip::Asked;
            self.go_to(Stage::Ready { at_ms: now_ms }, CONNECT_MS, now_ms);
        }
    }

    fn go_to(&mut self, stage: Stage, within_ms: u64, now_ms: u64) {
        self.stage = stage;
        self.deadline_ms = now_ms + within_ms;
    }

    /// Waits on, unless that has lasted too long: then `reason` is what is wrong.
    fn wait(&mut self, now_ms: u64, reason: &str) -> Result<(), End> {
        if now_ms < self.deadline_ms { Ok(()) } else { self.broken(now_ms, reason) }
    }

    /// The connection is over too early, or there is none: tries again, if there was an answer
    /// before.
    fn broken(&mut self, now_ms: u64, reason: &str) -> Result<(), End> {
        let Transfer { at, size, is_known, .. } = self.transfer;
        if !is_known {
            let to = Url::parse(&self.url)?.authority;
            let (code, what) = match self.stage {
                Stage::Asking => (FAILED, "No answer from"),
                _ => (CONNECT_FAILED, "Failed to connect to"),
            };
            let words = format_args!("{what} {to}: {reason}; check the URL and the server");
            return Err(Failure::new(code, words).into());
        }
        if let Some(retries) = self.retries.checked_sub(1) {
            self.retries = retries;
            log!("download: broken at byte {}, because {=str}", at, reason);
            let at_ms = now_ms + RETRY_PAUSE_MS;
            self.go_to(Stage::Ready { at_ms }, RETRY_PAUSE_MS + CONNECT_MS, now_ms);
            return Ok(());
        }
        let size = Size(size);
        Err(Failure::new(
            FAILED,
            format_args!(
                "connection lost at byte {at}{size}: {reason}; call OTA.Update again to go on"
            ),
        )
        .into())
    }
}

/// ` of N`, if the length of the file is known.
struct Size(Option<u32>);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |size| write!(f, " of {size}"))
    }
}

/// What is written to it is sent.
struct Sender<'s>(&'s mut Socket<'static>);

impl Write for Sender<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match self.0.send_slice(text.as_bytes()) {
            Ok(sent) if sent == text.len() => Ok(()),
            Ok(_) | Err(_) => Err(fmt::Error),
        }
    }
}
