//! The JSON-RPC frames of Mongoose OS.
//!
//! ```text
//! request  {"src":"mos","id":1530134620015,"method":"OTA.Update","params":{...}}
//! reply    {"id":1530134620015,"src":"DEVICE","dst":"mos","result":...}
//!          {"id":1530134620015,"src":"DEVICE","dst":"mos","error":{"code":-1,"message":"..."}}
//! ```
//! Accepted: `id`, `src`, `dst`, `tag`, `method`, `params` or its old name `args`, `auth`,
//! `result`, `error`; all else (`v`, `jsonrpc`, `key`, ...) is ignored. A request without an id is
//! a notification: it is never answered.

use core::fmt;

use ota_core::json::{self, JsonError, Kind, Text, Value};

use crate::limits::MAX_REQUEST_BYTES;
use crate::writer::{NoRoom, Words, Writer};

/// A frame as it was received. All views are into its text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame<'a> {
    /// What the reply is to be known by.
    pub id: Option<Id<'a>>,
    /// Who sent it, and who gets the reply.
    pub src: Option<Text<'a>>,
    /// Whom it is for.
    pub dst: Option<Text<'a>>,
    /// Comes back in the reply as it is.
    pub tag: Option<Value<'a>>,
    /// The method called; none in a reply.
    pub method: Option<Text<'a>>,
    /// The method's arguments: `params`, or `args` if there is none.
    pub params: Option<Value<'a>>,
    /// Credentials.
    pub auth: Option<Value<'a>>,
    /// In a reply: the result.
    pub result: Option<Value<'a>>,
    /// In a reply: `{"code":..,"message":..}`.
    pub error: Option<Value<'a>>,
}

/// The id of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id<'a> {
    /// A number, as it was written: no number of bits is too many.
    Number(Value<'a>),
    /// A string.
    Text(Text<'a>),
}

/// Why a text is not a frame for this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rejected {
    /// Longer than [`MAX_REQUEST_BYTES`]; it was not read.
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// Not JSON, or nested too deep.
    Json(JsonError),
    /// JSON, but not an object.
    NotAnObject,
    /// A member of the frame is not of the type that it must have.
    BadMember(
        /// Its key.
        &'static str,
    ),
    /// It calls no method and is no reply.
    NoMethod,
    /// It is for another device.
    WrongDestination,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { found } => {
                write!(f, "frame of {found} bytes, at most {MAX_REQUEST_BYTES} are accepted")
            }
            Self::Json(error) => error.fmt(f),
            Self::NotAnObject => f.write_str("a frame must be a JSON object"),
            Self::BadMember("id") => f.write_str("id must be a number or a string"),
            Self::BadMember(key) => write!(f, "{} must be a string", Words(key)),
            Self::NoMethod => f.write_str("method is required"),
            Self::WrongDestination => f.write_str("dst is another device"),
        }
    }
}

impl core::error::Error for Rejected {}

/// The members of a frame that are looked at. Of those that are repeated, the last one counts.
static KEYS: [&str; 10] =
    ["id", "src", "dst", "tag", "method", "params", "args", "auth", "result", "error"];

impl<'a> Frame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`Rejected`]: all of its reasons but [`Rejected::NoMethod`] and
    /// [`Rejected::WrongDestination`], which are for the receiver to find.
    pub fn parse(text: &'a [u8]) -> Result<Self, Rejected> {
        if text.len() > MAX_REQUEST_BYTES {
            return Err(Rejected::TooLong { found: text.len() });
        }
        let object = json::parse(text).map_err(Rejected::Json)?;
        if object.kind() != Kind::Object {
            return Err(Rejected::NotAnObject);
        }
        let mut members = [None; KEYS.len()];
        for (key, value) in object.entries() {
            let mut known = KEYS.iter().zip(members.iter_mut());
            if let Some((_, member)) = known.find(|(known, _)| key == **known) {
                *member = Some(value);
            }
        }
        let [id, src, dst, tag, method, params, args, auth, result, error] = members;
        let method = match method.map(Value::as_text) {
            Some(None) => return Err(Rejected::BadMember("method")),
            Some(method) => method,
            None => None,
        };
        Ok(Self {
            id: id.map(Id::parse).transpose()?,
            src: address(src, "src")?,
            dst: address(dst, "dst")?,
            tag,
            method,
            params: params.or(args),
            auth,
            result,
            error,
        })
    }

    /// The argument `key` of the method.
    pub fn argument(&self, key: &str) -> Option<Value<'a>> {
        self.params?.get(key)
    }

    /// Writes what a reply of `device` to this frame starts with. The caller adds `result` or
    /// `error`, and the closing brace.
    pub(crate) fn open_reply(&self, device: &str, out: &mut Writer<'_>) {
        out.object().key("id");
        match self.id {
            Some(id) => id.write(out),
            None => {
                out.null();
            }
        }
        // A request with a `dst` that is not the device's id gets no reply, so this is its `dst`.
        out.key("src").string(device);
        if let Some(src) = self.src {
            out.key("dst").text(src);
        }
        if let Some(tag) = self.tag {
            out.key("tag").value(tag);
        }
    }

    /// Writes a reply of `device` to this frame that is an error.
    pub(crate) fn write_error(
        &self,
        device: &str,
        code: i32,
        message: impl fmt::Display,
        out: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let mut out = Writer::new(out);
        self.open_reply(device, &mut out);
        out.key("error").object().key("code").int(code);
        out.key("message").display(message).end_object().end_object();
        out.finish()
    }

    /// Writes a frame with no more than what a reply to this one needs, to be parsed again when the
    /// reply is due.
    pub(crate) fn write_address(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut out = Writer::new(out);
        out.object();
        if let Some(id) = self.id {
            id.write(out.key("id"));
        }
        if let Some(src) = self.src {
            out.key("src").text(src);
        }
        if let Some(tag) = self.tag {
            out.key("tag").value(tag);
        }
        out.end_object();
        out.finish()
    }

    /// Writes the frame as a call of `method`.
    pub(crate) fn write_call(&self, method: &str, out: &mut Writer<'_>) {
        out.object();
        if let Some(id) = self.id {
            id.write(out.key("id"));
        }
        for (key, text) in [("src", self.src), ("dst", self.dst)] {
            if let Some(text) = text {
                out.key(key).text(text);
            }
        }
        if let Some(tag) = self.tag {
            out.key("tag").value(tag);
        }
        out.key("method").string(method);
        for (key, value) in [("params", self.params), ("auth", self.auth)] {
            if let Some(value) = value {
                out.key(key).value(value);
            }
        }
        out.end_object();
    }
}

/// `src` or `dst`: null and the empty string are as good as none.
fn address<'a>(value: Option<Value<'a>>, key: &'static str) -> Result<Option<Text<'a>>, Rejected> {
    let Some(value) = value.filter(|value| value.kind() != Kind::Null) else {
        return Ok(None);
    };
    let text = value.as_text().ok_or(Rejected::BadMember(key))?;
    Ok((!text.is_empty()).then_some(text))
}

impl<'a> Id<'a> {
    fn parse(value: Value<'a>) -> Result<Self, Rejected> {
        match (value.kind(), value.as_text()) {
            (Kind::Number, _) => Ok(Self::Number(value)),
            (_, Some(text)) => Ok(Self::Text(text)),
            (_, None) => Err(Rejected::BadMember("id")),
        }
    }

    /// Whether this is the number `id`, be it as a number or as a string.
    pub fn is_number(self, id: i64) -> bool {
        match self {
            Self::Number(number) => number.as_i64() == Some(id),
            Self::Text(text) => {
                is_plain_number(text)
                    && text.decode(&mut [0; 20]).is_ok_and(|text| text.parse() == Ok(id))
            }
        }
    }

    /// As Mongoose OS does: whatever is made of digits only comes back as a number, because `mos`
    /// takes nothing else.
    fn write(self, out: &mut Writer<'_>) {
        match self {
            Self::Number(number) => out.value(number),
            Self::Text(text) if is_plain_number(text) => out.digits(text),
            Self::Text(text) => out.text(text),
        };
    }
}

/// Only digits, and a number to JSON too, which knows no leading zeros.
fn is_plain_number(text: Text<'_>) -> bool {
    let zeros_lead = text.chars().next() == Some('0') && text != "0";
    !text.is_empty() && !zeros_lead && text.chars().all(|c| c.is_ascii_digit())
}

/// Whom a frame that [`crate::Service`] has written is for: MQTT needs it for the topic, `dst` and
/// `"/rpc"`. None if the request had no `src`.
pub fn destination(reply: &[u8]) -> Option<Text<'_>> {
    json::parse(reply).ok()?.get("dst")?.as_text()
}

/// Writes a request, for transports in which the method comes apart from the arguments: an HTTP
/// path `/rpc/METHOD` or an MQTT topic `ID/rpc/METHOD`. `params` is JSON text; an empty one means
/// none.
///
/// # Errors
/// [`RequestError`]: the arguments are not JSON, or `out` is too small.
pub fn write_request(
    out: &mut [u8],
    id: u64,
    method: &str,
    params: &[u8],
) -> Result<usize, RequestError> {
    let mut out = Writer::new(out);
    out.object().key("id").uint(id).key("method").string(method);
    if !params.trim_ascii().is_empty() {
        let params = json::parse(params).map_err(RequestError::Params)?;
        out.key("params").value(params);
    }
    out.end_object();
    out.finish().map_err(RequestError::NoRoom)
}

/// Why a request could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RequestError {
    /// The arguments are not JSON.
    Params(JsonError),
    /// The buffer is too small.
    NoRoom(NoRoom),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Params(error) => error.fmt(f),
            Self::NoRoom(error) => write!(f, "the request {error}"),
        }
    }
}

impl core::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    /// What a reply to `request` starts with.
    fn head(request: &str) -> String {
        let mut buffer = [0; 256];
        let mut out = Writer::new(&mut buffer);
        Frame::parse(request.as_bytes()).unwrap().open_reply("dev", &mut out);
        let len = out.finish().unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn replies_have_the_order_of_keys_of_mongoose() {
        assert_eq!(
            head(r#"{"tag":{"a": 1},"src":"mos","id":1530134620015,"method":"m","v":2}"#),
            r#"{"id":1530134620015,"src":"dev","dst":"mos","tag":{"a": 1}"#
        );
        assert_eq!(head(r#"{"id":1,"method":"m"}"#), r#"{"id":1,"src":"dev""#);
        assert_eq!(head(r#"{"id":1,"src":"","dst":null}"#), r#"{"id":1,"src":"dev""#);
    }

    #[test]
    fn ids_of_digits_only_come_back_as_numbers() {
        for (id, reply) in [
            ("2199023255551", "2199023255551"),
            ("\"2199023255551\"", "2199023255551"),
            ("\"\\u0031\"", "1"),
            ("\"0\"", "0"),
            ("340282366920938463463374607431768211456", "340282366920938463463374607431768211456"),
            ("-5", "-5"),
            ("\"-5\"", "\"-5\""),
            ("\"007\"", "\"007\""),
            ("\"\"", "\"\""),
            ("\"a\\u0022é\"", "\"a\\\"\\u00e9\""),
        ] {
            let request = std::format!("{{\"id\":{id}}}");
            assert_eq!(head(&request), std::format!("{{\"id\":{reply},\"src\":\"dev\""));
        }
    }

    #[test]
    fn params_win_over_args() {
        for (request, expected) in [
            (r#"{"args":{"a":1}}"#, Some(1)),
            (r#"{"params":{"a":2},"args":{"a":1}}"#, Some(2)),
            (r#"{"args":{"a":1},"params":{"a":2}}"#, Some(2)),
            (r#"{"params":[1]}"#, None),
            (r#"{}"#, None),
        ] {
            let frame = Frame::parse(request.as_bytes()).unwrap();
            assert_eq!(frame.argument("a").and_then(Value::as_i64), expected);
        }
    }

    #[test]
    fn what_is_no_frame_is_rejected_with_the_reason() {
        for (text, why) in [
            ("[]", Rejected::NotAnObject),
            ("\"x\"", Rejected::NotAnObject),
            (r#"{"id":null}"#, Rejected::BadMember("id")),
            (r#"{"id":{}}"#, Rejected::BadMember("id")),
            (r#"{"method":1}"#, Rejected::BadMember("method")),
            (r#"{"src":1}"#, Rejected::BadMember("src")),
            (r#"{"dst":[]}"#, Rejected::BadMember("dst")),
            (r#"{"id":1"#, Rejected::Json(JsonError::Truncated { offset: 7 })),
            ("", Rejected::Json(JsonError::Truncated { offset: 0 })),
        ] {
            assert_eq!(Frame::parse(text.as_bytes()).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn an_address_is_enough_for_the_same_reply() {
        let request = r#"{"id":"12","src":"a\u0022é","dst":"dev","tag":[" é"],"method":"m"}"#;
        let mut buffer = [0; 128];
        let len = Frame::parse(request.as_bytes()).unwrap().write_address(&mut buffer).unwrap();
        let address = core::str::from_utf8(&buffer[..len]).unwrap();
        assert_eq!(head(address), head(request));
        assert!(Frame::parse(address.as_bytes()).unwrap().id.unwrap().is_number(12));
    }

    #[test]
    fn the_destination_of_a_reply_can_be_read_from_it() {
        let reply = br#"{"id":1,"src":"d","dst":"d/rpc-resp/mos-1","result":null}"#;
        assert_eq!(destination(reply).unwrap(), "d/rpc-resp/mos-1");
        assert_eq!(destination(br#"{"id":1,"src":"d","result":null}"#), None);
    }

    #[test]
    fn requests_are_made_of_method_and_arguments() {
        let mut buffer = [0; 64];
        let len = write_request(&mut buffer, 7, "OTA.Update", b" {\"url\": \"x\"}\n").unwrap();
        assert_eq!(&buffer[..len], br#"{"id":7,"method":"OTA.Update","params":{"url": "x"}}"#);
        let len = write_request(&mut buffer, 7, "OTA.Commit", b" ").unwrap();
        assert_eq!(&buffer[..len], br#"{"id":7,"method":"OTA.Commit"}"#);
        let error = write_request(&mut buffer, 7, "m", b"{} ,\"method\":\"OTA.Revert\"");
        assert_eq!(error, Err(RequestError::Params(JsonError::TrailingData { offset: 3 })));
        let error = write_request(&mut [0; 8], 7, "m", b"");
        assert_eq!(error, Err(RequestError::NoRoom(NoRoom { capacity: 8 })));
    }
}
