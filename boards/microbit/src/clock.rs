//! Milliseconds since the start, by TIMER0: a Cortex-M0 of this make has no SysTick.
//!
//! The timer runs free at 1 MHz and is read when the time is asked for. So no time is lost while
//! the processor stands still for the flash; it has to be asked for at least once in 71 minutes.

use core::cell::Cell;

use cortex_m::interrupt::{Mutex, free};

use crate::register::Register;

const CLOCK_START_CRYSTAL: Register = Register::at(0x4000_0000);
const CLOCK_CRYSTAL_STARTED: Register = Register::at(0x4000_0100);

const START: Register = Register::at(0x4000_8000);
const STOP: Register = Register::at(0x4000_8004);
const CLEAR: Register = Register::at(0x4000_800C);
const CAPTURE: Register = Register::at(0x4000_8040);
const MODE: Register = Register::at(0x4000_8504);
const BIT_MODE: Register = Register::at(0x4000_8508);
const PRESCALER: Register = Register::at(0x4000_8510);
const CAPTURED: Register = Register::at(0x4000_8540);

const BITS_32: u32 = 3;
/// 16 MHz by two to this power.
const TO_1_MHZ: u32 = 4;
const TICKS_PER_MS: u32 = 1000;
/// The crystal needs about 1 ms; without it the chip goes on with its RC oscillator.
const MOST_POLLS: u32 = 100_000;

/// Whole milliseconds that have been counted, and the timer's value then.
static COUNTED: Mutex<Cell<(u64, u32)>> = Mutex::new(Cell::new((0, 0)));

/// Starts the crystal, which the UART's speed depends on, and the clock at 0.
pub fn start() {
    CLOCK_CRYSTAL_STARTED.write(0);
    CLOCK_START_CRYSTAL.write(1);
    let _ = (0..MOST_POLLS).any(|_| CLOCK_CRYSTAL_STARTED.read() != 0);
    STOP.write(1);
    MODE.write(0);
    BIT_MODE.write(BITS_32);
    PRESCALER.write(TO_1_MHZ);
    CLEAR.write(1);
    START.write(1);
    free(|section| COUNTED.borrow(section).set((0, 0)));
}

/// Milliseconds since [`start`].
pub fn now_ms() -> u64 {
    free(|section| {
        let counted = COUNTED.borrow(section);
        let (ms, at) = counted.get();
        CAPTURE.write(1);
        let passed_ms = CAPTURED.read().wrapping_sub(at) / TICKS_PER_MS;
        let now = ms + u64::from(passed_ms);
        counted.set((now, at.wrapping_add(passed_ms * TICKS_PER_MS)));
        now
    })
}
