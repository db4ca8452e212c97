//! Flash in a file.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::nor::{FileNor, FileNorError, Tear, Weak};

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flash.bin");
    (dir, path)
}

#[test]
fn a_new_file_is_a_blank_flash_of_exactly_the_capacity() {
    for part in [SMALL, SMALL_ZERO] {
        let (_dir, path) = place();
        drop(FileNor::open(&path, &part).unwrap());
        assert_eq!(fs::read(&path).unwrap(), vec![part.shape.erase_value; 16 * 1024]);
    }
}

#[test]
fn every_operation_is_in_the_file_when_its_call_returns() {
    let (_dir, path) = place();
    let mut flash = FileNor::open(&path, &SMALL).unwrap();
    flash.write(256, &[0x12; 600]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), flash.nor().bytes());
    flash.write(4096, &[0x34; 4]).unwrap();
    flash.erase(0, 4096).unwrap();
    assert_eq!(fs::read(&path).unwrap(), flash.nor().bytes());
    assert_eq!(fs::read(&path).unwrap()[4096..4100], [0x34; 4]);
}

#[test]
fn a_cut_and_the_boot_after_it_are_in_the_file() {
    let (_dir, path) = place();
    let mut flash = FileNor::open(&path, &SMALL).unwrap();
    *flash.nor_mut() = Nor::new(&SMALL).with_weak(Weak::PerBoot);
    flash.nor_mut().cut_at(0, Tear::Bits { percent: 50, seed: 1 });
    assert_eq!(flash.write(64, &[0; 64]), Err(NorError::PoweredOff));
    assert_ne!(flash.nor().peek(64..128), [0xFF; 64]);
    assert_eq!(fs::read(&path).unwrap(), flash.nor().bytes());
    for seed in 0..8 {
        flash.power_on(seed).unwrap();
        assert_eq!(fs::read(&path).unwrap(), flash.nor().bytes());
    }
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let (_dir, path) = place();
    let part = SMALL.with_rule(Rule::Never, false);
    let mut flash = FileNor::open(&path, &part).unwrap();
    flash.write(8, &[1, 2, 3, 4]).unwrap();
    drop(flash);
    let mut flash = FileNor::open(&path, &part).unwrap();
    assert_eq!(flash.nor().peek(8..12), [1, 2, 3, 4]);
    assert_eq!(flash.write(8, &[0; 4]), Err(NorError::NotErased { address: 8 }));
    flash.write(12, &[0; 4]).unwrap();
    let loaded = Nor::load(&path, &part).unwrap();
    assert_eq!(loaded.bytes(), flash.nor().bytes());
}

#[test]
fn saved_and_loaded_flash_is_the_same() {
    let (_dir, path) = place();
    let mut nor = Nor::new(&SMALL);
    nor.corrupt(100..9000, 1);
    nor.save(&path).unwrap();
    assert_eq!(Nor::load(&path, &SMALL).unwrap().bytes(), nor.bytes());
}

#[test]
fn files_of_another_length_and_files_in_use_are_refused() {
    let (_dir, path) = place();
    fs::write(&path, [0; 100]).unwrap();
    let wrong = |error| matches!(error, FileNorError::Length { expected: 16384, found: 100, .. });
    assert!(wrong(FileNor::open(&path, &SMALL).unwrap_err()));
    assert!(wrong(Nor::load(&path, &SMALL).unwrap_err()));
    assert_eq!(fs::read(&path).unwrap(), [0; 100], "left alone");

    let (_dir, path) = place();
    assert!(matches!(Nor::load(&path, &SMALL).unwrap_err(), FileNorError::Io { .. }));
    let _first = FileNor::open(&path, &SMALL).unwrap();
    assert!(matches!(FileNor::open(&path, &SMALL).unwrap_err(), FileNorError::InUse { .. }));
}
