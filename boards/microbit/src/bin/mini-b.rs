//! The small application, linked for slot 1.
#![no_std]
#![no_main]

use microbit::{mini, uart};

/// The loader passes interrupts on.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(number: i16) {
    if number == uart::INTERRUPT {
        uart::interrupt();
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    mini::run()
}
