//! The boot path with SHA-256 instead of CRC-32.
#![no_std]
#![no_main]

use ota_core::verify::Check;
use ota_core::{BootOptions, boot};
use ota_probes::{Flash, Probe, layout};

struct Boot;

/// SHA-256 of 4 KiB of zeros.
const SHA256: [u8; 32] = [
    0xad, 0x7f, 0xac, 0xb2, 0x58, 0x6f, 0xc6, 0xe9, 0x66, 0xc0, 0x04, 0xd7, 0xd1, 0xd1, 0x6b, 0x02,
    0x4f, 0x58, 0x05, 0xff, 0x7c, 0xb4, 0x7c, 0x7a, 0x85, 0xda, 0xbd, 0x8b, 0x48, 0x89, 0x2c, 0xa7,
];

impl Probe for Boot {
    fn prepare(flash: &mut Flash) {
        layout::prepare(flash, SHA256);
    }

    fn run(flash: &mut Flash) -> u32 {
        let Some(mut map) = layout::device(flash) else { return 99 };
        let mut buffer = [0; 256];
        let options = BootOptions { check: Check::Sha256, ..BootOptions::default() };
        match boot(&mut map, &options, &mut buffer) {
            Ok(plan) => u32::from(plan.slot) + u32::from(plan.needs_watchdog),
            Err(_) => 98,
        }
    }
}

ota_probes::entry!(Boot);
