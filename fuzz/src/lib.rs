//! What the fuzz targets do, as plain functions: libFuzzer calls them in `fuzz_targets/`, the tests
//! on stable Rust with the seeds and with mutations of them.
//!
//! A function returns on any input, or panics because a promise is broken.
#![forbid(unsafe_code)]

use ota_core::crc::{Crc32, crc32};

/// A target's function.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz_targets/` and of its folder in `seeds/`.
pub const TARGETS: &[(&str, Target)] = &[("record_decode", record_decode)];

/// The checksum that guards the record: the same however the bytes are cut into pieces.
pub fn record_decode(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let (head, tail) = rest.split_at(usize::from(first).min(rest.len()));
    let mut pieces = Crc32::new();
    pieces.update(head);
    pieces.update(tail);
    assert_eq!(pieces.value(), crc32(rest));
}
