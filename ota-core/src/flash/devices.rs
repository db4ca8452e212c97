//! [`FlashMap`] over one or two `embedded_storage` devices.

use core::marker::PhantomData;

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use super::{
    CheckedLayout, FlashMap, FlashRead, Geometry, Layout, LayoutError, MAX_WRITE_SIZE, Region,
};

/// All regions on one device.
pub struct OneDevice<'a, F> {
    flash: F,
    layout: Layout<'a>,
    erase_value: u8,
}

impl<'a, F: NorFlash> OneDevice<'a, F> {
    /// # Errors
    /// [`LayoutError`]: what is wrong with `layout` on this device.
    pub fn new(flash: F, layout: Layout<'a>) -> Result<Self, LayoutError> {
        Self::with_erase_value(flash, layout, 0xFF)
    }

    /// For parts that erase to `erase_value`, 0x00 on STM32L0 and L1.
    ///
    /// # Errors
    /// [`LayoutError`]: what is wrong with `layout` on this device.
    pub fn with_erase_value(
        flash: F,
        layout: Layout<'a>,
        erase_value: u8,
    ) -> Result<Self, LayoutError> {
        layout.check(&[shape(&flash, erase_value)])?;
        Ok(Self { flash, layout, erase_value })
    }

    /// The layout given at the start.
    pub fn layout(&self) -> &Layout<'a> {
        &self.layout
    }

    /// Gives the device back.
    pub fn into_inner(self) -> F {
        self.flash
    }

    #[inline(always)]
    fn address(&self, region: Region, offset: u32) -> Option<u32> {
        self.layout.extent(region)?.address.checked_add(offset)
    }
}

impl<F: NorFlash> FlashRead for OneDevice<'_, F> {
    type Error = MapError<F::Error>;

    fn slots(&self) -> u8 {
        slot_count(&self.layout)
    }

    #[inline(always)]
    fn geometry(&self, region: Region) -> Option<Geometry> {
        let size = self.layout.extent(region)?.size;
        Some(Geometry { size, ..shape(&self.flash, self.erase_value) })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        self.flash.read(address, bytes).map_err(MapError::Device)
    }
}

impl<F: NorFlash> FlashMap for OneDevice<'_, F> {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        self.flash.write(address, bytes).map_err(MapError::Device)
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), Self::Error> {
        let address = self.address(region, offset).ok_or(MapError::OutOfRegion)?;
        erase(&mut self.flash, address).map_err(MapError::Device)
    }
}

/// A layout that is a constant, for [`FixedDevice`].
pub trait FixedLayout {
    /// The layout, checked for the device.
    const LAYOUT: CheckedLayout<'static, 1>;
}

/// All regions on one device, as [`OneDevice`], with a layout that the compiler knows: it is in the
/// code that uses it and takes no memory. The smallest for a loader.
pub struct FixedDevice<F, L> {
    flash: F,
    layout: PhantomData<L>,
}

impl<F: NorFlash, L: FixedLayout> FixedDevice<F, L> {
    const SHAPE: Geometry = {
        let CheckedLayout { devices: [shape], .. } = L::LAYOUT;
        shape
    };

    /// # Errors
    /// [`LayoutError::OtherDevice`]: the layout was checked for a device of another shape.
    pub fn new(flash: F) -> Result<Self, LayoutError> {
        same_shape(&flash, &Self::SHAPE)?;
        Ok(Self { flash, layout: PhantomData })
    }

    /// Gives the device back.
    pub fn into_inner(self) -> F {
        self.flash
    }

    fn address(region: Region, offset: u32) -> Option<u32> {
        L::LAYOUT.layout.extent(region)?.address.checked_add(offset)
    }
}

impl<F: NorFlash, L: FixedLayout> FlashRead for FixedDevice<F, L> {
    type Error = MapError<F::Error>;

    fn slots(&self) -> u8 {
        slot_count(&L::LAYOUT.layout)
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        Some(Geometry { size: L::LAYOUT.layout.extent(region)?.size, ..Self::SHAPE })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let address = Self::address(region, offset).ok_or(MapError::OutOfRegion)?;
        self.flash.read(address, bytes).map_err(MapError::Device)
    }
}

impl<F: NorFlash, L: FixedLayout> FlashMap for FixedDevice<F, L> {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let address = Self::address(region, offset).ok_or(MapError::OutOfRegion)?;
        self.flash.write(address, bytes).map_err(MapError::Device)
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), Self::Error> {
        let address = Self::address(region, offset).ok_or(MapError::OutOfRegion)?;
        erase(&mut self.flash, address).map_err(MapError::Device)
    }
}

/// Regions on two devices of any two shapes: internal flash and an SPI NOR, say.
pub struct TwoDevices<'a, A, B> {
    first: A,
    second: B,
    layout: Layout<'a>,
    erase_values: [u8; 2],
}

impl<'a, A: NorFlash, B: NorFlash> TwoDevices<'a, A, B> {
    /// `first` is device 0 of the layout's extents, `second` device 1.
    ///
    /// # Errors
    /// [`LayoutError`]: what is wrong with `layout` on these devices.
    pub fn new(first: A, second: B, layout: Layout<'a>) -> Result<Self, LayoutError> {
        Self::with_erase_values(first, second, layout, [0xFF; 2])
    }

    /// For parts that erase to other values.
    ///
    /// # Errors
    /// [`LayoutError`]: what is wrong with `layout` on these devices.
    pub fn with_erase_values(
        first: A,
        second: B,
        layout: Layout<'a>,
        erase_values: [u8; 2],
    ) -> Result<Self, LayoutError> {
        let [value_first, value_second] = erase_values;
        layout.check(&[shape(&first, value_first), shape(&second, value_second)])?;
        Ok(Self { first, second, layout, erase_values })
    }

    /// With a layout that was checked before, best in a constant: links no check but that `first`
    /// and `second` are the devices it was checked for.
    ///
    /// # Errors
    /// [`LayoutError::OtherDevice`].
    pub fn checked(
        first: A,
        second: B,
        layout: &CheckedLayout<'a, 2>,
    ) -> Result<Self, LayoutError> {
        let CheckedLayout { layout, devices: [for_first, for_second] } = *layout;
        same_shape(&first, &for_first)?;
        same_shape(&second, &for_second)?;
        let erase_values = [for_first.erase_value, for_second.erase_value];
        Ok(Self { first, second, layout, erase_values })
    }

    /// Gives the devices back.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }

    fn place(&self, region: Region, offset: u32) -> Option<(bool, u32)> {
        let extent = self.layout.extent(region)?;
        Some((extent.device == 0, extent.address.checked_add(offset)?))
    }
}

impl<A: NorFlash, B: NorFlash> FlashRead for TwoDevices<'_, A, B> {
    type Error = MapError<EitherError<A::Error, B::Error>>;

    fn slots(&self) -> u8 {
        slot_count(&self.layout)
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        let extent = self.layout.extent(region)?;
        let [value_first, value_second] = self.erase_values;
        let shape = match extent.device {
            0 => shape(&self.first, value_first),
            _ => shape(&self.second, value_second),
        };
        Some(Geometry { size: extent.size, ..shape })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        match self.place(region, offset).ok_or(MapError::OutOfRegion)? {
            (true, address) => self.first.read(address, bytes).map_err(EitherError::First),
            (false, address) => self.second.read(address, bytes).map_err(EitherError::Second),
        }
        .map_err(MapError::Device)
    }
}

impl<A: NorFlash, B: NorFlash> FlashMap for TwoDevices<'_, A, B> {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        match self.place(region, offset).ok_or(MapError::OutOfRegion)? {
            (true, address) => self.first.write(address, bytes).map_err(EitherError::First),
            (false, address) => self.second.write(address, bytes).map_err(EitherError::Second),
        }
        .map_err(MapError::Device)
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), Self::Error> {
        match self.place(region, offset).ok_or(MapError::OutOfRegion)? {
            (true, address) => erase(&mut self.first, address).map_err(EitherError::First),
            (false, address) => erase(&mut self.second, address).map_err(EitherError::Second),
        }
        .map_err(MapError::Device)
    }
}

/// What a map reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MapError<E> {
    /// The layout has no such region, or the address would overflow.
    OutOfRegion,
    /// The device's driver failed.
    Device(E),
}

/// The error of one of two devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EitherError<A, B> {
    /// Device 0 failed.
    First(A),
    /// Device 1 failed.
    Second(B),
}

impl<E: NorFlashError> NorFlashError for MapError<E> {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfRegion => NorFlashErrorKind::OutOfBounds,
            Self::Device(error) => error.kind(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a checked layout has at most 8")]
pub(super) fn slot_count(layout: &Layout<'_>) -> u8 {
    layout.slots.len() as u8
}

#[inline(always)]
fn shape<F: NorFlash>(flash: &F, erase_value: u8) -> Geometry {
    const { assert!(F::WRITE_SIZE <= MAX_WRITE_SIZE, "write units above 32 bytes do not work") };
    const { assert!(F::READ_SIZE <= 4, "reads are made in multiples of 4 bytes") };
    const { assert!(F::ERASE_SIZE <= 0x8000_0000, "an erase unit has at most 2 GiB") };
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the assertions above")]
    Geometry {
        size: u32::try_from(flash.capacity()).unwrap_or(u32::MAX),
        sector_size: F::ERASE_SIZE as u32,
        write_size: F::WRITE_SIZE as u32,
        erase_value,
    }
}

/// Whether `flash` has the units and the capacity that a layout was checked for.
fn same_shape<F: NorFlash>(flash: &F, expected: &Geometry) -> Result<(), LayoutError> {
    let found = shape(flash, expected.erase_value);
    if found == *expected { Ok(()) } else { Err(LayoutError::OtherDevice { found }) }
}

fn erase<F: NorFlash>(flash: &mut F, address: u32) -> Result<(), F::Error> {
    // The sector lies within the device: no overflow.
    #[expect(clippy::cast_possible_truncation, reason = "asserted in `shape`")]
    let end = address.wrapping_add(F::ERASE_SIZE as u32);
    flash.erase(address, end)
}
