//! The boot path: record, decision, CRC-32 of the image, the first record appended.
#![no_std]
#![no_main]

use ota_core::{BootOptions, boot};
use ota_probes::{Flash, Probe, layout};

struct Boot;

impl Probe for Boot {
    fn prepare(flash: &mut Flash) {
        layout::prepare(flash, [0; 32]);
    }

    fn run(flash: &mut Flash) -> u32 {
        let Some(mut map) = layout::device(flash) else { return 99 };
        let mut buffer = [0; 256];
        match boot(&mut map, &BootOptions::default(), &mut buffer) {
            Ok(plan) => u32::from(plan.slot) + u32::from(plan.needs_watchdog),
            Err(_) => 98,
        }
    }
}

ota_probes::entry!(Boot);
