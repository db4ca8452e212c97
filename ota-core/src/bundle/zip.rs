//! A push parser of stored ZIP archives, by local headers.
//!
//! Bytes go in as they come, in pieces of any size, and are looked at once: the central directory
//! at an archive's end is never needed. See the [parent module](super) for the layout of the bytes.
//!
//! # Invariants
//! * [`Event::More`] means that all input was consumed; every other event means progress. A loop
//!   that feeds until `More` ends.
//! * What an archive announces (sizes, lengths) bounds counters, never memory.
//! * No file data is handed out before the manifest has been.

use heapless::Vec;

use super::header::{
    CENTRAL_DIRECTORY, DATA_DESCRIPTOR, DESCRIPTOR_SIZE, EXTRA_RECORD_HEADER_SIZE, FileName,
    LOCAL_HEADER, LOCAL_HEADER_SIZE, LocalHeader, SIGNATURE_SIZE, check_descriptor,
};
use super::{BundleError, Malformed, Name};
use crate::bytes::{put, u16_at, u32_at};
use crate::crc::Crc32;

/// The file that has to come first.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Id of the record in the extra field of the manifest's header that holds signatures (`:)`).
pub const SIGNATURE_RECORD_ID: u16 = 0x293a;

/// What [`Reader::feed`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed<'i> {
    /// How many bytes of the input are done with. The next call wants what follows them.
    pub consumed: usize,
    /// What happened behind the last of them.
    pub event: Event<'i>,
}

/// What happened in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// All input is consumed; feed more when there is some.
    More,
    /// The manifest is in `scratch[..len]`, and its CRC-32 is right.
    Manifest {
        /// Its size in bytes.
        len: usize,
    },
    /// A file starts: [`Reader::file_name`]. To do without it, call [`Reader::skip_file`].
    FileStart {
        /// Its size in bytes, as announced.
        size: u32,
        /// Its CRC-32, as announced; 0 if unknown.
        crc32: u32,
    },
    /// The next bytes of the file: a part of the input, never empty.
    Data(&'i [u8]),
    /// The file is complete, and its CRC-32 is right if the header gave one.
    FileEnd,
    /// The central directory begins: there are no more files. Said once; what follows is ignored.
    Directory,
}

/// The parser.
///
/// It refuses once: after an error every call returns [`BundleError::AlreadyRefused`].
#[derive(Clone)]
pub struct Reader {
    phase: Phase,
    /// The header or record being collected.
    buffer: Vec<u8, LOCAL_HEADER_SIZE>,
    /// Where it started in the stream.
    header_offset: u32,
    /// Bytes consumed.
    offset: u32,
    /// Of the file read last.
    name: FileName,
    file: File,
    /// Bytes of the file's data still to come; 0 while there is no file.
    remaining: u32,
    /// Of the file's data so far.
    crc: Crc32,
    manifest_seen: bool,
    signed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The four bytes that tell what comes next.
    Signature,
    /// The rest of a local header.
    Header,
    /// The file's name: so many bytes to come.
    Name {
        left: usize,
    },
    /// The extra field: so many bytes to come; pass over some to find the next record's header.
    Extra {
        left: usize,
        skip: usize,
    },
    Manifest,
    Data,
    SkippedData,
    /// The rest of a data descriptor of so many bytes.
    Descriptor {
        len: usize,
    },
    Directory,
    Refused,
}

/// What is known of the file being read.
#[derive(Clone, Copy, Default)]
struct File {
    /// Of its data in bytes; of what was left of them where reading was resumed.
    size: u32,
    /// 0 if unknown.
    crc32: u32,
    extra_len: u16,
    /// A data descriptor may follow the data.
    descriptor: bool,
    /// There was no header: reading was resumed in the middle.
    resumed: bool,
}

impl Reader {
    /// At the start of a bundle.
    pub fn new() -> Self {
        Self {
            phase: Phase::Signature,
            buffer: Vec::new(),
            header_offset: 0,
            offset: 0,
            name: FileName::new(),
            file: File::default(),
            remaining: 0,
            crc: Crc32::new(),
            manifest_seen: false,
            signed: false,
        }
    }

    /// In the data of a file behind the manifest: at byte `stream_offset` of the bundle, with
    /// `remaining` bytes of the file to come.
    ///
    /// The first events are the rest of the file's data and its end. Its CRC-32 is not checked, for
    /// only a part of it is seen, and its name is empty.
    pub fn resume_in_file(stream_offset: u32, remaining: u32) -> Self {
        Self {
            phase: Phase::Data,
            offset: stream_offset,
            file: File { size: remaining, descriptor: true, resumed: true, ..File::default() },
            remaining,
            manifest_seen: true,
            ..Self::new()
        }
    }

    /// Reads `input` up to the next event. Call again with what was not consumed, also if that is
    /// nothing, until the event is [`Event::More`].
    ///
    /// The manifest is collected in `scratch`: lend the same buffer until [`Event::Manifest`], and
    /// leave it alone. It is not used afterwards and may be empty then.
    ///
    /// # Errors
    /// Any [`BundleError`] about the archive. An input that is cut somewhere is no error: whether
    /// the stream may end there is what [`Self::finish`] tells.
    pub fn feed<'i>(
        &mut self,
        input: &'i [u8],
        scratch: &mut [u8],
    ) -> Result<Fed<'i>, BundleError> {
        let mut rest = input;
        loop {
            match self.step(&mut rest, scratch) {
                Ok(Some(event)) => {
                    return Ok(Fed { consumed: input.len().saturating_sub(rest.len()), event });
                }
                Ok(None) => {}
                Err(error) => {
                    self.phase = Phase::Refused;
                    return Err(error);
                }
            }
        }
    }

    /// Name of the file that [`Event::FileStart`] announced, without its first folder.
    pub fn file_name(&self) -> &str {
        self.name.as_str()
    }

    /// Passes over the rest of the file's data: no more events come of it, not even its end, and
    /// its CRC-32 is not checked. Between files this does nothing.
    pub fn skip_file(&mut self) {
        if self.phase == Phase::Data {
            self.phase = Phase::SkippedData;
        }
    }

    /// How many bytes of the file's data are still to come; 0 between files.
    pub fn file_remaining(&self) -> u32 {
        self.remaining
    }

    /// How many bytes were consumed so far.
    pub fn stream_offset(&self) -> u32 {
        self.offset
    }

    /// Whether the manifest's header carries signatures. Final when the manifest has been reported;
    /// false after [`Self::resume_in_file`]. The signatures are not checked here.
    pub fn signed(&self) -> bool {
        self.signed
    }

    /// Whether all data of the bundle has been read.
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Directory
    }

    /// To be asked at the end of the stream: is the bundle complete?
    ///
    /// # Errors
    /// [`BundleError::Incomplete`] if the central directory has not begun,
    /// [`BundleError::AlreadyRefused`] after an error.
    pub fn finish(&self) -> Result<(), BundleError> {
        if self.is_complete() {
            return Ok(());
        }
        if self.phase == Phase::Refused {
            return Err(BundleError::AlreadyRefused);
        }
        let file = if self.remaining > 0 { self.name.to_name() } else { Name::new() };
        Err(BundleError::Incomplete { offset: self.offset, missing: self.remaining, file })
    }

    /// Goes on by one phase. No event: the next phase is to be tried.
    fn step<'i>(
        &mut self,
        rest: &mut &'i [u8],
        scratch: &mut [u8],
    ) -> Result<Option<Event<'i>>, BundleError> {
        match self.phase {
            Phase::Signature => self.signature(rest),
            Phase::Header => self.header(rest),
            Phase::Name { left } => self.name(rest, left),
            Phase::Extra { left, skip } => self.extra(rest, left, skip),
            Phase::Manifest => self.manifest(rest, scratch),
            Phase::Data => self.data(rest),
            Phase::SkippedData => self.skipped_data(rest),
            Phase::Descriptor { len } => self.descriptor(rest, len),
            Phase::Directory => {
                *rest = &[];
                Ok(Some(Event::More))
            }
            Phase::Refused => Err(BundleError::AlreadyRefused),
        }
    }

    fn signature<'i>(&mut self, rest: &mut &'i [u8]) -> Result<Option<Event<'i>>, BundleError> {
        if self.buffer.is_empty() {
            self.header_offset = self.offset;
        }
        if !self.collect(rest, SIGNATURE_SIZE)? {
            return Ok(Some(Event::More));
        }
        let signature = u32_at(&self.buffer, 0);
        self.phase = match signature {
            LOCAL_HEADER => Phase::Header,
            CENTRAL_DIRECTORY if self.manifest_seen => {
                self.phase = Phase::Directory;
                return Ok(Some(Event::Directory));
            }
            // The general flags only say that a descriptor may follow, and of two lengths. Neither
            // is there where the next header is: Mongoose OS expects none behind a wanted file.
            DATA_DESCRIPTOR if self.file.descriptor => {
                Phase::Descriptor { len: SIGNATURE_SIZE.saturating_add(DESCRIPTOR_SIZE) }
            }
            _ if self.file.descriptor => Phase::Descriptor { len: DESCRIPTOR_SIZE },
            _ => return Err(self.malformed(Malformed::FileHeader { signature })),
        };
        Ok(None)
    }

    fn descriptor<'i>(
        &mut self,
        rest: &mut &'i [u8],
        len: usize,
    ) -> Result<Option<Event<'i>>, BundleError> {
        if !self.collect(rest, len)? {
            return Ok(Some(Event::More));
        }
        let expected = (!self.file.resumed).then_some(self.file.size);
        check_descriptor(&self.buffer, expected, self.header_offset)?;
        // There is one at most.
        self.file.descriptor = false;
        self.expect_header();
        Ok(None)
    }

    fn header<'i>(&mut self, rest: &mut &'i [u8]) -> Result<Option<Event<'i>>, BundleError> {
        if !self.collect(rest, LOCAL_HEADER_SIZE)? {
            return Ok(Some(Event::More));
        }
        let header = LocalHeader::parse(&self.buffer, self.header_offset)?;
        let LocalHeader { size, crc32, name_len, extra_len, descriptor } = header;
        self.file = File { size, crc32, extra_len, descriptor, resumed: false };
        self.name = FileName::new();
        self.buffer.clear();
        self.phase = Phase::Name { left: usize::from(name_len) };
        Ok(None)
    }

    fn name<'i>(
        &mut self,
        rest: &mut &'i [u8],
        left: usize,
    ) -> Result<Option<Event<'i>>, BundleError> {
        let bytes = self.take(rest, left)?;
        self.name.add(bytes);
        let left = left.saturating_sub(bytes.len());
        if left > 0 {
            self.phase = Phase::Name { left };
            return Ok(Some(Event::More));
        }
        self.name.check(self.header_offset)?;
        let left = usize::from(self.file.extra_len);
        // Only the manifest's records are of interest.
        let skip = if self.manifest_seen { left } else { 0 };
        self.phase = Phase::Extra { left, skip };
        Ok(None)
    }

    /// A record that claims more than there is of the field is just the last one: writers pad.
    fn extra<'i>(
        &mut self,
        rest: &mut &'i [u8],
        left: usize,
        mut skip: usize,
    ) -> Result<Option<Event<'i>>, BundleError> {
        let bytes = self.take(rest, left)?;
        for &byte in bytes {
            if skip > 0 {
                skip = skip.saturating_sub(1);
                continue;
            }
            let _ = self.buffer.push(byte);
            if self.buffer.len() >= EXTRA_RECORD_HEADER_SIZE {
                self.signed |= u16_at(&self.buffer, 0) == SIGNATURE_RECORD_ID;
                skip = usize::from(u16_at(&self.buffer, 2));
                self.buffer.clear();
            }
        }
        let left = left.saturating_sub(bytes.len());
        if left > 0 {
            self.phase = Phase::Extra { left, skip };
            return Ok(Some(Event::More));
        }
        self.buffer.clear();
        self.open_file()
    }

    fn open_file<'i>(&mut self) -> Result<Option<Event<'i>>, BundleError> {
        let File { size, crc32, descriptor, .. } = self.file;
        if self.name.is_folder() && size == 0 {
            self.expect_header();
            return Ok(None);
        }
        // An empty file that is flagged so might be one, but nobody needs it.
        if descriptor && size == 0 {
            return Err(self.malformed(Malformed::SizeMissing));
        }
        self.remaining = size;
        self.crc = Crc32::new();
        if self.manifest_seen {
            self.phase = Phase::Data;
            return Ok(Some(Event::FileStart { size, crc32 }));
        }
        if self.file_name() != MANIFEST_NAME {
            return Err(BundleError::ManifestNotFirst { found: self.name.to_name() });
        }
        self.phase = Phase::Manifest;
        Ok(None)
    }

    fn manifest<'i>(
        &mut self,
        rest: &mut &'i [u8],
        scratch: &mut [u8],
    ) -> Result<Option<Event<'i>>, BundleError> {
        let size = self.file.size;
        let limit = scratch.len();
        let Some(scratch) = usize::try_from(size).ok().and_then(|len| scratch.get_mut(..len))
        else {
            return Err(BundleError::ManifestTooLong { size, limit });
        };
        let at = scratch.len().saturating_sub(as_usize(self.remaining));
        put(scratch, at, self.take_data(rest)?);
        if self.remaining > 0 {
            return Ok(Some(Event::More));
        }
        self.check_crc()?;
        self.manifest_seen = true;
        self.expect_header();
        Ok(Some(Event::Manifest { len: scratch.len() }))
    }

    fn data<'i>(&mut self, rest: &mut &'i [u8]) -> Result<Option<Event<'i>>, BundleError> {
        if self.remaining == 0 {
            self.check_crc()?;
            self.expect_header();
            return Ok(Some(Event::FileEnd));
        }
        let bytes = self.take_data(rest)?;
        Ok(Some(if bytes.is_empty() { Event::More } else { Event::Data(bytes) }))
    }

    fn skipped_data<'i>(&mut self, rest: &mut &'i [u8]) -> Result<Option<Event<'i>>, BundleError> {
        let bytes = self.take(rest, as_usize(self.remaining))?;
        self.count_down(bytes);
        if self.remaining > 0 {
            return Ok(Some(Event::More));
        }
        self.expect_header();
        Ok(None)
    }

    /// The next bytes of the file's data, counted and added to its CRC-32.
    fn take_data<'i>(&mut self, rest: &mut &'i [u8]) -> Result<&'i [u8], BundleError> {
        let bytes = self.take(rest, as_usize(self.remaining))?;
        self.count_down(bytes);
        if self.file.crc32 != 0 {
            self.crc.update(bytes);
        }
        Ok(bytes)
    }

    fn count_down(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.remaining = self.remaining.saturating_sub(len);
    }

    fn check_crc(&self) -> Result<(), BundleError> {
        let (expected, found) = (self.file.crc32, self.crc.value());
        if expected == 0 || expected == found {
            return Ok(());
        }
        Err(BundleError::InvalidCrc { file: self.name.to_name(), expected, found })
    }

    fn expect_header(&mut self) {
        self.buffer.clear();
        self.phase = Phase::Signature;
    }

    fn malformed(&self, reason: Malformed) -> BundleError {
        BundleError::Malformed { offset: self.header_offset, reason }
    }

    /// Collects until the buffer holds `len` bytes; tells whether it does.
    fn collect(&mut self, rest: &mut &[u8], len: usize) -> Result<bool, BundleError> {
        let bytes = self.take(rest, len.saturating_sub(self.buffer.len()))?;
        // There is room: no `len` is larger than the buffer.
        let _ = self.buffer.extend_from_slice(bytes);
        Ok(self.buffer.len() >= len)
    }

    /// Consumes at most `most` bytes: every byte of the stream passes here.
    fn take<'i>(&mut self, rest: &mut &'i [u8], most: usize) -> Result<&'i [u8], BundleError> {
        let (bytes, behind) = rest.split_at_checked(most).unwrap_or((rest, &[]));
        self.offset = u32::try_from(bytes.len())
            .ok()
            .and_then(|len| self.offset.checked_add(len))
            .ok_or(BundleError::StreamTooLong)?;
        *rest = behind;
        Ok(bytes)
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

/// For lengths of which only as much matters as an input can hold.
fn as_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
