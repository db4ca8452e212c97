//! The one trait between the engine and flash devices.
//!
//! The engine names a [`Region`] and an offset *within* it; a [`FlashMap`] turns that into a device
//! and an address. [`OneDevice`] and [`TwoDevices`] do so over `embedded_storage`'s `NorFlash`.
//!
//! # The driver contract
//! * `program` writes whole write units into erased flash; it may be called for at most
//!   [`MAX_PROGRAM`] bytes. Each unit is programmed at most once between two erases of its sector,
//!   with one exception: where a power cut tore the header of a record cell so that it reads blank,
//!   the same bytes are programmed again. A part that refuses says so with `Err`, and the next cell
//!   is used.
//! * An operation that returns `Ok` is complete: its bytes survive power loss.
//! * An ECC fault (NMI on STM32L4, bus fault on STM32H7) must come back as `Err` from `read`, never
//!   as a trap: the engine skips what it cannot read.
//!
//! # Power loss
//! Anything may be found in the units of a `program` and in the sector of an `erase_sector` that
//! were under way: old, new, mixed, unreadable, or different at each read. Nothing else may change.

#[cfg(feature = "async")]
mod asynchronous;
mod devices;
mod layout;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncFlashMap, AsyncOneDevice};
pub use devices::{EitherError, FixedDevice, FixedLayout, MapError, OneDevice, TwoDevices};
pub use layout::{CheckedLayout, Extent, Layout, LayoutError, SlotLayout};

/// The largest write unit supported, in bytes (STM32H7: 32).
pub const MAX_WRITE_SIZE: usize = 32;
/// The most that one `program` call is given, in bytes: a page of common SPI NOR.
pub const MAX_PROGRAM: usize = 256;
/// The most slots a device may have.
pub const MAX_SLOTS: usize = 8;

/// A part of flash that the engine uses. Offsets are relative to its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Region {
    /// The boot record: two or more erase sectors.
    Record,
    /// The application of a slot, with the slot's descriptor in the last erase sector.
    App(u8),
    /// The data part of a slot (a file system image), if the slot has one.
    Data(u8),
}

/// The shape of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Geometry {
    /// Length of the region in bytes; a multiple of `sector_size`.
    pub size: u32,
    /// Erase unit in bytes.
    pub sector_size: u32,
    /// Write unit in bytes: 1, 2, 4, 8, 16 or 32.
    pub write_size: u32,
    /// What an erased byte reads as: 0xFF, or 0x00 on parts that erase to zero (STM32L0, L1).
    pub erase_value: u8,
}

/// What the engine may ask of flash without changing it.
///
/// Also implemented by asynchronous maps: reads are short, so they are made in place.
pub trait FlashRead {
    /// The driver's error.
    type Error: core::fmt::Debug;

    /// How many slots there are: 2 to [`MAX_SLOTS`].
    fn slots(&self) -> u8;

    /// The shape of `region`, or `None` where there is none (a slot without data part, a slot index
    /// out of range).
    fn geometry(&self, region: Region) -> Option<Geometry>;

    /// Reads `bytes.len()` bytes at `offset`; both are multiples of 4.
    ///
    /// # Errors
    /// The driver's, or its way of saying "out of bounds". An unreadable (ECC) word is an error.
    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error>;
}

/// Flash that can be changed, in place.
pub trait FlashMap: FlashRead {
    /// Programs `bytes` (at most [`MAX_PROGRAM`]) at `offset`; both multiples of the write unit.
    ///
    /// # Errors
    /// The driver's. The units may then hold anything.
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Erases the sector that begins at `offset`.
    ///
    /// # Errors
    /// The driver's. The sector may then hold anything.
    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), Self::Error>;
}

impl<M: FlashRead + ?Sized> FlashRead for &mut M {
    type Error = M::Error;
    fn slots(&self) -> u8 {
        (**self).slots()
    }
    fn geometry(&self, region: Region) -> Option<Geometry> {
        (**self).geometry(region)
    }
    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), M::Error> {
        (**self).read(region, offset, bytes)
    }
}

impl<M: FlashMap + ?Sized> FlashMap for &mut M {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), M::Error> {
        (**self).program(region, offset, bytes)
    }
    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), M::Error> {
        (**self).erase_sector(region, offset)
    }
}

/// How often a read is tried before its bytes count as unreadable.
const READ_TRIES: u8 = 3;

/// Reads with retries, `bytes.len()` and `offset` being multiples of 4. False: unreadable.
#[inline(always)]
pub(crate) fn read<F: FlashRead>(
    flash: &mut F,
    region: Region,
    offset: u32,
    bytes: &mut [u8],
) -> bool {
    (0..READ_TRIES).any(|_| flash.read(region, offset, bytes).is_ok())
}

/// One change of flash: what a job asks its driver to do before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Erase the sector at `offset`.
    Erase {
        /// The region.
        region: Region,
        /// Start of the sector, in bytes within the region.
        offset: u32,
    },
    /// Program `bytes` at `offset`.
    Program {
        /// The region.
        region: Region,
        /// Where, in bytes within the region; a multiple of the write unit.
        offset: u32,
        /// At most [`MAX_PROGRAM`] bytes, whole write units.
        bytes: &'a [u8],
    },
}

impl Op<'_> {
    /// Does it, now.
    ///
    /// # Errors
    /// The driver's.
    pub fn perform<F: FlashMap>(&self, flash: &mut F) -> Result<(), F::Error> {
        match *self {
            Op::Erase { region, offset } => flash.erase_sector(region, offset),
            Op::Program { region, offset, bytes } => flash.program(region, offset, bytes),
        }
    }
}

/// A change of flash that a state machine wants; the bytes lie in a buffer that it names elsewhere.
#[cfg(feature = "stage")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    Erase {
        region: Region,
        offset: u32,
    },
    /// Program a range of the buffer.
    Program {
        region: Region,
        offset: u32,
        start: usize,
        len: usize,
    },
}

#[cfg(feature = "stage")]
impl Want {
    /// The operation, with its bytes out of `buffer`.
    pub(crate) fn op(self, buffer: &[u8]) -> Op<'_> {
        match self {
            Self::Erase { region, offset } => Op::Erase { region, offset },
            Self::Program { region, offset, start, len } => {
                let bytes = buffer.get(start..).map(|rest| crate::bytes::head(rest, len));
                Op::Program { region, offset, bytes: bytes.unwrap_or_default() }
            }
        }
    }
}
