//! Bundles: real ones, built ones, broken ones.

mod archive;
mod features;
mod hostile;
mod manifest;
mod vectors;

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::{BundleError, Event, Reader};

/// Room for the manifest in these tests.
const SCRATCH: usize = 2048;

/// Everything that came out of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    manifest: Option<Vec<u8>>,
    files: Vec<FileSeen>,
    /// The central directory was reported.
    complete: bool,
    signed: bool,
    error: Option<BundleError>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FileSeen {
    name: String,
    size: u32,
    crc32: u32,
    data: Vec<u8>,
    ended: bool,
}

impl Outcome {
    fn file(&self, name: &str) -> Option<&FileSeen> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// Drives a reader as a staging job would, and checks what it promises at every event.
struct Session {
    reader: Reader,
    scratch: Vec<u8>,
    outcome: Outcome,
    skip: fn(&str) -> bool,
}

impl Session {
    fn new(reader: Reader) -> Self {
        Self { reader, scratch: vec![0; SCRATCH], outcome: Outcome::default(), skip: |_| false }
    }

    fn feed(&mut self, mut input: &[u8]) {
        while self.outcome.error.is_none() {
            let before = self.reader.stream_offset();
            let fed = match self.reader.feed(input, &mut self.scratch) {
                Ok(fed) => fed,
                Err(error) => {
                    assert_eq!(
                        self.reader.feed(input, &mut self.scratch),
                        Err(BundleError::AlreadyRefused)
                    );
                    self.outcome.error = Some(error);
                    return;
                }
            };
            assert!(fed.consumed <= input.len());
            if !self.outcome.complete {
                assert_eq!(self.reader.stream_offset(), before + fed.consumed as u32);
            }
            if let Event::Data(data) = fed.event {
                assert!(!data.is_empty());
                assert_eq!(data, &input[fed.consumed - data.len()..fed.consumed]);
            }
            input = &input[fed.consumed..];
            if fed.event == Event::More {
                assert!(input.is_empty(), "asked for more, but left {} bytes", input.len());
                return;
            }
            self.note(fed.event);
        }
    }

    fn note(&mut self, event: Event<'_>) {
        assert!(!self.outcome.complete, "{event:?} behind the end");
        self.outcome.signed = self.reader.signed();
        match event {
            Event::More => {}
            Event::Manifest { len } => {
                assert_eq!(self.outcome.manifest, None);
                self.outcome.manifest = Some(self.scratch[..len].to_vec());
            }
            Event::FileStart { size, crc32 } => {
                assert!(self.outcome.manifest.is_some());
                let name = self.reader.file_name().to_string();
                assert_eq!(self.reader.file_remaining(), size);
                if (self.skip)(&name) {
                    self.reader.skip_file();
                    return;
                }
                let (data, ended) = (Vec::new(), false);
                self.outcome.files.push(FileSeen { name, size, crc32, data, ended });
            }
            Event::Data(bytes) => {
                let file = self.outcome.files.last_mut().unwrap();
                assert!(!file.ended);
                file.data.extend_from_slice(bytes);
                assert_eq!(file.data.len() as u32 + self.reader.file_remaining(), file.size);
            }
            Event::FileEnd => {
                let file = self.outcome.files.last_mut().unwrap();
                assert!(!file.ended);
                assert_eq!(file.data.len() as u32, file.size);
                file.ended = true;
            }
            Event::Directory => {
                assert!(self.reader.is_complete());
                self.outcome.complete = true;
            }
        }
    }
}

/// What comes of a stream that is fed in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut session = Session::new(Reader::new());
    for piece in pieces {
        session.feed(piece);
    }
    if session.outcome.error.is_none() {
        assert_eq!(session.reader.finish().is_ok(), session.outcome.complete);
    }
    session.outcome
}

/// The one error of a stream, whole and byte by byte.
fn refusal(archive: &[u8]) -> BundleError {
    let outcome = read([archive]);
    assert_eq!(read(archive.chunks(1)), outcome);
    outcome.error.expect("this archive is to be refused")
}

/// What comes of a good stream, whole and byte by byte.
fn accepted(archive: &[u8]) -> Outcome {
    let outcome = read([archive]);
    assert_eq!(read(archive.chunks(1)), outcome);
    assert_eq!(outcome.error, None);
    assert!(outcome.complete);
    outcome
}
