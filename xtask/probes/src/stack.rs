//! How deep a call goes: paint what lies below, call, look how much paint is left.

use core::arch::asm;

const PAINT: u32 = 0xA5C3_3CA5;
/// Semihosting operations.
const WRITE0: u32 = 0x04;
const EXIT: u32 = 0x18;
/// `ADP_Stopped_ApplicationExit` and `ADP_Stopped_RunTimeErrorUnknown`.
const GOOD: u32 = 0x20026;
const BAD: u32 = 0x20023;

/// Bytes of stack below this function's own frame that `work` used.
///
/// Never inlined, so that the caller's frame is above all that is counted. Works in words: a callee
/// that writes the paint's own value at its deepest point would look one word shallower.
#[inline(never)]
pub(crate) fn measure(work: fn()) -> u32 {
    let (top, limit): (u32, u32);
    // SAFETY: writes only between the end of .bss and the stack pointer: memory that is nobody's
    // while no call and no interrupt is under way. Floating point is enabled, since the compiler
    // may use its registers.
    unsafe {
        asm!(
            "ldr {a}, =0xE000ED88",
            "ldr {b}, [{a}]",
            "orr {b}, {b}, #0xF00000",
            "str {b}, [{a}]",
            "dsb",
            "isb",
            "ldr {limit}, =__stack_limit",
            "mov {a}, {limit}",
            "mov {top}, sp",
            "2: cmp {a}, {top}",
            "bhs 3f",
            "str {paint}, [{a}], #4",
            "b 2b",
            "3:",
            a = out(reg) _,
            b = out(reg) _,
            top = out(reg) top,
            limit = out(reg) limit,
            paint = in(reg) PAINT,
        );
    }
    work();
    let mut lowest = limit;
    // SAFETY: reads the words painted above.
    while lowest < top && unsafe { (lowest as *const u32).read_volatile() } == PAINT {
        lowest += 4;
    }
    top - lowest
}

/// Prints the figure and ends the emulator.
pub(crate) fn report(bytes: u32) -> ! {
    let mut line = *b"stack 0000000000\n\0";
    let mut rest = bytes;
    for digit in line[6..16].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    semihosting(WRITE0, line.as_ptr() as u32);
    exit(GOOD)
}

/// Ends the emulator with a failure.
pub(crate) fn fail() -> ! {
    semihosting(WRITE0, c"the probe panicked\n".as_ptr() as u32);
    exit(BAD)
}

fn exit(reason: u32) -> ! {
    loop {
        semihosting(EXIT, reason);
    }
}

fn semihosting(operation: u32, argument: u32) {
    // SAFETY: the emulator reads what `argument` points to and changes only r0.
    unsafe {
        asm!("bkpt 0xAB", inout("r0") operation => _, in("r1") argument, options(nostack));
    }
}
