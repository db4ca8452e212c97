//! HTTP.

mod authorization;

pub use authorization::{Authorization, BadHeader, DigestFields};
