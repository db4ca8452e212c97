//! Waiting until there may be something to do, so that the processor (and the host of an emulated
//! one, which has others to serve) can rest.
//!
//! Interrupts stay masked: one that is due ends the wait and is not taken.

use cortex_m::asm::wfi;
use cortex_m::interrupt::{self, InterruptNumber};
use cortex_m::peripheral::NVIC;

use crate::register::Register;

/// TIM1 of the MSS: what it starts at, how it runs, and that it has come to 0.
const LOAD: Register = Register::at(0x4000_4004);
const CONTROL: Register = Register::at(0x4000_400C);
const RAISED: Register = Register::at(0x4000_4010);
/// Again and again, with an interrupt.
const PERIODIC: u32 = 1 << 2 | 1;
/// 1.4 ms at the 71 MHz of its bus; 1 ms under QEMU, whose timer runs at 100 MHz whatever the board
/// asks for.
const PERIOD: u32 = 100_000;

/// An interrupt's number.
#[derive(Clone, Copy)]
struct Interrupt(u16);

const UART: Interrupt = Interrupt(10);
const TIMER: Interrupt = Interrupt(14);

// SAFETY: numbers of this chip, each always the same.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// Gets ready to wait.
pub(crate) fn start() {
    interrupt::disable();
    LOAD.write(PERIOD);
    CONTROL.write(PERIODIC);
    for one in [UART, TIMER] {
        // SAFETY: nothing is taken while interrupts are masked, and they stay so.
        unsafe { NVIC::unmask(one) };
    }
}

/// Waits until a byte came over the UART, or 1.4 ms have passed.
pub(crate) fn wait() {
    wfi();
    RAISED.write(1);
    NVIC::unpend(TIMER);
    NVIC::unpend(UART);
}
