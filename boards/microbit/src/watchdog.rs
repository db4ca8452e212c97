//! The watchdog: brings the device back when an image on trial hangs.
//!
//! Once started it cannot be stopped, and it goes on through a reset by software. So whoever runs
//! feeds it, whether it was started or not.

use crate::register::Register;

const START: Register = Register::at(0x4001_0000);
const RELOAD: Register = Register::at(0x4001_0504);
const CONFIG: Register = Register::at(0x4001_050C);
const FEED: Register = Register::at(0x4001_0600);

/// What feeds it.
const FOOD: u32 = 0x6E52_4635;
const TICKS_PER_S: u32 = 32_768;
/// Longer than anything here takes between two meals.
const PERIOD_S: u32 = 8;

/// Starts it: from now on it has to be fed every 8 s.
pub fn start() {
    // It runs while the processor sleeps, and not while a debugger holds it.
    CONFIG.write(1);
    RELOAD.write(PERIOD_S * TICKS_PER_S - 1);
    START.write(1);
}

/// Keeps it quiet for another 8 s.
pub fn feed() {
    FEED.write(FOOD);
}
