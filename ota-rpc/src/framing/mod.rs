//! How frames travel: one small file for each transport, bytes in and bytes out.
//!
//! None of them does input or output, but for [`port`], which drives a serial line or a TCP
//! connection over the traits of `embedded_io`. What each transport accepts and sends, byte by
//! byte, is in `docs/rpc-transports.md`.

pub mod http;
pub mod mqtt;
pub mod port;
pub mod serial;
pub mod tcp;
pub mod udp;
pub mod websocket;
