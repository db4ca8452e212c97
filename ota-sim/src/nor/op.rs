//! Mutating operations, as the device sees them.

use std::fmt;
use std::ops::Range;

use super::Shape;

/// One physical operation that is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingOp<'a> {
    /// Erase the sector at `address`.
    Erase {
        /// Start of the sector.
        address: u32,
    },
    /// Program `bytes` at `address`, within one page.
    Program {
        /// Start, a multiple of the write unit.
        address: u32,
        /// Whole write units.
        bytes: &'a [u8],
    },
}

impl PendingOp<'_> {
    /// Erase or program.
    pub const fn kind(&self) -> OpKind {
        match self {
            Self::Erase { .. } => OpKind::Erase,
            Self::Program { .. } => OpKind::Program,
        }
    }

    /// Where it starts.
    pub const fn address(&self) -> u32 {
        match *self {
            Self::Erase { address } | Self::Program { address, .. } => address,
        }
    }

    /// The bytes to program; an erase has none.
    pub const fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Erase { .. } => None,
            Self::Program { bytes, .. } => Some(bytes),
        }
    }

    /// The addresses it may change: nothing outside is ever touched.
    pub fn range(&self, shape: &Shape) -> Range<u32> {
        let start = self.address();
        let len = match self {
            Self::Erase { .. } => shape.sector_size,
            Self::Program { bytes, .. } => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        start..start.saturating_add(len)
    }

    /// How many write units it covers.
    pub fn units(&self, shape: &Shape) -> u32 {
        let range = self.range(shape);
        (range.end - range.start) / shape.write_size
    }

    /// What the operation log keeps of it.
    pub fn record(&self, shape: &Shape) -> OpRecord {
        let range = self.range(shape);
        OpRecord { kind: self.kind(), address: range.start, len: range.end - range.start }
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// Makes a sector blank.
    Erase,
    /// Programs up to a page.
    Program,
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erase => "erase",
            Self::Program => "program",
        })
    }
}

/// One line of the operation log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpRecord {
    /// Erase or program.
    pub kind: OpKind,
    /// First byte.
    pub address: u32,
    /// Length in bytes.
    pub len: u32,
}

impl fmt::Display for OpRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}+{}", self.kind, self.address, self.len)
    }
}
