//! The RPC service as clients meet it: a device on every transport, through real sockets, a real
//! broker and a real pseudo terminal.

mod broker;
mod flows;
mod rig;
