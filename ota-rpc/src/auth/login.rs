//! Credentials as they came: in a frame, or in a header of HTTP.
//!
//! ```text
//! frame   "auth":{"realm":"RPC","username":"admin","nonce":1789000000,"cnonce":56924495,
//!                 "algorithm":"SHA-256","response":"<hex>"}
//! header  Digest username="admin", realm="RPC", uri="/rpc", algorithm=SHA-256,
//!                nonce="6aa1b2c3", nc=00000001, cnonce="2365596883", qop=auth, response="<hex>"
//! ```
//! The response is `H(HA1:nonce:nc:cnonce:auth:HA2)`, in which HA2 is `H(METHOD:uri)`. In frames the
//! count is 1, and method and uri are `dummy_method:dummy_uri`: nothing of the call is in it.

use core::fmt;

use ota_core::json::{Kind, Text, Value};

use super::access::Access;
use super::digest::{Algorithm, Digest};
use crate::framing::http::{Authorization, DigestFields};

/// They are not such as a challenge asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Credentials.
pub(super) struct Login<'a> {
    user: Words<'a>,
    pub(super) nonce: u32,
    pub(super) form: Form<'a>,
    cnonce: Words<'a>,
    /// None if it is no digest: then it is wrong.
    response: Option<Digest>,
}

/// Where they came.
pub(super) enum Form<'a> {
    Frame,
    Header { count: Count, method: &'a str, uri: &'a str },
}

/// How often a client has used a nonce: eight hexadecimal digits, as they enter the digest.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u32);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A word of either form.
#[derive(Clone, Copy)]
enum Words<'a> {
    Json(Text<'a>),
    Plain(&'a str),
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) => text.fmt(f),
            Self::Plain(text) => f.write_str(text),
        }
    }
}

impl PartialEq<str> for Words<'_> {
    fn eq(&self, other: &str) -> bool {
        match self {
            Self::Json(text) => *text == *other,
            Self::Plain(text) => *text == other,
        }
    }
}

impl<'a> Login<'a> {
    /// Of the member `auth` of a frame.
    pub(super) fn of_frame(auth: Value<'a>, access: &Access<'_>) -> Result<Self, Malformed> {
        let text = |key| auth.get(key).and_then(Value::as_text).ok_or(Malformed);
        let algorithm = match auth.get("algorithm") {
            Some(algorithm) => Words::Json(algorithm.as_text().ok_or(Malformed)?),
            None => Words::Plain(Algorithm::Md5.name()),
        };
        if text("realm")? != access.realm() || algorithm != *access.algorithm().name() {
            return Err(Malformed);
        }
        let nonce = auth.get("nonce").and_then(Value::as_u64).ok_or(Malformed)?;
        let cnonce = auth.get("cnonce").ok_or(Malformed)?;
        let cnonce = match (cnonce.kind(), cnonce.as_text()) {
            (Kind::Number, _) => Words::Plain(cnonce.raw()),
            (_, Some(text)) => Words::Json(text),
            (_, None) => return Err(Malformed),
        };
        let response = text("response")?;
        Ok(Self {
            user: Words::Json(text("username")?),
            // No device issues longer ones.
            nonce: u32::try_from(nonce).map_err(|_| Malformed)?,
            form: Form::Frame,
            cnonce,
            response: response.decode(&mut [0; 64]).ok().and_then(Digest::from_hex),
        })
    }

    /// Of a header. None if it has no digest, but a scheme that is not served.
    pub(super) fn of_header(
        authorization: Authorization<'a>,
        access: &Access<'_>,
    ) -> Result<Option<Self>, Malformed> {
        let Authorization { method, target, header } = authorization;
        let Some(fields) = DigestFields::parse(header).map_err(|_| Malformed)? else {
            return Ok(None);
        };
        let algorithm = fields.algorithm.unwrap_or(Algorithm::Md5.name());
        let is_asked_for = fields.realm == Some(access.realm())
            && algorithm.eq_ignore_ascii_case(access.algorithm().name())
            && fields.qop == Some("auth")
            && fields.uri == Some(target);
        if !is_asked_for {
            return Err(Malformed);
        }
        let count = Count(fields.nc.and_then(eight_digits).ok_or(Malformed)?);
        Ok(Some(Self {
            user: Words::Plain(fields.username.ok_or(Malformed)?),
            nonce: fields.nonce.and_then(eight_digits).ok_or(Malformed)?,
            form: Form::Header { count, method, uri: target },
            cnonce: Words::Plain(fields.cnonce.ok_or(Malformed)?),
            response: fields.response.and_then(Digest::from_hex),
        }))
    }

    /// The user whose password was used.
    pub(super) fn user<'d>(&self, access: &Access<'d>) -> Option<&'d str> {
        let (user, ha1) = access.find(|name| self.user == *name);
        let algorithm = access.algorithm();
        let (nonce, cnonce) = (self.nonce, &self.cnonce);
        let right = match self.form {
            Form::Frame => {
                let ha2 = Digest::of(algorithm, format_args!("dummy_method:dummy_uri"));
                Digest::of(algorithm, format_args!("{ha1}:{nonce}:1:{cnonce}:auth:{ha2}"))
            }
            Form::Header { count, method, uri } => {
                let ha2 = Digest::of(algorithm, format_args!("{method}:{uri}"));
                let nonce = Count(nonce);
                Digest::of(algorithm, format_args!("{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}"))
            }
        };
        // A digest of nothing can be found too, so the user comes last.
        let is_right = self.response == Some(right);
        user.filter(|_| is_right)
    }
}

/// A number of exactly eight hexadecimal digits, in lower case where it enters the digest: devices
/// write nonces so, and clients counts.
fn eight_digits(text: &str) -> Option<u32> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let is_number = text.len() == 8 && text.bytes().all(is_digit);
    is_number.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}
