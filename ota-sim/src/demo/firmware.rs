//! What the demo installs: a real executable, in several versions.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ota_sim::app::Behaviour;
use ota_sim::bundle::{Spec, create};
use ota_sim::factory::Image;
use ota_sim::nor::Random;

use super::PLATFORM;

const MIN_BYTES: u64 = 256 * 1024;
/// What is taken of this program's own executable where nothing else is found.
const OWN_BYTES: usize = 768 * 1024;

/// Real bytes, and where they are from.
pub(super) struct Firmware {
    origin: String,
    bytes: Vec<u8>,
}

impl Firmware {
    /// `file`, or an executable found on this computer, with room for a mark behind it.
    pub(super) fn choose(file: Option<&Path>, room: u32) -> Result<Self> {
        let largest = u64::from(room) - ota_sim::app::MARK_LEN as u64;
        if let Some(path) = file {
            let bytes = crate::cli::read(path)?;
            let length = bytes.len() as u64;
            ensure!(
                (MIN_BYTES..=largest).contains(&length),
                "{} has {length} bytes; give a file of {MIN_BYTES} to {largest}",
                path.display()
            );
            return Ok(Self { origin: path.display().to_string(), bytes });
        }
        if let Some(path) = find(largest) {
            let bytes = crate::cli::read(&path)?;
            return Ok(Self { origin: path.display().to_string(), bytes });
        }
        let own = std::env::current_exe().context("cannot find an executable; use --firmware")?;
        let mut bytes = crate::cli::read(&own)?;
        bytes.truncate(OWN_BYTES);
        Ok(Self { origin: format!("the first part of {}", own.display()), bytes })
    }

    /// Where the bytes are from.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn size_words(&self) -> String {
        format!("{} bytes; that is 1.1.0, other versions are the same, scrambled", self.bytes.len())
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The application of a version. 1.1.0 is the executable as it is. The others are scrambled, so
    /// that no sector of two versions is equal: the engine would not write it again.
    pub(super) fn app(&self, version: &str, behaviour: Behaviour) -> Vec<u8> {
        let mut app = self.bytes.clone();
        if version != "1.1.0" {
            let mut random = Random::new(ota_core::crc::crc32(version.as_bytes()).into());
            let words = std::iter::repeat_with(|| random.next_word().to_le_bytes());
            app.iter_mut().zip(words.flatten()).for_each(|(byte, other)| *byte ^= other);
        }
        if behaviour != Behaviour::Healthy {
            app.extend(behaviour.mark());
        }
        app
    }

    /// What the factory writes.
    pub(super) fn factory(&self, version: &str) -> Image {
        let app = self.app(version, Behaviour::Healthy);
        Image { app, data: Some(data(version)), ..Image::new(version, PLATFORM) }
    }

    /// A bundle for `platform`.
    pub(super) fn bundle(
        &self,
        version: &str,
        behaviour: Behaviour,
        platform: &str,
    ) -> Result<Vec<u8>> {
        pack(self.app(version, behaviour), version, platform)
    }
}

/// A bundle of any application, with a data part.
pub(super) fn pack(app: Vec<u8>, version: &str, platform: &str) -> Result<Vec<u8>> {
    let spec = Spec { name: "demo".to_owned(), ..Spec::new(version, platform) };
    Ok(create(&spec.with_app(app).with_data(data(version)))?)
}

/// A small data part, which says what it belongs to.
fn data(version: &str) -> Vec<u8> {
    format!("data of version {version}\n").repeat(400).into_bytes()
}

/// The first executable of a fitting size in the folders of `PATH`, by name.
fn find(largest: u64) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).find_map(|folder| {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        files.into_iter().find(|file| {
            std::fs::metadata(file)
                .is_ok_and(|found| found.is_file() && (MIN_BYTES..=largest).contains(&found.len()))
                && is_program(file)
        })
    })
}

/// Whether a file begins as the executables of Linux, macOS and Windows do.
fn is_program(file: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    let magics: [&[u8]; 4] = [b"\x7FELF", b"\xCF\xFA\xED\xFE", b"\xCA\xFE\xBA\xBE", b"MZ"];
    read.is_ok() && magics.iter().any(|magic| start.starts_with(magic))
}
