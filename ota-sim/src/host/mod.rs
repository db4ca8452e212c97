//! A simulated device on this computer's network: real sockets, real downloads.
//!
//! ```text
//!   clients --> http, ws, tcp, udp --commands--> DeviceHost: one thread, which owns the device
//!   file servers --> fetch (ureq) --chunks---^          |
//!                    (a thread for each download)       '--> observer: boot log, progress
//! ```
//! The device is one thread, as on a board: everything reaches it through one bounded queue. A
//! download is handed over in chunks of [`fetch::CHUNK_BYTES`], a few of which may wait; it is
//! never in memory as a whole.

pub mod broker;
pub mod client;
pub mod fetch;
pub mod files;
pub mod fimp;
mod guests;
mod handle;
pub mod http;
mod line;
pub mod mqtt;
mod owner;
mod queue;
pub mod serial;
pub mod server;
pub mod tcp;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod udp;
mod ws;

pub use handle::{Answer, DeviceHandle, Exchange, Login, Peer, Pending, Uploading};
pub use owner::{DeviceHost, HostError, Notice};
