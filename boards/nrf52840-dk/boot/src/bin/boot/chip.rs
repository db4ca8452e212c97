//! The chip's registers that a loader needs, after the nRF52840 product specification.

use core::arch::asm;

use nrf52840_dk::WATCHDOG_TICKS;

const WATCHDOG_START: *mut u32 = 0x4001_0000 as *mut u32;
const WATCHDOG_PERIOD: *mut u32 = 0x4001_0504 as *mut u32;
const WATCHDOG_RELOAD: *mut u32 = 0x4001_0600 as *mut u32;
const RELOAD: u32 = 0x6E52_4635;

const RESET_CONTROL: *mut u32 = 0xE000_ED0C as *mut u32;
const RESET_REQUEST: u32 = 0x05FA_0004;
const VECTOR_TABLE: *mut u32 = 0xE000_ED08 as *mut u32;

/// The vectors behind the stack pointer, which the linker script puts before them. There are no
/// more: no interrupt is enabled, and every fault becomes a hard fault.
#[used]
// SAFETY: the processor's vector table as it wants it: reset, NMI, hard fault.
#[unsafe(link_section = ".vector_table")]
static VECTORS: [extern "C" fn() -> !; 3] = [super::reset, reset, reset];

/// Gives the watchdog its whole period again; without effect if it does not run.
pub(crate) fn feed_watchdog() {
    write(WATCHDOG_RELOAD, RELOAD);
}

/// Starts the watchdog with the first of its reload registers, as it is set up after power-on; it
/// pauses while a debugger holds the processor. Without effect if it runs.
pub(crate) fn start_watchdog() {
    write(WATCHDOG_PERIOD, WATCHDOG_TICKS);
    write(WATCHDOG_START, 1);
}

/// Resets the processor.
pub(crate) extern "C" fn reset() -> ! {
    write(RESET_CONTROL, RESET_REQUEST);
    wait()
}

/// Waits for the next reset: of the watchdog, if it runs, of the power, of a debugger.
pub(crate) fn wait() -> ! {
    loop {
        // SAFETY: sleeps; nothing changes.
        unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) }
    }
}

/// Starts the image at `address`, which was verified: it begins with its vector table.
pub(crate) fn jump(address: u32) -> ! {
    write(VECTOR_TABLE, address);
    // SAFETY: the image's own stack and entry, as after a reset; nothing of the loader is used
    // any more.
    unsafe {
        asm!(
            "ldm {table}, {{r0, r1}}",
            "msr msp, r0",
            "bx r1",
            table = in(reg) address,
            options(noreturn),
        )
    }
}

fn write(register: *mut u32, value: u32) {
    // SAFETY: an aligned register of the chip's; no memory that Rust knows of changes.
    unsafe { register.write_volatile(value) }
}
