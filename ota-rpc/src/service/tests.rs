//! The service with a made-up engine, request by request.

pub(crate) mod bench;
mod boot_state;
mod hostile;
mod limits;
mod pull;
mod push;
mod reboot;
mod wire;
