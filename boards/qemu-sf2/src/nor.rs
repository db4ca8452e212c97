//! SPI NOR of the S25FL128P family (QEMU: s25sl12801): 16 MiB, sectors of 64 KiB, pages of 256 bytes.
//!
//! The chip erases whole sectors of 64 KiB only, which the drivers to be had for such chips do not
//! do. It wraps inside a page and forgets that it may write after each command, on silicon; QEMU does
//! neither, so this driver must not rely on either.

use core::fmt;

use embedded_hal::spi::{Operation, SpiDevice};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};

/// Bytes of the chip.
pub const CAPACITY: usize = 16 * 1024 * 1024;
const SECTOR: usize = 64 * 1024;
const PAGE: usize = 256;
/// What the chip says it is.
const ID: [u8; 3] = [0x01, 0x20, 0x18];
/// The most bytes that one transaction reads.
const READ_PIECE: usize = 4096;
/// How often a busy chip is asked before it is taken as dead: a sector takes 3 s at most, and an
/// answer 1 us at least.
const MOST_POLLS: u32 = 8_000_000;

mod command {
    pub(super) const WRITE_ENABLE: u8 = 0x06;
    pub(super) const READ_STATUS: u8 = 0x05;
    pub(super) const READ: u8 = 0x03;
    pub(super) const READ_ID: u8 = 0x9F;
    pub(super) const PROGRAM: u8 = 0x02;
    pub(super) const ERASE: u8 = 0xD8;
}
const BUSY: u8 = 1;
const MAY_WRITE: u8 = 2;

/// Why the flash did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NorError {
    /// The bus.
    Bus,
    /// It is another chip, or none: this is what it says.
    OtherChip([u8; 3]),
    /// Behind its end, or not whole sectors.
    Range(NorFlashErrorKind),
    /// It does not become ready.
    Stuck,
    /// It does not accept that it may be written.
    Protected,
    /// A bit is 0 that should become 1: what is there was not erased.
    NotErased,
}

impl fmt::Display for NorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus => f.write_str("the SPI bus fails"),
            Self::OtherChip(id) => write!(f, "the flash chip has id {id:02x?}, not {ID:02x?}"),
            Self::Range(kind) => write!(f, "{kind}"),
            Self::Stuck => f.write_str("the flash chip stays busy"),
            Self::Protected => f.write_str("the flash chip is write-protected"),
            Self::NotErased => f.write_str("flash that is not erased cannot be programmed"),
        }
    }
}

impl core::error::Error for NorError {}

impl NorFlashError for NorError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Range(kind) => *kind,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// The chip.
#[derive(Debug)]
pub struct Nor<S> {
    spi: S,
}

impl<S: SpiDevice> Nor<S> {
    /// The chip on this bus, if it is one.
    ///
    /// # Errors
    /// [`NorError::OtherChip`], [`NorError::Bus`].
    pub fn new(spi: S) -> Result<Self, NorError> {
        let mut nor = Self { spi };
        let mut id = [0; 3];
        nor.ask(&[command::READ_ID], &mut id)?;
        if id == ID { Ok(nor) } else { Err(NorError::OtherChip(id)) }
    }

    fn ask(&mut self, command: &[u8], answer: &mut [u8]) -> Result<(), NorError> {
        let operations = &mut [Operation::Write(command), Operation::Read(answer)];
        self.spi.transaction(operations).map_err(|_| NorError::Bus)
    }

    fn status(&mut self) -> Result<u8, NorError> {
        let mut status = [0];
        self.ask(&[command::READ_STATUS], &mut status)?;
        Ok(status[0])
    }

    /// A command that changes the chip, which has to be allowed first, and takes its time.
    fn change(&mut self, command: u8, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        self.spi.write(&[command::WRITE_ENABLE]).map_err(|_| NorError::Bus)?;
        if self.status()? & MAY_WRITE == 0 {
            return Err(NorError::Protected);
        }
        #[cfg(feature = "host-log")]
        let log = crate::host_log::HostLog::open();
        let head = with_address(command, offset);
        let operations = &mut [Operation::Write(&head), Operation::Write(bytes)];
        self.spi.transaction(operations).map_err(|_| NorError::Bus)?;
        #[cfg(feature = "host-log")]
        if !log.wait() {
            return Err(NorError::Stuck);
        }
        for _ in 0..MOST_POLLS {
            if self.status()? & BUSY == 0 {
                return Ok(());
            }
        }
        Err(NorError::Stuck)
    }

    /// In test builds: programming can only clear bits.
    #[cfg(feature = "check-erased")]
    fn check_erased(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        let mut old = [0; PAGE];
        let old = &mut old[..bytes.len()];
        self.ask(&with_address(command::READ, offset), old)?;
        match old.iter().zip(bytes).all(|(old, new)| old & new == *new) {
            true => Ok(()),
            false => Err(NorError::NotErased),
        }
    }
}

fn with_address(command: u8, offset: u32) -> [u8; 4] {
    let [_, high, middle, low] = offset.to_be_bytes();
    [command, high, middle, low]
}

impl<S: SpiDevice> ErrorType for Nor<S> {
    type Error = NorError;
}

impl<S: SpiDevice> ReadNorFlash for Nor<S> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        check_read(self, offset, bytes.len()).map_err(NorError::Range)?;
        let mut at = offset;
        for piece in bytes.chunks_mut(READ_PIECE) {
            self.ask(&with_address(command::READ, at), piece)?;
            at += piece.len() as u32;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }
}

impl<S: SpiDevice> NorFlash for Nor<S> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        check_erase(self, from, to).map_err(NorError::Range)?;
        (from..to).step_by(SECTOR).try_for_each(|sector| self.change(command::ERASE, sector, &[]))
    }

    fn write(&mut self, offset: u32, mut bytes: &[u8]) -> Result<(), NorError> {
        check_write(self, offset, bytes.len()).map_err(NorError::Range)?;
        let mut at = offset;
        while !bytes.is_empty() {
            let room = PAGE - at as usize % PAGE;
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            #[cfg(feature = "check-erased")]
            self.check_erased(at, piece)?;
            self.change(command::PROGRAM, at, piece)?;
            at += piece.len() as u32;
            bytes = rest;
        }
        Ok(())
    }
}
