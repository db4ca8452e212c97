//! Read errors, rot, bad sectors, devices that fall silent.

use super::*;
use crate::nor::{Bad, ReadFaults, Stop};

#[test]
fn every_third_read_fails_once() {
    for seed in 0..10 {
        let mut nor = Nor::new(&SMALL);
        nor.set_read_faults(Some(ReadFaults::new(3, seed)));
        let failed: Vec<bool> = (0..30).map(|_| read::<4>(&mut nor, 8).is_err()).collect();
        assert_eq!(failed.iter().filter(|&&failed| failed).count(), 10);
        let fault = failed.iter().position(|&failed| failed).unwrap();
        assert!(failed.iter().skip(fault).step_by(3).all(|&failed| failed));
        assert_eq!(nor.counters().reads, 30);
        nor.set_read_faults(None);
        assert_eq!(read(&mut nor, 8), Ok([0xFF; 4]));
    }
}

#[test]
fn bit_rot_changes_one_bit_and_shows_no_error() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::Never, true));
    nor.write(8, &[0x12; 4]).unwrap();
    nor.flip(9, 7);
    assert_eq!(read(&mut nor, 8), Ok([0x12, 0x92, 0x12, 0x12]));
    nor.flip(9, 7);
    assert_eq!(read(&mut nor, 8), Ok([0x12; 4]));
    // A unit that rotted is not blank.
    nor.flip(20, 0);
    assert_eq!(nor.write(20, &[0; 4]), Err(NorError::NotErased { address: 20 }));
}

#[test]
fn corruption_stays_in_its_range() {
    let mut nor = Nor::new(&SMALL);
    nor.corrupt(5..4000, 1);
    assert_eq!(nor.peek(0..5), [0xFF; 5]);
    assert!(nor.peek(4000..16384).iter().all(|&byte| byte == 0xFF));
    let ones: u32 = nor.peek(5..4000).iter().map(|byte| byte.count_ones()).sum();
    assert!((15_000..17_000).contains(&ones), "{ones} of 31960 bits");
}

#[test]
fn unreadable_units_fail_to_read_until_erased() {
    for (rule, ecc) in LAWS {
        let mut nor = Nor::new(&SMALL.with_rule(rule, ecc));
        nor.write(8, &[0xFF; 8]).unwrap();
        let sound = nor.clone();
        nor.set_unreadable(9..13);
        assert_ne!(nor.state_hash(0..4096), sound.state_hash(0..4096));
        let mut copy = sound.clone();
        copy.clone_from(&nor);
        assert_eq!(copy.state_hash(0..4096), nor.state_hash(0..4096));
        assert_eq!(read(&mut nor, 0), Ok([0xFF; 8]));
        assert_eq!(read::<9>(&mut nor, 0), Err(NorError::Unreadable { address: 8 }));
        assert_eq!(read::<4>(&mut nor, 14), Err(NorError::Unreadable { address: 12 }));
        nor.power_on(1);
        assert_eq!(read::<1>(&mut nor, 8), Err(NorError::Unreadable { address: 8 }));
        nor.erase(0, 4096).unwrap();
        assert_eq!(read(&mut nor, 0), Ok([0xFF; 32]));
    }
}

#[test]
fn a_hung_device_answers_after_a_power_cycle_and_a_broken_one_never() {
    for (stop, recovers) in [(Stop::UntilPowerCycle, true), (Stop::ForEver, false)] {
        let mut nor = Nor::new(&SMALL);
        nor.stop_at(1, stop);
        nor.power_on(0);
        assert_eq!(read(&mut nor, 0), Ok([0xFF; 4]));
        nor.write(0, &[0; 4]).unwrap();
        assert_eq!(read::<4>(&mut nor, 0), Err(NorError::Stopped));
        assert_eq!(nor.write(4, &[0; 4]), Err(NorError::Stopped));
        assert_eq!(nor.erase(0, 4096), Err(NorError::Stopped));
        nor.power_on(0);
        let expected = if recovers { Ok([0; 4]) } else { Err(NorError::Stopped) };
        assert_eq!(read(&mut nor, 0), expected);
    }
}

#[test]
fn bad_sectors_refuse_garble_or_lie() {
    for bad in [Bad::Refuses, Bad::Garbles { seed: 1 }, Bad::Lies { seed: 1 }] {
        let mut nor = Nor::new(&SMALL);
        nor.write(4096, &[0; 256]).unwrap();
        nor.set_bad_sector(5000, bad);
        let failed = |address| match bad {
            Bad::Refuses | Bad::Garbles { .. } => Err(NorError::Failed { address }),
            Bad::Lies { .. } => Ok(()),
        };
        assert_eq!(nor.write(4352, &[0; 32]), failed(4352));
        assert_eq!(nor.erase(4096, 8192), failed(4096));
        let untouched = bad == Bad::Refuses;
        assert_eq!(nor.peek(4096..4352) == [0; 256], untouched);
        assert_eq!(nor.peek(4352..4384) == [0xFF; 32], untouched);
        // Neighbours are well, and power is on.
        nor.write(0, &[0; 4]).unwrap();
        nor.erase(8192, 12288).unwrap();
    }
}
