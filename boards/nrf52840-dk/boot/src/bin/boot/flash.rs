//! The internal flash: read like memory, written through its controller.

use nrf52840_dk::{FLASH, LAYOUT};
use ota_core::flash::{FlashMap, FlashRead, Geometry, Region};

const READY: *const u32 = 0x4001_E400 as *const u32;
const MODE: *mut u32 = 0x4001_E504 as *mut u32;
const ERASE_PAGE: *mut u32 = 0x4001_E508 as *mut u32;
const READ_ONLY: u32 = 0;
const WRITE: u32 = 1;
const ERASE: u32 = 2;
/// How often a busy controller is asked: for three times the 85 ms that an erase takes at most
/// (product specification, NVMC), at 4 cycles of 64 MHz an answer.
const MOST_POLLS: u32 = 1 << 22;

/// The whole flash, of which only the record can be changed.
pub(crate) struct Flash;

/// The loader changes nothing but the record.
#[derive(Debug)]
pub(crate) struct NotTheRecord;

impl FlashRead for Flash {
    type Error = NotTheRecord;

    fn slots(&self) -> u8 {
        LAYOUT.slots.len() as u8
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        Some(Geometry { size: LAYOUT.extent(region)?.size, ..FLASH })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), NotTheRecord> {
        let start = LAYOUT.extent(region).map_or(0, |extent| extent.address);
        let mut from = (start + offset) as *const u32;
        for word in bytes.as_chunks_mut().0 {
            // SAFETY: a word of flash, as the engine asks for multiples of 4 in its regions;
            // volatile, as the controller changes it behind the compiler's back.
            *word = unsafe { from.read_volatile() }.to_le_bytes();
            from = from.wrapping_add(1);
        }
        Ok(())
    }
}

impl FlashMap for Flash {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), NotTheRecord> {
        if region != Region::Record {
            return Err(NotTheRecord);
        }
        let mut to = (LAYOUT.record.address + offset) as *mut u32;
        for word in bytes.as_chunks().0 {
            change(WRITE, to, u32::from_le_bytes(*word));
            to = to.wrapping_add(1);
        }
        Ok(())
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), NotTheRecord> {
        if region != Region::Record {
            return Err(NotTheRecord);
        }
        change(ERASE, ERASE_PAGE, LAYOUT.record.address + offset);
        Ok(())
    }
}

/// Stores `value` with the controller in `mode`, and waits until what it starts is done: the
/// processor would wait anyway, as it runs from the same flash. Not for ever: what a controller that
/// stays busy has not done is found when the engine reads it back.
#[inline(never)]
fn change(mode: u32, to: *mut u32, value: u32) {
    // SAFETY: registers of the controller, and a word of the record or the register that erases
    // one of its pages, as its callers see to.
    unsafe {
        MODE.write_volatile(mode);
        to.write_volatile(value);
        let _ = (0..MOST_POLLS).any(|_| READY.read_volatile() != 0);
        MODE.write_volatile(READ_ONLY);
    }
}
