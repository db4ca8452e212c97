//! A writer of ZIP archives, good and odd ones.

use std::vec::Vec;

use crate::crc::crc32;

/// One file, with everything in its local header.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) stored: u32,
    pub(super) size: u32,
    pub(super) extra: Vec<u8>,
    /// What follows the data.
    pub(super) behind: Vec<u8>,
}

impl Entry {
    /// As `mos create-fw-bundle` stores it.
    pub(super) fn new(name: &str, data: &[u8]) -> Self {
        let size = data.len() as u32;
        Self {
            name: name.into(),
            data: data.into(),
            flags: 0,
            method: 0,
            crc32: crc32(data),
            stored: size,
            size,
            extra: Vec::new(),
            behind: Vec::new(),
        }
    }

    /// With flag bit 3, and what writers put behind the data then.
    pub(super) fn with_descriptor(mut self, with_signature: bool) -> Self {
        self.flags |= 1 << 3;
        if with_signature {
            self.behind.extend_from_slice(b"PK\x07\x08");
        }
        for field in [crc32(&self.data), self.stored, self.size] {
            self.behind.extend_from_slice(&field.to_le_bytes());
        }
        self
    }

    /// With one more record in the extra field.
    pub(super) fn with_record(mut self, id: u16, bytes: &[u8]) -> Self {
        self.extra.extend_from_slice(&id.to_le_bytes());
        self.extra.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        self.extra.extend_from_slice(bytes);
        self
    }

    /// The fields from "version needed" to the lengths, the same in both kinds of header.
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [20, self.flags, self.method, 0, 0x21] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.crc32, self.stored, self.size] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&(self.name.len() as u16).to_le_bytes());
        bytes
    }

    fn local(&self) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend_from_slice(&self.common());
        bytes.extend_from_slice(&(self.extra.len() as u16).to_le_bytes());
        for part in [&self.name, &self.extra, &self.data, &self.behind] {
            bytes.extend_from_slice(part);
        }
        bytes
    }

    fn central(&self, offset: usize) -> Vec<u8> {
        let mut bytes = b"PK\x01\x02\x14\x00".to_vec();
        bytes.extend_from_slice(&self.common());
        bytes.extend_from_slice(&[0; 12]);
        bytes.extend_from_slice(&(offset as u32).to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes
    }
}

/// An archive; `.1` is where its central directory starts.
pub(super) fn archive_and_directory(entries: &[Entry]) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        directory.extend_from_slice(&entry.central(bytes.len()));
        bytes.extend_from_slice(&entry.local());
    }
    let start = bytes.len();
    bytes.extend_from_slice(&directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    }
    for field in [directory.len(), start] {
        bytes.extend_from_slice(&(field as u32).to_le_bytes());
    }
    bytes.extend_from_slice(&[0, 0]);
    (bytes, start)
}

/// An archive.
pub(super) fn archive(entries: &[Entry]) -> Vec<u8> {
    archive_and_directory(entries).0
}

/// A manifest for `SAMPLE_APP` and `SAMPLE_FS`.
pub(super) const SAMPLE_MANIFEST: &[u8] = br#"{"platform":"sim","version":"1","build_id":"b",
"parts":{"app":{"type":"app","src":"app.bin"},"fs":{"type":"fs","src":"fs.bin"}}}"#;
/// Begins like a header, to tempt a reader that searches.
pub(super) const SAMPLE_APP: &[u8] = b"PK\x03\x04 is no header here, nor is PK\x01\x02";
pub(super) const SAMPLE_FS: &[u8] = b"files";

/// A small archive with one of everything that may occur: folder entry, folder prefix, signature,
/// other extra records, all forms of data descriptor, an empty file.
pub(super) fn sample() -> Vec<Entry> {
    std::vec![
        Entry::new("demo-1/", b""),
        Entry::new("demo-1/manifest.json", SAMPLE_MANIFEST)
            .with_record(0x5455, &[1, 2, 3, 4, 5])
            .with_record(0x293a, br#"{"sig0":"MEQ"}"#)
            .with_descriptor(true),
        Entry::new("demo-1/readme.txt", b"skip me").with_descriptor(false),
        Entry::new("demo-1/app.bin", SAMPLE_APP).with_record(0x7875, &[0; 11]),
        Entry::new("demo-1/none", b""),
        Entry::new("demo-1/fs.bin", SAMPLE_FS).with_descriptor(false),
    ]
}
