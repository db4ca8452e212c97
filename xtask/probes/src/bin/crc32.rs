//! CRC-32 of 4 KiB of flash through a 64-byte buffer, as the boot path reads an image.
#![no_std]
#![no_main]

use embedded_storage::nor_flash::ReadNorFlash;
use ota_core::crc::Crc32;
use ota_probes::{Flash, Probe};

struct Crc;

impl Probe for Crc {
    fn run(flash: &mut Flash) -> u32 {
        let mut crc = Crc32::new();
        let mut bytes = [0; 64];
        for offset in (0..4096).step_by(64) {
            if flash.read(offset, &mut bytes).is_ok() {
                crc.update(&bytes);
            }
        }
        crc.value()
    }
}

ota_probes::entry!(Crc);
