//! What a request asks for, by its method and target.
//!
//! | request | |
//! |---|---|
//! | `POST /rpc` | a frame in the body: [`Route::Frame`] |
//! | `GET /rpc` | [`Route::WebSocket`] |
//! | `POST /rpc/METHOD`, `GET /rpc/METHOD?a=1&b="x"` | [`Route::Call`] |
//! | `POST /update` | a form with a file: [`Route::Upload`] |
//! | `GET` or `POST /update?url=..&commit_timeout=..` | [`Route::Call`] of `OTA.Update` |
//! | any `/update/commit`, `/update/revert` | [`Route::Call`] of `OTA.Commit`, `OTA.Revert` |
//! | `OPTIONS` of these, and everything else | [`Route::Answer`] |

#[cfg(test)]
mod tests;

use core::fmt;

use ota_core::json::{self, JsonError};

use super::query::{Decoder, QueryError, pairs};
use super::response::Response;
use crate::writer::{NoRoom, Writer};

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum Route<'a> {
    /// The body is a frame for [`crate::Service::handle`]; the reply has [`Form::Frame`].
    Frame,
    /// A WebSocket, if the request asks for an upgrade; else it is a mistake.
    WebSocket,
    /// A call that is to be made a frame of: [`Call::write_request`].
    Call(Call<'a>),
    /// The body is a form with a file: [`super::Upload`].
    Upload,
    /// Nothing that the service has to do with: send this.
    Answer(Response<'static>),
}

/// What a reply looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// A frame, always with status 200.
    Frame,
    /// Only its result or error, and a status.
    Rest,
    /// Of an update: a number and a text.
    Update,
    /// Of a commit or revert: `Ok` or `Error`.
    Change,
}

/// A call that does not come as a frame.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Of the path, still encoded.
    method: &'a str,
    arguments: Arguments<'a>,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Arguments<'a> {
    None,
    /// In the body; or if that is empty in a query, whose values are JSON.
    Body(&'a str),
    /// In a query, whose values are strings.
    Strings(&'a str),
}

/// Why no frame can be made of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CallError {
    /// An argument is not JSON.
    Json(JsonError),
    /// The target cannot be decoded.
    Query(QueryError),
    /// The buffer is too small.
    NoRoom(NoRoom),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Query(error) => error.fmt(f),
            Self::NoRoom(error) => write!(f, "the request {error}"),
        }
    }
}

impl core::error::Error for CallError {}

impl<'a> Route<'a> {
    /// Of a request with this method and target (path and query, as in the first line). Never
    /// panics.
    pub fn of(method: &str, target: &'a str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (is_get, is_post) = (method == "GET", method == "POST");
        let Some(resource) = Resource::of(path) else {
            return Self::Answer(Response::not_found());
        };
        if method == "OPTIONS" {
            return Self::Answer(Response::preflight());
        }
        let call = |method, arguments, form| Self::Call(Call { method, arguments, form });
        match resource {
            Resource::Commit => call("OTA.Commit", Arguments::None, Form::Change),
            Resource::Revert => call("OTA.Revert", Arguments::None, Form::Change),
            _ if !is_get && !is_post => Self::Answer(Response::method_not_allowed()),
            Resource::Rpc if is_post => Self::Frame,
            Resource::Rpc => Self::WebSocket,
            Resource::Method(method) => call(method, Arguments::Body(query), Form::Rest),
            Resource::Update if has_url(query) => {
                call("OTA.Update", Arguments::Strings(query), Form::Update)
            }
            Resource::Update if is_post => Self::Upload,
            Resource::Update => Self::Answer(Response::no_url()),
        }
    }
}

#[derive(Clone, Copy)]
enum Resource<'a> {
    Rpc,
    Method(&'a str),
    Update,
    Commit,
    Revert,
}

impl<'a> Resource<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/rpc" => Some(Self::Rpc),
            "/update" => Some(Self::Update),
            "/update/commit" => Some(Self::Commit),
            "/update/revert" => Some(Self::Revert),
            path => {
                let method = path.strip_prefix("/rpc/")?;
                (!method.is_empty()).then_some(Self::Method(method))
            }
        }
    }
}

fn has_url(query: &str) -> bool {
    pairs(query).any(|(name, value)| name == "url" && !value.is_empty())
}

impl Call<'_> {
    /// What the reply is to look like.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Writes the frame for [`crate::Service::handle`]; its id is 1. `out` should have 1 KiB more
    /// than the body and the target. Needs 640 bytes of stack.
    ///
    /// # Errors
    /// [`CallError`], of which [`Response::bad_call`] makes a response.
    pub fn write_request(&self, body: &[u8], out: &mut [u8]) -> Result<usize, CallError> {
        let mut decoder = Decoder::new();
        let mut out = Writer::new(out);
        out.object().key("id").int(1);
        out.key("method").string(decoder.path(self.method).map_err(CallError::Query)?);
        match self.arguments {
            Arguments::Body(_) if !body.trim_ascii().is_empty() => {
                out.key("params").value(json::parse(body).map_err(CallError::Json)?);
            }
            Arguments::Body(query) if !query.is_empty() => {
                write_query(query, &mut decoder, &mut out, |value, out| {
                    out.value(json::parse(value.as_bytes()).map_err(CallError::Json)?);
                    Ok(())
                })?;
            }
            Arguments::Strings(query) => {
                write_query(query, &mut decoder, &mut out, |value, out| {
                    out.string(value);
                    Ok(())
                })?;
            }
            Arguments::Body(_) | Arguments::None => {}
        }
        out.end_object();
        out.finish().map_err(CallError::NoRoom)
    }
}

/// Writes a query as the arguments of a frame.
fn write_query(
    query: &str,
    decoder: &mut Decoder,
    out: &mut Writer<'_>,
    write: impl Fn(&str, &mut Writer<'_>) -> Result<(), CallError>,
) -> Result<(), CallError> {
    out.key("params").object();
    for (name, value) in pairs(query) {
        out.key(decoder.query(name).map_err(CallError::Query)?);
        write(decoder.query(value).map_err(CallError::Query)?, out)?;
    }
    out.end_object();
    Ok(())
}
