//! HTTP/1.1 as far as a download needs it: what is asked, and what an answer means. No sockets.
//!
//! ```text
//! GET url                     --> 200: the file from its start
//! GET url, Range: bytes=AT-   --> 206: the file from AT on
//!                             \-> 200: the file from its start; AT bytes are dropped
//! ```
//! That both answers are of one file is made sure by `If-Range` where the server gives an `ETag` or
//! a date, and by the total length; whether the bytes belong to what is in flash is the engine's to
//! say.

#[cfg(test)]
mod tests;
mod url;

use core::fmt::{self, Write};

use heapless::String;
use httparse::{EMPTY_HEADER, Header, Response, Status};
use ota_rpc::limits::MAX_MESSAGE_BYTES;
use ota_rpc::platform::Info;

pub use url::{Host, Url};

/// Code for what the protocol has no other for.
pub const FAILED: i32 = -1;
/// Code of `Failed to connect`.
pub const CONNECT_FAILED: i32 = -10;

/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 4096;
/// The most headers of an answer.
const MAX_HEADERS: usize = 48;
/// The longest `ETag` or date that is kept, in bytes; without one, the length has to do.
const MAX_VALIDATOR: usize = 96;

/// Why a download failed, as its requester reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// -10 is `Failed to connect`, -404 the HTTP status 404, -1 anything else.
    pub code: i32,
    /// What is wrong and what to do; what does not fit is cut off.
    pub message: String<MAX_MESSAGE_BYTES>,
}

impl Failure {
    /// A failure with this code, in these words.
    pub fn new(code: i32, words: fmt::Arguments<'_>) -> Self {
        let mut message = Cut(String::new());
        // Cut off, but not an error.
        let _ = message.write_fmt(words);
        Self { code, message: message.0 }
    }

    fn other(words: fmt::Arguments<'_>) -> Self {
        Self::new(FAILED, words)
    }
}

/// Keeps as many characters as fit.
struct Cut(String<MAX_MESSAGE_BYTES>);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.0.push(c).map_err(|_| fmt::Error))
    }
}

/// A file on its way: what is known of it, and how far it has come.
#[derive(Debug, Default)]
pub struct Transfer {
    /// Offset of the next byte that is wanted.
    pub at: u32,
    /// Length of the file in bytes; not known before the first answer, nor if the server never says.
    pub size: Option<u32>,
    /// There was an answer: later ones have to be of the same file.
    pub is_known: bool,
    /// What tells this file from a later one at the same URL; empty if nothing does.
    validator: String<MAX_VALIDATOR>,
}

/// The body of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    /// Bytes of the head before it.
    pub head: usize,
    /// How many of its first bytes are not wanted.
    pub dropped: u32,
    /// Its length in bytes; none: it ends with the connection.
    pub length: Option<u32>,
}

impl Transfer {
    /// Writes the request for what is missing. Servers may choose by what a Mongoose OS device
    /// sends along, so this does too.
    ///
    /// # Errors
    /// `out` has no room.
    pub fn request(
        &self,
        url: &Url<'_>,
        device: &str,
        info: &Info<'_>,
        out: &mut impl Write,
    ) -> fmt::Result {
        let Info { app, fw_version, fw_id, arch, .. } = info;
        write!(out, "GET {url} HTTP/1.1\r\nHost: {}\r\n", url.authority)?;
        write!(out, "User-Agent: {app}/{fw_version} ({arch})\r\nConnection: close\r\n")?;
        write!(out, "X-MGOS-Device-ID: {device} {}\r\n", info.mac.unwrap_or_default())?;
        write!(out, "X-MGOS-FW-Version: {arch} {fw_version} {fw_id}\r\n")?;
        if self.at > 0 {
            write!(out, "Range: bytes={}-\r\n", self.at)?;
            if !self.validator.is_empty() {
                write!(out, "If-Range: {}\r\n", self.validator)?;
            }
        }
        out.write_str("\r\n")
    }

    /// What the bytes that have come of an answer mean; none: more are needed.
    ///
    /// # Errors
    /// [`Failure`]: the file cannot be had.
    pub fn answer(&mut self, bytes: &[u8]) -> Result<Option<Body>, Failure> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut response = Response::new(&mut headers);
        let head = match response.parse(bytes) {
            Ok(Status::Complete(head)) => head,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Failure::other(format_args!(
                    "the head of the HTTP answer is longer than {MAX_HEAD} bytes or {MAX_HEADERS} \
                     headers: let the server send less"
                )));
            }
            Err(error) => {
                return Err(Failure::other(format_args!(
                    "the answer is not HTTP/1 ({error}): check host and port of the URL"
                )));
            }
        };
        let status = response.code.unwrap_or(0);
        check_status(status, response.reason.unwrap_or_default(), self.at > 0)?;
        if let Some(coding) = value(response.headers, "Transfer-Encoding") {
            return Err(Failure::other(format_args!(
                "Invalid content-length: Transfer-Encoding {coding} is not understood; let the \
                 server give a Content-Length"
            )));
        }
        let length = content_length(response.headers)?;
        let body = if status == 206 {
            self.rest(head, length, response.headers)?
        } else {
            self.whole(head, length, response.headers)?
        };
        self.is_known = true;
        Ok(Some(body))
    }

    /// An answer with the whole file.
    fn whole(
        &mut self,
        head: usize,
        length: Option<u32>,
        headers: &[Header<'_>],
    ) -> Result<Body, Failure> {
        let validator = validator(headers);
        if !self.is_known {
            self.size = length;
            self.validator = validator;
        } else if length != self.size || validator != self.validator {
            return Err(self.changed());
        }
        Ok(Body { head, dropped: self.at, length })
    }

    /// An answer with the file from where it was asked for.
    fn rest(
        &self,
        head: usize,
        length: Option<u32>,
        headers: &[Header<'_>],
    ) -> Result<Body, Failure> {
        let range = value(headers, "Content-Range").and_then(parse_range);
        let Some((start, size)) = range else {
            return Err(Failure::other(format_args!(
                "HTTP status 206 without a Content-Range that says where: let the server send 200"
            )));
        };
        if start != self.at || self.size.is_some_and(|known| known != size) {
            return Err(self.changed());
        }
        let length = length.unwrap_or(size.saturating_sub(start));
        Ok(Body { head, dropped: 0, length: Some(length) })
    }

    fn changed(&self) -> Failure {
        let at = self.at;
        Failure::other(format_args!(
            "the file has changed on the server, {at} bytes into the download: call OTA.Update again"
        ))
    }
}

fn check_status(status: u16, reason: &str, has_range: bool) -> Result<(), Failure> {
    let code = -i32::from(status);
    match status {
        200 => Ok(()),
        206 if has_range => Ok(()),
        300..=399 => Err(Failure::new(
            code,
            format_args!(
                "HTTP status {status} {reason}: redirects are not followed, give the final URL"
            ),
        )),
        _ => Err(Failure::new(
            code,
            format_args!(
                "Invalid HTTP response code {status} {reason}: check the URL and the server"
            ),
        )),
    }
}

fn content_length(headers: &[Header<'_>]) -> Result<Option<u32>, Failure> {
    let Some(text) = value(headers, "Content-Length") else { return Ok(None) };
    let length = text.parse().map_err(|_| {
        Failure::other(format_args!("Invalid content-length {text}: no number of at most 32 bits"))
    })?;
    Ok(Some(length))
}

/// A weak tag says that files mean the same, not that they are the same.
fn validator(headers: &[Header<'_>]) -> String<MAX_VALIDATOR> {
    let tag = value(headers, "ETag").filter(|tag| !tag.starts_with("W/"));
    let text = tag.or_else(|| value(headers, "Last-Modified")).unwrap_or_default();
    String::try_from(text).unwrap_or_default()
}

/// `bytes START-END/SIZE`.
fn parse_range(text: &str) -> Option<(u32, u32)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

fn value<'h>(headers: &[Header<'h>], name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    core::str::from_utf8(found.value).ok().map(str::trim)
}
