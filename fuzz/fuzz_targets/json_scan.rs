//! See [`ota_fuzz::json_scan`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::json_scan(data));
