//! The images that campaigns install: random bytes, all different, in bundles.

use crate::nor::Random;

use super::model::ImageId;

/// Platform of the campaign's device and bundles.
pub const PLATFORM: &str = "cuts";

/// One image.
pub struct Image {
    /// The application's bytes.
    pub bytes: Vec<u8>,
    /// The bundle that brings it.
    pub bundle: Vec<u8>,
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
            let mut random = Random::new(0x1AA6_E500 + u64::from(id));
            let len = size - usize::from(id) * 7;
            let words = std::iter::repeat_with(|| random.next_word().to_le_bytes());
            let bytes: Vec<u8> = words.flatten().take(len).collect();
            let counter = u32::from(id > 0);
            let bundle = bundle(&bytes, &format!("{id}.0.0"), counter);
            Image { bytes, bundle, counter }
        });
        Self(images.collect())
    }

    /// The image with this id.
    pub fn get(&self, id: ImageId) -> &Image {
        &self.0[usize::from(id)]
    }
}

/// A minimal stored bundle, written by hand: the campaign needs no archive library.
fn bundle(app: &[u8], version: &str, counter: u32) -> Vec<u8> {
    use sha2::Digest;
    let sha: String = sha2::Sha256::digest(app).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = format!(
        "{{\"name\":\"cuts\",\"platform\":\"{PLATFORM}\",\"version\":\"{version}\",\
         \"build_id\":\"b{version}\",\"security_counter\":{counter},\"parts\":{{\"app\":{{\
         \"type\":\"app\",\"src\":\"app.bin\",\"size\":{},\"cs_sha256\":\"{sha}\"}}}}}}",
        app.len()
    );
    let mut out = Vec::new();
    for (name, data) in [("manifest.json", manifest.as_bytes()), ("app.bin", app)] {
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
    // The reader stops where the central directory begins.
    out.extend(b"PK\x01\x02");
    out.extend([0; 42]);
    out
}
