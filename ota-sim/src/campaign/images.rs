//! The images that campaigns install: random bytes, all different, in bundles.

use crate::nor::Random;

use super::model::ImageId;

/// Platform of the campaign's device and bundles.
pub const PLATFORM: &str = "cuts";

/// Bytes of a data part, about.
pub(super) const DATA_SIZE: usize = 9_000;

/// One image.
pub struct Image {
    /// The application's bytes.
    pub bytes: Vec<u8>,
    /// Bytes of its data part, where slots have one.
    pub data: Vec<u8>,
    /// The bundle that brings the application alone.
    pub bundle: Vec<u8>,
    /// The bundle that brings both.
    pub bundle_with_data: Vec<u8>,
    /// Its security counter.
    pub counter: u32,
}

/// All images of a campaign, by [`ImageId`].
pub struct Images(Vec<Image>);

impl Images {
    /// `count` images of about `size` bytes; odd lengths, so that ends are padded. Every image but
    /// the factory's has the security counter 1.
    pub fn new(count: u8, size: usize) -> Self {
        let images = (0..count).map(|id| {
            let bytes = random_bytes(0x1AA6_E500 + u64::from(id), size - usize::from(id) * 7);
            let data = random_bytes(0xDA7A_0500 + u64::from(id), DATA_SIZE - usize::from(id) * 5);
            let counter = u32::from(id > 0);
            let app = Part { name: "app", bytes: &bytes };
            let fs = Part { name: "fs", bytes: &data };
            let bundle = bundle(&[app], id, counter);
            // Whichever part comes first.
            let both = if id % 2 == 0 { [fs, app] } else { [app, fs] };
            let bundle_with_data = self::bundle(&both, id, counter);
            Image { bytes, data, bundle, bundle_with_data, counter }
        });
        Self(images.collect())
    }

    /// The image with this id.
    pub fn get(&self, id: ImageId) -> &Image {
        &self.0[usize::from(id)]
    }
}

impl Image {
    /// The bundle for a device whose slots have data parts, or not.
    pub fn bundle(&self, with_data: bool) -> &[u8] {
        if with_data { &self.bundle_with_data } else { &self.bundle }
    }
}

/// A part of a bundle.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// Name and type in the manifest.
    name: &'static str,
    bytes: &'a [u8],
}

fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let words = std::iter::repeat_with(|| random.next_word().to_le_bytes());
    words.flatten().take(len).collect()
}

/// A minimal stored bundle, written by hand: the campaign needs no archive library.
fn bundle(parts: &[Part<'_>], id: ImageId, counter: u32) -> Vec<u8> {
    let entries: Vec<String> = parts.iter().map(manifest_entry).collect();
    let manifest = format!(
        "{{\"name\":\"cuts\",\"platform\":\"{PLATFORM}\",\"version\":\"{id}.0.0\",\
         \"build_id\":\"b{id}.0.0\",\"security_counter\":{counter},\"parts\":{{{}}}}}",
        entries.join(",")
    );
    let mut out = Vec::new();
    put_file(&mut out, "manifest.json", manifest.as_bytes());
    for part in parts {
        put_file(&mut out, &format!("{}.bin", part.name), part.bytes);
    }
    // The reader stops where the central directory begins.
    out.extend(b"PK\x01\x02");
    out.extend([0; 42]);
    out
}

fn manifest_entry(part: &Part<'_>) -> String {
    use sha2::Digest;
    let Part { name, bytes } = part;
    let sha: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "\"{name}\":{{\"type\":\"{name}\",\"src\":\"{name}.bin\",\"size\":{},\
         \"cs_sha256\":\"{sha}\"}}",
        bytes.len()
    )
}

fn put_file(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let size = (data.len() as u32).to_le_bytes();
    out.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0");
    out.extend(ota_core::crc::crc32(data).to_le_bytes());
    out.extend(size);
    out.extend(size);
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out.extend(name.as_bytes());
    out.extend(data);
}
