//! What was built for a board, as bundles and flash images.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::elf::PT_LOAD;
use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};
use ota_sim::app::Behaviour;
use ota_sim::bundle::{PartType, Spec, create};
use ota_sim::factory::{self, Image};

use crate::board::{Board, Kind, Program};
use crate::writes::Chance;

/// Bytes that no other version has.
const FILLING: usize = 512;

/// The programs of a board, in a folder.
pub(crate) struct Firmware<'b> {
    pub(crate) board: &'b Board,
    folder: PathBuf,
}

impl<'b> Firmware<'b> {
    /// What was built for the board into `programs`, a folder of cargo's.
    pub(crate) fn new(board: &'b Board, programs: &Path, profile: &str) -> Self {
        Self { board, folder: programs.join(board.target).join(profile) }
    }

    pub(crate) fn loader(&self) -> PathBuf {
        self.folder.join("boot")
    }

    /// A bundle of these programs. No two versions have the same bytes: the end of each is a filling of its
    /// own, the version, and the mark.
    pub(crate) fn bundle(
        &self,
        programs: &[Program],
        version: &str,
        behaviour: Behaviour,
    ) -> Result<Vec<u8>> {
        let mut spec = Spec::new(version, self.board.platform);
        for Program { name, slot } in programs {
            let (address, mut bytes) = load(&self.folder.join(name))?;
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            let mut chance =
                Chance(version.bytes().fold(1, |sum, byte| sum * 31 + u64::from(byte)));
            bytes.extend((0..FILLING).map(|_| chance.next() as u8));
            bytes.extend(format!("version:{version:\0<24}").bytes());
            bytes.extend(behaviour.mark());
            let load_address = slot.map(|_| address);
            let part = slot.map_or("app".to_owned(), |slot| format!("app{slot}"));
            spec = spec.with(&part, PartType::App { slot: *slot, load_address }, bytes);
        }
        Ok(create(&spec)?)
    }

    /// A healthy bundle of the application.
    pub(crate) fn app(&self, version: &str) -> Result<Vec<u8>> {
        self.bundle(self.board.apps, version, Behaviour::Healthy)
    }

    /// The flash of a new device.
    pub(crate) fn factory(&self, bundle: &[u8]) -> Result<Vec<u8>> {
        let places = self.board.places();
        let mut flash = factory::flash(&places, &Image::from_bundle(bundle, &places)?)?;
        if self.board.kind == Kind::Internal {
            let (address, loader) = load(&self.loader())?;
            let first = places.layout().record.address.min(places.layout().slots[0].app.address);
            ensure!(address == 0 && loader.len() <= first as usize, "the loader does not fit");
            flash[..loader.len()].copy_from_slice(&loader);
        }
        Ok(flash)
    }
}

/// The bytes that a linked program has in memory, and their address.
fn load(program: &Path) -> Result<(u32, Vec<u8>)> {
    let shown = || format!("{}: build the boards first", program.display());
    let bytes = fs::read(program).with_context(shown)?;
    let file = ElfFile32::<Endianness>::parse(&*bytes).with_context(shown)?;
    let endian = file.endian();
    let mut segments = Vec::new();
    for header in file.elf_header().program_headers(endian, &*bytes)? {
        let data = header.data(endian, &*bytes).ok().context("a segment outside of its file")?;
        // A linker may put the file's own head into a segment, at offset 0.
        let is_head = header.p_offset(endian) == 0;
        if header.p_type(endian) == PT_LOAD && !is_head && !data.is_empty() {
            segments.push((header.p_paddr(endian), data));
        }
    }
    segments.sort_by_key(|(address, _)| *address);
    let start = segments.first().context("a program without bytes")?.0;
    let mut image = Vec::new();
    for (address, data) in segments {
        let at = (address - start) as usize;
        ensure!(at >= image.len() && at < 16 << 20, "segments overlap, or are far away");
        image.resize(at, 0xFF);
        image.extend_from_slice(data);
    }
    Ok((start, image))
}
