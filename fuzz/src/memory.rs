//! Flash without rules, of any geometry, with two whole images in it and fuel for so many calls.

use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
use ota_core::flash::{FlashMap, FlashRead, Geometry, Region};

/// Length of the images.
pub(crate) const IMAGE_LEN: usize = 300;
/// More calls than any boot of these devices makes.
const FUEL: u32 = 100_000;

pub(crate) struct Memory {
    slots: u8,
    record: Geometry,
    app: Geometry,
    /// The record region, then one application region for each slot.
    regions: Vec<Vec<u8>>,
    fuel: u32,
}

impl Memory {
    /// Erased but for two whole images, in slots 0 and 1.
    pub(crate) fn new(slots: u8, record: Geometry) -> Self {
        let app = Geometry { size: 3 * 512, sector_size: 512, ..record };
        let erased = |geometry: Geometry| vec![geometry.erase_value; geometry.size as usize];
        let regions = [erased(record)].into_iter();
        let regions = regions.chain((0..slots).map(|_| erased(app))).collect();
        let mut memory = Self { slots, record, app, regions, fuel: FUEL };
        for slot in 0..2 {
            memory.region(Region::App(slot))[..IMAGE_LEN].copy_from_slice(&image(slot));
            let at = memory.app_room();
            let descriptor = descriptor(slot);
            memory.region(Region::App(slot))[at..][..384].copy_from_slice(descriptor.as_bytes());
        }
        memory
    }

    /// Where a descriptor lies.
    pub(crate) fn app_room(&self) -> usize {
        ota_core::descriptor::offset(self.app) as usize
    }

    pub(crate) fn region(&mut self, region: Region) -> &mut Vec<u8> {
        match region {
            Region::Record => &mut self.regions[0],
            Region::App(slot) | Region::Data(slot) => &mut self.regions[1 + usize::from(slot)],
        }
    }

    /// Fuel for another boot.
    pub(crate) fn refuel(&mut self) {
        self.fuel = FUEL;
    }

    fn place(&mut self, region: Region, offset: u32, len: usize) -> Option<&mut [u8]> {
        self.fuel = self.fuel.checked_sub(1).expect("a bounded number of flash calls");
        self.geometry(region)?;
        self.region(region).get_mut(offset as usize..)?.get_mut(..len)
    }
}

/// The image of a slot.
pub(crate) fn image(slot: u8) -> Vec<u8> {
    (0..IMAGE_LEN).map(|at| (at as u8).wrapping_mul(7) ^ slot.wrapping_add(0x31)).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    <sha2::Sha256 as sha2::Digest>::digest(bytes).into()
}

/// Its descriptor.
pub(crate) fn descriptor(slot: u8) -> Descriptor {
    let app = image(slot);
    Descriptor::new(&Description {
        app: ExtentDigest {
            len: app.len() as u32,
            crc: ota_core::crc::crc32(&app),
            sha256: sha256(&app),
        },
        data: None,
        version: "1",
        build_id: "b",
        platform: "fuzz",
        security_counter: 3,
        load_address: 0,
        slot_mask: ANY_SLOT,
    })
}

impl FlashRead for Memory {
    type Error = ();

    fn slots(&self) -> u8 {
        self.slots
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        match region {
            Region::Record => Some(self.record),
            Region::App(slot) => (slot < self.slots).then_some(self.app),
            Region::Data(_) => None,
        }
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        bytes.copy_from_slice(self.place(region, offset, bytes.len()).ok_or(())?);
        Ok(())
    }
}

impl FlashMap for Memory {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        self.place(region, offset, bytes.len()).ok_or(())?.copy_from_slice(bytes);
        Ok(())
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), ()> {
        let Geometry { sector_size, erase_value, .. } = self.geometry(region).ok_or(())?;
        self.place(region, offset, sector_size as usize).ok_or(())?.fill(erase_value);
        Ok(())
    }
}
