//! What a cut leaves behind, with strong bits.

use std::collections::BTreeSet;

use super::*;
use crate::nor::{Tear, TearBudget, tears_for};

/// Eight units, no bit of which stays.
const BYTES: [u8; 32] = [0; 32];

/// Which of the eight units at 64 a torn program left done; a mixed unit fails the test.
fn done_units(tear: Tear) -> [bool; 8] {
    let mut nor = Nor::new(&SMALL);
    nor.cut_at(0, tear);
    assert_eq!(nor.write(64, &BYTES), Err(NorError::PoweredOff));
    std::array::from_fn(|unit| match nor.peek(64..96)[unit * 4..][..4] {
        [0, 0, 0, 0] => true,
        [0xFF, 0xFF, 0xFF, 0xFF] => false,
        ref mixed => panic!("unit {unit} holds {mixed:x?}"),
    })
}

#[test]
fn clean_tears_leave_whole_units() {
    let [no, yes] = [false, true];
    assert_eq!(done_units(Tear::None), [no; 8]);
    assert_eq!(done_units(Tear::Whole), [yes; 8]);
    assert_eq!(done_units(Tear::Head), [yes, yes, yes, yes, no, no, no, no]);
    assert_eq!(done_units(Tear::Tail), [no, no, no, no, yes, yes, yes, yes]);
    assert_eq!(done_units(Tear::AllButLast), [yes, yes, yes, yes, yes, yes, yes, no]);
    assert_eq!(done_units(Tear::AllButFirst), [no, yes, yes, yes, yes, yes, yes, yes]);
    assert_eq!(done_units(Tear::First { units: 3 }), [yes, yes, yes, no, no, no, no, no]);
    let picks: BTreeSet<_> = (0..64).map(|seed| done_units(Tear::Units { seed })).collect();
    assert!(picks.len() > 40, "64 seeds gave only {} patterns", picks.len());
    // Pre-programming is a phase of erases.
    assert_eq!(done_units(Tear::Zeros), [no; 8]);
}

#[test]
fn a_torn_unit_lies_between_done_and_untouched_ones() {
    let mut nor = Nor::new(&SMALL);
    nor.cut_at(0, Tear::TornAt { unit: 3, seed: 5 });
    assert_eq!(nor.write(64, &BYTES), Err(NorError::PoweredOff));
    assert_eq!(nor.peek(64..76), [0; 12]);
    assert!(!matches!(nor.peek(76..80), [0, 0, 0, 0] | [0xFF, 0xFF, 0xFF, 0xFF]));
    assert_eq!(nor.peek(80..96), [0xFF; 16]);
}

#[test]
fn torn_bits_change_with_the_stated_density() {
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    for percent in [0_u8, 10, 50, 90, 99, 100] {
        let tear = Tear::Bits { percent, seed: 3 };
        let mut nor = Nor::new(&SMALL);
        nor.write(256, &[0; 256]).unwrap();
        // A program clears, an erase sets: 2,048 bits each.
        let mut other = nor.clone();
        nor.apply_torn(&program(0, &[0; 256]), tear).unwrap();
        other.apply_torn(&PendingOp::Erase { address: 0 }, tear).unwrap();
        for changed in [2048 - ones(nor.peek(0..256)), ones(other.peek(256..512))] {
            let found = f64::from(changed) / 2048.0 * 100.0;
            let (expected, slack) = (f64::from(percent), 3.5);
            assert!((found - expected).abs() < slack, "{found:.1} % instead of {percent} %");
            assert!(!matches!(percent, 0 | 100) || found == expected);
        }
        assert_eq!(nor.peek(256..512), [0; 256]);
    }
}

#[test]
fn only_bits_that_should_change_do() {
    for part in [SMALL, SMALL_ZERO] {
        let mut nor = Nor::new(&part);
        nor.write(0, &[0x0F; 256]).unwrap();
        nor.apply_torn(&program(0, &[0x3C; 256]), Tear::Bits { percent: 50, seed: 1 }).unwrap();
        // 0x0F & 0x3C = 0x0C, 0x0F | 0x3C = 0x3F.
        let (kept, may_change) =
            if part.shape.erase_value == 0xFF { (0x0C, 3) } else { (0x0F, 0x30) };
        assert!(nor.peek(0..256).iter().all(|byte| byte & !may_change == kept));
        assert!(nor.peek(0..256).iter().any(|byte| byte & may_change != 0));
        assert!(nor.peek(0..256).iter().any(|byte| byte & may_change != may_change));
    }
}

#[test]
fn an_erase_cut_after_preprogramming_leaves_zeros_even_where_it_was_blank() {
    for part in [SMALL, SMALL_ZERO] {
        let mut nor = Nor::new(&part);
        nor.write(0, &[0x5A; 4]).unwrap();
        nor.apply_torn(&PendingOp::Erase { address: 0 }, Tear::Zeros).unwrap();
        assert!(nor.peek(0..4096).iter().all(|&byte| byte == !part.shape.erase_value));
        assert!(nor.peek(4096..16384).iter().all(|&byte| byte == part.shape.erase_value));
    }
}

#[test]
fn after_a_cut_nothing_works_until_power_returns() {
    let mut nor = Nor::new(&SMALL);
    nor.cut_at(1, Tear::Head);
    nor.write(0, &[1; 4]).unwrap();
    assert_eq!(nor.armed_cut(), Some((1, Tear::Head)));
    assert_eq!(nor.write(4, &[2; 8]), Err(NorError::PoweredOff));
    assert!(!nor.is_powered());
    let left = nor.bytes().to_vec();
    assert_eq!(nor.write(64, &[0; 4]), Err(NorError::PoweredOff));
    assert_eq!(nor.erase(0, 4096), Err(NorError::PoweredOff));
    assert_eq!(read::<4>(&mut nor, 0), Err(NorError::PoweredOff));
    let refused = nor.apply_torn(&program(64, &[0; 4]), Tear::Whole);
    assert_eq!(refused, Err(NorError::PoweredOff));
    assert_eq!(nor.bytes(), left);
    nor.power_on(1);
    assert_eq!(read(&mut nor, 0), Ok([1, 1, 1, 1, 2, 2, 2, 2, 0xFF]));
    // The cut struck once; the number of the torn operation is used up.
    assert_eq!((nor.ops(), nor.armed_cut()), (2, None));
    nor.write(64, &[0; 4]).unwrap();
    // So does `none`, though nothing happened; and nothing is counted.
    nor.reset_counters();
    nor.cut_after(0, Tear::None);
    assert_eq!(nor.erase(0, 4096), Err(NorError::PoweredOff));
    assert_eq!((nor.ops(), nor.counters().erases, nor.wear()[0]), (4, 0, 0));
}

#[test]
fn a_torn_unit_counts_as_programmed() {
    for percent in [10, 99] {
        let mut nor = Nor::new(&SMALL.with_rule(Rule::Never, false));
        nor.apply_torn(&program(0, &[0; 4]), Tear::Bits { percent, seed: 1 }).unwrap();
        nor.power_on(0);
        assert!(!nor.is_blank(0..4));
        assert_eq!(nor.write(0, &[0; 4]), Err(NorError::NotErased { address: 0 }));
        nor.apply_torn(&PendingOp::Erase { address: 0 }, Tear::Bits { percent, seed: 1 }).unwrap();
        nor.power_on(0);
        assert_eq!(nor.write(0, &[0; 4]), Err(NorError::NotErased { address: 0 }));
        assert!(nor.is_blank(4..4096), "what was blank before the torn erase still is");
    }
}

#[test]
fn under_ecc_torn_units_are_unreadable_until_erased() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::Never, true));
    nor.apply_torn(&program(0, &BYTES), Tear::TornAt { unit: 2, seed: 1 }).unwrap();
    nor.power_on(1);
    assert_eq!(read(&mut nor, 0), Ok([0; 8]));
    assert_eq!(read::<12>(&mut nor, 0), Err(NorError::Unreadable { address: 8 }));
    assert_eq!(read(&mut nor, 12), Ok([0xFF; 20]));

    // A torn erase leaves them unreadable, and everything else that held data too.
    nor.apply_torn(&PendingOp::Erase { address: 0 }, Tear::Bits { percent: 99, seed: 1 }).unwrap();
    nor.power_on(2);
    for address in [0, 4, 8] {
        assert_eq!(read::<4>(&mut nor, address), Err(NorError::Unreadable { address }));
    }
    assert_eq!(read(&mut nor, 12), Ok([0xFF; 20]));
    nor.erase(0, 4096).unwrap();
    assert_eq!(read(&mut nor, 0), Ok([0xFF; 32]));

    // Pre-programming hits the blank ones as well.
    nor.apply_torn(&PendingOp::Erase { address: 0 }, Tear::Zeros).unwrap();
    nor.power_on(3);
    assert_eq!(read::<4>(&mut nor, 4092), Err(NorError::Unreadable { address: 4092 }));
}

#[test]
fn on_an_all_zero_part_zeros_make_a_torn_unit_readable_again() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::AllZero, true));
    nor.apply_torn(&program(0, &[0x12; 4]), Tear::Bits { percent: 50, seed: 1 }).unwrap();
    nor.power_on(0);
    assert_eq!(read::<4>(&mut nor, 0), Err(NorError::Unreadable { address: 0 }));
    nor.write(0, &[0; 4]).unwrap();
    assert_eq!(read(&mut nor, 0), Ok([0; 4]));
}

#[test]
fn tears_are_listed_once_and_round_trip_through_text() {
    let budget = TearBudget::FULL;
    let erase = PendingOp::Erase { address: 0 };
    for op in
        [program(0, &[0; 4]), program(0, &[0; 8]), program(0, &[0; 12]), program(0, &BYTES), erase]
    {
        let tears: Vec<_> = tears_for(&op, &SMALL.shape, &budget).collect();
        let distinct: BTreeSet<_> = tears.iter().map(Tear::to_string).collect();
        assert_eq!(distinct.len(), tears.len(), "{tears:?}");
        for tear in &tears {
            assert_eq!(tear.to_string().parse(), Ok(*tear));
        }
        assert!(tears.contains(&Tear::Zeros) == (op == erase));
    }
    for wrong in
        ["", "heads", "bits50", "bits101:1", "bits:1", "first", "torn-at:1", "units:-1", "head:1"]
    {
        assert!(wrong.parse::<Tear>().is_err(), "{wrong}");
    }
}

#[test]
fn clean_tears_of_a_program_leave_different_flash() {
    let nor = Nor::new(&SMALL);
    for units in 1..=8 {
        let op = program(0, &BYTES[..units * 4]);
        let budget = TearBudget { seeds: 0, percents: &[], ..TearBudget::FULL };
        let mut hashes = BTreeSet::new();
        for tear in tears_for(&op, &SMALL.shape, &budget) {
            assert!(hashes.insert(nor.clone().apply_torn(&op, tear).unwrap()), "{tear} of {units}");
        }
        assert!(hashes.contains(&nor.state_hash(0..units as u32 * 4)), "none");
    }
}

#[test]
fn a_tear_without_effect_has_the_hash_of_none() {
    let nor = Nor::new(&SMALL);
    let op = program(0, &[0; 8]);
    let hash = |tear| nor.clone().apply_torn(&op, tear).unwrap();
    let none = hash(Tear::None);
    assert_eq!(none, nor.state_hash(0..8));
    assert_eq!(hash(Tear::Bits { percent: 0, seed: 9 }), none);
    assert_eq!(hash(Tear::Bits { percent: 100, seed: 9 }), hash(Tear::Whole));
    assert_ne!(hash(Tear::Whole), none);
    // Blank and programmed with the erase value are different states.
    let ones = program(0, &[0xFF; 8]);
    assert_ne!(
        nor.clone().apply_torn(&ones, Tear::Whole),
        nor.clone().apply_torn(&ones, Tear::None)
    );
}
