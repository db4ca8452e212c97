//! Downloads over HTTP, for `OTA.Update`, and from files, for FIMP: streamed, resumed, never whole in
//! memory.
//!
//! ```text
//! GET url --> 200, Content-Length: N --> chunks --> device
//!                                          |  the device has the bytes up to M from before
//!                                          v
//! GET url, Range: bytes=M- --> 206 --> chunks from M on
//!                          \-> anything else: go on with the first response
//! ```
//! Whether the bytes in flash belong to this file is the engine's to say: it compares the manifest.
//! That both responses are of one file is made sure by `If-Range` where the server gives an `ETag`
//! or a date, and by the total length.
//!
//! A connection that breaks is made again at the byte where it broke, a few times.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ota_rpc::code;
use tokio::sync::mpsc;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body};

use crate::device::{Download, FetchError, UpdateFile};

/// The most bytes handed over at once.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// How many chunks may wait for the device.
const CHUNKS_WAITING: usize = 4;
/// Fewer bytes than this are not worth a second request.
const MIN_SKIP: u32 = 16 * 1024;
/// A manifest is in the first bytes of a bundle, so many or fewer.
const MANIFEST_BYTES: u32 = 8 * 1024;
/// How often a broken connection is made again without a byte having come.
const RETRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Code for what the protocol has no other for.
const FAILED: i32 = -1;
const CONNECT_FAILED: i32 = -10;

/// Where an update comes from.
#[derive(Debug)]
pub enum Source {
    /// A server.
    Http(Download),
    /// A file.
    File(UpdateFile),
}

/// A download under way, in a thread of its own. Dropped, it ends.
pub struct Fetch {
    messages: mpsc::Receiver<Fetched>,
    /// Where the device would like the download to go on; 0: where it is.
    wanted: Arc<AtomicU32>,
}

/// What comes of a download.
#[derive(Debug)]
pub enum Fetched {
    /// Its length in bytes.
    Size(u32),
    /// The next bytes.
    Bytes(Vec<u8>),
    /// To be dropped at its turn: the download waits until all before it was looked at.
    Turn(std::sync::mpsc::Sender<()>),
    /// The bytes that follow start at this offset.
    Seek(u32),
    /// It has ended.
    End(Result<(), FetchError>),
}

impl Fetch {
    /// Starts a download.
    pub fn start(source: Source) -> Self {
        let (out, messages) = mpsc::channel(CHUNKS_WAITING);
        let wanted = Arc::new(AtomicU32::new(0));
        let downloader = Downloader {
            origin: match source {
                Source::Http(download) => Origin::Http(agent(&download.url), download),
                Source::File(file) => Origin::File(file, None),
            },
            out: out.clone(),
            wanted: Arc::clone(&wanted),
            size: 0,
            validator: None,
            at: 0,
        };
        let thread = std::thread::Builder::new().name("fetch".to_owned());
        if let Err(error) = thread.spawn(move || downloader.run()) {
            let ended = Err(failed(format!("cannot start the download: {error}")));
            // The channel is empty and its other end is here.
            let _ = out.try_send(Fetched::End(ended));
        }
        Self { messages, wanted }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Fetched {
        let lost = || Fetched::End(Err(failed("the download ended without a word".to_owned())));
        self.messages.recv().await.unwrap_or_else(lost)
    }

    /// Says that bytes before `offset` are not needed. [`Fetched::Seek`] comes if the server can
    /// leave them out.
    pub fn skip_to(&self, offset: u32) {
        // A hint: no other memory hangs on it.
        self.wanted.store(offset, Ordering::Relaxed);
    }
}

/// Why a download stops.
enum Stop {
    /// With this reason.
    Failed(FetchError),
    /// Nobody wants it any more.
    Unwanted,
}

/// What is read from.
enum Origin {
    Http(Agent, Download),
    /// And where it really is, once that is known to be allowed.
    File(UpdateFile, Option<PathBuf>),
}

struct Downloader {
    origin: Origin,
    out: mpsc::Sender<Fetched>,
    wanted: Arc<AtomicU32>,
    /// Length of the file in bytes.
    size: u32,
    /// What tells this file from a later one at the same URL.
    validator: Option<String>,
    /// Offset of the next byte.
    at: u32,
}

type Reader = Box<dyn Read>;

impl Downloader {
    fn run(mut self) {
        let ended = match self.fetch() {
            Ok(()) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Unwanted) => return,
        };
        // If nobody is there to hear it, nobody waits for it.
        let _ = self.out.blocking_send(Fetched::End(ended));
    }

    fn fetch(&mut self) -> Result<(), Stop> {
        let mut reader = self.open().map_err(Stop::Failed)?;
        self.send(Fetched::Size(self.size))?;
        let (mut may_skip, mut retries) = (true, RETRIES);
        while self.at < self.size {
            if let Some(offset) = self.skippable().filter(|_| may_skip) {
                may_skip = false;
                if let Some(rest) = self.open_at(offset) {
                    reader = rest;
                    self.at = offset;
                    self.send(Fetched::Seek(offset))?;
                }
            }
            let left = (self.size - self.at) as usize;
            let mut chunk = vec![0; left.min(CHUNK_BYTES)];
            match reader.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    chunk.truncate(count);
                    self.send(Fetched::Bytes(chunk))?;
                    if self.at < MANIFEST_BYTES {
                        // Once it has the manifest, the device knows where to go on.
                        self.wait_for_device()?;
                    }
                    // At most a chunk.
                    self.at += count as u32;
                    retries = RETRIES;
                }
                broken => {
                    let reason = broken.err().map_or("it was closed".to_owned(), |e| e.to_string());
                    retries = retries.checked_sub(1).ok_or_else(|| self.lost(&reason))?;
                    std::thread::sleep(RETRY_PAUSE);
                    if let Some(rest) = self.open_at(self.at) {
                        reader = rest;
                    }
                }
            }
        }
        Ok(())
    }

    fn send(&self, fetched: Fetched) -> Result<(), Stop> {
        self.out.blocking_send(fetched).map_err(|_| Stop::Unwanted)
    }

    fn wait_for_device(&self) -> Result<(), Stop> {
        let (turn, dropped) = std::sync::mpsc::channel();
        self.send(Fetched::Turn(turn))?;
        // Nothing is ever sent: this ends when the other side is gone.
        let _ = dropped.recv();
        Ok(())
    }

    /// Where to go on, if that is far enough from here.
    fn skippable(&self) -> Option<u32> {
        let wanted = self.wanted.load(Ordering::Relaxed);
        (wanted < self.size && wanted.checked_sub(self.at)? >= MIN_SKIP).then_some(wanted)
    }

    fn lost(&self, reason: &str) -> Stop {
        let Self { at, size, .. } = self;
        Stop::Failed(failed(format!(
            "connection lost at byte {at} of {size}: {reason}; call OTA.Update again to go on"
        )))
    }

    /// The whole file.
    fn open(&mut self) -> Result<Reader, FetchError> {
        let (agent, download) = match &mut self.origin {
            Origin::Http(agent, download) => (&*agent, &*download),
            Origin::File(file, place) => {
                let found = file.find()?;
                let opened = File::open(&found).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (size, opened) = opened.map_err(|error| file.missing(&error))?;
                self.size = match u32::try_from(size) {
                    Ok(0) => return Err(file.missing(&"it is empty")),
                    Ok(size) => size,
                    Err(_) => return Err(file.missing(&too_big(size))),
                };
                *place = Some(found);
                return Ok(Box::new(opened));
            }
        };
        let url = &download.url;
        check_scheme(url)?;
        let response = get(agent, download, None, None).map_err(|error| explain(url, &error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refused(url, status));
        }
        let headers = response.headers();
        let size = content_length(headers).ok_or_else(|| {
            failed("Invalid content-length, perhaps chunked-encoding: give the length".to_owned())
        })?;
        self.size = u32::try_from(size).map_err(|_| too_big(size))?;
        // A weak tag says that files mean the same, not that they are the same.
        let tag = text(headers, header::ETAG).filter(|tag| !tag.starts_with("W/"));
        self.validator = tag.or_else(|| text(headers, header::LAST_MODIFIED)).map(str::to_owned);
        Ok(Box::new(response.into_body().into_reader()))
    }

    /// The file from `offset` on. None if the server cannot, or has another file by now.
    fn open_at(&self, offset: u32) -> Option<Reader> {
        let (agent, download) = match &self.origin {
            Origin::Http(agent, download) => (agent, download),
            Origin::File(_, place) => {
                let mut file = File::open(place.as_ref()?).ok()?;
                let is_same = file.metadata().ok()?.len() == u64::from(self.size);
                file.seek(SeekFrom::Start(offset.into())).ok()?;
                return is_same.then(|| Box::new(file) as Reader);
            }
        };
        let response = get(agent, download, Some(offset), self.validator.as_deref()).ok()?;
        let range = text(response.headers(), header::CONTENT_RANGE)?;
        let (range, size) = range.strip_prefix("bytes ")?.split_once('/')?;
        let start = range.split_once('-')?.0;
        let fits = response.status() == StatusCode::PARTIAL_CONTENT
            && start.parse() == Ok(offset)
            && size.parse() == Ok(self.size);
        fits.then(|| Box::new(response.into_body().into_reader()) as Reader)
    }
}

impl UpdateFile {
    /// The file, which has to be in the folder, wherever links and dots lead. An absolute path is
    /// one in the folder, or else one that takes the folder for the root.
    fn find(&self) -> Result<PathBuf, FetchError> {
        let root = self.root.canonicalize().map_err(|error| {
            failed(format!("the folder of updates, {}: {error}", self.root.display()))
        })?;
        let inside = root.join(self.path.trim_start_matches('/'));
        let places = [PathBuf::from(&self.path), inside];
        let found = places.iter().filter_map(|place| place.canonicalize().ok());
        let mut allowed = found.filter(|place| place.starts_with(&root) && place.is_file());
        allowed.next().ok_or_else(|| {
            let Self { path, root } = self;
            self.missing(&format!("there is no file {path:?} in the folder {}", root.display()))
        })
    }

    fn missing(&self, why: &dyn std::fmt::Display) -> FetchError {
        FetchError { code: code::NO_FILE, message: format!("cannot read the update: {why}") }
    }
}

fn get(
    agent: &Agent,
    download: &Download,
    offset: Option<u32>,
    validator: Option<&str>,
) -> Result<Response<Body>, ureq::Error> {
    let mut request = agent.get(&download.url);
    for (name, value) in &download.headers {
        request = request.header(*name, value);
    }
    if let Some(offset) = offset {
        request = request.header(header::RANGE, format!("bytes={offset}-"));
        if let Some(validator) = validator {
            request = request.header(header::IF_RANGE, validator);
        }
    }
    request.call()
}

fn too_big(size: u64) -> FetchError {
    failed(format!("File is too big: {size} bytes"))
}

/// Status codes are looked at here, redirects followed there. A proxy is for what is far away.
fn agent(url: &str) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT));
    if super::client::is_loopback(url) {
        config = config.proxy(None);
    }
    config.build().new_agent()
}

fn check_scheme(url: &str) -> Result<(), FetchError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => Ok(()),
        _ => {
            let shown = Shown(url).to_string();
            Err(failed(format!("the URL {shown:?} does not begin with http:// or https://")))
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.trim().parse().ok()
}

fn refused(url: &str, status: StatusCode) -> FetchError {
    let code = -i32::from(status.as_u16());
    let message = match status {
        StatusCode::NOT_MODIFIED => "Not Modified: the server has nothing newer".to_owned(),
        _ => format!("Invalid HTTP response code {status} of {}", Shown(url)),
    };
    FetchError { code, message }
}

fn explain(url: &str, error: &ureq::Error) -> FetchError {
    match error {
        // The first of them quotes it.
        ureq::Error::BadUri(_) => {
            failed(format!("the URL {:?} cannot be used", Shown(url).to_string()))
        }
        ureq::Error::Http(error) => {
            failed(format!("the URL {:?} cannot be used: {error}", Shown(url).to_string()))
        }
        ureq::Error::TooManyRedirects => failed("Too many redirects".to_owned()),
        _ => {
            let message = format!("Failed to connect to {}: {error}", Shown(url));
            FetchError { code: CONNECT_FAILED, message }
        }
    }
}

/// A URL as it is told to others: without what may be secret, a login and a query.
struct Shown<'a>(&'a str);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.0.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        write!(f, "{scheme}://{host}{path}")
    }
}

fn failed(message: String) -> FetchError {
    FetchError { code: FAILED, message }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn urls_are_told_without_logins_and_queries() {
        for (url, shown) in [
            ("http://h:80/a/fw.zip", "http://h:80/a/fw.zip"),
            ("https://u:p@h/fw.zip?token=1#x", "https://h/fw.zip"),
            ("http://u:p@h", "http://h"),
            ("http://h/a@b", "http://h/a@b"),
        ] {
            assert_eq!(Shown(url).to_string(), shown);
        }
    }
}
