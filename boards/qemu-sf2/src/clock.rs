//! Milliseconds since the start, by the processor's timer, which runs freely and is read.
//!
//! Counting its interrupts would be late under QEMU: while the host gives its processor to others,
//! several become one. The chip's own timers would do too, but QEMU's run at 100 MHz whatever its
//! board asks for (`hw/timer/mss-timer.c` takes the frequency before it is set).

use core::cell::Cell;

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// What the timer counts in two milliseconds. Its reference clock is the processor's 142 MHz by 32:
/// QEMU's `hw/arm/emcraft-sf2.c` and `msf2-soc.c`.
const COUNTS_IN_2_MS: u64 = 8_875;
/// The timer has 24 bits.
const MOST: u32 = 0xFF_FFFF;

/// What has passed, in counts; what the timer said then.
static PASSED: Mutex<Cell<(u64, u32)>> = Mutex::new(Cell::new((0, MOST)));

/// Starts the clock at 0.
pub fn start(timer: &mut SYST) {
    timer.set_clock_source(SystClkSource::External);
    timer.set_reload(MOST);
    timer.clear_current();
    timer.enable_counter();
    free(|section| PASSED.borrow(section).set((0, SYST::get_current())));
}

/// Milliseconds since [`start`]. To be called every 3.7 s at least: what the timer can count. A
/// longer pause makes the clock late.
pub fn now_ms() -> u64 {
    passed() * 2 / COUNTS_IN_2_MS
}

/// A number that is another at each start, because flash never takes the same time twice.
pub fn moment() -> u64 {
    passed()
}

fn passed() -> u64 {
    free(|section| {
        let (passed, last) = PASSED.borrow(section).get();
        let value = SYST::get_current();
        // It counts down.
        let passed = passed + u64::from(last.wrapping_sub(value) & MOST);
        PASSED.borrow(section).set((passed, value));
        passed
    })
}
