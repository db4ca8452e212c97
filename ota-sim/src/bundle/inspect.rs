//! Looking into bundles, made here or elsewhere.

use std::io::{Cursor, Read};

use ota_core::bundle::MANIFEST_NAME;
use serde::Serialize;
use serde_json::Value;
use sha2::Digest;
use zip::{CompressionMethod, ZipArchive};

use super::BundleError;
use super::create::hex;

/// A bundle in memory.
#[derive(Clone, Debug)]
pub struct Bundle {
    members: Vec<Member>,
    /// The bytes of each member; none if it is compressed.
    bytes: Vec<Option<Vec<u8>>>,
    manifest: Value,
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its name without the first folder.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is stored as it is; devices that cannot inflate refuse anything else.
    pub is_stored: bool,
    /// Whether its bytes have the CRC-32 that the archive gives; none if that was not looked at.
    pub crc_matches: Option<bool>,
}

/// A part of the manifest, compared with the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartCheck {
    /// Its name.
    pub name: String,
    /// `type` in the manifest.
    pub part_type: String,
    /// `src` in the manifest.
    pub file: String,
    /// Size of the file in bytes, if it is in the archive.
    pub size: Option<u64>,
    /// What is wrong, in words; empty if nothing is.
    pub problems: Vec<String>,
}

impl Bundle {
    /// Reads a bundle. Damaged files are read all the same and told of.
    ///
    /// # Errors
    /// [`BundleError`]: it is no ZIP archive, or there is no manifest that can be read.
    pub fn open(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        let mut bundle = Self { members: Vec::new(), bytes: Vec::new(), manifest: Value::Null };
        for index in 0..archive.len() {
            let (member, data) = read_member(&mut archive, index)?;
            bundle.members.push(member);
            bundle.bytes.push(data);
        }
        let manifest = bundle.file(MANIFEST_NAME).ok_or(BundleError::NoManifest)?;
        bundle.manifest = serde_json::from_slice(manifest)?;
        Ok(bundle)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Value {
        &self.manifest
    }

    /// A text of the manifest; empty if there is none of this key.
    pub fn text(&self, key: &str) -> &str {
        self.manifest[key].as_str().unwrap_or_default()
    }

    /// The files, in the order of the archive's directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The bytes of the first file of this name; none if there is none or it is compressed.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        let index = self.members.iter().position(|member| member.name == name)?;
        self.bytes[index].as_deref()
    }

    /// Every part of the manifest, compared with the archive.
    pub fn parts(&self) -> Vec<PartCheck> {
        let parts = self.manifest["parts"].as_object();
        parts.into_iter().flatten().map(|(name, part)| self.check(name, part)).collect()
    }

    fn check(&self, name: &str, part: &Value) -> PartCheck {
        let text = |key: &str| part[key].as_str().unwrap_or_default().to_owned();
        let file = text("src");
        let member = self.members.iter().find(|member| member.name == file);
        let mut problems = Vec::new();
        match (member, self.file(&file)) {
            (None, _) => problems.push(format!("file {file:?} is not in the archive")),
            (Some(_), None) => problems.push("compressed: devices may refuse it".to_owned()),
            (Some(member), Some(bytes)) => {
                if member.crc_matches == Some(false) {
                    problems.push("damaged: CRC-32 differs".to_owned());
                }
                problems.extend(differences(part, bytes));
            }
        }
        let size = member.map(|member| member.size);
        PartCheck { name: name.to_owned(), part_type: text("type"), file, size, problems }
    }
}

/// What the manifest says of a part and its bytes deny.
fn differences(part: &Value, bytes: &[u8]) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(size) = part["size"].as_u64()
        && size != bytes.len() as u64
    {
        problems.push(format!("the manifest says {size} bytes, the file has {}", bytes.len()));
    }
    for (key, found) in [
        ("cs_sha1", hex(&sha1::Sha1::digest(bytes))),
        ("cs_sha256", hex(&sha2::Sha256::digest(bytes))),
    ] {
        if let Some(expected) = part[key].as_str()
            && !expected.eq_ignore_ascii_case(&found)
        {
            problems.push(format!("{key} differs: the bytes have {found}"));
        }
    }
    problems
}

fn read_member(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
) -> Result<(Member, Option<Vec<u8>>), BundleError> {
    // As it lies in the archive, so that compressed and damaged files do not end it all.
    let mut file = archive.by_index_raw(index)?;
    let name = file.name()?;
    let name = name.split_once('/').map_or(&*name, |(_, rest)| rest).to_owned();
    let is_stored = file.compression() == CompressionMethod::Stored;
    let (size, crc) = (file.size(), file.crc32());
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(zip::result::ZipError::from)?;
    let crc_matches = is_stored.then(|| ota_core::crc::crc32(&bytes) == crc);
    Ok((Member { name, size, is_stored, crc_matches }, is_stored.then_some(bytes)))
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, create};
    use super::*;

    fn vector(name: &str) -> Vec<u8> {
        let path = format!("{}/../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    }

    #[test]
    fn bundles_of_the_real_tool_are_read() {
        let bundle = Bundle::open(&vector("mos-1.1.0.zip")).unwrap();
        assert_eq!((bundle.text("version"), bundle.text("platform")), ("1.1.0", "sim"));
        assert_eq!(bundle.file("app.bin"), Some(&vector("app-1.1.0.bin")[..]));
        let parts = bundle.parts();
        assert_eq!(parts.len(), 2);
        for part in parts {
            assert_eq!(part.problems, Vec::<String>::new(), "{}", part.name);
        }
    }

    #[test]
    fn a_compressed_manifest_is_said_to_be_none() {
        let error = Bundle::open(&vector("mos-1.1.0-deflate.zip")).unwrap_err();
        assert!(matches!(error, BundleError::NoManifest), "{error}");
    }

    #[test]
    fn damage_is_told_of() {
        let whole = create(&Spec::new("1.0.0", "sim").with_app(vec![0x55; 1000])).unwrap();
        let app = whole.windows(100).position(|bytes| bytes == [0x55; 100]).unwrap();
        let mut damaged = whole.clone();
        damaged[app] ^= 1;
        let problems = &Bundle::open(&damaged).unwrap().parts()[0].problems;
        let words = ["CRC-32 differs", "cs_sha1 differs", "cs_sha256 differs"];
        assert_eq!(problems.len(), words.len());
        for (problem, words) in problems.iter().zip(words) {
            assert!(problem.contains(words), "{problem}");
        }
        assert!(Bundle::open(&whole[..500]).is_err());
        assert!(Bundle::open(b"not a bundle at all").is_err());
    }
}
