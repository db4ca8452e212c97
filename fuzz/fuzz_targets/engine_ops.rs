//! See [`ota_fuzz::engine_ops`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::engine_ops(data));
