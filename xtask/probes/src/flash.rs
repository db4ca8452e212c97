//! A flash device that is RAM of the emulated board, with the geometry of an nRF52840.
//!
//! [`DRIVER`] keeps its three functions in every program, whether the probe calls them or not, so
//! they are in no figure, as drivers are in none of the peers' figures.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// RAM of QEMU's mps2-an386, 16 MiB.
const BASE: usize = 0x2100_0000;
const CAPACITY: u32 = 1024 * 1024;
const SECTOR: u32 = 4096;
const WORD: usize = 4;
const ERASED: u32 = 0xFFFF_FFFF;

/// The device.
pub struct Flash;

/// A range that is not in the device, or not whole units.
#[derive(Clone, Copy, Debug)]
pub struct FlashError;

impl Flash {
    /// As it comes from the factory.
    #[cfg(feature = "stack")]
    pub(crate) fn erase_all(&mut self) {
        // The whole device is within the device.
        let _ = self.erase(0, CAPACITY);
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    #[inline(never)]
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check(offset, bytes.len())?;
        let from = (BASE + offset as usize) as *const u8;
        for (index, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: within the device's RAM, as checked; nothing else refers to it.
            *byte = unsafe { from.add(index).read_volatile() };
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR as usize;

    #[inline(never)]
    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let length = to.checked_sub(from).ok_or(FlashError)? as usize;
        check(from, length)?;
        let start = (BASE + from as usize) as *mut u32;
        for index in 0..length / WORD {
            // SAFETY: within the device's RAM, as checked; nothing else refers to it.
            unsafe { start.add(index).write_volatile(ERASED) };
        }
        Ok(())
    }

    #[inline(never)]
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check(offset, bytes.len())?;
        let to = (BASE + offset as usize) as *mut u32;
        for (index, word) in bytes.as_chunks::<WORD>().0.iter().enumerate() {
            // SAFETY: within the device's RAM, as checked; `NorFlash` demands whole aligned words.
            // Programming only clears bits.
            unsafe {
                let word_at = to.add(index);
                word_at.write_volatile(word_at.read_volatile() & u32::from_le_bytes(*word));
            }
        }
        Ok(())
    }
}

/// The driver's functions, in the one section that the linker always keeps.
#[used]
// SAFETY: only addresses, behind the vector table's two words; nothing reads them.
#[unsafe(link_section = ".vector_table.driver")]
static DRIVER: (ReadFunction, WriteFunction, EraseFunction) =
    (<Flash as ReadNorFlash>::read, <Flash as NorFlash>::write, <Flash as NorFlash>::erase);

type ReadFunction = fn(&mut Flash, u32, &mut [u8]) -> Result<(), FlashError>;
type WriteFunction = fn(&mut Flash, u32, &[u8]) -> Result<(), FlashError>;
type EraseFunction = fn(&mut Flash, u32, u32) -> Result<(), FlashError>;

fn check(offset: u32, length: usize) -> Result<(), FlashError> {
    let room = CAPACITY.checked_sub(offset).ok_or(FlashError)?;
    if length > room as usize { Err(FlashError) } else { Ok(()) }
}
