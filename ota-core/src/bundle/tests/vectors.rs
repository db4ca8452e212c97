//! Bundles made with the real `mos create-fw-bundle`: see `tests/vectors/README.md`.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::{BundleError, Manifest, PartKind, Reader, Selector};
use super::{FileSeen, Outcome, Session, accepted, read};

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/", $name)).as_slice()
    };
}

const APP_1_0: &[u8] = vector!("app-1.0.0.bin");
const APP_1_1: &[u8] = vector!("app-1.1.0.bin");
const FS: &[u8] = vector!("fs.bin");
const MOS_1_0: &[u8] = vector!("mos-1.0.0.zip");
const MOS_1_1: &[u8] = vector!("mos-1.1.0.zip");
const SIGNED_K0: &[u8] = vector!("mos-1.1.0-signed-k0.zip");
const SIGNED_K0_K2: &[u8] = vector!("mos-1.1.0-signed-k0-k2.zip");
const DEFLATE: &[u8] = vector!("mos-1.1.0-deflate.zip");
const OTHER_PLATFORM: &[u8] = vector!("mos-1.1.0-other-platform.zip");

const SIM: Selector<'static> = Selector { platform: "sim", target_slot: 1, has_data: true };

fn select(outcome: &Outcome, selector: &Selector<'_>) -> Result<Manifest, BundleError> {
    Manifest::select(outcome.manifest.as_ref().unwrap(), selector)
}

/// The manifest's plan and the archive's files agree with the parts that went in.
fn check_parts(outcome: &Outcome, manifest: &Manifest, app: &[u8]) {
    for (name, kind, part) in [("app.bin", PartKind::App, app), ("fs.bin", PartKind::Data, FS)] {
        let file = outcome.file(name).unwrap();
        assert!(file.ended);
        assert_eq!(file.data, part);
        let (found, plan) = manifest.wanted(name).unwrap();
        assert_eq!(found, kind);
        assert_eq!(plan.check_size(file.size), Ok(()));
        assert_eq!(plan.sha1, Some(Sha1::digest(part).into()));
        assert_eq!(plan.sha256, Some(Sha256::digest(part).into()));
        assert_eq!((plan.load_address, plan.slot_mask), (0, 0xFF));
    }
}

#[test]
fn plain_bundles_are_accepted() {
    for (archive, version, app) in [(MOS_1_0, "1.0.0", APP_1_0), (MOS_1_1, "1.1.0", APP_1_1)] {
        let outcome = accepted(archive);
        assert!(!outcome.signed);
        let manifest = select(&outcome, &SIM).unwrap();
        assert_eq!(manifest.version, version);
        assert_eq!(manifest.build_id.as_str(), std::format!("20261120-120000/{version}@0badcafe"));
        assert_eq!(manifest.platform, "sim");
        assert_eq!(manifest.name, "demo");
        assert_eq!(manifest.security_counter, 0);
        assert_eq!(manifest.skipped.count, 0);
        check_parts(&outcome, &manifest, app);
    }
}

#[test]
fn signed_bundles_are_accepted_and_said_to_be_signed() {
    let plain = select(&accepted(MOS_1_1), &SIM).unwrap();
    // As the ZIP header of all three says.
    assert_eq!(plain.identity, 0x9344_26d6);
    for archive in [SIGNED_K0, SIGNED_K0_K2] {
        let outcome = accepted(archive);
        assert!(outcome.signed);
        let manifest = select(&outcome, &SIM).unwrap();
        assert_eq!(manifest, plain);
        check_parts(&outcome, &manifest, APP_1_1);
    }
}

#[test]
fn deflate_is_refused_at_the_first_header() {
    let mut session = Session::new(Reader::new());
    session.feed(&DEFLATE[..29]);
    assert_eq!(session.outcome, Outcome::default());
    session.feed(&DEFLATE[29..]);
    assert_eq!(session.outcome.error, Some(BundleError::Compressed { method: 8 }));
    assert_eq!(session.reader.stream_offset(), 30);
    assert_eq!(session.outcome.manifest, None);
}

#[test]
fn the_bundle_of_another_platform_is_refused() {
    let outcome = accepted(OTHER_PLATFORM);
    let error = select(&outcome, &SIM).unwrap_err();
    assert!(matches!(error, BundleError::WrongPlatform { .. }));
    let selector = Selector { platform: "ESP32", ..SIM };
    check_parts(&outcome, &select(&outcome, &selector).unwrap(), APP_1_1);
}

#[test]
fn unwanted_files_can_be_skipped() {
    let mut session = Session::new(Reader::new());
    session.skip = |name| name == "app.bin";
    session.feed(OTHER_PLATFORM);
    assert!(session.outcome.complete);
    assert_eq!(session.outcome.files.len(), 1);
    assert_eq!(session.outcome.file("fs.bin").unwrap().data, FS);
}

/// Where the local headers and the central directory of an archive start.
fn headers(archive: &[u8]) -> impl Iterator<Item = usize> + '_ {
    (0..archive.len()).filter(|&at| {
        archive[at..].starts_with(b"PK\x03\x04") || archive[at..].starts_with(b"PK\x01\x02")
    })
}

#[test]
fn two_pieces_give_the_same_wherever_they_meet() {
    let whole = accepted(SIGNED_K0);
    let near_headers = headers(SIGNED_K0).flat_map(|at| at.saturating_sub(8)..at + 200);
    for at in near_headers.chain((0..SIGNED_K0.len()).step_by(499)) {
        let Some((first, second)) = SIGNED_K0.split_at_checked(at) else { continue };
        assert_eq!(read([first, second]), whole, "cut at {at}");
    }
}

#[test]
fn any_size_of_pieces_gives_the_same() {
    let whole = accepted(MOS_1_1);
    for size in [1, 2, 3, 5, 7, 13, 29, 30, 31, 64, 256, 500, 512, 4096, 65536] {
        assert_eq!(read(MOS_1_1.chunks(size)), whole, "pieces of {size}");
    }
}

#[test]
fn a_truncated_bundle_is_incomplete_at_every_length() {
    for archive in [MOS_1_0, SIGNED_K0_K2] {
        let directory = headers(archive).find(|&at| archive[at..].starts_with(b"PK\x01\x02"));
        let directory = directory.unwrap();
        let mut session = Session::new(Reader::new());
        for (len, byte) in archive.iter().enumerate() {
            let complete = len >= directory + 4;
            assert_eq!(session.outcome.complete, complete, "after {len} bytes");
            match session.reader.finish() {
                Ok(()) => assert!(complete, "after {len} bytes"),
                Err(BundleError::Incomplete { offset, .. }) => {
                    assert_eq!(offset as usize, len);
                    assert!(!complete, "after {len} bytes");
                }
                Err(error) => panic!("after {len} bytes: {error}"),
            }
            session.feed(&[*byte]);
        }
    }
}

#[test]
fn reading_goes_on_in_the_middle_of_a_file() {
    let whole = accepted(MOS_1_1);
    let app_at = MOS_1_1.windows(64).position(|bytes| *bytes == APP_1_1[..64]).unwrap();
    for done in [0, 1, 16384, APP_1_1.len() - 1, APP_1_1.len()] {
        let (at, left) = (app_at + done, APP_1_1.len() - done);
        let mut session = Session::new(Reader::resume_in_file(at as u32, left as u32));
        session.scratch.clear();
        session.outcome.manifest = whole.manifest.clone();
        session.outcome.files.push(FileSeen { size: left as u32, ..Default::default() });
        session.feed(&MOS_1_1[at..]);
        assert_eq!(session.outcome.error, None);
        assert!(session.outcome.complete);
        assert_eq!(session.outcome.files[0].data, &APP_1_1[done..]);
        assert_eq!(session.outcome.file("fs.bin"), whole.file("fs.bin"));
    }
}
