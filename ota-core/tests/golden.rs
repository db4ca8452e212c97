//! The documents in `docs/format/` are true: their hex is what devices write, and their tables are
//! what the code does. The tests read the documents themselves, so neither can drift.

mod common;

use common::cells::{self, Cell, Fields, Grid, NO_SLOT};
use common::device::{Device, image};
use common::markdown::{block, document, hex, table};
use common::plain::Plain;
use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
use ota_core::record::{Record, RecordV1, SlotState, SlotV1, inspect};
use ota_core::{BootOptions, Geometry, Region};
use ota_sim::factory::Image;
use ota_sim::nor::{Nor, Shape};
use proptest::prelude::*;

const RECORD: &str = "format/boot-record.md";
const DESCRIPTOR: &str = "format/descriptor.md";

/// The images of the worked examples.
fn first_image() -> Image {
    let build_id = "20261120-120000/1.0.0".to_owned();
    Image { app: (0..=255).collect(), build_id, ..image("1.0.0", 0) }
}

fn second_image() -> Image {
    let build_id = "20261121-120000/1.1.0".to_owned();
    let app = (0..=0xC8).rev().collect();
    Image { app, build_id, security_counter: 1, ..image("1.1.0", 0) }
}

fn device() -> Device {
    Device { trials: 3, ..Device::factory("sim:app=4K,data=0", &first_image()) }
}

/// The device of the example after its second boot, and the calls of its first boot and of the
/// second image, as the document writes them.
fn example() -> (Device, Vec<String>, Vec<String>) {
    let mut device = device();
    device.nor.start_log();
    device.boot().unwrap();
    let first_boot = calls(&device.nor);
    device.app(|app| app.set_note(*b"calibration v02\0")).unwrap();
    device.nor.start_log();
    device.install(&second_image(), 300).unwrap();
    let slot = device.app_address(1);
    let staged = device.nor.log().iter().filter(|op| op.address >= slot);
    let staged = staged.map(ToString::to_string).filter(|op| op.starts_with("program")).collect();
    device.boot().unwrap();
    (device, first_boot, staged)
}

fn calls(nor: &Nor) -> Vec<String> {
    nor.log().iter().map(ToString::to_string).collect()
}

#[test]
fn a_device_writes_the_cells_of_the_document() {
    let text = document(RECORD);
    let (device, first_boot, _) = example();
    assert_eq!(first_boot, block(&text, "calls-of-the-first-boot"));
    let (first, trial) = (hex(&text, "cell-of-the-first-boot"), hex(&text, "cell-of-the-trial"));
    assert_eq!(first.len(), 92);
    assert_eq!(device.nor.peek(0..92), first);
    assert_eq!(device.nor.peek(5 * 92..6 * 92), trial);
    assert!(text.contains(&format!("in cell 5 at offset\n{:#x}.", 5 * 92)));
}

#[test]
fn a_device_writes_the_descriptor_of_the_document() {
    let text = document(DESCRIPTOR);
    let (device, _, staged) = example();
    let first = device.descriptor_address(0);
    assert_eq!(device.nor.peek(first..first + 384), hex(&text, "descriptor"));
    assert_eq!(staged, block(&text, "calls-of-the-second-image"));
    let second = cells::Descriptor::peek(&device.nor, device.descriptor_address(1));
    assert!(text.contains(&format!("CRC-32 of its descriptor is {:#010x}", second.crc())));
    assert_eq!(first_image().descriptor().as_bytes(), &hex(&text, "descriptor")[..]);
}

/// The same bytes, from the text of the document alone.
#[test]
fn a_stranger_computes_the_cells_of_the_document() {
    let text = document(RECORD);
    let mut nor = Nor::new(device().board.part());
    let grid = Grid::new(&nor.shape(), 8192, 2);
    let mut fields = Fields::settled(0, &[0x4C2E_4FE8, 0]);
    fields.slots[1] = (cells::EMPTY, 0);
    fields.trials_max = 3;
    grid.poke(&mut nor, &Cell::v1(0, &fields));
    assert_eq!(nor.peek(0..92), hex(&text, "cell-of-the-first-boot"));
    let mut fields = Fields {
        active: 1,
        revert: 0,
        booted: 1,
        flags: cells::NEW_IMAGE,
        trials_left: 2,
        commit_timeout_s: 300,
        reason: 1,
        note: *b"calibration v02\0",
        trials_max: 3,
        ..Fields::settled(1, &[0x4C2E_4FE8, 0x9A13_33A4])
    };
    fields.slots[1].0 |= cells::UNPROVEN;
    grid.poke(&mut nor, &Cell::v1(5, &fields));
    assert_eq!(nor.peek(5 * 92..6 * 92), hex(&text, "cell-of-the-trial"));
}

#[test]
fn the_table_of_sizes_holds_for_every_write_size_and_slot_count() {
    let text = document(RECORD);
    let rows = table(&text, "write size");
    assert_eq!(rows.len(), 4);
    for row in rows {
        for write_size in row[0].split(", ").map(|size| size.parse().unwrap()) {
            for (slots, expected) in (2..=8).zip(&row[1..]) {
                assert_eq!(sizes(slots, write_size), *expected, "{slots} slots, {write_size}");
            }
        }
    }
}

/// Bytes programmed, stride and cells in a sector, as a first boot shows them.
fn sizes(slots: u8, write_size: u32) -> String {
    let geometry = Geometry { size: 8192, sector_size: 4096, write_size, erase_value: 0xFF };
    let mut flash = Plain::new(slots, geometry);
    let image = first_image();
    flash.poke(Region::App(0), 0, &image.app);
    flash.poke(Region::App(0), 4096, image.descriptor().as_bytes());
    ota_core::boot(&mut flash, &BootOptions::default(), &mut [0; 256]).unwrap();
    let shape = inspect(&mut flash, |_| {}).unwrap();
    // Header, body and seal of the first record and of its backup copy.
    let [header, body, seal, next, ..] = flash.programs[..] else { panic!("two cells") };
    let stride = next.0 - header.0;
    let grid = Grid::new(&shape_of(&geometry), geometry.size, slots);
    assert_eq!((grid.stride, grid.cells, grid.sectors), (stride, shape.cells, shape.sectors));
    assert_eq!(&flash.record()[seal.0 as usize..][..4], b"SEAL");
    format!("{} / {stride} / {}", header.1 + body.1 + seal.1, shape.cells)
}

fn shape_of(geometry: &Geometry) -> Shape {
    let Geometry { size, sector_size, write_size, erase_value } = *geometry;
    Shape { capacity: size, sector_size, write_size, page_size: 256, erase_value }
}

#[test]
fn the_table_of_fields_is_the_serde_structure() {
    let text = document(RECORD);
    let zero: (RecordV1, SlotV1) = postcard::from_bytes(&[0; 55]).unwrap();
    let rows = table(&text, "offset | size | field");
    check_fields(&rows, &serde_json::to_value(&zero.0).unwrap(), 50);
    let slot = text.split("Behind them, for each slot").nth(1).unwrap();
    let rows = table(slot, "offset | size | field");
    check_fields(&rows, &serde_json::to_value(&zero.1).unwrap(), 5);
}

/// Names, order and sizes of `rows` are those of the structure, without a gap.
fn check_fields(rows: &[Vec<&str>], structure: &serde_json::Value, len: usize) {
    let size = |value: &serde_json::Value| value.as_array().map_or(1, Vec::len);
    let fields = structure.as_object().unwrap().iter();
    let mut end = 0;
    for (row, (name, value)) in rows.iter().zip(fields) {
        let expected = [end.to_string(), size(value).to_string(), format!("`{name}`")];
        assert_eq!(row[..3], expected);
        end += size(value);
    }
    assert_eq!((end, rows.len()), (len, structure.as_object().unwrap().len()));
}

#[test]
fn the_tables_of_reasons_and_states_are_complete() {
    let text = document(RECORD);
    let reasons = table(&text, "reason | called");
    let states = table(&text, "state | called");
    for byte in 0..=255 {
        let listed = |rows: &[Vec<&str>]| {
            rows.iter().find(|row| row[0] == byte.to_string()).map(|row| row[1].to_owned())
        };
        let mut fields = Fields::settled(0, &[1, 2]);
        fields.reason = byte;
        let found = Record::parse(&fields.bytes(), 2).ok();
        assert_eq!(found.map(|record| record.reason().name().to_owned()), listed(&reasons));

        let mut fields = Fields::settled(0, &[1, 2]);
        fields.slots[1].0 = byte;
        let state =
            Record::parse(&fields.bytes(), 2).ok().map(|record| match record.slot_state(1) {
                SlotState::Empty => "empty".to_owned(),
                SlotState::Staging => "staging".to_owned(),
                SlotState::Bootable => "bootable".to_owned(),
            });
        assert_eq!(state, listed(&states));
    }
}

#[test]
fn the_table_of_descriptor_fields_is_where_the_code_puts_them() {
    let text = document(DESCRIPTOR);
    let rows = table(&text, "offset | size | field");
    let mut end = 0;
    for row in &rows {
        assert_eq!(row[0], end.to_string(), "{row:?}");
        end += row[1].parse::<usize>().unwrap();
    }
    assert_eq!(end, 384);
    let digest = |seed: u8| ExtentDigest {
        len: u32::from_le_bytes([seed; 4]),
        crc: u32::from_le_bytes([seed + 1; 4]),
        sha256: [seed + 2; 32],
    };
    let descriptor = Descriptor::new(&Description {
        app: digest(0x10),
        data: Some(digest(0x20)),
        version: "v",
        build_id: "b",
        platform: "p",
        security_counter: 0x3030_3030,
        load_address: 0x4040_4040,
        slot_mask: ANY_SLOT,
    });
    let crc = descriptor.crc().to_le_bytes();
    let field = |name: &str| {
        let row = rows.iter().find(|row| row[2] == name).unwrap_or_else(|| panic!("no {name}"));
        let (at, len): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
        descriptor.as_bytes()[at..at + len].to_vec()
    };
    let expected: [(&str, &[u8]); 15] = [
        ("magic", b"OTAD"),
        ("format", &[1]),
        ("slot mask", &[0xFF]),
        ("length", &[0x80, 0x01]),
        ("load address", &[0x40; 4]),
        ("security counter", &[0x30; 4]),
        ("application length", &[0x10; 4]),
        ("application CRC-32", &[0x11; 4]),
        ("application SHA-256", &[0x12; 32]),
        ("data length", &[0x20; 4]),
        ("data CRC-32", &[0x21; 4]),
        ("data SHA-256", &[0x22; 32]),
        ("signature", &[0; 64]),
        ("signature algorithm", &[0]),
        ("CRC-32", &crc),
    ];
    for (name, bytes) in expected {
        assert_eq!(field(name), bytes, "{name}");
    }
    for (name, first, len) in
        [("version", b'v', 32), ("build id", b'b', 64), ("platform", b'p', 32)]
    {
        let mut text = vec![0; len];
        text[0] = first;
        assert_eq!(field(name), text, "{name}");
    }
}

/// Any fields whose values are within the document's tables.
fn any_fields() -> impl Strategy<Value = Fields> {
    let heads = (any::<u8>(), any::<[u8; 4]>(), any::<[u32; 5]>(), 0..=8u8, any::<[u8; 4]>());
    let state = (0..=2u8, 0..4u8).prop_map(|(state, bits)| state | bits << 6);
    let slots = proptest::collection::vec((state, any::<u32>()), 2..=8);
    (heads, any::<[u8; 16]>(), any::<u16>(), slots).prop_map(|(heads, note, swap, slots)| {
        let (loader_format, picks, numbers, reason, bytes) = heads;
        let count = slots.len() as u8;
        let or_none = |pick: u8| if pick >= 0x80 { NO_SLOT } else { pick % count };
        Fields {
            loader_format,
            slot_count: count,
            active: picks[0] % count,
            revert: picks[1] % count,
            booted: or_none(picks[2]),
            stage_slot: or_none(picks[3]),
            flags: bytes[0],
            trials_left: bytes[1],
            trials_max: bytes[2],
            commit_timeout_s: numbers[0],
            reason,
            stage_part: bytes[3],
            stage_source: numbers[1],
            stage_stream: numbers[2],
            stage_offset: numbers[3],
            security_counter: numbers[4],
            key_epoch: 0,
            swap_progress: swap,
            note,
            slots,
        }
    })
}

proptest! {
    /// The boot path reads the same bytes in place that applications and tools read with postcard.
    #[test]
    fn postcard_gives_the_bytes_in_flash(fields in any_fields()) {
        let bytes = fields.bytes();
        let record = Record::parse(&bytes, fields.slot_count).unwrap();
        prop_assert_eq!(record.as_bytes(), &bytes[..]);

        let (head, mut rest): (RecordV1, &[u8]) = postcard::take_from_bytes(&bytes).unwrap();
        let mut again = [0; 90];
        let mut len = postcard::to_slice(&head, &mut again).unwrap().len();
        for slot in 0..fields.slot_count {
            let (one, behind): (SlotV1, &[u8]) = postcard::take_from_bytes(rest).unwrap();
            prop_assert_eq!(one.state & 0x3F, record.slot_state(slot) as u8);
            prop_assert_eq!(u32::from_le_bytes(one.descriptor_crc), record.descriptor_crc(slot));
            len += postcard::to_slice(&one, &mut again[len..]).unwrap().len();
            rest = behind;
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(&again[..len], &bytes[..]);
    }

    /// Each value is read from where the document puts it.
    #[test]
    fn the_engine_reads_the_fields_that_a_stranger_wrote(fields in any_fields()) {
        let record = Record::parse(&fields.bytes(), fields.slot_count).unwrap();
        prop_assert_eq!(record.loader_format(), fields.loader_format);
        prop_assert_eq!(record.slot_count(), fields.slot_count);
        prop_assert_eq!(record.active(), fields.active);
        prop_assert_eq!(record.revert(), fields.revert);
        prop_assert_eq!(record.booted(), fields.booted);
        prop_assert_eq!(record.committed(), fields.flags & 1 == 1);
        prop_assert_eq!(record.new_image(), fields.flags & 2 == 2);
        prop_assert_eq!(record.trials_left(), fields.trials_left);
        prop_assert_eq!(record.trials_max(), fields.trials_max.max(1));
        prop_assert_eq!(record.commit_timeout_s(), fields.commit_timeout_s);
        prop_assert_eq!(record.reason() as u8, fields.reason);
        prop_assert_eq!(record.stage_slot().unwrap_or(NO_SLOT), fields.stage_slot);
        let checkpoint =
            (fields.stage_part, fields.stage_source, fields.stage_stream, fields.stage_offset);
        prop_assert_eq!(record.checkpoint(), checkpoint);
        prop_assert_eq!(record.security_counter(), fields.security_counter);
        prop_assert_eq!(record.note(), fields.note);
        for (slot, (state, crc)) in (0..).zip(&fields.slots) {
            prop_assert_eq!(record.slot_state(slot) as u8, *state & 0x3F);
            prop_assert_eq!(record.unproven(slot), *state & cells::UNPROVEN != 0);
            prop_assert_eq!(record.descriptor_crc(slot), *crc);
        }
    }

    /// A value out of range is no record, whatever the others are.
    #[test]
    fn one_value_out_of_range_is_no_record(fields in any_fields(), which in 0..7usize, by in 0..100u8) {
        let count = fields.slot_count;
        let mut bad = fields.clone();
        let beyond = count + by % (NO_SLOT - count);
        match which {
            0 => bad.slot_count = if by < count { count - 1 } else { count + 1 },
            1 => bad.active = beyond,
            2 => bad.revert = beyond,
            3 => bad.booted = beyond,
            4 => bad.stage_slot = beyond,
            5 => bad.reason = 9 + by,
            _ => bad.slots[usize::from(by % count)].0 = 3 + by % 61,
        }
        prop_assert!(Record::parse(&fields.bytes(), count).is_ok());
        prop_assert!(Record::parse(&bad.bytes(), count).is_err());
        let cut_short = &fields.bytes()[..fields.bytes().len() - 1];
        prop_assert!(Record::parse(cut_short, count).is_err());
    }
}
