//! The boot record: what is chosen, what runs, and what is being written, as an append log.
//!
//! `docs/format/boot-record.md` is the normative description; this is the short one.
//!
//! ```text
//! record region   | sector 0            | sector 1            |  two or more erase sectors
//! sector          | cell 0 | cell 1 | ...                     |  at most 64 cells
//! cell            | header | body                  | (spare)  | seal |
//! header          | 'O' | check | format | length | position:u32 |  own write units
//! body            | fields | CRC-32 of header and fields      |
//! seal            | 'SEAL'                                   |  own write unit
//! ```
//!
//! An append is three program calls: header, body, seal; each returns before the next begins, and
//! the seal only follows when header and body read back equal. The record in force is the valid body
//! with the highest *position* = generation x cells per sector + index, which also fixes the place:
//! sector = generation modulo sectors.
//!
//! # Invariants
//! 1. A header's bytes depend only on its place and generation. So a header torn by a power cut
//!    may be programmed again: it gets the same bytes.
//! 2. No body or seal unit is programmed twice between erases: once a body was begun, its header
//!    is whole and shows that the cell is used.
//! 3. A sector is erased immediately before its first cell is programmed, never on leaving it, and
//!    however blank it looks. The sector that holds the newest sealed record is never erased: a body
//!    without a seal may be weak, and gone tomorrow.
//! 4. A sealed cell was read back whole before its seal was begun.
//!
//! # Power loss
//! * In a header: the cell has a blank body. It may look used or blank; either way the next append
//!   goes there or behind it, and nothing can make that body valid.
//! * In a body: the header shows a position above the record in force, so the next boot *heals*: it
//!   appends a fresh copy behind it before it acts. The torn body may read as valid, now or later;
//!   it is outranked either way.
//! * In a seal: the body is whole, and its cell unsealed or sealed; the next boot heals if unsealed.
//! * In an erase: the sector held only positions below the record in force; it still holds only
//!   those, or nothing.
//!
//! Why not a body first, as a single program call: a torn body may read as blank at one boot and as
//! whole at the next, and a boot that saw nothing cannot outrank it without writing at every boot.

mod cell;
mod fields;
#[cfg(feature = "std")]
mod inspect;
mod log;
#[cfg(feature = "serde")]
mod v1;

pub use fields::{Invalid, NO_SLOT, NOTE_LEN, Reason, Record, SlotState};
#[cfg(feature = "std")]
pub use inspect::{Cell, Content, Shape, inspect};
#[cfg(feature = "stage")]
pub(crate) use log::{Append, Next};
pub use log::{AppendFailed, Log, Newest, RecordTooSmall};
#[cfg(feature = "serde")]
pub use v1::{RecordV1, SlotV1};

/// The format that this code writes.
pub const FORMAT: u8 = 1;
