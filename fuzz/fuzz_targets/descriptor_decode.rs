//! See [`ota_fuzz::descriptor_decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::descriptor_decode(data));
