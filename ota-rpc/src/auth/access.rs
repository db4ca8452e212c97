//! Who may do what: users, and the rules of `rpc.acl`.

use core::fmt;

use super::digest::{Algorithm, Digest};
use super::glob;
use crate::channel::ChannelKind;
use crate::limits::{MAX_NAME_BYTES, MAX_RULES, MAX_USERS};

/// Whom the device lets in, lent by the platform.
///
/// The rules are asked in their order, and the first one that fits the method and the channel
/// decides. If none fits, nobody may.
///
/// ```
/// use ota_rpc::auth::{Access, Algorithm, Digest, Rule, User};
///
/// let ha1 = Digest::of_password(Algorithm::Sha256, "admin", "RPC", "secret");
/// let users = [User { name: "admin", ha1 }];
/// let rules = [
///     Rule { method: "*.Get*", ch_type: "*", acl: "*" },
///     Rule { method: "*", ch_type: "*", acl: "+admin" },
/// ];
/// let access = Access::new("RPC", Algorithm::Sha256, &users, &rules);
/// assert!(access.is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Access<'d> {
    realm: &'d str,
    algorithm: Algorithm,
    users: &'d [User<'d>],
    rules: &'d [Rule<'d>],
}

/// Somebody with a password.
#[derive(Clone, Copy, Debug)]
pub struct User<'d> {
    /// The name.
    pub name: &'d str,
    /// [`Digest::of_password`], which is what a file of `htdigest` has.
    pub ha1: Digest,
}

/// A rule of `rpc.acl`, in its own words.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'d> {
    /// The methods: `*` any characters, `?` any one, `|` between alternatives.
    pub method: &'d str,
    /// The channels by [`ChannelKind::name`], as a pattern too; empty is any.
    pub ch_type: &'d str,
    /// Who may: `*` everybody, without a password; `-*` nobody; else a list of `+user` and `-user`
    /// with commas between, in which `+*` and `-*` are all users. The first that fits decides, and
    /// if none does, that is no.
    pub acl: &'d str,
}

/// Everybody who has a password may do everything: the rules to start from.
pub const EVERY_USER: &[Rule<'static>] = &[Rule { method: "*", ch_type: "*", acl: "+*" }];

/// Why users and rules cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AccessError {
    /// The realm is empty, longer than [`MAX_NAME_BYTES`], or has characters other than printable
    /// ASCII without `"`, `\` and `:`.
    BadRealm,
    /// The name of a user is not as [`Self::BadRealm`] says.
    BadUser {
        /// Which one.
        index: usize,
    },
    /// The digest of a user was made by the other algorithm, so nobody could ever log in with it.
    OtherAlgorithm {
        /// Which user.
        index: usize,
    },
    /// Something in the list of a rule is neither `+user` nor `-user`.
    BadAcl {
        /// Which rule.
        index: usize,
    },
    /// More than [`MAX_USERS`] users.
    TooManyUsers,
    /// More than [`MAX_RULES`] rules.
    TooManyRules,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: &str = "must be printable ASCII without \", \\ and :, and not too long";
        match self {
            Self::BadRealm => write!(f, "the realm {NAME}"),
            Self::BadUser { index } => write!(f, "the name of user {index} {NAME}"),
            Self::OtherAlgorithm { index } => {
                write!(f, "the digest of user {index} is of another algorithm than the realm's")
            }
            Self::BadAcl { index } => {
                write!(f, "the acl of rule {index} must be *, -* or a list of +user and -user")
            }
            Self::TooManyUsers => write!(f, "more than {MAX_USERS} users"),
            Self::TooManyRules => write!(f, "more than {MAX_RULES} rules"),
        }
    }
}

impl core::error::Error for AccessError {}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand<'d> {
    /// Nothing.
    Nothing,
    /// To be a user that this list admits.
    User(&'d str),
    /// What nobody has.
    Impossible,
}

impl<'d> Access<'d> {
    /// `realm` is `rpc.auth_domain`, "RPC" on most devices; `algorithm` the only one accepted.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn new(
        realm: &'d str,
        algorithm: Algorithm,
        users: &'d [User<'d>],
        rules: &'d [Rule<'d>],
    ) -> Result<Self, AccessError> {
        if !is_name(realm) {
            return Err(AccessError::BadRealm);
        }
        if users.len() > MAX_USERS {
            return Err(AccessError::TooManyUsers);
        }
        if rules.len() > MAX_RULES {
            return Err(AccessError::TooManyRules);
        }
        if let Some(index) = users.iter().position(|user| !is_name(user.name)) {
            return Err(AccessError::BadUser { index });
        }
        if let Some(index) = users.iter().position(|user| user.ha1.algorithm() != algorithm) {
            return Err(AccessError::OtherAlgorithm { index });
        }
        if let Some(index) = rules.iter().position(|rule| !is_acl(rule.acl)) {
            return Err(AccessError::BadAcl { index });
        }
        Ok(Self { realm, algorithm, users, rules })
    }

    /// What users have to name besides their own name.
    pub const fn realm(&self) -> &'d str {
        self.realm
    }

    /// The hash that users have to use.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What it takes to call a method over a kind of channel.
    pub(crate) fn demand(
        &self,
        method: impl Iterator<Item = char> + Clone,
        kind: ChannelKind,
    ) -> Demand<'d> {
        let fits = |rule: &&Rule<'_>| {
            let any_channel = rule.ch_type.is_empty();
            (any_channel || glob::matches(rule.ch_type, kind.name().chars()))
                && glob::matches(rule.method, method.clone())
        };
        match self.rules.iter().find(fits).map(|rule| rule.acl.trim_ascii()) {
            Some("*") => Demand::Nothing,
            Some("-*") | None => Demand::Impossible,
            Some(acl) => Demand::User(acl),
        }
    }

    /// The user of this name, and what the password has to hash to. Takes about the same time
    /// whether there is one or not.
    pub(crate) fn find(&self, is_named: impl Fn(&str) -> bool) -> (Option<&'d str>, Digest) {
        let none = (None, Digest::zero(self.algorithm));
        self.users.iter().fold(none, |found, user| match is_named(user.name) {
            true => (Some(user.name), user.ha1),
            false => found,
        })
    }
}

/// Whether a list admits a user.
pub(crate) fn admits(acl: &str, user: &str) -> bool {
    let entries = acl.split(',').map(str::trim_ascii);
    let mut fitting = entries.filter_map(|entry| {
        let (admits, name) = match entry.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, entry.strip_prefix('+').unwrap_or(entry)),
        };
        (name == "*" || name == user).then_some(admits)
    });
    fitting.next() == Some(true)
}

fn is_acl(acl: &str) -> bool {
    let is_entry = |entry: &str| match entry.strip_prefix(['+', '-']) {
        Some(name) => name == "*" || is_name(name),
        None => entry == "*",
    };
    acl.split(',').map(str::trim_ascii).all(is_entry)
}

/// Such a name stands in quotes and before colons without anything done to it.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b':');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_plain)
}
