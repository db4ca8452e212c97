//! How transports pack frames: a file for each, without input or output of their own.

pub mod http;
