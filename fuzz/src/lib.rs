//! What the fuzz targets do, as plain functions: libFuzzer calls them in `fuzz_targets/`, the tests
//! on stable Rust with the seeds and with mutations of them.
//!
//! A function returns on any input, or panics because a promise is broken. Checksums are no barrier:
//! the targets put right ones where the input says so, for every checksum is right in what a forger
//! writes.
#![forbid(unsafe_code)]

mod descriptor;
mod engine;
mod fimp;
mod framings;
mod http;
mod input;
mod json;
mod memory;
mod record;
mod rpc;

pub use descriptor::descriptor_decode;
pub use engine::engine_ops;
pub use fimp::fimp;
pub use framings::framings;
pub use http::http;
pub use json::json_scan;
pub use record::record_decode;

/// A target's function.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz_targets/` and of its folder in `seeds/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("record_decode", record_decode),
    ("descriptor_decode", descriptor_decode),
    ("engine_ops", engine_ops),
    ("json_scan", json_scan),
    ("framings", framings),
    ("http", http),
    ("fimp", fimp),
];
