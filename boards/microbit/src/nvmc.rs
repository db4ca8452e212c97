//! Internal flash behind the controller NVMC: 256 KiB, pages of 1 KiB, written in words of 32 bits.
//!
//! The processor runs from the same flash and stands still while a page is erased (22 ms) or a word
//! is written (46 us), so the controller is ready when it runs on; a controller that is not has
//! failed. The loader's own pages are out of bounds for this driver.

use core::fmt;
use core::sync::atomic::{Ordering, compiler_fence};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};

use crate::map;
use crate::register::Register;

const READY: Register = Register::at(0x4001_E400);
const CONFIG: Register = Register::at(0x4001_E504);
const ERASE_PAGE: Register = Register::at(0x4001_E508);

/// What the controller lets happen: a value of its register CONFIG.
#[derive(Clone, Copy)]
enum Mode {
    Read = 0,
    Write = 1,
    Erase = 2,
}

/// How often a busy controller is asked before it is taken as dead: ten times the 22 ms of an
/// erase, at 4 cycles of 16 MHz an answer.
const MOST_POLLS: u32 = 1_000_000;

/// Why the flash did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NvmcError {
    /// Behind its end, in the loader, or not whole words or pages.
    Range(NorFlashErrorKind),
    /// It does not become ready.
    Stuck,
    /// A bit is 0 that should become 1: what is there was not erased.
    NotErased,
}

impl fmt::Display for NvmcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(kind) => write!(f, "{kind}"),
            Self::Stuck => f.write_str("the flash controller stays busy"),
            Self::NotErased => f.write_str("flash that is not erased cannot be programmed"),
        }
    }
}

impl core::error::Error for NvmcError {}

impl NorFlashError for NvmcError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Range(kind) => *kind,
            Self::Stuck | Self::NotErased => NorFlashErrorKind::Other,
        }
    }
}

/// The flash.
#[derive(Debug)]
pub struct Nvmc;

impl Nvmc {
    /// Does `work` with the controller in `mode`, and takes its permission back whatever happens.
    fn within(mode: Mode, work: impl FnOnce() -> Result<(), NvmcError>) -> Result<(), NvmcError> {
        Self::wait()?;
        CONFIG.write(mode as u32);
        let result = Self::wait().and_then(|()| work());
        CONFIG.write(Mode::Read as u32);
        // What was read of flash before may be different now.
        compiler_fence(Ordering::SeqCst);
        result.and(Self::wait())
    }

    fn wait() -> Result<(), NvmcError> {
        match (0..MOST_POLLS).any(|_| READY.read() & 1 == 1) {
            true => Ok(()),
            false => Err(NvmcError::Stuck),
        }
    }

    fn erase_page(page: u32) -> Result<(), NvmcError> {
        #[cfg(feature = "flash-log")]
        crate::flash_log::erase(page);
        Self::within(Mode::Erase, || {
            ERASE_PAGE.write(page);
            Self::wait()
        })
    }

    /// Programs words from `offset` on, which with [`Mode::Write`] and whole words is inside flash.
    fn program(offset: u32, words: &[[u8; 4]]) -> Result<(), NvmcError> {
        for (at, word) in (offset..).step_by(4).zip(words) {
            let place = at as *mut u32;
            let value = u32::from_le_bytes(*word);
            // In test builds: programming can only clear bits.
            #[cfg(feature = "check-erased")]
            // SAFETY: an aligned word of flash.
            if unsafe { place.read_volatile() } & value != value {
                return Err(NvmcError::NotErased);
            }
            #[cfg(feature = "flash-log")]
            crate::flash_log::program(at, word);
            // SAFETY: an aligned word of flash that is neither the loader's nor, as the engine
            // writes the other slot and the record only, of the program that runs.
            unsafe { place.write_volatile(value) };
            Self::wait()?;
        }
        Ok(())
    }
}

/// Checks that nothing of the loader is meant.
fn check_loader(offset: u32) -> Result<(), NvmcError> {
    match offset < map::LOADER.0 + map::LOADER.1 {
        true => Err(NvmcError::Range(NorFlashErrorKind::OutOfBounds)),
        false => Ok(()),
    }
}

impl ErrorType for Nvmc {
    type Error = NvmcError;
}

impl ReadNorFlash for Nvmc {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NvmcError> {
        check_read(self, offset, bytes.len()).map_err(NvmcError::Range)?;
        check_loader(offset)?;
        let from = offset as *const u8;
        // SAFETY: flash, as long as was checked; nobody writes it meanwhile, and RAM is elsewhere.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn capacity(&self) -> usize {
        map::FLASH_SIZE as usize
    }
}

impl NorFlash for Nvmc {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = map::PAGE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NvmcError> {
        check_erase(self, from, to).map_err(NvmcError::Range)?;
        check_loader(from)?;
        (from..to).step_by(Self::ERASE_SIZE).try_for_each(Self::erase_page)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NvmcError> {
        check_write(self, offset, bytes.len()).map_err(NvmcError::Range)?;
        check_loader(offset)?;
        Self::within(Mode::Write, || Self::program(offset, bytes.as_chunks().0))
    }
}
