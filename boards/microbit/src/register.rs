//! Registers of the chip.

/// A register of 32 bits.
pub(crate) struct Register(*mut u32);

impl Register {
    /// The register at `address`, which must be one of the chip's.
    pub(crate) const fn at(address: usize) -> Self {
        Self(address as *mut u32)
    }

    pub(crate) fn read(&self) -> u32 {
        // SAFETY: an aligned register of the chip's, as all in this crate.
        unsafe { self.0.read_volatile() }
    }

    pub(crate) fn write(&self, value: u32) {
        // SAFETY: as above; no memory that Rust knows of changes.
        unsafe { self.0.write_volatile(value) }
    }
}
