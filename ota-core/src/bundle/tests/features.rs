//! What archives may and may not be, one thing at a time.

use std::string::{String, ToString};
use std::vec::Vec;

use super::super::{BundleError, MAX_NAME, Malformed, Name, Reader};
use super::archive::{Entry, SAMPLE_APP, SAMPLE_FS, SAMPLE_MANIFEST, archive, sample};
use super::{Session, accepted, read, refusal};

fn manifest() -> Entry {
    Entry::new("manifest.json", SAMPLE_MANIFEST)
}

fn name(text: &str) -> Name {
    Name::try_from(text).unwrap()
}

/// An archive with the manifest and this.
fn with(entry: Entry) -> Vec<u8> {
    archive(&[manifest(), entry])
}

fn app() -> Entry {
    Entry::new("app.bin", SAMPLE_APP)
}

#[test]
fn one_of_everything_is_accepted() {
    let outcome = accepted(&archive(&sample()));
    assert!(outcome.signed);
    assert_eq!(outcome.manifest.as_deref(), Some(SAMPLE_MANIFEST));
    let names: Vec<&str> = outcome.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["readme.txt", "app.bin", "none", "fs.bin"]);
    assert!(outcome.files.iter().all(|file| file.ended));
    assert_eq!(outcome.file("app.bin").unwrap().data, SAMPLE_APP);
    assert_eq!(outcome.file("fs.bin").unwrap().data, SAMPLE_FS);
}

#[test]
fn the_first_folder_of_a_name_is_dropped_and_no_other() {
    for (written, found) in [("app.bin", "app.bin"), ("a/app.bin", "app.bin"), ("a/b/c", "b/c")] {
        let outcome = accepted(&with(Entry::new(written, SAMPLE_APP)));
        assert_eq!(outcome.files[0].name, found);
    }
    let folders = [Entry::new("a/", b""), manifest(), Entry::new("a/b/", b""), app()];
    assert_eq!(accepted(&archive(&folders)).files.len(), 1, "folders are no files");
    // With data it is a file, whatever its name; nobody can want one without.
    let outcome = accepted(&archive(&[manifest(), Entry::new("a/", b"x"), app()]));
    assert_eq!((outcome.files[0].name.as_str(), outcome.files.len()), ("", 2));
    let nested = archive(&[Entry::new("a/b/manifest.json", SAMPLE_MANIFEST)]);
    let found = name("b/manifest.json");
    assert_eq!(refusal(&nested), BundleError::ManifestNotFirst { found });
}

#[test]
fn a_name_has_at_most_49_bytes_behind_its_folder() {
    let longest = "n".repeat(MAX_NAME);
    for folder in [String::new(), "f/".into(), "f".repeat(300) + "/"] {
        let outcome = accepted(&with(Entry::new(&(folder.clone() + &longest), b"x")));
        assert_eq!(outcome.files[0].name, longest);
        let error = refusal(&with(Entry::new(&(folder + &longest + "n"), b"x")));
        assert_eq!(error, BundleError::NameTooLong { start: name(&longest) });
    }
    // The cut falls inside a character: 48 + 2 bytes.
    let error = refusal(&with(Entry::new(&("n".repeat(48) + "é"), b"x")));
    assert_eq!(error, BundleError::NameTooLong { start: name(&"n".repeat(48)) });
    let mut latin = app();
    latin.name = b"gr\xf6sse".to_vec();
    let error = refusal(&with(latin));
    assert!(matches!(error, BundleError::Malformed { reason: Malformed::FileName, .. }));
}

#[test]
fn a_data_descriptor_is_passed_over_in_each_of_its_forms() {
    let flagged_only = Entry { flags: 1 << 3, ..app() };
    for entry in [app().with_descriptor(true), app().with_descriptor(false), flagged_only] {
        let bundle = archive(&[manifest(), entry, Entry::new("fs.bin", SAMPLE_FS)]);
        let outcome = accepted(&bundle);
        assert_eq!(outcome.file("app.bin").unwrap().data, SAMPLE_APP);
        assert_eq!(outcome.file("fs.bin").unwrap().data, SAMPLE_FS);

        let mut session = Session::new(Reader::new());
        session.skip = |name| name == "app.bin";
        session.feed(&bundle);
        assert!(session.outcome.complete);
        assert_eq!(session.outcome.files.len(), 1);

        let app_at = bundle.windows(SAMPLE_APP.len()).position(|bytes| bytes == SAMPLE_APP);
        let middle = app_at.unwrap() + 10;
        let left = SAMPLE_APP.len() as u32 - 10;
        let mut reader = Reader::resume_in_file(middle as u32, left);
        reader.skip_file();
        let mut session = Session::new(reader);
        session.outcome.manifest = Some(Vec::new());
        session.feed(&bundle[middle..]);
        assert_eq!(session.outcome.error, None);
        assert_eq!(session.outcome.file("fs.bin").unwrap().data, SAMPLE_FS);
    }
}

#[test]
fn a_data_descriptor_has_to_agree_and_to_be_announced() {
    for with_signature in [true, false] {
        let unannounced = Entry { flags: 0, ..app().with_descriptor(with_signature) };
        let error = refusal(&with(unannounced));
        assert!(matches!(
            error,
            BundleError::Malformed { reason: Malformed::FileHeader { .. }, .. }
        ));
        let mut twice = app().with_descriptor(with_signature);
        twice.behind.extend_from_within(..);
        let error = refusal(&with(twice));
        assert!(matches!(
            error,
            BundleError::Malformed { reason: Malformed::FileHeader { .. }, .. }
        ));
        let mut larger = app().with_descriptor(with_signature);
        let sizes = larger.behind.len() - 8;
        let size = (SAMPLE_APP.len() as u32 + 1).to_le_bytes();
        larger.behind.truncate(sizes);
        larger.behind.extend([size, size].concat());
        let error = refusal(&with(larger));
        assert!(matches!(
            error,
            BundleError::Malformed { reason: Malformed::Descriptor { .. }, .. }
        ));
        for byte_from_end in 1..=8 {
            let mut wrong = app().with_descriptor(with_signature);
            let at = wrong.behind.len() - byte_from_end;
            wrong.behind[at] ^= 1;
            let error = refusal(&with(wrong));
            let BundleError::Malformed { reason: Malformed::Descriptor { .. }, offset } = error
            else {
                panic!("{error}");
            };
            let bundle = with(app().with_descriptor(with_signature));
            let size = if with_signature { 16 } else { 12 };
            assert_eq!(bundle[offset as usize + size..][..4], *b"PK\x01\x02");
        }
    }
}

#[test]
fn a_size_has_to_be_in_the_header() {
    // As streaming writers have it: the size only behind the data.
    let streamed = Entry { stored: 0, size: 0, crc32: 0, ..app().with_descriptor(true) };
    let offset = archive(&[manifest()]).windows(4).position(|bytes| bytes == b"PK\x01\x02");
    let expected =
        BundleError::Malformed { offset: offset.unwrap() as u32, reason: Malformed::SizeMissing };
    assert_eq!(refusal(&with(streamed)), expected);

    let error = refusal(&with(Entry { stored: 5, size: 6, ..app() }));
    let reason = Malformed::Sizes { stored: 5, size: 6 };
    assert!(matches!(error, BundleError::Malformed { reason: found, .. } if found == reason));
    for (stored, size) in [(u32::MAX, 7), (7, u32::MAX), (u32::MAX, u32::MAX)] {
        assert_eq!(refusal(&with(Entry { stored, size, ..app() })), BundleError::Zip64);
    }
}

#[test]
fn compressed_and_encrypted_files_are_refused() {
    for method in [1, 8, 9, 12, 14, 93, 0xFFFF] {
        let error = refusal(&with(Entry { method, ..app() }));
        assert_eq!(error, BundleError::Compressed { method });
    }
    for flags in [1, 1 << 6, 1 << 13, 0xFFFF] {
        assert_eq!(refusal(&with(Entry { flags, ..app() })), BundleError::Encrypted);
    }
    // UTF-8 names, deflate options.
    accepted(&with(Entry { flags: 1 << 11 | 6, ..app() }));
}

#[test]
fn the_crc_of_each_file_is_checked_unless_it_is_zero() {
    for (unset, is_checked) in [(false, true), (true, false)] {
        let mut broken = app();
        broken.data[3] ^= 0x20;
        if unset {
            broken.crc32 = 0;
        }
        let outcome = read([with(broken).as_slice()]);
        assert_eq!(outcome.error.is_some(), is_checked, "{:?}", outcome.error);
        assert_eq!(outcome.complete, !is_checked);
        assert_eq!(outcome.files[0].ended, !is_checked);
    }
    let mut broken = app();
    broken.data[3] ^= 0x20;
    let (expected, found) = (broken.crc32, crate::crc::crc32(&broken.data));
    let error = refusal(&with(broken));
    assert_eq!(error, BundleError::InvalidCrc { file: name("app.bin"), expected, found });

    let mut broken = manifest();
    broken.data[3] ^= 0x20;
    let outcome = read([archive(&[broken, app()]).as_slice()]);
    assert!(matches!(outcome.error, Some(BundleError::InvalidCrc { .. })));
    assert_eq!(outcome.manifest, None);
}

#[test]
fn the_manifest_is_the_first_file() {
    let error = refusal(&archive(&[app(), manifest()]));
    assert_eq!(error, BundleError::ManifestNotFirst { found: name("app.bin") });
    // A second one is a file like any other.
    let outcome = accepted(&archive(&[manifest(), manifest()]));
    assert_eq!(outcome.files[0].name, "manifest.json");
    // Without any file there is nothing to read.
    for archive in [archive(&[]), archive(&[Entry::new("a/", b"")])] {
        let error = refusal(&archive);
        assert!(matches!(
            error,
            BundleError::Malformed { reason: Malformed::FileHeader { .. }, .. }
        ));
    }
}

#[test]
fn the_manifest_fills_the_buffer_and_no_more() {
    let bundle = archive(&[manifest()]);
    let size = SAMPLE_MANIFEST.len();
    let mut session = Session::new(Reader::new());
    session.scratch.truncate(size);
    session.feed(&bundle);
    assert_eq!(session.outcome.manifest.as_deref(), Some(SAMPLE_MANIFEST));

    let mut session = Session::new(Reader::new());
    session.scratch.truncate(size - 1);
    // Refused at the header, before any of it is read.
    session.feed(&bundle[..43]);
    let error = BundleError::ManifestTooLong { size: size as u32, limit: size - 1 };
    assert_eq!(session.outcome.error, Some(error));

    let huge = Entry { stored: 1 << 30, size: 1 << 30, ..manifest() };
    let error = refusal(&archive(&[huge]));
    assert_eq!(error, BundleError::ManifestTooLong { size: 1 << 30, limit: super::SCRATCH });
}

#[test]
fn an_announced_gigabyte_costs_nothing() {
    let size = 1 << 30;
    let bundle = with(Entry { stored: size, size, crc32: 0, ..app() });
    for skip in [|_: &str| false, |_: &str| true] {
        let mut session = Session::new(Reader::new());
        session.skip = skip;
        session.feed(&bundle);
        assert_eq!(session.outcome.error, None);
        let seen = bundle.len() as u32 - archive_head_len();
        assert_eq!(session.reader.file_remaining(), size - seen);
        let expected = BundleError::Incomplete {
            offset: bundle.len() as u32,
            missing: size - seen,
            file: name("app.bin"),
        };
        assert_eq!(session.reader.finish(), Err(expected));
    }
}

/// Bytes in front of the second file's data.
fn archive_head_len() -> u32 {
    let headers = 30 + "manifest.json".len() + 30 + "app.bin".len();
    (headers + SAMPLE_MANIFEST.len()) as u32
}

#[test]
fn a_stream_ends_at_4_gib() {
    let mut session = Session::new(Reader::resume_in_file(u32::MAX - 5, 100));
    session.outcome.manifest = Some(Vec::new());
    session.outcome.files.push(super::FileSeen { size: 100, ..Default::default() });
    session.feed(&[0; 5]);
    assert_eq!(session.reader.stream_offset(), u32::MAX);
    assert_eq!(session.outcome.error, None);
    session.feed(&[0]);
    assert_eq!(session.outcome.error, Some(BundleError::StreamTooLong));
    assert_eq!(session.reader.finish(), Err(BundleError::AlreadyRefused));
}

#[test]
fn only_the_manifests_own_signature_record_counts() {
    let signature = br#"{"sig0":"MEQ"}"#;
    let signed = |entry: Entry| accepted(&archive(&[entry, app()])).signed;
    assert!(signed(manifest().with_record(0x293a, signature)));
    assert!(signed(manifest().with_record(1, &[]).with_record(0x293a, signature)));
    assert!(signed(manifest().with_record(0x293a, signature).with_record(1, &[2])));
    assert!(!signed(manifest()));
    // Within another record.
    assert!(!signed(manifest().with_record(1, &[0x3a, 0x29, 0, 0])));
    assert!(!signed(Entry { extra: [0; 3].into(), ..manifest() }), "padding");
    assert!(!signed(Entry { extra: [1, 0, 9, 0, 0x3a, 0x29, 0, 0].into(), ..manifest() }));
    let elsewhere = archive(&[manifest(), app().with_record(0x293a, signature)]);
    assert!(!accepted(&elsewhere).signed);
}

#[test]
fn skipping_is_for_files_only() {
    let mut reader = Reader::new();
    reader.skip_file();
    let mut session = Session::new(reader);
    session.feed(&archive(&sample()));
    assert!(session.outcome.complete);
    assert_eq!(session.outcome.files.len(), 4);
    session.reader.skip_file();
    session.feed(b"and what follows is ignored");
    assert!(session.reader.is_complete());
}

#[test]
fn memory_is_bounded() {
    assert!(size_of::<Reader>() <= 200, "{}", size_of::<Reader>());
    assert!(size_of::<BundleError>() <= 112, "{}", size_of::<BundleError>());
}

#[test]
fn messages_begin_as_mongoose_os_words_them_and_say_what_to_do() {
    for (archive, message) in [
        (
            b"{\"platform\": \"sim\"}".to_vec(),
            "Malformed archive (invalid file header): found 6c70227b instead of 04034b50, \
             at byte 0",
        ),
        (
            with(Entry { method: 8, ..app() }),
            "Cannot handle compressed .zip (method 8): repack with zip -0",
        ),
        (with(Entry { flags: 1, ..app() }), "Cannot handle encrypted .zip: repack with zip -0"),
        (
            with(Entry { size: u32::MAX, ..app() }),
            "Cannot handle ZIP64 sizes: repack as plain ZIP, zip -0",
        ),
        (
            archive(&[Entry { size: 6, stored: 5, ..app() }]),
            "Malformed archive (sizes): a stored file of 6 bytes takes 5, at byte 0",
        ),
        (
            archive(&[app()]),
            "Malformed archive: first file is 'app.bin'; repack with manifest.json first",
        ),
        (
            with(Entry { crc32: 0x1234, ..app() }),
            "Invalid CRC of 'app.bin': expected 00001234, found 640e0099",
        ),
        (
            with(Entry::new(&"n".repeat(50), b"")),
            "Too long file name 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn'...: \
             at most 49 bytes",
        ),
        (
            archive(&[Entry::new("manifest.json", &[b' '; 2049])]),
            "Failed to parse manifest: 2049 bytes, the limit is 2048",
        ),
    ] {
        assert_eq!(refusal(&archive).to_string(), message);
    }
    let mut session = Session::new(Reader::new());
    session.feed(&with(app())[..archive_head_len() as usize + 1]);
    let error = session.reader.finish().unwrap_err().to_string();
    assert_eq!(
        error,
        "Incomplete update package: it ends after 210 bytes, 34 bytes of 'app.bin' are missing"
    );
}
