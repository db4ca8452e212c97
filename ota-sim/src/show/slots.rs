//! Slots, as descriptors and record have them.

use ota_core::FlashRead;
use ota_core::crc::Crc32;
use ota_core::descriptor::{Descriptor, DescriptorError, offset};
use ota_core::flash::{Extent, MAX_SLOTS, Region, SlotLayout};
use ota_core::record::{Record, SlotState};
use ota_core::verify::{Check, VerifyError, Wanted, verify};
use serde::Serialize;
use sha2::Digest;

use crate::flash::SimFlash;

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotReport {
    /// Its number.
    pub slot: u8,
    /// Where the application lies, with the descriptor at its end.
    pub app: ExtentReport,
    /// Where the data part lies.
    pub data: Option<ExtentReport>,
    /// What the record says: `empty`, `staging` or `bootable`; none if there is no record.
    pub state: Option<&'static str>,
    /// The record chooses it.
    pub is_active: bool,
    /// The record says that it runs.
    pub is_booted: bool,
    /// The record would roll back to it.
    pub is_revert: bool,
    /// The descriptor, if its CRC-32 is right.
    pub descriptor: Option<DescriptorReport>,
    /// `whole`, or what is wrong with the image: by SHA-256 over all its bytes.
    pub image: String,
}

/// A range of the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExtentReport {
    /// Its first byte.
    pub address: u32,
    /// Bytes that there is room for.
    pub room: u32,
}

/// What a descriptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DescriptorReport {
    /// Where it lies.
    pub address: u32,
    /// CRC-32 of itself.
    pub crc: String,
    /// Whether the record names this very descriptor; none if it names none.
    pub named_by_record: Option<bool>,
    /// Version of the image.
    pub version: String,
    /// Which build of that version.
    pub build_id: String,
    /// Its platform.
    pub platform: String,
    /// Its security counter.
    pub security_counter: u32,
    /// The address that it was linked for; 0: anywhere.
    pub load_address: u32,
    /// The only slots that it may run in; none: any.
    pub bound_to: Option<Vec<u8>>,
    /// Length of the application in bytes.
    pub app_len: u32,
    /// CRC-32 of the application.
    pub app_crc: String,
    /// Length of the data part in bytes; 0: none.
    pub data_len: u32,
    /// Whether the data part is as it was installed; the application may change it. None: there is
    /// no data part.
    pub data_matches: Option<bool>,
}

impl From<Extent> for ExtentReport {
    fn from(extent: Extent) -> Self {
        Self { address: extent.address, room: extent.size }
    }
}

impl SlotReport {
    pub(super) fn new(
        flash: &mut SimFlash<'_>,
        slot: u8,
        layout: &SlotLayout,
        record: Option<&Record>,
    ) -> Self {
        let room = flash.geometry(Region::App(slot)).map_or(0, offset);
        let app = ExtentReport { address: layout.app.address, room };
        let is = |of: fn(&Record) -> u8| record.is_some_and(|record| of(record) == slot);
        let descriptor = Descriptor::read(flash, slot).ok().map(|found| {
            let named = record.filter(|record| record.bootable(slot));
            let named = named.map(|record| record.descriptor_crc(slot) == found.crc());
            DescriptorReport::new(flash, slot, app.address + room, &found, named)
        });
        Self {
            slot,
            app,
            data: layout.data.map(Into::into),
            state: record.map(|record| state_word(record.slot_state(slot))),
            is_active: is(Record::active),
            is_booted: is(Record::booted),
            is_revert: is(Record::revert),
            descriptor,
            image: image_words(flash, slot),
        }
    }
}

impl DescriptorReport {
    fn new(
        flash: &mut SimFlash<'_>,
        slot: u8,
        address: u32,
        found: &Descriptor,
        named_by_record: Option<bool>,
    ) -> Self {
        let head = found.head();
        let slots: Vec<u8> = (0u8..).take(MAX_SLOTS).filter(|slot| head.fits_slot(*slot)).collect();
        Self {
            address,
            crc: format!("{:08x}", found.crc()),
            named_by_record,
            version: found.version().to_owned(),
            build_id: found.build_id().to_owned(),
            platform: found.platform().to_owned(),
            security_counter: head.security_counter(),
            load_address: head.load_address(),
            bound_to: (slots.len() < MAX_SLOTS).then_some(slots),
            app_len: head.app_len(),
            app_crc: format!("{:08x}", head.app_crc()),
            data_len: head.data_len(),
            data_matches: (head.data_len() > 0).then(|| data_matches(flash, slot, found)),
        }
    }
}

/// Whether the data part has the bytes that were installed.
fn data_matches(flash: &mut SimFlash<'_>, slot: u8, descriptor: &Descriptor) -> bool {
    let (region, len) = (Region::Data(slot), descriptor.head().data_len());
    if flash.geometry(region).is_none_or(|geometry| geometry.size < len) {
        return false;
    }
    // Flash is read in whole words.
    let mut bytes = vec![0; len.next_multiple_of(4) as usize];
    if flash.read(region, 0, &mut bytes).is_err() {
        return false;
    }
    bytes.truncate(len as usize);
    let mut crc = Crc32::new();
    crc.update(&bytes);
    crc.value() == descriptor.head().data_crc()
        && sha2::Sha256::digest(&bytes)[..] == descriptor.data_sha256()
}

/// What the engine itself finds when it verifies the image.
fn image_words(flash: &mut SimFlash<'_>, slot: u8) -> String {
    let wanted = Wanted { check: Check::Sha256, descriptor_crc: None, security_counter: 0 };
    let error = match verify(flash, slot, &wanted, &mut [0; 256]) {
        Ok(_) => return "whole".to_owned(),
        Err(error) => error,
    };
    match error {
        VerifyError::Descriptor(DescriptorError::Damaged) => "none: no descriptor".to_owned(),
        VerifyError::Descriptor(DescriptorError::Unreadable) => {
            "none: the descriptor cannot be read".to_owned()
        }
        VerifyError::OtherImage => "another than the record names".to_owned(),
        VerifyError::WrongSlot => "bound to another slot".to_owned(),
        VerifyError::BelowCounter { found, needed } => {
            format!("security counter {found} is below {needed}")
        }
        VerifyError::TooLong { found, room } => {
            format!("damaged: {found} bytes where there is room for {room}")
        }
        VerifyError::Unreadable { offset } => format!("damaged: unreadable at byte {offset}"),
        VerifyError::Damaged => "damaged: its bytes are not those of the descriptor".to_owned(),
    }
}

/// A slot's state in one word.
pub(super) const fn state_word(state: SlotState) -> &'static str {
    match state {
        SlotState::Empty => "empty",
        SlotState::Staging => "staging",
        SlotState::Bootable => "bootable",
    }
}
