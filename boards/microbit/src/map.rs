//! Where everything lies, for the linker and the engine alike: address and length in bytes.
//!
//! ```text
//! 0x00000 | loader | boot record | slot 0 | slot 1 |  0x40000, the end of flash
//! ```

/// Erase unit.
pub(crate) const PAGE: u32 = 1024;
/// All of flash.
pub(crate) const FLASH_SIZE: u32 = 256 * PAGE;

/// The loader.
pub(crate) const LOADER: (u32, u32) = (0, 84 * PAGE);
/// The boot record.
pub(crate) const RECORD: (u32, u32) = (LOADER.1, 4 * PAGE);
/// Slot 0: an image linked for its start, and its descriptor in the last page.
pub(crate) const SLOT_A: (u32, u32) = (RECORD.0 + RECORD.1, 84 * PAGE);
/// Slot 1.
pub(crate) const SLOT_B: (u32, u32) = (SLOT_A.0 + SLOT_A.1, SLOT_A.1);

/// All of RAM. The first word says whose vector table is in use, and the one behind it is there for
/// alignment: they are no program's variables.
pub(crate) const RAM: (u32, u32) = (0x2000_0000, 16 * 1024);
/// Bytes at the start of RAM that are no program's.
pub(crate) const RAM_TAKEN: u32 = 8;

const _: () = assert!(SLOT_B.0 + SLOT_B.1 <= FLASH_SIZE, "the slots end behind the flash");
const _: () = assert!(RAM_TAKEN >= 4 && RAM_TAKEN.is_multiple_of(8), "a word, and stacks of 8");
