//! The loader: chooses a slot, checks its image, and jumps to it. If there is nothing to boot, it
//! takes a new image over the UART.
#![no_std]
#![no_main]

use core::fmt::{Arguments, Write as _};

use cortex_m::peripheral::SCB;
use microbit::device::{Role, serve};
use microbit::uart::{self, Uart};
use microbit::{LAYOUT, clock, log, slot_address, vectors, watchdog};
use ota_core::descriptor::Head;
use ota_core::flash::{Extent, FlashRead, OneDevice};
use ota_core::{BootOptions, OpenError, boot};

/// Interrupts of the program that runs go to it; in recovery that is the loader.
#[cortex_m_rt::exception]
unsafe fn DefaultHandler(number: i16) {
    if !vectors::forward(number) && number == uart::INTERRUPT {
        uart::interrupt();
    }
}

/// The image that runs has failed, as far as the loader is concerned.
#[cortex_m_rt::exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    SCB::sys_reset()
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // RAM holds anything after power-on.
    vectors::keep();
    watchdog::feed();
    let Ok(mut map) = OneDevice::new(microbit::flash(), LAYOUT) else { panic!("a wrong layout") };
    match boot(&mut map, &BootOptions::default(), &mut [0; 256]) {
        Ok(plan) => {
            watchdog::feed();
            log::boots(&plan);
            let Some(address) = address(&mut map, plan.slot) else {
                if plan.record.committed() {
                    recover(format_args!("slot {} has an image for another", plan.slot));
                }
                // One trial of it is used up; when all are, the image before comes back.
                SCB::sys_reset()
            };
            if plan.needs_watchdog {
                watchdog::start();
            }
            // SAFETY: the image was verified and is linked for this address; the loader has enabled
            // no interrupt.
            unsafe { vectors::start(address) }
        }
        Err(reason) => {
            log::recovers(reason);
            recover(format_args!("{reason:?}"))
        }
    }
}

/// Where the image in `slot` is to be started: the slot's address, if it is linked for that.
fn address<F: FlashRead>(map: &mut F, slot: u8) -> Option<u32> {
    let head = Head::read(map, slot).ok()?;
    slot_address(slot).filter(|address| *address == head.load_address())
}

/// Takes a new image over the UART.
fn recover(reason: Arguments<'_>) -> ! {
    clock::start();
    let mut uart = Uart::new();
    let _ = writeln!(uart, "boot: recovery, because {reason}");
    let Err(error) = serve(uart, Role::Recovery);
    let Extent { address, size, .. } = LAYOUT.record;
    let end = address + size;
    let advice = match error {
        OpenError::NewerFormat { .. } => "program the newer loader again, or erase the record",
        _ => "the flash may be broken",
    };
    complain(format_args!(
        "no recovery: {error}; {advice} (flash {address:#x} to {end:#x}), and reset"
    ))
}

/// There is nothing more that the loader can do: says why, to whoever will be listening.
fn complain(why: Arguments<'_>) -> ! {
    const PERIOD_MS: u64 = 2000;
    let mut uart = Uart::new();
    let mut next_ms = 0;
    loop {
        watchdog::feed();
        if clock::now_ms() >= next_ms {
            next_ms += PERIOD_MS;
            let _ = writeln!(uart, "boot: {why}");
        }
    }
}
