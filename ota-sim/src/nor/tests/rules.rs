//! Bits, units, bounds, rules, counters.

use super::*;
use crate::nor::{Counters, OpKind, OpRecord, Shape, ShapeError};

#[test]
fn programming_only_moves_bits_away_from_the_erase_value() {
    let mut nor = Nor::new(&SMALL);
    nor.write(8, &[0xF0, 0xFF, 0x00, 0x55]).unwrap();
    nor.write(8, &[0x3C, 0x0F, 0xFF, 0xAA]).unwrap();
    assert_eq!(read(&mut nor, 8), Ok([0x30, 0x0F, 0x00, 0x00]));

    let mut nor = Nor::new(&SMALL_ZERO);
    assert_eq!(read(&mut nor, 8), Ok([0; 4]));
    nor.write(8, &[0xF0, 0xFF, 0x00, 0x55]).unwrap();
    nor.write(8, &[0x3C, 0x0F, 0xFF, 0xAA]).unwrap();
    assert_eq!(read(&mut nor, 8), Ok([0xFC, 0xFF, 0xFF, 0xFF]));
}

#[test]
fn an_erase_makes_its_sector_blank_and_nothing_else() {
    for part in [SMALL, SMALL_ZERO] {
        let mut nor = Nor::new(&part);
        nor.corrupt(0..16 * 1024, 1);
        let before = nor.bytes().to_vec();
        nor.erase(4096, 8192).unwrap();
        assert!(nor.peek(4096..8192).iter().all(|&byte| byte == part.shape.erase_value));
        assert!(nor.is_blank(4096..8192));
        assert_eq!(nor.peek(0..4096), &before[..4096]);
        assert_eq!(nor.peek(8192..16384), &before[8192..]);
    }
}

#[test]
fn never_refuses_a_second_program_and_changes_nothing() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::Never, false));
    nor.write(4, &[0xFF; 4]).unwrap();
    let before = nor.clone();
    // A unit programmed with the erase value is programmed all the same; so are its neighbours
    // protected from a longer program that ends in it.
    let refused = NorError::NotErased { address: 4 };
    assert_eq!(nor.write(4, &[0xFF; 4]), Err(refused));
    assert_eq!(nor.write(0, &[0; 12]), Err(refused));
    assert_eq!(nor.bytes(), before.bytes());
    assert_eq!(nor.counters(), before.counters());
    assert_eq!(nor.ops(), before.ops());
    nor.erase(0, 4096).unwrap();
    nor.write(0, &[0; 12]).unwrap();
}

#[test]
fn all_zero_allows_only_all_bits_programmed() {
    for (part, programmed) in [(SMALL, 0x00), (SMALL_ZERO, 0xFF)] {
        let mut nor = Nor::new(&part.with_rule(Rule::AllZero, true));
        nor.write(4, &[0x12; 4]).unwrap();
        assert_eq!(nor.write(4, &[0x12; 4]), Err(NorError::NotErased { address: 4 }));
        // Blank units beside it take anything in the same operation.
        nor.write(0, &[[0x34; 4], [programmed; 4]].concat()).unwrap();
        assert_eq!(read(&mut nor, 0), Ok([0x34; 4]));
        assert_eq!(read(&mut nor, 4), Ok([programmed; 4]));
    }
}

#[test]
fn under_ecc_a_second_program_kills_the_unit_unless_the_bytes_are_the_same() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::Free, true));
    nor.write(0, &[0x12; 8]).unwrap();
    nor.write(0, &[0x12; 4]).unwrap();
    assert_eq!(read(&mut nor, 0), Ok([0x12; 4]));
    // Not even all-zero: only parts with that rule have a code made for it.
    nor.write(4, &[0x00; 4]).unwrap();
    assert_eq!(read::<8>(&mut nor, 0), Err(NorError::Unreadable { address: 4 }));
    assert_eq!(read(&mut nor, 0), Ok([0x12; 4]));
    nor.erase(0, 4096).unwrap();
    assert_eq!(read(&mut nor, 4), Ok([0xFF; 4]));
}

#[test]
fn partial_and_unaligned_units_are_refused() {
    let mut nor = Nor::new(&SMALL);
    let unit = 4;
    for (address, len) in [(2, 4), (4, 3), (4, 6), (1, 1)] {
        let refused = NorError::Unaligned { address, len, unit };
        assert_eq!(nor.write(address, &[0; 8][..len]), Err(refused));
        assert_eq!(nor.perform(&program(address, &[0; 8][..len])), Err(refused));
    }
    let refused = NorError::Unaligned { address: 2048, len: 4096, unit: 4096 };
    assert_eq!(nor.erase(2048, 6144), Err(refused));
    assert_eq!(nor.perform(&PendingOp::Erase { address: 2048 }), Err(refused));
    assert_eq!(nor.counters(), &Counters::default());
    // Reads have no unit.
    assert_eq!(read(&mut nor, 3), Ok([0xFF; 2]));
}

#[test]
fn nothing_behind_the_end_exists() {
    let mut nor = Nor::new(&SMALL);
    let behind = |address, len| NorError::OutOfBounds { address, len };
    assert_eq!(nor.write(16380, &[0; 8]), Err(behind(16380, 8)));
    assert_eq!(nor.write(u32::MAX - 3, &[0; 4]), Err(behind(u32::MAX - 3, 4)));
    assert_eq!(read::<2>(&mut nor, 16383), Err(behind(16383, 2)));
    assert_eq!(nor.erase(12288, 20480), Err(behind(12288, 8192)));
    assert_eq!(nor.erase(8192, 4096), Err(behind(8192, 0)));
    let outside = PendingOp::Erase { address: 16384 };
    assert_eq!(nor.perform(&outside), Err(behind(16384, 4096)));
    assert!(nor.is_blank(0..16384));
    // Empty calls at the very end are fine and are no operation.
    nor.write(16384, &[]).unwrap();
    nor.erase(16384, 16384).unwrap();
    assert_eq!(nor.ops(), 0);
}

#[test]
fn a_long_write_is_one_operation_for_each_page() {
    let mut nor = Nor::new(&SMALL);
    nor.start_log();
    nor.write(252, &[0; 520]).unwrap();
    let programs: Vec<_> = nor.log().iter().map(|op| (op.kind, op.address, op.len)).collect();
    let kind = OpKind::Program;
    assert_eq!(programs, [(kind, 252, 4), (kind, 256, 256), (kind, 512, 256), (kind, 768, 4)]);
    for (address, len) in [(252, 8), (0, 260), (0, 0)] {
        let refused = NorError::NotOnePage { address, len };
        assert_eq!(nor.perform(&program(address, &[0; 260][..len])), Err(refused));
    }
    nor.erase(0, 8192).unwrap();
    let erases = [(OpKind::Erase, 0), (OpKind::Erase, 4096)].map(|(kind, address)| OpRecord {
        kind,
        address,
        len: 4096,
    });
    assert_eq!(nor.log()[4..], erases);
}

#[test]
fn counters_tell_operations_wear_and_time() {
    let mut nor = Nor::new(&SMALL);
    nor.track_units();
    nor.write(0, &[0; 256]).unwrap();
    nor.write(252, &[0; 8]).unwrap();
    read::<100>(&mut nor, 0).unwrap();
    nor.erase(4096, 12288).unwrap();
    nor.erase(4096, 8192).unwrap();
    let timings = SMALL.timings;
    let expected = Counters {
        reads: 1,
        read_bytes: 100,
        programs: 3,
        programmed_bytes: 264,
        erases: 3,
        reprogrammed_units: 1,
        time_ns: 66 * timings.program_unit_ns + 3 * timings.erase_ns + 100 * timings.read_byte_ns,
    };
    assert_eq!(nor.counters(), &expected);
    assert_eq!(nor.wear(), [0, 2, 1, 0]);
    assert_eq!([248, 252, 256, 260].map(|address| nor.unit_programs(address)), [1, 2, 1, 0]);
    assert_eq!(nor.most_unit_programs(), 2);
    nor.erase(0, 4096).unwrap();
    assert_eq!(nor.most_unit_programs(), 0);
    nor.reset_counters();
    assert_eq!(nor.counters(), &Counters::default());
    assert_eq!(nor.wear(), [1, 2, 1, 0]);
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let good = SMALL.shape;
    assert_eq!(good.check(), Ok(()));
    let bad = [
        (Shape { write_size: 3, ..good }, ShapeError::WriteSize { found: 3 }),
        (Shape { write_size: 64, ..good }, ShapeError::WriteSize { found: 64 }),
        (Shape { page_size: 6, ..good }, ShapeError::PageSize { found: 6 }),
        (Shape { sector_size: 128, ..good }, ShapeError::SectorSize { found: 128 }),
        (Shape { capacity: 5000, ..good }, ShapeError::Capacity { found: 5000 }),
        (Shape { capacity: 0, ..good }, ShapeError::Capacity { found: 0 }),
        (Shape { erase_value: 0xAA, ..good }, ShapeError::EraseValue { found: 0xAA }),
    ];
    for (shape, error) in bad {
        assert_eq!(shape.check(), Err(error));
    }
}
