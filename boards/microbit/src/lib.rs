//! What loader and applications of the board share: registers, flash, its layout.
//!
//! BBC micro:bit V1: Nordic nRF51822, Cortex-M0 at 16 MHz, 256 KiB of flash, 16 KiB of RAM.
#![no_std]

pub mod app;
pub mod behaviour;
pub mod clock;
pub mod device;
#[cfg(feature = "flash-log")]
mod flash_log;
pub mod log;
mod map;
pub mod mini;
pub mod nvmc;
mod register;
pub mod uart;
pub mod vectors;
pub mod watchdog;

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use ota_core::flash::{Extent, Layout, SlotLayout};

use nvmc::Nvmc;

static SLOTS: [SlotLayout; 2] = [
    SlotLayout { app: Extent::new(map::SLOT_A.0, map::SLOT_A.1), data: None },
    SlotLayout { app: Extent::new(map::SLOT_B.0, map::SLOT_B.1), data: None },
];

/// The flash behind the loader: the boot record, and two slots with their descriptors.
pub const LAYOUT: Layout =
    Layout { record: Extent::new(map::RECORD.0, map::RECORD.1), slots: &SLOTS };
/// What bundles for this board name as their platform.
pub const PLATFORM: &str = "microbit";
/// Bytes of RAM.
pub const RAM_SIZE: u32 = map::RAM.1;

/// The board's flash.
pub fn flash() -> Nvmc {
    Nvmc
}

/// The address that an image in `slot` has to be linked for.
pub fn slot_address(slot: u8) -> Option<u32> {
    SLOTS.get(usize::from(slot)).map(|slot| slot.app.address)
}

/// The slot that this very program runs from; none: it is the loader.
pub fn running_slot() -> Option<u8> {
    let here = running_slot as *const () as usize as u32;
    let holds = |slot: &SlotLayout| {
        let Extent { address, size, .. } = slot.app;
        (address..address + size).contains(&here)
    };
    SLOTS.iter().position(holds).map(|slot| slot as u8)
}

/// A program that is linked for a slot, and does nothing but `run`.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        /// The loader passes interrupts on.
        #[cortex_m_rt::exception]
        unsafe fn DefaultHandler(number: i16) {
            if number == $crate::uart::INTERRUPT {
                $crate::uart::interrupt();
            }
        }

        #[cortex_m_rt::entry]
        fn main() -> ! {
            $run()
        }
    };
}

/// A start that comes to a panic is one that failed: the loader counts it.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
