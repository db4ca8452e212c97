//! Weak bits: torn units that change between boots.

use std::collections::BTreeSet;

use super::*;
use crate::nor::{Flicker, Tear, Weak};

const OLD: [u8; 4] = [0xFF; 4];
const NEW: [u8; 4] = [0x0F; 4];

/// A flash whose word at 0 was torn between OLD and NEW.
fn torn(rule: Rule, ecc: bool, weak: Weak, percent: u8) -> Nor {
    let mut nor = Nor::new(&SMALL.with_rule(rule, ecc)).with_weak(weak);
    nor.apply_torn(&program(0, &NEW), Tear::Bits { percent, seed: 1 }).unwrap();
    nor.power_on_as(Flicker::Kept);
    nor
}

/// Everything that the word at 0 reads as over many boots.
fn readings(nor: &mut Nor) -> BTreeSet<Option<[u8; 4]>> {
    let boots = (0..200).map(|seed| {
        nor.power_on(seed);
        let first = read(nor, 0);
        assert_eq!(first, read(nor, 0), "stable within one boot");
        first.ok()
    });
    boots.collect()
}

#[test]
fn a_torn_unit_reads_as_old_new_and_mixed_in_turn() {
    for percent in [0, 10, 50, 100] {
        let mut nor = torn(Rule::Free, false, Weak::PerBoot, percent);
        let seen = readings(&mut nor);
        assert!(seen.contains(&Some(OLD)) && seen.contains(&Some(NEW)) && seen.len() > 10);
        // Bits that the program did not mean to change are strong.
        assert!(seen.iter().flatten().flatten().all(|byte| byte & 0x0F == 0x0F));
    }
}

#[test]
fn boots_are_replayed_by_their_seed_or_by_their_text() {
    let nor = torn(Rule::Free, false, Weak::PerBoot, 50);
    for seed in 0..50 {
        let (mut first, mut second, mut third) = (nor.clone(), nor.clone(), nor.clone());
        let flicker = first.power_on(seed);
        second.power_on(seed);
        third.power_on_as(flicker.to_string().parse().unwrap());
        assert_eq!(first.bytes(), second.bytes());
        assert_eq!(first.bytes(), third.bytes());
    }
    for wrong in ["", "older", "bits", "units", "bits:x", "old:1"] {
        assert!(wrong.parse::<Flicker>().is_err(), "{wrong}");
    }
}

#[test]
fn clean_tears_and_strong_mode_leave_nothing_weak() {
    let mut strong = torn(Rule::Free, false, Weak::Off, 50);
    assert_eq!(readings(&mut strong).len(), 1);
    for tear in [Tear::None, Tear::Whole, Tear::Head, Tear::Units { seed: 4 }] {
        let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
        nor.apply_torn(&program(0, &[0; 8]), tear).unwrap();
        assert_eq!(readings(&mut nor).len(), 1, "{tear}");
    }
}

#[test]
fn per_read_mode_changes_between_two_reads_of_one_boot() {
    let mut nor = torn(Rule::Free, false, Weak::PerRead, 50);
    nor.power_on(1);
    let seen: BTreeSet<[u8; 4]> = (0..100).map(|_| read(&mut nor, 0).unwrap()).collect();
    assert!(seen.contains(&OLD) && seen.contains(&NEW) && seen.len() > 5);
    let beside: BTreeSet<[u8; 4]> = (0..100).map(|_| read(&mut nor, 4).unwrap()).collect();
    assert_eq!(beside.len(), 1);
}

#[test]
fn programming_again_makes_cleared_bits_strong_and_leaves_the_others_weak() {
    let mut nor = torn(Rule::Free, false, Weak::PerBoot, 50);
    // Clears the upper half of the first byte only; the rest gets no pulse.
    nor.write(0, &[0x0F, 0xFF, 0xFF, 0xFF]).unwrap();
    let seen = readings(&mut nor);
    assert!(seen.iter().flatten().all(|word| word[0] == 0x0F));
    assert!(seen.contains(&Some([0x0F, 0xFF, 0xFF, 0xFF])) && seen.contains(&Some(NEW)));
    // Repeating the whole program leaves nothing weak, and nothing else of the cut either.
    nor.write(0, &NEW).unwrap();
    assert_eq!(readings(&mut nor), BTreeSet::from([Some(NEW)]));
    let mut clean = Nor::new(&SMALL);
    clean.write(0, &NEW).unwrap();
    assert_eq!(nor.state_hash(0..4096), clean.state_hash(0..4096));
}

#[test]
fn programming_a_torn_unit_again_fails_under_never() {
    let mut nor = torn(Rule::Never, false, Weak::PerBoot, 0);
    nor.power_on_as(Flicker::Old);
    assert_eq!(read(&mut nor, 0), Ok(OLD), "it looks blank");
    assert_eq!(nor.write(0, &NEW), Err(NorError::NotErased { address: 0 }));
}

#[test]
fn programming_into_a_torn_erase_leaves_the_bits_weak_that_did_not_rise() {
    let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    nor.write(0, &[0x00, 0x0F, 0xF0, 0xFF]).unwrap();
    nor.apply_torn(&PendingOp::Erase { address: 0 }, Tear::Bits { percent: 100, seed: 0 }).unwrap();
    nor.power_on_as(Flicker::New);
    assert_eq!(read(&mut nor, 0), Ok([0xFF; 4]), "it looks erased");
    nor.write(0, &[0xAA; 4]).unwrap();
    assert_eq!(read(&mut nor, 0), Ok([0xAA; 4]), "it looks programmed");
    let seen = readings(&mut nor);
    assert!(seen.contains(&Some([0xAA; 4])) && seen.contains(&Some([0x00, 0x0A, 0xA0, 0xAA])));
    nor.erase(0, 4096).unwrap();
    assert_eq!(readings(&mut nor), BTreeSet::from([Some([0xFF; 4])]));
}

#[test]
fn a_completed_erase_clears_weakness() {
    for (rule, ecc) in LAWS {
        let mut nor = torn(rule, ecc, Weak::PerBoot, 50);
        nor.erase(0, 4096).unwrap();
        assert_eq!(readings(&mut nor), BTreeSet::from([Some(OLD)]));
        nor.write(0, &NEW).unwrap();
        assert_eq!(readings(&mut nor), BTreeSet::from([Some(NEW)]));
    }
}

#[test]
fn under_ecc_a_torn_unit_is_old_or_new_or_unreadable_but_never_mixed() {
    let mut nor = torn(Rule::Never, true, Weak::PerBoot, 50);
    assert_eq!(read::<4>(&mut nor, 0), Err(NorError::Unreadable { address: 0 }));
    assert_eq!(readings(&mut nor), BTreeSet::from([None, Some(OLD), Some(NEW)]));
    let by_unit = (0..50).map(|seed| {
        nor.power_on_as(Flicker::Units { seed });
        read(&mut nor, 0).ok()
    });
    assert_eq!(by_unit.collect::<BTreeSet<_>>(), BTreeSet::from([None, Some(OLD), Some(NEW)]));
    // At both extremes the check bits match for now.
    assert_eq!(read(&mut torn(Rule::Never, true, Weak::PerBoot, 0), 0), Ok(OLD));
    assert_eq!(read(&mut torn(Rule::Never, true, Weak::PerBoot, 100), 0), Ok(NEW));
}

#[test]
fn under_ecc_a_unit_torn_twice_is_unreadable_for_good() {
    let erase = PendingOp::Erase { address: 0 };
    for (op, rule) in [(erase, Rule::Never), (program(0, &NEW), Rule::Free)] {
        let mut nor = torn(rule, true, Weak::PerBoot, 50);
        nor.apply_torn(&op, Tear::Bits { percent: 50, seed: 1 }).unwrap();
        assert_eq!(readings(&mut nor), BTreeSet::from([None]));
    }
}

#[test]
fn under_ecc_repeating_the_torn_program_does_not_help() {
    let mut nor = torn(Rule::Free, true, Weak::PerBoot, 100);
    assert_eq!(read(&mut nor, 0), Ok(NEW), "it looks whole");
    nor.write(0, &NEW).unwrap();
    assert_eq!(readings(&mut nor), BTreeSet::from([None]));
}

#[test]
fn an_erase_cut_twice_leaves_its_bits_as_weak_as_once() {
    let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    nor.write(0, &NEW).unwrap();
    for seed in 0..2 {
        let tear = Tear::Bits { percent: 90, seed };
        nor.apply_torn(&PendingOp::Erase { address: 0 }, tear).unwrap();
        let seen = readings(&mut nor);
        assert!(seen.contains(&Some(NEW)) && seen.contains(&Some([0xFF; 4])));
    }
}

#[test]
fn overwriting_past_all_rules_makes_a_torn_unit_sound() {
    let mut nor = torn(Rule::Free, false, Weak::PerBoot, 50);
    nor.poke(0, &[0x77; 4]);
    assert_eq!(readings(&mut nor), BTreeSet::from([Some([0x77; 4])]));
}

#[test]
fn states_that_read_alike_but_differ_in_their_weak_bits_hash_apart() {
    let hash = |bytes: &[u8]| {
        let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
        nor.apply_torn(&program(0, bytes), Tear::Bits { percent: 0, seed: 0 }).unwrap()
    };
    let hashes = BTreeSet::from([hash(&NEW), hash(&[0xF0; 4]), hash(&OLD)]);
    assert_eq!(hashes.len(), 3);
    // A program without a bit to change has none to leave weak.
    let whole = Nor::new(&SMALL).apply_torn(&program(0, &OLD), Tear::Whole).unwrap();
    assert_eq!(hash(&OLD), whole);
}

#[test]
fn a_second_torn_program_keeps_both_levels_of_a_weak_bit() {
    // Torn erase: the low half hangs between 0 and 1; then a torn program pulls on bits 0 and 4.
    let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    nor.write(0, &[0xF0; 4]).unwrap();
    let tear = Tear::Bits { percent: 50, seed: 7 };
    nor.apply_torn(&PendingOp::Erase { address: 0 }, tear).unwrap();
    nor.power_on(1);
    nor.apply_torn(&program(0, &[0xEE; 4]), tear).unwrap();
    let seen = readings(&mut nor);
    let both = |bit: u8| {
        let levels: BTreeSet<u8> = seen.iter().flatten().map(|word| word[0] >> bit & 1).collect();
        levels.len() == 2
    };
    assert_eq!([0, 1, 2, 3, 4].map(both), [true; 5]);
    assert_eq!([5, 6, 7].map(both), [false; 3]);
}

#[test]
fn weak_units_of_a_part_that_erases_to_zero_behave_alike() {
    let mut nor = Nor::new(&SMALL_ZERO).with_weak(Weak::PerBoot);
    nor.apply_torn(&program(0, &[0xF0; 4]), Tear::Bits { percent: 50, seed: 1 }).unwrap();
    let seen = readings(&mut nor);
    assert!(seen.contains(&Some([0; 4])) && seen.contains(&Some([0xF0; 4])) && seen.len() > 10);
    assert!(seen.iter().flatten().flatten().all(|byte| byte & 0x0F == 0));
}

#[test]
fn snapshots_carry_the_weak_bits() {
    let nor = torn(Rule::Free, false, Weak::PerBoot, 50);
    let mut scratch = Nor::new(&Part::RP2040.with_capacity(8192));
    scratch.clone_from(&nor);
    let (mut first, mut second) = (nor.clone(), scratch);
    for seed in 0..20 {
        first.power_on(seed);
        second.power_on(seed);
        assert_eq!(first.bytes(), second.bytes());
        assert_eq!(first.state_hash(0..4096), second.state_hash(0..4096));
    }
}
