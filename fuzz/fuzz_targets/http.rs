//! See [`ota_fuzz::http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::http(data));
