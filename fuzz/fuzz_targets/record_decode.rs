//! See [`ota_fuzz::record_decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::record_decode(data));
