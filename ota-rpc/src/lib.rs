//! The RPC service for firmware updates of Mongoose OS, without a transport, an allocator or a
//! clock of its own.
//!
//! Existing tools drive a device with it: `mos call OTA.Update`, `mos ota`, scripts over HTTP,
//! WebSocket, MQTT, serial lines. Bytes go in and come out; what else is to be done (fetch a file,
//! reboot) is returned as an [`Action`].
//!
//! ```text
//! transport -> Service::handle -> Frame -> methods -> Ota (the engine)
//!           <- Outcome, Polled <-       <-         <-
//! ```
//!
//! * [`Service`]: the dispatcher; see there for what its owner has to do.
//! * [`Ota`] and [`Platform`]: what it needs from the engine and the device.
//! * `auth`: who may call what. Part of the feature of that name.
//! * [`framing`]: the transports' ways to pack frames.
//! * `fimp`: the `ota` service of FIMP, on the same engine. Part of the feature of that name.
//! * [`entry`]: the entry points of the original C library, `mgos_rpc_service_ota_init()` and
//!   `mgos_updater_rpc_finish()`.
//! * [`frame`], [`Writer`]: frames, for the transports; [`framing`]: the transports.
//! * [`limits`]: how large everything may be.
//! * [`code`]: the error codes.
//!
//! # Hostile input
//! A request is checked as a whole before any of it is used; nothing recurses, allocates or panics.
//! Whatever comes in, the reply is valid JSON, complete, and ASCII.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::wildcard_enum_match_arm,
        clippy::missing_errors_doc,
        clippy::too_many_lines
    )
)]

#[cfg(test)]
extern crate std;

#[cfg(feature = "auth")]
pub mod auth;
mod base64;
pub mod channel;
mod engine;
pub mod entry;
mod error;
#[cfg(feature = "fimp")]
pub mod fimp;
pub mod frame;
pub mod framing;
pub mod limits;
mod methods;
pub mod ota;
mod outstanding;
pub mod platform;
mod reboot;
pub mod service;
mod writer;

pub use channel::{Channel, ChannelId, ChannelKind};
#[cfg(feature = "async")]
pub use engine::Awaited;
pub use engine::EngineError;
pub use entry::{rpc_service_ota_init, updater_rpc_finish};
pub use error::{Class, Explain, code};
pub use ota::Ota;
pub use platform::Platform;
pub use service::{Action, Config, Outcome, Polled, Reply, Service};
pub use writer::{Mark, NoRoom, Writer};
