//! Waiting for the host: in a test build, each change of the flash is in the harness's log before the
//! program goes on.
//!
//! QEMU's chip is never busy. It has a drive's file written later, by another thread, out of the
//! memory that the next commands change already: on a slow host an erase that is logged would hold
//! what was programmed after it. So the program looks, by ARM semihosting, at the length of the log,
//! whose name is its command line. Where there is no such file, nothing is waited for.

use core::arch::asm;

/// Semihosting calls.
mod call {
    pub(super) const OPEN: u32 = 0x01;
    pub(super) const CLOSE: u32 = 0x02;
    pub(super) const LENGTH: u32 = 0x0C;
    pub(super) const COMMAND_LINE: u32 = 0x15;
}
/// To read bytes.
const MODE: u32 = 1;
/// What a call returns that has failed.
const FAILED: u32 = u32::MAX;

/// How often the log is looked at, and the cycles between: a minute, or a few.
const MOST_LOOKS: u32 = 1_000_000;
const PAUSE: u32 = 10_000;

/// The log, open.
pub(crate) struct HostLog {
    /// None: there is no log.
    handle: Option<u32>,
    /// Its length before the change.
    length: u32,
}

impl HostLog {
    /// Before a change.
    pub(crate) fn open() -> Self {
        let mut name = [0; 256];
        let mut line = [name.as_mut_ptr() as u32, name.len() as u32];
        let handle = match call(call::COMMAND_LINE, &mut line) {
            0 => call(call::OPEN, &mut [line[0], MODE, line[1]]),
            _ => FAILED,
        };
        let mut log = Self { handle: Some(handle).filter(|handle| *handle != FAILED), length: 0 };
        log.length = log.length_now().unwrap_or_default();
        log
    }

    /// Waits until the change is in it. False: it does not come.
    pub(crate) fn wait(&self) -> bool {
        (0..MOST_LOOKS).any(|_| {
            let has_grown = self.length_now().is_none_or(|length| length != self.length);
            if !has_grown {
                // Looking keeps QEMU from what is looked for.
                cortex_m::asm::delay(PAUSE);
            }
            has_grown
        })
    }

    fn length_now(&self) -> Option<u32> {
        self.handle.map(|handle| call(call::LENGTH, &mut [handle]))
    }
}

impl Drop for HostLog {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            call(call::CLOSE, &mut [handle]);
        }
    }
}

fn call(number: u32, block: &mut [u32]) -> u32 {
    let result;
    // SAFETY: the host reads the block and what it points to, writes there what the call is for, and
    // the result to r0; all of it lives as long as the call.
    unsafe {
        asm!("bkpt 0xAB", inout("r0") number => result, in("r1") block.as_mut_ptr(),
            options(nostack));
    }
    result
}
