//! The decision on a request, and what is remembered of earlier ones.

use core::fmt;

use ota_core::json::Value;

use super::access::{Access, Demand, admits};
use super::digest::Algorithm;
use super::login::{Form, Login};
use super::nonces::{Nonces, NotRandom};
use super::pace::Pace;
use crate::channel::{Channel, ChannelKind};
use crate::error::code;

/// What is remembered: the nonces that were issued, and how many tries have failed.
#[derive(Debug)]
pub(crate) struct Guard {
    nonces: Nonces,
    paces: [Pace; ChannelKind::COUNT],
}

/// A request, as far as it matters here.
pub(crate) struct Request<'a, M> {
    /// Characters of the method's name.
    pub(crate) method: M,
    pub(crate) from: Channel<'a>,
    /// The member `auth` of the frame.
    pub(crate) auth: Option<Value<'a>>,
    /// There can be a reply: no challenge is wasted on others.
    pub(crate) has_reply: bool,
    pub(crate) now_ms: u64,
}

/// Why a request is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied<'d> {
    /// Credentials are missing, wrong or too old: 401.
    Challenge { realm: &'d str, algorithm: Algorithm, nonce: u32, is_stale: bool },
    /// The credentials are not what was asked for: 400.
    Malformed,
    /// Nobody may, or not this user: 403.
    Forbidden,
    /// Too many wrong passwords: 429.
    Closed { for_ms: u32 },
    /// Too many challenges that nobody answers: 429.
    TooManyChallenges { for_ms: u32 },
    /// The platform gives no random numbers: 500.
    NotRandom,
}

impl Denied<'_> {
    /// The code of the error.
    pub(crate) const fn code(&self) -> i32 {
        match self {
            Self::Challenge { .. } => code::UNAUTHENTICATED,
            Self::Malformed => code::BAD_REQUEST,
            Self::Forbidden => code::FORBIDDEN,
            Self::Closed { .. } | Self::TooManyChallenges { .. } => code::BUSY,
            Self::NotRandom => code::INTERNAL,
        }
    }
}

/// The message of the error, byte for byte that of Mongoose OS where that has one. In a challenge it
/// is JSON again; realms need no escapes.
impl fmt::Display for Denied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Challenge { realm, algorithm, nonce, is_stale } => {
                let algorithm = algorithm.name();
                write!(f, r#"{{"auth_type": "digest", "nonce": {nonce}, "nc": 1, "#)?;
                write!(f, r#""realm": "{realm}", "algorithm": "{algorithm}""#)?;
                f.write_str(if is_stale { r#", "stale": true}"# } else { "}" })
            }
            Self::Malformed => f.write_str("bad request"),
            Self::Forbidden => f.write_str("unauthorized"),
            Self::Closed { for_ms } => {
                write!(f, "too many wrong passwords: try again in {for_ms} ms")
            }
            Self::TooManyChallenges { for_ms } => {
                write!(f, "too many challenges without an answer: try again in {for_ms} ms")
            }
            Self::NotRandom => {
                f.write_str("nobody can log in: the device has no source of random numbers")
            }
        }
    }
}

/// Why nobody is logged in.
enum Failed<'d> {
    Denied(Denied<'d>),
    /// Ask for credentials.
    Ask {
        is_stale: bool,
    },
}

impl Guard {
    pub(crate) const fn new() -> Self {
        Self { nonces: Nonces::new(), paces: [Pace::NEW; ChannelKind::COUNT] }
    }

    /// Whether a request may be carried out. `random` gives random numbers of 32 bits.
    pub(crate) fn check<'d, M: Iterator<Item = char> + Clone>(
        &mut self,
        access: &Access<'d>,
        request: &Request<'_, M>,
        random: impl Fn() -> Option<u32>,
    ) -> Result<(), Denied<'d>> {
        let acl = match access.demand(request.method.clone(), request.from.kind) {
            Demand::Nothing => return Ok(()),
            Demand::Impossible => return Err(Denied::Forbidden),
            Demand::User(acl) => acl,
        };
        match self.log_in(access, request) {
            Ok(user) if admits(acl, user) => Ok(()),
            Ok(_) => Err(Denied::Forbidden),
            Err(Failed::Denied(denied)) => Err(denied),
            Err(Failed::Ask { .. }) if !request.has_reply => Err(Denied::Forbidden),
            Err(Failed::Ask { is_stale }) => Err(self.challenge(access, request, is_stale, random)),
        }
    }

    fn log_in<'d, M>(
        &mut self,
        access: &Access<'d>,
        request: &Request<'_, M>,
    ) -> Result<&'d str, Failed<'d>> {
        let login = match (request.from.authorization, request.auth) {
            (Some(header), _) => Login::of_header(header, access),
            (None, Some(auth)) => Login::of_frame(auth, access).map(Some),
            (None, None) => Ok(None),
        };
        let login = login.map_err(|_| Failed::Denied(Denied::Malformed))?;
        let Some(login) = login else {
            return Err(Failed::Ask { is_stale: false });
        };
        let (kind, now_ms) = (request.from.kind, request.now_ms);
        // Before the nonce is used: the same credentials are good when the door is open again.
        if let Some(for_ms) = self.pace(kind).and_then(|pace| pace.closed_for_ms(now_ms)) {
            return Err(Failed::Denied(Denied::Closed { for_ms }));
        }
        if !self.may_use(&login, kind, now_ms) {
            return Err(Failed::Ask { is_stale: true });
        }
        let user = login.user(access);
        self.note(&login, kind, now_ms, user.is_some());
        user.ok_or(Failed::Ask { is_stale: false })
    }

    /// Whether the nonce is one of this device that may be used now.
    fn may_use(&mut self, login: &Login<'_>, kind: ChannelKind, now_ms: u64) -> bool {
        match login.form {
            Form::Frame => self.nonces.take(login.nonce, kind, now_ms),
            Form::Header { count, .. } => self.nonces.may_count(login.nonce, kind, count.0, now_ms),
        }
    }

    /// Remembers that a nonce was used, well or not.
    fn note(&mut self, login: &Login<'_>, kind: ChannelKind, now_ms: u64, is_right: bool) {
        match login.form {
            Form::Header { count, .. } if is_right => {
                self.nonces.count(login.nonce, kind, count.0);
            }
            // One try for each challenge.
            Form::Header { .. } => drop(self.nonces.take(login.nonce, kind, now_ms)),
            Form::Frame => {}
        }
        match self.pace(kind) {
            Some(pace) if is_right => pace.answered(),
            Some(pace) => pace.failed(now_ms),
            None => {}
        }
    }

    fn challenge<'d, M>(
        &mut self,
        access: &Access<'d>,
        request: &Request<'_, M>,
        is_stale: bool,
        random: impl Fn() -> Option<u32>,
    ) -> Denied<'d> {
        let (kind, now_ms) = (request.from.kind, request.now_ms);
        let may = self.pace(kind).map_or(Ok(()), |pace| pace.challenge(now_ms));
        if let Err(for_ms) = may {
            return Denied::TooManyChallenges { for_ms };
        }
        // Frames are as they always were; it is browsers that ask nobody if a nonce was just old.
        let is_stale = is_stale && kind == ChannelKind::Http;
        let (realm, algorithm) = (access.realm(), access.algorithm());
        match self.nonces.issue(kind, now_ms, random) {
            Ok(nonce) => Denied::Challenge { realm, algorithm, nonce, is_stale },
            Err(NotRandom) => Denied::NotRandom,
        }
    }

    fn pace(&mut self, kind: ChannelKind) -> Option<&mut Pace> {
        self.paces.get_mut(kind as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_little() {
        assert!(size_of::<Guard>() <= 384, "{}", size_of::<Guard>());
    }
}
