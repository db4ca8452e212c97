//! Geometry, programming rule and timings of a part.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::ParseError;

/// The largest write unit of any part, in bytes (STM32H7: one flash word of 256 bits).
pub const MAX_WRITE_SIZE: u32 = 32;

/// The geometry of a flash. All sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Size of the whole flash; addresses run from 0.
    pub capacity: u32,
    /// Erase unit.
    pub sector_size: u32,
    /// Write unit: programs begin and end at multiples of it. A power of two up to
    /// [`MAX_WRITE_SIZE`].
    pub write_size: u32,
    /// The most that one physical program covers; it does not cross a multiple of this either, as
    /// on serial NOR, where the address would wrap within the page.
    pub page_size: u32,
    /// What an erased byte reads as: 0xFF or 0x00. Programming clears bits of the former and sets
    /// bits of the latter.
    pub erase_value: u8,
}

impl Shape {
    /// Whether the numbers fit together.
    ///
    /// # Errors
    /// [`ShapeError`] names the first number that does not.
    pub fn check(&self) -> Result<(), ShapeError> {
        let Self { capacity, sector_size, write_size, page_size, erase_value } = *self;
        if !write_size.is_power_of_two() || write_size > MAX_WRITE_SIZE {
            return Err(ShapeError::WriteSize { found: write_size });
        }
        if page_size == 0 || !page_size.is_multiple_of(write_size) {
            return Err(ShapeError::PageSize { found: page_size });
        }
        if sector_size == 0 || !sector_size.is_multiple_of(page_size) {
            return Err(ShapeError::SectorSize { found: sector_size });
        }
        if capacity == 0 || !capacity.is_multiple_of(sector_size) {
            return Err(ShapeError::Capacity { found: capacity });
        }
        match erase_value {
            0x00 | 0xFF => Ok(()),
            found => Err(ShapeError::EraseValue { found }),
        }
    }

    /// How many erase sectors there are.
    pub const fn sectors(&self) -> u32 {
        self.capacity / self.sector_size
    }

    /// How many write units there are.
    pub const fn units(&self) -> u32 {
        self.capacity / self.write_size
    }

    /// The addresses of the sector that holds `address`.
    pub const fn sector_around(&self, address: u32) -> Range<u32> {
        let start = address - address % self.sector_size;
        start..start + self.sector_size
    }

    /// The numbers of the write units that hold any byte of `addresses`.
    pub const fn units_around(&self, addresses: &Range<u32>) -> Range<u32> {
        if addresses.start >= addresses.end {
            return 0..0;
        }
        addresses.start / self.write_size..(addresses.end - 1) / self.write_size + 1
    }

    /// The addresses of the units numbered `units`.
    pub(super) const fn bytes_of(&self, units: &Range<u32>) -> Range<usize> {
        let size = self.write_size as usize;
        units.start as usize * size..units.end as usize * size
    }

    /// `addresses`, if all of them exist.
    pub(super) fn bounds(&self, address: u32, len: usize) -> Option<Range<u32>> {
        let end = address.checked_add(u32::try_from(len).ok()?)?;
        (end <= self.capacity).then_some(address..end)
    }

    /// What turns raw bytes into bytes whose erased bits are 1, and back, by exclusive or.
    pub(super) const fn flip(&self) -> u8 {
        !self.erase_value
    }
}

/// What is wrong with a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The write unit.
    #[error("write unit of {found} bytes: give 1, 2, 4, 8, 16 or 32")]
    WriteSize {
        /// As given.
        found: u32,
    },
    /// The page.
    #[error("page of {found} bytes: give a multiple of the write unit")]
    PageSize {
        /// As given.
        found: u32,
    },
    /// The erase sector.
    #[error("sector of {found} bytes: give a multiple of the page")]
    SectorSize {
        /// As given.
        found: u32,
    },
    /// The capacity.
    #[error("capacity of {found} bytes: give a multiple of the sector")]
    Capacity {
        /// As given.
        found: u32,
    },
    /// The erase value.
    #[error("erase value {found:#04x}: 0xff and 0x00 exist")]
    EraseValue {
        /// As given.
        found: u8,
    },
}

/// Whether a unit that was programmed may be programmed again before its sector is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Yes, any time: bits only move away from the erase value (AND, or OR for parts that erase
    /// to zero).
    Free,
    /// Only to all bits programmed (STM32L4: the double word 0); anything else is an error and
    /// changes nothing.
    AllZero,
    /// No: an error, and nothing changes.
    Never,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::AllZero => "all-zero",
            Self::Never => "never",
        })
    }
}

impl FromStr for Rule {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "free" => Ok(Self::Free),
            "all-zero" => Ok(Self::AllZero),
            "never" => Ok(Self::Never),
            _ => Err(ParseError::new("rule", text)),
        }
    }
}

/// How long operations take, in nanoseconds, as the datasheet's typical figures say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// Fixed cost of one read call: the command and address bytes of a serial flash.
    pub read_call_ns: u64,
    /// Each byte read.
    pub read_byte_ns: u64,
    /// Fixed cost of one program operation: the page program of a serial flash.
    pub program_op_ns: u64,
    /// Each write unit programmed: the word program of an internal flash.
    pub program_unit_ns: u64,
    /// Each sector erased.
    pub erase_ns: u64,
}

impl Timings {
    /// Nothing takes time.
    pub const ZERO: Self = Self {
        read_call_ns: 0,
        read_byte_ns: 0,
        program_op_ns: 0,
        program_unit_ns: 0,
        erase_ns: 0,
    };
}
