//! Interrupts on a Cortex-M0: its vector table cannot be moved from address 0, the loader's.
//!
//! So the loader answers each interrupt by jumping through the table of the program that runs. A
//! word of RAM that no program uses says where that table is; 0: the loader's own.
//!
//! A hard fault is not passed on: it resets, which counts as a start that failed.

use crate::map;
use crate::register::Register;

const TABLE: Register = Register::at(map::RAM.0 as usize);
/// Vectors before that of interrupt 0.
const EXCEPTIONS: u32 = 16;

/// From now on interrupts are the loader's.
pub fn keep() {
    TABLE.write(0);
}

/// Starts the program whose vector table is at `table`, and gives it all interrupts.
///
/// # Safety
/// A whole program that was linked for this address must be there. No interrupt may be enabled that
/// it does not expect.
pub unsafe fn start(table: u32) -> ! {
    TABLE.write(table);
    // SAFETY: as this function's.
    unsafe { cortex_m::asm::bootload(table as *const u32) }
}

/// Lets the program that runs handle interrupt `number`, negative for an exception. False: it is
/// the loader's.
pub fn forward(number: i16) -> bool {
    let table = TABLE.read();
    if table == 0 {
        return false;
    }
    let vector = table.wrapping_add((EXCEPTIONS.wrapping_add_signed(number.into())) * 4);
    // SAFETY: of the table that `start` was promised; its entries are functions.
    unsafe {
        let handler = (vector as *const extern "C" fn()).read_volatile();
        handler();
    }
    true
}
