//! The loader: chooses a slot, checks its image, and jumps to where it lies.
//!
//! It has no static memory, no start code and no interrupts, and it writes to nothing but the boot
//! record.
#![no_std]
#![no_main]

mod chip;
mod flash;

extern crate small_memory as _;

use core::panic::PanicInfo;

use nrf52840_dk::{SLOT_ADDRESSES, SLOT_SIZE, TRIALS};
use ota_core::descriptor::Head;
use ota_core::{BootOptions, boot};

/// What the processor does first.
#[unsafe(no_mangle)]
extern "C" fn reset() -> ! {
    // It may run since before a soft reset: the boot gets the whole period.
    chip::feed_watchdog();
    let options = BootOptions { trials: TRIALS, ..BootOptions::default() };
    match boot(&mut flash::Flash, &options, &mut [0; 64]) {
        Ok(plan) => {
            if plan.needs_watchdog {
                chip::start_watchdog();
            }
            let address = SLOT_ADDRESSES[0] + u32::from(plan.slot) * SLOT_SIZE;
            match Head::read(&mut flash::Flash, plan.slot) {
                Ok(head) if head.load_address() == address => chip::jump(address),
                // Linked for another place. One trial of it is used up; when all are, the image
                // before comes back.
                _ if !plan.record.committed() => chip::reset(),
                _ => chip::wait(),
            }
        }
        // There is nothing to boot. A product would offer recovery here.
        Err(_) => chip::wait(),
    }
}

/// Nothing in the loader panics; if a change to it does, the next boot is as good as this one.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    chip::reset()
}
