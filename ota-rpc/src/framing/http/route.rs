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

#[cfg(test)]
mod tests {
    use std::string::String;

    use proptest::prelude::*;

    use super::*;

    /// What a request asks for, in a word or as the frame that is made of it.
    fn routed(method: &str, target: &str, body: &str) -> String {
        match Route::of(method, target) {
            Route::Frame => "frame".into(),
            Route::WebSocket => "websocket".into(),
            Route::Upload => "upload".into(),
            Route::Answer(response) => std::format!("{}", response.status()),
            Route::Call(call) => {
                let mut out = [0; 1024];
                match call.write_request(body.as_bytes(), &mut out) {
                    Ok(len) => String::from_utf8(out[..len].to_vec()).unwrap(),
                    Err(error) => std::format!("{error}"),
                }
            }
        }
    }

    #[test]
    fn requests_are_told_apart_by_method_and_path() {
        for (method, target, word) in [
            ("POST", "/rpc", "frame"),
            ("POST", "/rpc?x=1", "frame"),
            ("GET", "/rpc", "websocket"),
            ("POST", "/update", "upload"),
            ("POST", "/update?commit_timeout=5", "upload"),
            ("POST", "/update?url=", "upload"),
            ("GET", "/update", "400"),
            ("GET", "/update?url", "400"),
            ("OPTIONS", "/rpc", "200"),
            ("OPTIONS", "/rpc/OTA.Commit", "200"),
            ("OPTIONS", "/update/revert", "200"),
            ("OPTIONS", "/", "404"),
            ("PUT", "/rpc", "405"),
            ("post", "/rpc", "405"),
            ("DELETE", "/update", "405"),
            ("GET", "/", "404"),
            ("GET", "", "404"),
            ("GET", "/rpc/", "404"),
            ("GET", "/RPC", "404"),
            ("GET", "/update/", "404"),
            ("GET", "rpc", "404"),
        ] {
            assert_eq!(routed(method, target, ""), word, "{method} {target}");
        }
    }

    #[test]
    fn calls_become_frames() {
        for (method, target, body, frame) in [
            ("POST", "/rpc/OTA.Commit", "", r#"{"id":1,"method":"OTA.Commit"}"#),
            ("POST", "/rpc/OTA.Commit", " \r\n", r#"{"id":1,"method":"OTA.Commit"}"#),
            ("GET", "/rpc/OTA%2ECommit?", "", r#"{"id":1,"method":"OTA.Commit"}"#),
            (
                "POST",
                "/rpc/OTA.Update?a=1",
                " {\"url\": \"x\"}\n",
                r#"{"id":1,"method":"OTA.Update","params":{"url": "x"}}"#,
            ),
            (
                "GET",
                "/rpc/OTA.Update?url=%22http://x/?a%3D1%26b%22&commit_timeout=300&x=[+true+]",
                "",
                r#"{"id":1,"method":"OTA.Update","params":{"url":"http://x/?a=1&b","commit_timeout":300,"x":[ true ]}}"#,
            ),
            (
                "GET",
                "/update?url=http://x/%22&commit_timeout=300",
                "ignored",
                r#"{"id":1,"method":"OTA.Update","params":{"url":"http://x/\"","commit_timeout":"300"}}"#,
            ),
            ("GET", "/update/commit", "x", r#"{"id":1,"method":"OTA.Commit"}"#),
            ("PATCH", "/update/revert?x", "", r#"{"id":1,"method":"OTA.Revert"}"#),
            ("GET", "/rpc/a%22b", "", r#"{"id":1,"method":"a\"b"}"#),
        ] {
            assert_eq!(routed(method, target, body), frame);
        }
    }

    #[test]
    fn arguments_cannot_break_out_of_their_place() {
        for (target, body, error) in [
            ("/rpc/m?a=1}", "", "data after the end of JSON at offset 1"),
            ("/rpc/m?a=1,%22b%22:2", "", "data after the end of JSON at offset 1"),
            ("/rpc/m?a", "", "JSON ends too early, after 0 bytes"),
            ("/rpc/m?a=x", "", "unexpected byte in JSON at offset 0"),
            ("/rpc/m", "{},\"method\":\"n\"", "data after the end of JSON at offset 2"),
            ("/rpc/%", "", "% must be followed by two hexadecimal digits"),
            ("/rpc/m?%ff=1", "", "the target is not UTF-8"),
        ] {
            assert_eq!(routed("POST", target, body), error, "{target}");
        }
        let Route::Call(call) = Route::of("GET", "/rpc/m") else { panic!("no call") };
        let error = CallError::NoRoom(NoRoom { capacity: 7 });
        assert_eq!(call.write_request(b"", &mut [0; 7]), Err(error));
    }

    proptest! {
        #[test]
        fn whatever_becomes_a_frame_is_json(
            target in "/(rpc/|update\\?url=)[a-z?&=%0-9{}\"+\\[\\],:é]{0,40}",
            body in "[{}\":,a1 ]{0,12}",
        ) {
            let Route::Call(call) = Route::of("POST", &target) else { return Ok(()) };
            let mut out = [0; 2048];
            if let Ok(len) = call.write_request(body.as_bytes(), &mut out) {
                let frame = json::parse(&out[..len]).expect("JSON");
                prop_assert_eq!(frame.get("id").and_then(json::Value::as_i64), Some(1));
                let keys = frame.entries().count();
                prop_assert!(keys == 2 || keys == 3 && frame.get("params").is_some());
            }
        }
    }
}
