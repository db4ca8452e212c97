//! Ports, observers, snapshots, presets.

use std::cell::RefCell;
use std::rc::Rc;

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use super::*;
use crate::nor::{NorPort, Observed, OpKind, Tear, TearBudget, Weak, tears_for};

#[test]
fn a_port_is_a_nor_flash() {
    let mut nor = Nor::new(&SMALL);
    let mut port = NorPort::<_, 4, 4096>::new(&mut nor);
    port.write(4096, &[1, 2, 3, 4]).unwrap();
    let mut bytes = [0; 3];
    port.read(4097, &mut bytes).unwrap();
    assert_eq!(bytes, [2, 3, 4]);
    port.erase(4096, 8192).unwrap();
    assert_eq!(port.capacity(), 16 * 1024);
    let kind = |result: Result<(), NorError>| result.unwrap_err().kind();
    assert_eq!(kind(port.write(1, &[0; 4])), NorFlashErrorKind::NotAligned);
    assert_eq!(kind(port.erase(0, 1 << 20)), NorFlashErrorKind::OutOfBounds);
    assert!(nor.is_blank(0..16384));
}

#[test]
#[should_panic(expected = "write and erase unit of the device")]
fn a_port_of_another_geometry_is_refused() {
    NorPort::<_, 8, 2048>::new(Nor::new(&SMALL));
}

#[test]
fn every_preset_is_sound_and_has_a_port() {
    fn programs<F: NorFlash>(flash: &mut F) -> (usize, usize) {
        flash.write(0, &[0x5A; 64]).unwrap();
        flash.erase(0, F::ERASE_SIZE as u32).unwrap();
        (F::WRITE_SIZE, F::ERASE_SIZE)
    }
    for part in Part::ALL {
        assert_eq!(Part::by_name(part.name), Some(part));
        let mut nor = Nor::new(part);
        let units = crate::with_port!(&mut nor, port => programs(&mut port));
        let shape = part.shape;
        assert_eq!(units, (shape.write_size as usize, shape.sector_size as usize));
        assert!(nor.is_blank(0..shape.capacity));
        assert!(nor.counters().time_ns >= part.timings.erase_ns);
    }
    assert_eq!(Part::by_name("eeprom"), None);
}

#[test]
fn datasheet_times_are_those_of_the_baselines() {
    // The flash times of anchors C.1: staging 256 KiB takes 8.13 s on an nRF52840.
    let mut nor = Nor::new(&Part::NRF52840);
    nor.erase(0, 256 * 1024).unwrap();
    nor.write(0, &vec![0; 256 * 1024]).unwrap();
    assert_eq!(nor.counters().time_ns / 10_000_000, 812);
}

#[test]
fn an_observer_sees_each_operation_before_it_happens() {
    let mut nor = Nor::new(&SMALL.with_rule(Rule::Never, false));
    let mut seen = Vec::new();
    let mut observer = |nor: &Nor, op: &PendingOp<'_>| {
        assert!(nor.is_blank(op.range(&nor.shape())) || op.kind() == OpKind::Erase);
        seen.push((nor.ops(), op.record(&nor.shape()).to_string()));
    };
    let mut port = NorPort::<_, 4, 4096>::new(Observed::new(&mut nor, &mut observer));
    port.write(0, &[0; 260]).unwrap();
    // What is refused is no operation.
    port.write(256, &[0; 4]).unwrap_err();
    port.erase(0, 4096).unwrap();
    let seen: Vec<_> = seen.iter().map(|(op, text)| (*op, text.as_str())).collect();
    assert_eq!(seen, [(0, "program 0x0+256"), (1, "program 0x100+4"), (2, "erase 0x0+4096")]);
}

#[test]
fn a_campaign_tears_clones_and_the_original_never_notices() {
    let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    let mut scratch = nor.clone();
    let mut points = 0;
    let mut observer = |nor: &Nor, op: &PendingOp<'_>| {
        for tear in tears_for(op, &nor.shape(), &TearBudget::BRIEF) {
            scratch.clone_from(nor);
            scratch.apply_torn(op, tear).unwrap();
            assert!(!scratch.is_powered());
            let range = op.range(&nor.shape());
            assert_eq!(scratch.peek(0..range.start), nor.peek(0..range.start));
            assert_eq!(scratch.peek(range.end..16384), nor.peek(range.end..16384));
            points += 1;
        }
    };
    let mut observed = Observed::new(&mut nor, &mut observer);
    observed.write(0, &[0x12; 512]).unwrap();
    observed.erase(0, 4096).unwrap();
    observed.write(4, &[0x34; 4]).unwrap();
    assert_eq!(nor.peek(4..8), [0x34; 4]);
    assert_eq!(nor.ops(), 4);
    assert!(points > 50);
}

#[test]
fn a_cut_replays_what_the_observer_tried() {
    let run = |nor: &mut Nor| nor.write(0, &[0x12; 700]).and_then(|()| nor.erase(0, 4096));
    for tear in ["none", "whole", "head", "first2", "units:3", "torn-at5:3", "bits50:3", "zeros"] {
        let tear: Tear = tear.parse().unwrap();
        for number in 0..4 {
            let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
            let mut tried = None;
            let mut observer = |nor: &Nor, op: &PendingOp<'_>| {
                if nor.ops() == number {
                    let mut clone = nor.clone();
                    clone.apply_torn(op, tear).unwrap();
                    tried = Some(clone);
                }
            };
            let mut observed = Observed::new(&mut nor, &mut observer);
            observed.write(0, &[0x12; 700]).unwrap();
            observed.erase(0, 4096).unwrap();
            let tried = tried.unwrap();

            let mut cut = Nor::new(&SMALL).with_weak(Weak::PerBoot);
            cut.cut_at(number, tear);
            assert_eq!(run(&mut cut), Err(NorError::PoweredOff));
            assert_eq!(cut.state_hash(0..16384), tried.state_hash(0..16384), "{tear} at {number}");
            assert_eq!(cut.ops(), tried.ops());
            assert_eq!(cut.counters(), tried.counters());
        }
    }
}

#[test]
fn a_flash_can_be_shared() {
    let shared = Rc::new(RefCell::new(Nor::new(&SMALL)));
    let mut loader = NorPort::<_, 4, 4096>::new(Rc::clone(&shared));
    let mut app = NorPort::<_, 4, 4096>::new(Rc::clone(&shared));
    app.write(0, &[1, 2, 3, 4]).unwrap();
    let mut bytes = [0; 4];
    loader.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4]);
}

#[test]
fn cloning_into_a_used_flash_allocates_nothing_and_copies_everything() {
    let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    nor.track_units();
    nor.start_log();
    nor.write(0, &[0; 64]).unwrap();
    let mut scratch = nor.clone();
    let memory = scratch.bytes().as_ptr();
    nor.write(64, &[0x12; 64]).unwrap();
    nor.cut_after(0, Tear::Head);
    for _ in 0..1000 {
        scratch.clone_from(&nor);
    }
    assert_eq!(scratch.bytes().as_ptr(), memory);
    assert_eq!(scratch.bytes(), nor.bytes());
    assert_eq!(scratch.log(), nor.log());
    assert_eq!(scratch.counters(), nor.counters());
    assert_eq!(scratch.armed_cut(), nor.armed_cut());
    assert_eq!(scratch.unit_programs(64), 1);
}
