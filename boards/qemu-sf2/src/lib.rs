//! What loader and application of the board are made of: drivers, the layout of flash, and, for the
//! application, the network. `README.md` says how to run them.
//!
//! ```text
//! boot: nor, spi      app: device -> uart
//!   \-> device -> uart        \----> download -> http
//!                                        \-----> network -> emac
//! ```
//! Addresses are those of QEMU's `emcraft-sf2` (SmartFusion2 M2S010).
#![cfg_attr(not(test), no_std)]

pub mod clock;
pub mod device;
pub mod download;
pub mod emac;
#[cfg(feature = "host-log")]
mod host_log;
pub mod http;
mod idle;
pub mod log;
pub mod mark;
pub mod network;
pub mod nor;
mod register;
pub mod spi;
pub mod uart;

use ota_core::flash::{Extent, Layout, SlotLayout};

/// Bytes of an erase sector of the flash.
pub const SECTOR: u32 = 64 * 1024;
/// Where an application runs: it is copied there from its slot.
pub const APP_ADDRESS: u32 = 0xA000_0000;

static SLOTS: [SlotLayout; 2] = [
    SlotLayout { app: Extent::new(0x10_0000, 16 * SECTOR), data: None },
    SlotLayout { app: Extent::new(0x20_0000, 16 * SECTOR), data: None },
];

/// The flash: three sectors of boot record, two slots of 960 KiB and their descriptors.
pub const LAYOUT: Layout = Layout { record: Extent::new(0, 3 * SECTOR), slots: &SLOTS };
/// What bundles for this board name as their platform.
pub const PLATFORM: &str = "qemu-sf2";

/// The board's flash.
pub type Flash = nor::Nor<spi::Spi>;

/// The board's flash, ready.
///
/// # Errors
/// See [`nor::Nor::new`].
pub fn flash() -> Result<Flash, nor::NorError> {
    nor::Nor::new(spi::Spi::new())
}
