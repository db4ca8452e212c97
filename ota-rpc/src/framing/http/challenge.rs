//! The header `WWW-Authenticate`.
//!
//! The service challenges by an error frame with code 401, whose message is JSON again. Over HTTP
//! the same challenge is a header: only numbers are written otherwise.

use core::fmt;

use heapless::String;
use ota_core::json::{self, Value};

use crate::error::code;
use crate::limits::MAX_NAME_BYTES;

/// Room for the message of a challenge: a realm and about 110 bytes more.
const MESSAGE_BYTES: usize = 192 + MAX_NAME_BYTES;

/// What a client has to answer.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    realm: String<MAX_NAME_BYTES>,
    nonce: u32,
    algorithm: &'static str,
    is_stale: bool,
}

impl Challenge {
    /// Of the error of a frame; none if that is another one.
    pub(super) fn of_error(error: Value<'_>) -> Option<Self> {
        if error.get("code")?.as_i64()? != i64::from(code::UNAUTHENTICATED) {
            return None;
        }
        let mut buffer = [0; MESSAGE_BYTES];
        let message = error.get("message")?.as_text()?.decode(&mut buffer).ok()?;
        let message = json::parse(message.as_bytes()).ok()?;
        let algorithm = message.get("algorithm")?.as_text()?;
        Some(Self {
            realm: message.get("realm")?.as_text()?.decode_into().ok()?,
            nonce: u32::try_from(message.get("nonce")?.as_u64()?).ok()?,
            algorithm: ["MD5", "SHA-256"].into_iter().find(|name| algorithm == **name)?,
            is_stale: message.get("stale").is_some_and(|stale| stale.as_bool() == Some(true)),
        })
    }
}

/// The algorithm comes last, because `mos` takes a comma behind it for a part of its name.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { realm, nonce, algorithm, is_stale } = self;
        write!(f, r#"Digest qop="auth", realm="{realm}", nonce="{nonce:08x}", "#)?;
        if *is_stale {
            f.write_str("stale=true, ")?;
        }
        write!(f, "algorithm={algorithm}")
    }
}
