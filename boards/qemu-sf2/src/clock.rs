//! Milliseconds since the start, by the processor's timer.

use core::cell::Cell;

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// What the timer counts in a second.
const CLOCK_HZ: u32 = 142_000_000;

static MILLISECONDS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts the clock at 0. The program's `SysTick` handler has to call [`tick`].
pub fn start(timer: &mut SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CLOCK_HZ / 1000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

/// A millisecond has passed.
pub fn tick() {
    free(|section| {
        let now = MILLISECONDS.borrow(section);
        now.set(now.get() + 1);
    });
}

/// Milliseconds since [`start`].
pub fn now_ms() -> u64 {
    free(|section| MILLISECONDS.borrow(section).get())
}

/// What the timer counts, in a unit that is no unit of time: other than at the start before, because
/// flash never takes the same time twice.
pub fn moment() -> u64 {
    now_ms() << 24 | u64::from(SYST::get_current())
}
