//! Responses, made of the frames that the service replies with.
//!
//! | reply | frame form | REST form | `/update` | `/update/commit`, `/update/revert` |
//! |---|---|---|---|---|
//! | result | 200, the frame | 200, the result | 200 `1 Update applied, rebooting` | 200 `Ok` |
//! | error 401 | 401, a text | 401, a text | 401, a text | 401, a text |
//! | error 403 | 200, the frame | 403, the error | 403, code and text | 403 `Error` |
//! | error 400, 429 | 200, the frame | 500, the error | 400, 429, code and text | 400 `Error` |
//! | error 404 | 200, the frame | 404, the error | | |
//! | other error | 200, the frame | 500, the error | 409, 400, 500: code and text | 400 `Error` |
//!
//! Mongoose OS devices send the 401 without a text, with which a user of `curl` sees nothing at all.
//!
//! Whatever is not empty ends with CR LF, as on Mongoose OS devices.

#[cfg(test)]
mod tests;

use core::fmt;

use ota_core::json::{self, Value};

use super::challenge::Challenge;
use super::route::{CallError, Form};
use super::upload::Refusal;
use crate::platform::Platform;
use crate::service::Service;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const UNAUTHORIZED: &str = "401 user and password are required: curl --digest -u USER:PASSWORD";

/// A response. What a server adds is the framing of its body: `Content-Length`.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    status: u16,
    body: Body<'a>,
    challenge: Option<Challenge>,
}

/// The body of a response, as it is displayed.
#[derive(Clone, Debug)]
pub struct Body<'a>(Content<'a>);

#[derive(Clone, Debug)]
enum Content<'a> {
    Empty,
    /// JSON, or anything of a frame.
    Json(&'a str),
    /// An error of the REST form that no frame has.
    BadCall(CallError),
    Text(&'static str),
    /// Number and text of an update's end.
    Update {
        code: i64,
        message: Message<'a>,
    },
    Refusal(Refusal),
    /// Of the engine.
    Words(&'a str),
}

#[derive(Clone, Copy, Debug)]
enum Message<'a> {
    Words(&'static str),
    Json(json::Text<'a>),
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            // One line, whatever is quoted in it.
            Self::Json(text) => text.chars().filter(|c| !c.is_control()).try_for_each(|c| {
                use fmt::Write;
                f.write_char(c)
            }),
        }
    }
}

impl Body<'_> {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        struct Count(usize);
        impl fmt::Write for Count {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0 = self.0.saturating_add(text.len());
                Ok(())
            }
        }
        let mut count = Count(0);
        // Counting never fails.
        let _ = fmt::write(&mut count, format_args!("{self}"));
        count.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Content::Empty)
    }

    const fn content_type(&self) -> Option<&'static str> {
        match self.0 {
            Content::Empty => None,
            Content::Json(_) | Content::BadCall(_) => Some(JSON),
            Content::Text(_) | Content::Update { .. } | Content::Refusal(_) | Content::Words(_) => {
                Some(TEXT)
            }
        }
    }
}

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Empty => return Ok(()),
            Content::Json(json) => f.write_str(json)?,
            // The texts of these errors need no escapes.
            Content::BadCall(error) => {
                write!(f, r#"{{"code":400,"message":"Malformed request: {error}"}}"#)?;
            }
            Content::Text(text) => f.write_str(text)?,
            Content::Update { code, message } => write!(f, "{code} {message}")?,
            Content::Refusal(refusal) => write!(f, "{refusal}")?,
            Content::Words(words) => f.write_str(words)?,
        }
        f.write_str("\r\n")
    }
}

impl<'a> Response<'a> {
    /// The response to a request whose reply is `frame`.
    pub fn to_reply(form: Form, frame: &'a [u8]) -> Self {
        let text = core::str::from_utf8(frame).unwrap_or_default().trim_ascii();
        let reply = json::parse(frame).ok();
        let error = reply.and_then(|reply| reply.get("error"));
        let challenge = error.and_then(Challenge::of_error);
        if challenge.is_some() {
            return Self { challenge, ..Self::new(401, Content::Text(UNAUTHORIZED)) };
        }
        let result = reply.and_then(|reply| reply.get("result"));
        match (form, error, result) {
            (Form::Frame, ..) => Self::new(200, Content::Json(text)),
            (Form::Rest, Some(error), _) => Self::rest_error(error),
            (Form::Rest, None, Some(result)) => Self::new(200, Content::Json(result.raw())),
            (Form::Rest, None, None) => Self::new(500, Content::Json("null")),
            (Form::Update, Some(error), _) => Self::update_error(error),
            (Form::Update, None, result) => Self::update_result(result),
            (Form::Change, Some(error), _) => {
                let status = if code_of(error) == 403 { 403 } else { 400 };
                Self::new(status, Content::Text("Error"))
            }
            (Form::Change, None, _) => Self::new(200, Content::Text("Ok")),
        }
    }

    /// The response to what was no request for this device: [`crate::Reply::Rejected`], with its
    /// frame, which may be empty.
    pub fn to_rejected(form: Form, frame: &'a [u8]) -> Self {
        match core::str::from_utf8(frame).map(str::trim_ascii) {
            Ok(text) if form == Form::Frame && !text.is_empty() => {
                Self::new(400, Content::Json(text))
            }
            _ => Self::new(400, Content::Text("Invalid request")),
        }
    }

    /// The response to a notification. A Mongoose OS device sends none at all and leaves the
    /// connection open, which helps nobody.
    pub const fn to_notification() -> Self {
        Self::new(200, Content::Empty)
    }

    /// The response to a call that is none.
    pub const fn bad_call(form: Form, error: CallError) -> Self {
        match form {
            Form::Frame | Form::Rest => Self::new(500, Content::BadCall(error)),
            Form::Update | Form::Change => Self::new(400, Content::Text("Malformed request")),
        }
    }

    /// The response to an upload that `service` has refused just now.
    pub fn to_refusal<P: Platform>(refusal: Refusal, service: &'a Service<'_, P>) -> Self {
        match refusal {
            Refusal::Form(_) | Refusal::NoFile | Refusal::CommitTimeout => {
                Self::new(400, Content::Refusal(refusal))
            }
            Refusal::Busy => Self::new(409, Content::Refusal(refusal)),
            Refusal::Engine => Self::new(409, Content::Words(service.message())),
        }
    }

    /// The response while there is no service that could reply, or its reply does not fit.
    pub const fn unavailable() -> Self {
        Self::new(503, Content::Text("the device does not answer: try again"))
    }

    /// The response to a body longer than [`crate::limits::MAX_REQUEST_BYTES`], unread. The
    /// connection is closed: its bytes are not to be taken for the next request.
    pub const fn too_long() -> Self {
        Self::new(413, Content::Text("the request is too long"))
    }

    pub(super) const fn preflight() -> Self {
        Self::new(200, Content::Empty)
    }

    pub(super) const fn not_found() -> Self {
        Self::new(404, Content::Text("Not found"))
    }

    pub(super) const fn method_not_allowed() -> Self {
        Self::new(405, Content::Text("Use GET or POST"))
    }

    pub(super) const fn no_url() -> Self {
        let text = "Update URL not specified and none is configured.";
        Self::new(400, Content::Text(text))
    }

    const fn new(status: u16, content: Content<'a>) -> Self {
        Self { status, body: Body(content), challenge: None }
    }

    fn rest_error(error: Value<'a>) -> Self {
        let status = match code_of(error) {
            403 => 403,
            404 => 404,
            _ => 500,
        };
        Self::new(status, Content::Json(error.raw()))
    }

    fn update_error(error: Value<'a>) -> Self {
        let code = code_of(error);
        let message = error.get("message").and_then(Value::as_text);
        let starts_with = |start: &str| {
            message.is_some_and(|message| message.chars().take(start.len()).eq(start.chars()))
        };
        let status = match code {
            400 | 403 | 429 => u16::try_from(code).unwrap_or(500),
            _ if starts_with("Failed to init updater") => 409,
            _ if starts_with("Malformed request") => 400,
            _ => 500,
        };
        let message = message.map_or(Message::Words("Update failed"), Message::Json);
        Self::new(status, Content::Update { code, message })
    }

    fn update_result(result: Option<Value<'a>>) -> Self {
        let message = result.and_then(|result| result.get("message")).and_then(Value::as_text);
        let content = match message {
            // It goes on, and nobody knows yet how it ends.
            Some(message) => Content::Update { code: 0, message: Message::Json(message) },
            None => {
                let message = Message::Words("Update applied, rebooting");
                Content::Update { code: 1, message }
            }
        };
        Self::new(200, content)
    }

    /// The status, of three digits.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    pub const fn body(&self) -> &Body<'a> {
        &self.body
    }

    /// Whether the connection is to be closed, whatever the client wants.
    pub const fn must_close(&self) -> bool {
        matches!(self.status, 401 | 413)
    }

    /// Calls `header` with name and value of every header but `Content-Length` and `Connection`.
    pub fn for_each_header(&self, mut header: impl FnMut(&'static str, fmt::Arguments<'_>)) {
        if let Some(content_type) = self.body.content_type() {
            header("Content-Type", format_args!("{content_type}"));
        }
        // The recorded 401 has none: nothing of it is for a web page to read.
        if self.challenge.is_none() {
            header("Access-Control-Allow-Origin", format_args!("*"));
            header("Access-Control-Allow-Headers", format_args!("*"));
        }
        if let Some(challenge) = &self.challenge {
            header("WWW-Authenticate", format_args!("{challenge}"));
        }
    }

    /// Writes the first line and all headers, for servers that do not do it themselves; the body
    /// comes next. `keep_alive` is what the request asks for.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_head(&self, keep_alive: bool, out: &mut impl fmt::Write) -> fmt::Result {
        let reason = reason(self.status);
        write!(out, "HTTP/1.1 {} {reason}\r\n", self.status)?;
        write!(out, "Content-Length: {}\r\n", self.body.len())?;
        let connection = if keep_alive && !self.must_close() { "keep-alive" } else { "close" };
        write!(out, "Connection: {connection}\r\n")?;
        let mut written = Ok(());
        self.for_each_header(|name, value| {
            if written.is_ok() {
                written = write!(out, "{name}: {value}\r\n");
            }
        });
        written?;
        out.write_str("\r\n")
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

fn code_of(error: Value<'_>) -> i64 {
    error.get("code").and_then(Value::as_i64).unwrap_or(-1)
}
