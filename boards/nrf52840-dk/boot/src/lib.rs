//! What loader and application of the board must agree on: where things lie in flash, and the
//! watchdog.
//!
//! ```text
//! 0x0_0000  loader            4 KiB, one page
//! 0x0_1000  (free)            4 KiB, for a loader that grows
//! 0x0_2000  boot record       8 KiB, two pages
//! 0x0_4000  slot 0          504 KiB, the last page is the descriptor
//! 0x8_2000  slot 1          504 KiB, the same
//! ```
#![no_std]

use ota_core::flash::{CheckedLayout, Extent, Geometry, Layout, SlotLayout};

/// Bytes of a page, the erase unit of the internal flash.
pub const PAGE: u32 = 4096;
/// Bytes of a slot, with its descriptor.
pub const SLOT_SIZE: u32 = 126 * PAGE;
/// Where the slots begin. Images are linked for these addresses, and run there.
pub const SLOT_ADDRESSES: [u32; 2] = [4 * PAGE, 4 * PAGE + SLOT_SIZE];

/// The internal flash; a word of 4 bytes is written at once.
pub const FLASH: Geometry =
    Geometry { size: 256 * PAGE, sector_size: PAGE, write_size: 4, erase_value: 0xFF };

/// Where the regions lie.
pub const LAYOUT: Layout<'static> = Layout {
    record: Extent::new(2 * PAGE, 2 * PAGE),
    slots: &[
        SlotLayout { app: Extent::new(SLOT_ADDRESSES[0], SLOT_SIZE), data: None },
        SlotLayout { app: Extent::new(SLOT_ADDRESSES[1], SLOT_SIZE), data: None },
    ],
};

// A layout that is wrong does not compile.
const _: () = assert!(CheckedLayout::new(LAYOUT, [FLASH]).is_ok());

/// How many boots a new image gets to be committed in.
pub const TRIALS: u8 = 3;

/// The watchdog's period, in its ticks of 1/32768 s: 8 s. Nothing that runs changes it any more, a
/// soft reset included, so the loader and every application to come have the same.
pub const WATCHDOG_TICKS: u32 = 8 * 32_768;
