//! What every probe has: start-up, a panic handler, a flash device.
//!
//! A new configuration is one file in `src/bin` and one line in the table of `cargo xtask sizes`:
//!
//! ```ignore
//! //! Boot path: record, decision, CRC-32 of the image.
//! #![no_std]
//! #![no_main]
//!
//! struct Boot;
//!
//! impl ota_probes::Probe for Boot {
//!     fn prepare(flash: &mut ota_probes::Flash) {
//!         // Only when stack is measured: bring the device into the state that costs most stack.
//!     }
//!     fn run(flash: &mut ota_probes::Flash) -> u32 {
//!         // What is measured. Return something that depends on all of it.
//!     }
//! }
//!
//! ota_probes::entry!(Boot);
//! ```
#![no_std]

mod flash;
pub mod layout;
#[cfg(feature = "stack")]
mod stack;
mod start;

extern crate small_memory as _;

pub use flash::{Flash, FlashError};
pub use start::start;

/// One measured configuration.
pub trait Probe {
    /// Makes the flash what [`Self::run`] shall find; erased unless a probe says otherwise. In no
    /// figure, and not linked when sizes are measured.
    fn prepare(_flash: &mut Flash) {}

    /// What is measured. The result must depend on the work, or the compiler leaves it out.
    fn run(flash: &mut Flash) -> u32;
}

/// Makes a [`Probe`] the program.
#[macro_export]
macro_rules! entry {
    ($probe:ty) => {
        // SAFETY: the only symbol of this name in the program; the start-up code calls it.
        #[unsafe(no_mangle)]
        extern "C" fn probe_main() -> ! {
            $crate::start::<$probe>()
        }
    };
}
