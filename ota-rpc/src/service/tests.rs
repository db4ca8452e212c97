//! The service with a made-up engine, request by request.

#[cfg(feature = "auth")]
mod acl;
#[cfg(feature = "auth")]
mod auth;
pub(crate) mod bench;
mod boot_state;
mod hostile;
mod http;
mod limits;
mod pull;
mod push;
mod reboot;
#[cfg(feature = "auth")]
mod replay;
mod upload;
mod wire;
