//! The RPC service as clients meet it: a device on every transport, through real sockets, a real
//! broker and a real pseudo terminal.

mod auth;
#[path = "../../../ota-sim/tests/support/broker.rs"]
mod broker;
mod clock;
mod crowd;
mod flows;
mod hostile;
mod raw;
mod rig;
mod rules;
mod tls;
mod wire;
