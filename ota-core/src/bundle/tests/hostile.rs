//! Any bytes, cut anywhere: never a panic, never a wrong file.

use std::vec::Vec;

use proptest::prelude::*;

use super::super::{BundleError, Manifest, Reader, Selector};
use super::archive::{Entry, SAMPLE_MANIFEST, archive, archive_and_directory, sample};
use super::{Outcome, Session, accepted, read};

/// `bytes` in pieces of these sizes, over and over.
fn pieces<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> + 'a {
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at((*sizes.next()?).min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

/// Everything that `broken` gave stands as it is in `good`, except for files of other names.
fn assert_nothing_changed(broken: &Outcome, good: &Outcome, what: &str) {
    assert!(broken.manifest.is_none() || broken.manifest == good.manifest, "{what}");
    for file in broken.files.iter().filter(|file| file.ended) {
        if let Some(original) = good.file(&file.name) {
            assert_eq!(file.data, original.data, "{what}");
        }
    }
}

#[test]
fn every_pair_of_cuts_gives_the_same() {
    let bundle = archive(&sample());
    let whole = accepted(&bundle);
    for first in 0..bundle.len() {
        for second in (first..bundle.len()).step_by(7) {
            let pieces = [&bundle[..first], &bundle[first..second], &bundle[second..]];
            assert_eq!(read(pieces), whole, "cut at {first} and {second}");
        }
    }
}

#[test]
fn every_truncation_is_incomplete() {
    let (bundle, directory) = archive_and_directory(&sample());
    let whole = accepted(&bundle);
    for len in 0..directory + 4 {
        let mut session = Session::new(Reader::new());
        session.feed(&bundle[..len]);
        assert_eq!(session.outcome.error, None, "{len} bytes");
        assert!(!session.outcome.complete, "{len} bytes");
        let error = session.reader.finish().unwrap_err();
        assert!(matches!(error, BundleError::Incomplete { offset, .. } if offset as usize == len));
        assert_nothing_changed(&session.outcome, &whole, "truncated");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let (bundle, directory) = archive_and_directory(&sample());
    let whole = accepted(&bundle);
    let mut refused = 0;
    for at in 0..directory + 4 {
        for bit in 0..8 {
            let mut broken = bundle.clone();
            broken[at] ^= 1 << bit;
            let outcome = read([broken.as_slice()]);
            assert_eq!(read(broken.chunks(3)), outcome);
            assert_nothing_changed(&outcome, &whole, &std::format!("bit {bit} of byte {at}"));
            refused += usize::from(!outcome.complete);
        }
    }
    // What may flip unseen: times, version, some flags, extra fields, names, empty files.
    assert!(refused > (directory * 8) / 2, "only {refused} of {} were noticed", directory * 8);
}

#[test]
fn every_value_of_every_header_byte_is_survived() {
    let (bundle, directory) = archive_and_directory(&sample());
    let whole = accepted(&bundle);
    let signatures: Vec<usize> =
        (0..directory).filter(|&at| bundle[at..].starts_with(b"PK\x03\x04")).collect();
    for at in signatures.into_iter().flat_map(|start| start..start + 30) {
        for value in 0..=u8::MAX {
            let mut broken = bundle.clone();
            broken[at] = value;
            assert_nothing_changed(&read([broken.as_slice()]), &whole, "one byte replaced");
        }
    }
}

/// A file of a good archive.
fn any_entry() -> impl Strategy<Value = Entry> {
    let data = prop::collection::vec(any::<u8>(), 1..200);
    let record = prop::collection::vec(any::<u8>(), 0..20);
    ("([a-z]{0,60}/)?[a-z/]{0,48}[a-z]", data, record, 0..4).prop_map(
        |(name, data, record, form)| {
            let entry = Entry::new(&name, &data);
            match form {
                0 => entry,
                1 => entry.with_record(0x7875, &record),
                2 => entry.with_descriptor(true),
                _ => entry.with_descriptor(false),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec(1usize..40, 1..8),
        is_inside in any::<bool>(),
        remaining in 0u32..100,
    ) {
        let reader = || match is_inside {
            true => Reader::resume_in_file(1000, remaining),
            false => Reader::new(),
        };
        let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut session = Session::new(reader());
            session.outcome.manifest = is_inside.then(Vec::new);
            session.outcome.files.push(super::FileSeen { size: remaining, ..Default::default() });
            pieces.for_each(|piece| session.feed(piece));
            session.outcome
        };
        let whole = run(&mut core::iter::once(bytes.as_slice()));
        // Of nothing there are no pieces; one that is empty may end a file.
        if !bytes.is_empty() {
            prop_assert_eq!(run(&mut pieces(&bytes, &sizes)), whole);
        }
    }

    #[test]
    fn any_good_archive_is_read_back(
        files in prop::collection::vec(any_entry(), 0..6),
        sizes in prop::collection::vec(1usize..60, 1..8),
    ) {
        let mut entries = std::vec![Entry::new("manifest.json", SAMPLE_MANIFEST)];
        entries.extend(files);
        let outcome = read(pieces(&archive(&entries), &sizes));
        prop_assert_eq!(outcome.error, None);
        prop_assert!(outcome.complete);
        let found: Vec<_> = outcome.files.iter().map(|file| (file.ended, &file.data)).collect();
        let expected: Vec<_> = entries[1..].iter().map(|entry| (true, &entry.data)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn random_damage_is_survived_in_any_pieces(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        is_cut in any::<bool>(),
        sizes in prop::collection::vec(1usize..80, 1..8),
    ) {
        let mut bundle = archive(&sample());
        for (at, value) in &changes {
            let at = at.index(bundle.len());
            bundle[at] = *value;
        }
        if is_cut {
            let (from, to) = (from.index(bundle.len()), to.index(bundle.len()));
            bundle.drain(from.min(to)..from.max(to));
        }
        let whole = read([bundle.as_slice()]);
        prop_assert_eq!(read(pieces(&bundle, &sizes)), whole);
    }

    #[test]
    fn any_manifest_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        target_slot in any::<u8>(),
        has_data in any::<bool>(),
    ) {
        let selector = Selector { platform: "sim", target_slot, has_data };
        let _ = Manifest::select(&bytes, &selector);
        let mut manifest = SAMPLE_MANIFEST.to_vec();
        for (at, value) in &changes {
            let at = at.index(manifest.len());
            manifest[at] = *value;
        }
        if let Ok(plan) = Manifest::select(&manifest, &selector) {
            prop_assert!(has_data || plan.data.is_none());
            prop_assert!(plan.data.is_none_or(|data| data.src != plan.app.src));
        }
    }
}
