//! See [`ota_fuzz::framings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::framings(data));
