//! Reading bundles: Mongoose OS `fw.zip` archives, streamed, without seeking and without a heap.
//!
//! A bundle is a ZIP archive whose files are stored, not compressed. [`Reader`] takes its bytes as
//! they come and says what they are; [`Manifest`] picks from the first file, `manifest.json`, what
//! this device wants. Neither does I/O: a staging job drives them and writes what they let pass.
//! The normative text is `docs/format/bundle.md`.
//!
//! ```text
//! bundle          | file        | file    | ...any order    | file   | central directory     |
//!                 | manifest    |         |                 |        | PK 1 2 ... (not read) |
//!                 | first       |
//!                .'             '---------------------------------------.
//! file            | local header | name | extra | data (as it is) | data descriptor         |
//!                 | 30 bytes     |      |       |                 | 12 or 16, if flag bit 3 |
//!                .'              '-------------------------.
//! local header    0  P K 3 4    signature                  |     numbers are little-endian
//!                 4  u16        version needed             |     ignored
//!                 6  u16        flags: bit 0, 6, 13        |     encrypted: refused
//!                               bit 3                      |     a data descriptor may follow
//!                 8  u16        method                     |     0 = stored; others: refused
//!                10  u16 u16    time, date                 |     ignored
//!                14  u32        CRC-32 of the data         |     checked unless 0
//!                18  u32        size as stored             |     the two must be equal;
//!                22  u32        size                       |     0xFFFFFFFF (ZIP64): refused
//!                26  u16        length of the name         |
//!                28  u16        length of the extra field -'
//!
//! extra field     records of: u16 id, u16 length, bytes. In the manifest's header, id 0x293a is
//!                 JSON with the signatures of the manifest's bytes; all else is passed over.
//! ```
//!
//! # Use
//! ```
//! use ota_core::bundle::{BundleError, Event, Manifest, Reader, Selector};
//!
//! /// Counts the bytes that a bundle has for this device.
//! fn wanted_bytes<'a>(
//!     pieces: impl Iterator<Item = &'a [u8]>,
//!     selector: &Selector<'_>,
//! ) -> Result<usize, BundleError> {
//!     let (mut reader, mut scratch) = (Reader::new(), [0; 2048]);
//!     let (mut manifest, mut count) = (None, 0);
//!     for mut input in pieces {
//!         loop {
//!             let fed = reader.feed(input, &mut scratch)?;
//!             input = &input[fed.consumed..];
//!             match fed.event {
//!                 Event::More => break,
//!                 Event::Manifest { len } => {
//!                     manifest = Some(Manifest::select(&scratch[..len], selector)?);
//!                 }
//!                 Event::FileStart { size, .. } => {
//!                     match manifest.as_ref().and_then(|m| m.wanted(reader.file_name())) {
//!                         Some((_kind, part)) => part.check_size(size)?,
//!                         None => reader.skip_file(),
//!                     }
//!                 }
//!                 Event::Data(bytes) => count += bytes.len(),
//!                 Event::FileEnd | Event::Directory => {}
//!             }
//!         }
//!     }
//!     reader.finish()?;
//!     Ok(count)
//! }
//! # let bundle = include_bytes!("../../../tests/vectors/mos-1.1.0.zip");
//! # let selector = Selector { platform: "sim", target_slot: 1, has_data: false };
//! # assert_eq!(wanted_bytes(bundle.chunks(512), &selector), Ok(45856));
//! ```
//! A job also has to see to it that each wanted file comes exactly once: an archive may hold two
//! files of one name, or lack one.
//!
//! # Limits
//! | what | limit | beyond it |
//! |---|---|---|
//! | name of a file without its first folder | [`MAX_NAME`] bytes | `Too long file name` |
//! | `manifest.json` | the buffer that the caller lends | `Failed to parse manifest` |
//! | nesting in it | [`crate::json::MAX_DEPTH`] | `Failed to parse manifest` |
//! | version | [`crate::descriptor::VERSION_LEN`] bytes | `Invalid manifest` |
//! | build id | [`crate::descriptor::BUILD_ID_LEN`] bytes | `Invalid manifest` |
//! | platform | [`crate::descriptor::PLATFORM_LEN`] bytes | `Invalid manifest` |
//! | the stream | 4 GiB | `File is too big` |
//! | number of files, of parts, size of a skipped file | none | |
//!
//! # Hostile input
//! Any bytes at all, cut anywhere, give events or an error: never a panic, never an endless loop,
//! never memory by what they announce. Nothing is promised about *who made* a bundle: CRC-32 and
//! the manifest's checksums find damage, signatures (not checked here) find forgery.
//!
//! # Power loss
//! A reader is lost with the RAM it lies in. [`Reader::resume_in_file`] goes on in the data of a
//! file; a staging job first makes sure that it is the same bundle ([`Manifest::identity`]).

mod error;
mod fields;
mod header;
mod manifest;
#[cfg(test)]
mod tests;
mod zip;

pub use error::{BundleError, FieldProblem, Malformed};
pub use manifest::{Manifest, PartKind, PartPlan, Selector, Skipped};
pub use zip::{Event, Fed, MANIFEST_NAME, Reader, SIGNATURE_RECORD_ID};

/// The most bytes in the name of a file, without its first folder (Mongoose OS: the same).
pub const MAX_NAME: usize = 49;

/// Name of a file or part.
pub type Name = heapless::String<MAX_NAME, u8>;

/// As much of a name as fits, made fit for a message: names come from outside, and messages may go
/// to a terminal.
fn short_name(chars: impl Iterator<Item = char>) -> Name {
    let mut name = Name::new();
    for c in chars {
        if name.push(if c.is_control() { '?' } else { c }).is_err() {
            break;
        }
    }
    name
}
