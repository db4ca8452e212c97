//! Making bundles.

use std::io::{Cursor, Write};

use ota_core::bundle::{MANIFEST_NAME, Manifest, Selector};
use ota_core::flash::MAX_SLOTS;
use serde_json::{Map, Value, json};
use sha2::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{BundleError, Timestamp};

/// What a bundle is to be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the firmware.
    pub name: String,
    /// The platform that it is for; devices refuse any other.
    pub platform: String,
    /// Its version.
    pub version: String,
    /// Which build of that version.
    pub build_id: String,
    /// When it was built.
    pub built: Timestamp,
    /// Devices that have committed a higher one refuse it; 0: none.
    pub security_counter: u32,
    /// What is in it, in this order.
    pub parts: Vec<Part>,
}

/// One part of a bundle, in a file of its own.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name in the manifest. The file is called `NAME.bin`.
    pub name: String,
    /// What it is.
    pub part_type: PartType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartType {
    /// An application.
    App {
        /// The only slot that it may be written to.
        slot: Option<u8>,
        /// The address that it was linked for.
        load_address: Option<u32>,
    },
    /// A file system image: the data part of a slot.
    Data,
}

impl Spec {
    /// A bundle without parts, built now.
    pub fn new(version: &str, platform: &str) -> Self {
        let built = Timestamp::now();
        Self {
            name: "firmware".to_owned(),
            platform: platform.to_owned(),
            version: version.to_owned(),
            build_id: format!("{}/{version}", built.compact()),
            built,
            security_counter: 0,
            parts: Vec::new(),
        }
    }

    /// The same with an application that runs in any slot.
    pub fn with_app(self, bytes: Vec<u8>) -> Self {
        self.with("app", PartType::App { slot: None, load_address: None }, bytes)
    }

    /// The same with a data part.
    pub fn with_data(self, bytes: Vec<u8>) -> Self {
        self.with("fs", PartType::Data, bytes)
    }

    /// The same with one more part.
    pub fn with(mut self, name: &str, part_type: PartType, bytes: Vec<u8>) -> Self {
        self.parts.push(Part { name: name.to_owned(), part_type, bytes });
        self
    }

    /// The manifest.
    fn manifest(&self) -> Result<Value, BundleError> {
        let mut parts = Map::new();
        for part in &self.parts {
            if parts.insert(part.name.clone(), part.entry()?).is_some() {
                return Err(BundleError::SameName { name: part.name.clone() });
            }
        }
        let mut manifest = json!({
            "name": self.name,
            "platform": self.platform,
            "version": self.version,
            "build_id": self.build_id,
            "build_timestamp": self.built.rfc3339(),
        });
        if self.security_counter > 0 {
            manifest["security_counter"] = self.security_counter.into();
        }
        manifest["parts"] = parts.into();
        Ok(manifest)
    }
}

impl Part {
    fn file_name(&self) -> String {
        format!("{}.bin", self.name)
    }

    /// What the manifest says of it.
    fn entry(&self) -> Result<Value, BundleError> {
        let size = u32::try_from(self.bytes.len())
            .map_err(|_| BundleError::TooLarge { name: self.name.clone() })?;
        let (word, slot, load_address) = match self.part_type {
            PartType::App { slot, load_address } => ("app", slot, load_address),
            PartType::Data => ("fs", None, None),
        };
        let mut entry = json!({
            "type": word,
            "src": self.file_name(),
            "size": size,
            "cs_sha1": hex(&sha1::Sha1::digest(&self.bytes)),
            "cs_sha256": hex(&sha2::Sha256::digest(&self.bytes)),
        });
        if let Some(slot) = slot {
            entry["slot"] = slot.into();
        }
        if let Some(address) = load_address {
            entry["load_addr"] = address.into();
        }
        Ok(entry)
    }
}

/// The bytes of a bundle.
///
/// # Errors
/// [`BundleError`]: two parts have one name, or no device at all would take the bundle, whatever
/// its slots and their sizes.
pub fn create(spec: &Spec) -> Result<Vec<u8>, BundleError> {
    let manifest = serde_json::to_vec_pretty(&spec.manifest()?)?;
    check(&manifest, &spec.platform)?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file(MANIFEST_NAME, stored)?;
    archive.write_all(&manifest).map_err(zip::result::ZipError::from)?;
    for part in &spec.parts {
        archive.start_file(part.file_name(), stored)?;
        archive.write_all(&part.bytes).map_err(zip::result::ZipError::from)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// The rules for manifests are the engine's, so the engine is asked.
fn check(manifest: &[u8], platform: &str) -> Result<(), BundleError> {
    let mut refusal = None;
    for target_slot in (0u8..).take(MAX_SLOTS) {
        match Manifest::select(manifest, &Selector { platform, target_slot, has_data: true }) {
            Ok(_) => return Ok(()),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    refusal.map_or(Ok(()), |error| Err(BundleError::Refused(error)))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec { built: Timestamp::from_unix(1_795_210_560), ..Spec::new("1.1.0", "sim") }
    }

    #[test]
    fn the_engine_reads_what_was_made() {
        use ota_core::bundle::{Event, Reader};
        let bundle = create(&spec().with_app(vec![1; 5000]).with_data(vec![2; 100])).unwrap();
        let (mut reader, mut scratch) = (Reader::new(), [0; 2048]);
        let (mut rest, mut files) = (&bundle[..], Vec::new());
        loop {
            let fed = reader.feed(rest, &mut scratch).unwrap();
            rest = &rest[fed.consumed..];
            match fed.event {
                Event::More => break,
                Event::FileStart { size, crc32 } => {
                    files.push((reader.file_name().to_owned(), size, crc32));
                }
                _ => {}
            }
        }
        reader.finish().unwrap();
        let crc = ota_core::crc::crc32;
        let expected = [("app.bin", 5000, crc(&[1; 5000])), ("fs.bin", 100, crc(&[2; 100]))];
        let expected = expected.map(|(name, size, crc)| (name.to_owned(), size, crc));
        assert_eq!(files, expected);
    }

    #[test]
    fn headers_are_as_the_format_wants_them() {
        let bundle = create(&spec().with_app(vec![0; 10])).unwrap();
        // Signature, then the version, flags and method: no data descriptor, stored.
        assert_eq!(bundle[..4], *b"PK\x03\x04");
        assert_eq!(bundle[6..10], [0, 0, 0, 0]);
        assert_eq!(&bundle[30..43], MANIFEST_NAME.as_bytes());
        // No extra field.
        assert_eq!(bundle[28..30], [0, 0]);
    }

    #[test]
    fn what_no_device_takes_is_not_made() {
        let words = |spec: Spec| create(&spec).unwrap_err().to_string();
        assert!(words(spec()).contains("parts"));
        assert!(words(spec().with_data(vec![1])).contains("Missing fw part"));
        let long = Spec { version: "v".repeat(33), ..spec() };
        assert!(words(long.with_app(vec![1])).contains("version is longer than 32 bytes"));
        let twice = spec().with_app(vec![1]).with_app(vec![2]);
        assert!(words(twice).contains("two parts are called \"app\""));
        let slot = PartType::App { slot: Some(9), load_address: None };
        assert!(words(spec().with("app", slot, vec![1])).contains("slot"));
    }

    #[test]
    fn an_application_for_each_slot_is_a_bundle() {
        let part = |slot| PartType::App { slot: Some(slot), load_address: Some(0x2000) };
        let spec = spec().with("app0", part(0), vec![1]).with("app1", part(1), vec![2]);
        let bundle = create(&spec).unwrap();
        let manifest = super::super::Bundle::open(&bundle).unwrap();
        assert_eq!(manifest.manifest()["parts"]["app1"]["slot"], 1);
        assert_eq!(manifest.manifest()["parts"]["app1"]["load_addr"], 0x2000);
    }
}
