//! Every change of flash, told to the host before it is made: in a test build, so that a harness
//! can rebuild what the flash held at any moment.
//!
//! ```text
//! E 00015000             the page at this offset is erased
//! W 00015000 ffff0102    this word is programmed: its 4 bytes, lowest address first
//! ```
//! One line each, by ARM semihosting: the processor stands still until the host has taken the line,
//! so that they come in order and none is lost with the power.

use core::arch::asm;

/// Semihosting call: writes text up to a NUL.
const WRITE_0: u32 = 0x04;

/// The page at `offset` is about to be erased.
pub(crate) fn erase(offset: u32) {
    let mut line = *b"E 00000000\n\0";
    put_hex(&mut line[2..10], &offset.to_be_bytes());
    tell(&line);
}

/// `word` is about to be programmed at `offset`.
pub(crate) fn program(offset: u32, word: &[u8; 4]) {
    let mut line = *b"W 00000000 00000000\n\0";
    put_hex(&mut line[2..10], &offset.to_be_bytes());
    put_hex(&mut line[11..19], word);
    tell(&line);
}

fn put_hex(digits: &mut [u8], bytes: &[u8; 4]) {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (digit, nibble) in digits.iter_mut().zip(nibbles) {
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
}

/// `line` ends with a NUL.
fn tell(line: &[u8]) {
    // SAFETY: the host reads the line, which lives as long as the call, and changes nothing but r0.
    unsafe {
        asm!("bkpt 0xAB", inout("r0") WRITE_0 => _, in("r1") line.as_ptr(), options(nostack));
    }
}
