//! The device of the boot probes: a record of two sectors and two slots of 32 KiB.

use embedded_storage::nor_flash::NorFlash;
use ota_core::crc::crc32;
use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest, LEN};
use ota_core::flash::{
    CheckedLayout, Extent, FixedDevice, FixedLayout, Geometry, Layout, SlotLayout,
};

use crate::Flash;

const SLOT_SIZE: u32 = 0x8000;
const SECTOR: u32 = 0x1000;
const FLASH: Geometry =
    Geometry { size: 0x10_0000, sector_size: SECTOR, write_size: 4, erase_value: 0xFF };

/// The layout, checked by the compiler, as a loader has it.
pub struct Board;

impl FixedLayout for Board {
    const LAYOUT: CheckedLayout<'static, 1> = match CheckedLayout::new(
        Layout {
            record: Extent::new(0, 2 * SECTOR),
            slots: &[
                SlotLayout { app: Extent::new(0x1_0000, SLOT_SIZE), data: None },
                SlotLayout { app: Extent::new(0x1_8000, SLOT_SIZE), data: None },
            ],
        },
        [FLASH],
    ) {
        Ok(layout) => layout,
        Err(_) => panic!("the layout is wrong"),
    };
}

/// The device with its layout.
pub fn device(flash: &mut Flash) -> Option<FixedDevice<&mut Flash, Board>> {
    FixedDevice::new(flash).ok()
}

/// A factory image of 4 KiB of zeros in slot 0, with the SHA-256 given.
pub fn prepare(flash: &mut Flash, sha256: [u8; 32]) {
    const IMAGE: [u8; 256] = [0; 256];
    let start = 0x1_0000;
    let mut crc = ota_core::crc::Crc32::new();
    for offset in (0..SECTOR).step_by(IMAGE.len()) {
        let _ = flash.write(start + offset, &IMAGE);
        crc.update(&IMAGE);
    }
    let descriptor = Descriptor::new(&Description {
        app: ExtentDigest { len: SECTOR, crc: crc.value(), sha256 },
        data: None,
        version: "1",
        build_id: "probe",
        platform: "probe",
        security_counter: 0,
        load_address: 0,
        slot_mask: ANY_SLOT,
    });
    let at = start + SLOT_SIZE - SECTOR;
    for (index, piece) in descriptor.as_bytes().chunks(128).enumerate() {
        let _ = flash.write(at + 128 * index as u32, piece);
    }
    debug_assert!(crc32(&descriptor.as_bytes()[..LEN - 4]) == descriptor.crc());
}
