//! Hostile descriptors.

use ota_core::crc::crc32;
use ota_core::descriptor::Descriptor;
use ota_core::flash::{Geometry, Region};
use ota_core::verify::{Check, Wanted, verify};
use ota_core::{BootOptions, Config, StageError, Updater, boot};

use crate::input::Input;
use crate::memory::{Memory, sha256};

const LEN: usize = 384;

/// A descriptor of any bytes, repaired as the input says, before an application of any bytes: it
/// verifies only if the document says so, boots only then, and everything that shows or copies it
/// returns.
pub fn descriptor_decode(data: &[u8]) {
    let mut input = Input(data);
    let record = Geometry { size: 2048, sector_size: 1024, write_size: 4, erase_value: 0xFF };
    let mut flash = Memory::new(2, record);
    let control = input.byte();
    let slot = control >> 7;
    let has = |bit: u8| control & 1 << bit != 0;
    let room = flash.app_room();
    let (counter, length) =
        (u32::from(input.byte()), u16::from_le_bytes([input.byte(), input.byte()]));
    let app = input.bytes(usize::from(length) % (room + 1));
    let mut bytes = input.bytes(LEN);
    if has(0) {
        bytes[..4].copy_from_slice(b"OTAD");
        (bytes[4], bytes[6], bytes[7]) = (1, 0x80, 0x01);
    }
    if has(1) {
        bytes[5] |= 1 << slot;
        bytes[12..16].copy_from_slice(&counter.to_le_bytes());
    }
    if has(2) {
        bytes[16..20].copy_from_slice(&(app.len() as u32).to_le_bytes());
    }
    if has(3) {
        bytes[20..24].copy_from_slice(&crc32(&app).to_le_bytes());
    }
    if has(5) {
        bytes[32..64].copy_from_slice(&sha256(&app));
    }
    if has(4) {
        let crc = crc32(&bytes[..LEN - 4]);
        bytes[LEN - 4..].copy_from_slice(&crc.to_le_bytes());
    }
    let region = flash.region(Region::App(slot));
    region[..app.len()].copy_from_slice(&app);
    region[room..][..LEN].copy_from_slice(&bytes);
    let whole = |counter| makes_sense(&bytes, slot, counter, &region[..room]);
    let (whole, whole_anywhere) = (whole(counter), whole(0));

    let wanted = Wanted { check: Check::Crc32, descriptor_crc: None, security_counter: counter };
    assert_eq!(verify(&mut flash, slot, &wanted, &mut [0; 64]).is_ok(), whole);
    if let Ok(descriptor) = Descriptor::read(&mut flash, slot) {
        assert_eq!(descriptor.as_bytes()[..], bytes);
        for (text, most) in
            [(descriptor.version(), 32), (descriptor.build_id(), 64), (descriptor.platform(), 32)]
        {
            assert!(text.len() <= most && !text.contains('\0'));
        }
        let again = descriptor.with_data(Default::default());
        assert_eq!(again.head().app_len(), descriptor.head().app_len());
    }
    check_boot(&mut flash, slot, whole_anywhere);
}

/// Section 3 of the document.
fn makes_sense(bytes: &[u8], slot: u8, counter: u32, region: &[u8]) -> bool {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mask, len) = (bytes[5], word(16) as usize);
    crc32(&bytes[..LEN - 4]) == word(LEN - 4)
        && bytes.starts_with(b"OTAD\x01")
        && bytes[6..8] == [0x80, 0x01]
        && (mask == 0xFF || mask >> slot & 1 == 1)
        && word(12) >= counter
        && (1..=region.len()).contains(&len)
        && crc32(&region[..len]) == word(20)
}

/// Without a record: the lowest slot that verifies is booted; then it is copied.
fn check_boot(flash: &mut Memory, slot: u8, whole: bool) {
    let plan = boot(flash, &BootOptions::default(), &mut [0; 64]).expect("the other is whole");
    assert_eq!(plan.slot, u8::from(slot == 0 && !whole));
    flash.refuel();
    let mut buffer = [0; 1024];
    let mut app = Updater::open(&mut *flash, Config::new("fuzz"), &mut buffer, 0).unwrap();
    for slot in 0..3 {
        let _ = app.image(slot).map(|image| image.version().len());
    }
    match app.begin_snapshot(false, None) {
        Ok(target) => {
            assert_eq!(target, 1 - plan.slot);
            let copied = app.run();
            let record = *app.record();
            let source = flash.region(Region::App(plan.slot));
            let room = source.len() - 512;
            let len = u32::from_le_bytes(source[room + 16..][..4].try_into().unwrap()) as usize;
            // A boot checks the CRC-32 only, a copy both digests.
            if source[room + 32..][..32] == sha256(&source[..len]) {
                copied.unwrap();
                assert!(record.bootable(target));
            } else {
                assert_eq!(copied, Err(StageError::SourceDamaged { slot: plan.slot }));
                assert_eq!(record.stage_slot(), None);
            }
        }
        Err(StageError::Refused(_) | StageError::TooBig { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}
