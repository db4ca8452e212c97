//! Where the regions lie, and the checks made once, at open.

use super::{Geometry, MAX_SLOTS, MAX_WRITE_SIZE, Region};

/// A range of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which device: 0 for [`super::OneDevice`]; 0 or 1 for [`super::TwoDevices`].
    pub device: u8,
    /// First byte, as an address of the device's driver.
    pub address: u32,
    /// Length in bytes.
    pub size: u32,
}

impl Extent {
    /// `size` bytes from `address` on device 0.
    pub const fn new(address: u32, size: u32) -> Self {
        Self { device: 0, address, size }
    }

    /// The same range on another device.
    pub const fn on(self, device: u8) -> Self {
        Self { device, ..self }
    }
}

/// One slot: room for an application and its descriptor (at the end), and optionally for
/// a data part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    /// Application and, in erase sectors of its own at the end, the descriptor.
    pub app: Extent,
    /// The data part.
    pub data: Option<Extent>,
}

/// All regions of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout<'a> {
    /// The boot record: at least two erase sectors.
    pub record: Extent,
    /// 2 to 8 slots, in the order of their numbers.
    pub slots: &'a [SlotLayout],
}

/// Why a layout cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LayoutError {
    /// Not 2 to 8 slots.
    SlotCount {
        /// How many there are.
        found: usize,
    },
    /// The write unit is not 1, 2, 4, 8, 16 or 32 bytes, or does not divide the erase unit.
    WriteSize {
        /// The region.
        region: Region,
        /// Its write unit in bytes.
        found: u32,
    },
    /// Start or length of the region is not a multiple of its erase unit.
    Unaligned {
        /// The region.
        region: Region,
        /// Its erase unit in bytes.
        sector_size: u32,
    },
    /// The region has fewer erase sectors than it needs (record: 2; application: 1 and those of the descriptor; data: 1).
    TooSmall {
        /// The region.
        region: Region,
        /// How many sectors it needs.
        sectors_needed: u32,
    },
    /// The region ends behind its device, or names a device that is not there.
    OutOfDevice {
        /// The region.
        region: Region,
        /// The device's capacity in bytes; 0 if there is no such device.
        capacity: u32,
    },
    /// Two regions share bytes.
    Overlap {
        /// One of them.
        first: Region,
        /// The other.
        second: Region,
    },
    /// The layout was checked for a device of another shape.
    OtherDevice {
        /// The shape that the driver has.
        found: Geometry,
    },
}

impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::SlotCount { found } => write!(f, "{found} slots; give 2 to {MAX_SLOTS}"),
            Self::WriteSize { region, found } => {
                write!(f, "{region:?}: write unit of {found} bytes; 1, 2, 4, 8, 16 or 32 work")
            }
            Self::Unaligned { region, sector_size } => {
                write!(f, "{region:?}: start and length must be multiples of {sector_size} bytes")
            }
            Self::TooSmall { region, sectors_needed } => {
                write!(f, "{region:?}: needs at least {sectors_needed} erase sectors")
            }
            Self::OutOfDevice { region, capacity } => {
                write!(f, "{region:?}: ends behind its device of {capacity} bytes")
            }
            Self::Overlap { first, second } => write!(f, "{first:?} and {second:?} overlap"),
            Self::OtherDevice { found } => {
                write!(f, "the layout is for another device than {found:?}")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

impl Layout<'_> {
    /// The extent of `region`, if there is one.
    #[inline(always)]
    pub fn extent(&self, region: Region) -> Option<Extent> {
        match region {
            Region::Record => Some(self.record),
            Region::App(slot) => self.slots.get(usize::from(slot)).map(|s| s.app),
            Region::Data(slot) => self.slots.get(usize::from(slot)).and_then(|s| s.data),
        }
    }

    /// Every region of the layout.
    pub fn regions(&self) -> impl Iterator<Item = (Region, Extent)> + '_ {
        let slots = (0u8..).zip(self.slots.iter()).flat_map(|(index, slot)| {
            let app = Some((Region::App(index), slot.app));
            let data = slot.data.map(|extent| (Region::Data(index), extent));
            app.into_iter().chain(data)
        });
        core::iter::once((Region::Record, self.record)).chain(slots)
    }

    /// Checks everything once: count, units, alignment, room, bounds, overlap. `devices` are the
    /// shapes of the devices, each `size` being the capacity. Constant, for [`CheckedLayout`].
    pub(super) const fn check(&self, devices: &[Geometry]) -> Result<(), LayoutError> {
        let slots = self.slots.len();
        if slots < 2 || slots > MAX_SLOTS {
            return Err(LayoutError::SlotCount { found: slots });
        }
        let mut index = 0;
        while index < slots.wrapping_mul(2).wrapping_add(1) {
            if let Some((region, extent)) = self.region_at(index) {
                let Some((_, [shape, ..])) = devices.split_at_checked(extent.device as usize)
                else {
                    return Err(LayoutError::OutOfDevice { region, capacity: 0 });
                };
                if let Err(error) = check_region(region, extent, shape) {
                    return Err(error);
                }
                if let Err(first) = self.check_apart(index, extent) {
                    return Err(LayoutError::Overlap { first, second: region });
                }
            }
            index = index.wrapping_add(1);
        }
        Ok(())
    }

    /// Whether `extent` shares no byte with the regions before the one at `end`. The error is the
    /// one that it does share bytes with.
    const fn check_apart(&self, end: usize, extent: Extent) -> Result<(), Region> {
        let mut index = 0;
        while index < end {
            if let Some((region, taken)) = self.region_at(index) {
                let apart = taken.device != extent.device
                    || taken.address.saturating_add(taken.size) <= extent.address
                    || extent.address.saturating_add(extent.size) <= taken.address;
                if !apart {
                    return Err(region);
                }
            }
            index = index.wrapping_add(1);
        }
        Ok(())
    }

    /// Every region has a number: 0 the record, then application and data of each slot in turn.
    const fn region_at(&self, index: usize) -> Option<(Region, Extent)> {
        let Some(place) = index.checked_sub(1) else {
            return Some((Region::Record, self.record));
        };
        let number = place / 2;
        let Some((_, [slot, ..])) = self.slots.split_at_checked(number) else { return None };
        #[expect(clippy::cast_possible_truncation, reason = "there are at most 8 slots")]
        let number = number as u8;
        match slot.data {
            _ if place.is_multiple_of(2) => Some((Region::App(number), slot.app)),
            Some(data) => Some((Region::Data(number), data)),
            None => None,
        }
    }
}

/// A layout that was checked against the shapes of `N` devices.
///
/// Made in a constant, it costs a loader no code, and a wrong layout does not compile:
///
/// ```
/// use ota_core::flash::{CheckedLayout, Extent, Geometry, Layout, SlotLayout};
///
/// const FLASH: Geometry =
///     Geometry { size: 0x10_0000, sector_size: 0x1000, write_size: 4, erase_value: 0xFF };
/// const LAYOUT: CheckedLayout<'static, 1> = match CheckedLayout::new(
///     Layout {
///         record: Extent::new(0xF_E000, 0x2000),
///         slots: &[
///             SlotLayout { app: Extent::new(0x0_8000, 0x7_B000), data: None },
///             SlotLayout { app: Extent::new(0x8_3000, 0x7_B000), data: None },
///         ],
///     },
///     [FLASH],
/// ) {
///     Ok(layout) => layout,
///     Err(_) => panic!("the regions overlap or are not whole sectors"),
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedLayout<'a, const N: usize> {
    pub(super) layout: Layout<'a>,
    pub(super) devices: [Geometry; N],
}

impl<'a, const N: usize> CheckedLayout<'a, N> {
    /// Checks `layout`; `devices` are the shapes of the devices that its extents name, each `size`
    /// being the capacity.
    ///
    /// # Errors
    /// [`LayoutError`]: what is wrong with it.
    pub const fn new(layout: Layout<'a>, devices: [Geometry; N]) -> Result<Self, LayoutError> {
        match layout.check(&devices) {
            Ok(()) => Ok(Self { layout, devices }),
            Err(error) => Err(error),
        }
    }
}

const fn check_region(region: Region, extent: Extent, shape: &Geometry) -> Result<(), LayoutError> {
    let Geometry { size: capacity, sector_size, write_size, .. } = *shape;
    let unit_fits = write_size.is_power_of_two() && sector_size.is_multiple_of(write_size);
    if !unit_fits || write_size as usize > MAX_WRITE_SIZE || sector_size < 128 {
        return Err(LayoutError::WriteSize { region, found: write_size });
    }
    if !extent.address.is_multiple_of(sector_size) || !extent.size.is_multiple_of(sector_size) {
        return Err(LayoutError::Unaligned { region, sector_size });
    }
    let sectors_needed = match region {
        Region::Record => 2,
        // The descriptor, and at least one for the application.
        Region::App(_) => {
            crate::bytes::len32(crate::descriptor::LEN).div_ceil(sector_size).saturating_add(1)
        }
        Region::Data(_) => 1,
    };
    // No sector size is 0: checked above.
    if matches!(extent.size.checked_div(sector_size), Some(found) if found < sectors_needed) {
        return Err(LayoutError::TooSmall { region, sectors_needed });
    }
    match extent.address.checked_add(extent.size) {
        Some(end) if end <= capacity => Ok(()),
        _ => Err(LayoutError::OutOfDevice { region, capacity }),
    }
}
