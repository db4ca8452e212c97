//! Flash in a file: exactly its bytes and nothing else, so that `cmp` with an image works.
//!
//! # Power loss
//! Each operation reaches the file before its call returns, in one write of just the range that it
//! may change. Killing the process between two operations is a clean power cut. Killing it inside
//! a write may leave the first part of the range, as [`super::Tear::First`] does. Unit states are
//! not in the file: after loading, units that differ from the erase value count as programmed, and
//! no unit is torn or dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Flicker, Nor, NorDevice, NorError, Part, PendingOp, Shape};

/// Why a flash file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileNorError {
    /// Reading or writing it failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its length is not the part's capacity.
    #[error("{}: {found} bytes, but a {part} has {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The part's name.
        part: &'static str,
        /// The part's capacity in bytes.
        expected: u32,
        /// The file's length in bytes.
        found: u64,
    },
    /// Another process has it open as a flash.
    #[error("{}: another simulated device is using it", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

impl Nor {
    /// The flash that was saved at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or its length is not the part's capacity.
    pub fn load(path: &Path, part: &Part) -> Result<Self, FileNorError> {
        let bytes = fs::read(path).map_err(io_error(path))?;
        check_length(path, part, bytes.len() as u64)?;
        Ok(Self::with_image(part, &bytes))
    }

    /// Writes the bytes of the flash to `path`, as they read now.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileNorError> {
        fs::write(path, self.bytes()).map_err(io_error(path))
    }
}

/// A flash that lives in a file.
#[derive(Debug)]
pub struct FileNor {
    nor: Nor,
    file: File,
    path: PathBuf,
}

impl FileNor {
    /// Opens the flash at `path`; a file that is not there, or empty, becomes a blank flash. The
    /// file is locked against other simulated devices as long as this lives.
    ///
    /// # Errors
    /// [`FileNorError`].
    pub fn open(path: &Path, part: &Part) -> Result<Self, FileNorError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io_error(path))?;
        // File systems without locks are fine: the lock only guards against a mistake.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(FileNorError::InUse { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error(path))?;
        let is_new = bytes.is_empty();
        if !is_new {
            check_length(path, part, bytes.len() as u64)?;
        }
        let nor = Nor::with_image(part, &bytes);
        let mut opened = Self { nor, file, path: path.to_owned() };
        if is_new {
            opened.sync()?;
        }
        Ok(opened)
    }

    /// The flash in memory; equal to the file after every operation.
    pub fn nor(&self) -> &Nor {
        &self.nor
    }

    /// The flash in memory, to arm faults. Call [`FileNor::sync`] after changing bytes.
    pub fn nor_mut(&mut self) -> &mut Nor {
        &mut self.nor
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Boots, as [`Nor::power_on`]; rolled weak bits go to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn power_on(&mut self, seed: u64) -> Result<Flicker, FileNorError> {
        let flicker = self.nor.power_on(seed);
        self.sync()?;
        Ok(flicker)
    }

    /// Writes the whole flash to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn sync(&mut self) -> Result<(), FileNorError> {
        let all = 0..self.nor.shape().capacity;
        self.write_back(&all).map_err(io_error(&self.path))
    }

    fn write_back(&mut self, range: &Range<u32>) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(u64::from(range.start)))?;
        self.file.write_all(self.nor.peek(range.clone()))
    }
}

impl NorDevice for FileNor {
    fn shape(&self) -> Shape {
        self.nor.shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.nor.read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.nor.check(op)?;
        // A cut or failed operation changes its range as well.
        let result = self.nor.perform(op);
        let range = op.range(&self.nor.shape());
        let written = self.write_back(&range);
        result?;
        written.map_err(|error| NorError::File(error.kind()))
    }
}

fn check_length(path: &Path, part: &Part, found: u64) -> Result<(), FileNorError> {
    let expected = part.shape.capacity;
    if found == u64::from(expected) {
        return Ok(());
    }
    Err(FileNorError::Length { path: path.to_owned(), part: part.name, expected, found })
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> FileNorError {
    let path = path.to_owned();
    |source| FileNorError::Io { path, source }
}
