//! Who may call what: digest authentication and the rules of `rpc.acl`.
//!
//! ```text
//! request -> Access: first rule that fits -> *          -> carried out
//!                                         -> +user,...  -> credentials? -> none: challenge (401)
//!                                         -> -*, none   -> 403
//! challenge -> credentials -> realm, algorithm as asked? -> no: 400
//!                          -> nonce known, not used?     -> no: another challenge
//!                          -> response right?            -> no: another challenge, and the next
//!                                                           tries are slowed (429)
//!                          -> user admitted by the rule? -> no: 403
//! ```
//! * [`Access`]: users and rules, which the platform lends; [`Config::access`](crate::Config) has it.
//! * [`Platform::random`](crate::Platform::random): where nonces come from.
//! * [`users`]: users out of a file of `htdigest`.
//!
//! `docs/rpc-auth.md` says what this protects from, and what it does not.
//!
//! # Invariants
//! * A password is looked at only with a nonce that this device has issued since its start; a nonce
//!   whose response was wrong is gone.
//! * What cannot be decided is refused: no rule, no random numbers, no such user.

mod access;
mod digest;
mod glob;
mod guard;
mod htdigest;
mod login;
mod nonces;
mod pace;

pub(crate) use access::Demand;
pub use access::{Access, AccessError, EVERY_USER, Rule, User};
pub use digest::{Algorithm, Digest};
pub(crate) use guard::{Denied, Guard, Request};
pub use htdigest::users;
