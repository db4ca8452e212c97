//! HTTP.

mod authorization;
mod multipart;
mod parameters;

pub use authorization::{Authorization, DigestFields};
pub use multipart::{Multipart, MultipartError, Part};
pub use parameters::BadHeader;
