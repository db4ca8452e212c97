//! From reset to the probe.

use core::panic::PanicInfo;

use crate::{Flash, Probe};

// The vector table's first two words, and what a program may rely on: data copied, bss zero. The
// same in every probe, so it is in no figure.
core::arch::global_asm!(
    ".section .vector_table, \"a\"",
    ".word __stack_top",
    ".word Reset",
    ".section .text.Reset, \"ax\"",
    ".global Reset",
    ".type Reset, %function",
    ".thumb_func",
    "Reset:",
    "ldr r0, =__data_start",
    "ldr r1, =__data_end",
    "ldr r2, =__data_load",
    "1: cmp r0, r1",
    "bhs 2f",
    "ldr r3, [r2], #4",
    "str r3, [r0], #4",
    "b 1b",
    "2: ldr r0, =__bss_start",
    "ldr r1, =__bss_end",
    "movs r3, #0",
    "3: cmp r0, r1",
    "bhs 4f",
    "str r3, [r0], #4",
    "b 3b",
    "4: bl probe_main",
    ".pool",
);

/// Runs the probe and keeps its result.
#[cfg(not(feature = "stack"))]
pub fn start<P: Probe>() -> ! {
    core::hint::black_box(P::run(&mut Flash));
    halt()
}

/// Runs the probe on a painted stack and reports how deep it went.
#[cfg(feature = "stack")]
pub fn start<P: Probe>() -> ! {
    Flash.erase_all();
    P::prepare(&mut Flash);
    crate::stack::report(crate::stack::measure(run::<P>))
}

/// Never inlined: its frame is the first that counts.
#[cfg(feature = "stack")]
#[inline(never)]
fn run<P: Probe>() {
    core::hint::black_box(P::run(&mut Flash));
}

#[cfg(not(feature = "stack"))]
fn halt() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// As small as a boot loader's: reset would follow.
#[cfg(not(feature = "stack"))]
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    halt()
}

/// A measurement that panics must not look like one.
#[cfg(feature = "stack")]
#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    crate::stack::fail()
}
