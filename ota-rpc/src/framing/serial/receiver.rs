//! From the bytes of a line to frames.

use super::trailer::{self, Dropped};
use super::{EOT, XOFF, XON};

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame: [`Receiver::frame`]. How it came is how its sender wants replies: see
    /// [`super::Envelope`].
    Frame {
        /// `"""` was before or behind it.
        quotes: bool,
        /// It had a checksum.
        crc: bool,
    },
    /// The peer asks whether somebody is here: answer [`super::HANDSHAKE`].
    Handshake,
    /// An empty line: answer [`super::EMPTY_LINE`].
    EmptyLine,
    /// The peer wants no more bytes until it says [`Received::Xon`].
    Xoff,
    /// The peer wants bytes again.
    Xon,
    /// Something like a frame that is none. Not answered: it may be half of another one, or a log.
    Dropped(Dropped),
}

/// What a line is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// ASCII text, with flow control in between.
    Serial,
    /// Any byte is as it was sent.
    Tcp,
}

/// Finds the frames in the bytes of a line, however they are split.
///
/// ```
/// use ota_rpc::framing::serial::{Received, Receiver};
///
/// let mut buffer = [0; 1024];
/// let mut receiver = Receiver::serial(&mut buffer);
/// let mut input: &[u8] = b"boot: ok\n\"\"\"{\"id\":1}\"\"\"\n";
/// while let Some(received) = receiver.receive(&mut input) {
///     if let Received::Frame { quotes, crc } = received {
///         assert_eq!((receiver.frame(), quotes, crc), (&b"{\"id\":1}"[..], true, false));
///     }
/// }
/// ```
/// Memory is the buffer that is lent, and no more; a longer frame is dropped as a whole.
#[derive(Debug)]
pub struct Receiver<'b> {
    buffer: &'b mut [u8],
    line: Line,
    /// Bytes of the piece in `buffer`, from its `{` on. 0 unless that came.
    used: usize,
    /// Length of the frame that was handed out last.
    frame_len: usize,
    piece: Piece,
    /// `"` in a row that are in no piece yet: three are a delimiter.
    quotes: u8,
    /// The piece began behind `"""`.
    quoted: bool,
}

/// What has come since the last delimiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Nothing, or returns.
    Empty,
    /// EOT, and nothing else.
    Handshake,
    /// Anything without a `{`.
    Junk,
    /// `{` and more.
    Frame,
    /// The same, but too much of it.
    TooLong,
}

/// Where a piece ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delimiter {
    Newline,
    Quotes,
}

impl<'b> Receiver<'b> {
    /// For a serial line. The longest frame that is accepted, with its checksum, is `buffer`'s
    /// length.
    pub fn serial(buffer: &'b mut [u8]) -> Self {
        Self::new(Line::Serial, buffer)
    }

    /// For TCP: 8 bits, and neither [`XON`] nor [`XOFF`].
    pub fn tcp(buffer: &'b mut [u8]) -> Self {
        Self::new(Line::Tcp, buffer)
    }

    fn new(line: Line, buffer: &'b mut [u8]) -> Self {
        Self { buffer, line, used: 0, frame_len: 0, piece: Piece::Empty, quotes: 0, quoted: false }
    }

    /// Gives the buffer back.
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// Reads from `input` up to the next thing to be told, and leaves the rest there. None: all is
    /// read.
    pub fn receive(&mut self, input: &mut &[u8]) -> Option<Received> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            if let Some(received) = self.byte(*byte) {
                return Some(received);
            }
        }
        None
    }

    /// The frame that [`Self::receive`] has told of last. To be used before that is called again.
    pub fn frame(&self) -> &[u8] {
        self.buffer.get(..self.frame_len).unwrap_or_default()
    }

    /// Whether a frame has begun to come in.
    pub fn is_in_frame(&self) -> bool {
        matches!(self.piece, Piece::Frame | Piece::TooLong)
    }

    /// Forgets what has come of a frame whose end will not come any more.
    pub fn give_up(&mut self) {
        self.piece = Piece::Junk;
        self.quotes = 0;
    }

    fn byte(&mut self, byte: u8) -> Option<Received> {
        if self.line == Line::Serial {
            match byte {
                XON => return Some(Received::Xon),
                XOFF => return Some(Received::Xoff),
                0x80.. => return self.clear(),
                _ => {}
            }
        }
        if byte == b'"' {
            self.quotes = self.quotes.saturating_add(1);
            return (self.quotes == 3).then(|| self.end(Delimiter::Quotes))?;
        }
        for _ in 0..core::mem::take(&mut self.quotes) {
            self.store(b'"');
        }
        if byte == b'\n' {
            return self.end(Delimiter::Newline);
        }
        self.store(byte);
        None
    }

    fn store(&mut self, byte: u8) {
        self.piece = match (self.piece, byte) {
            (Piece::Frame, _) => self.push(byte),
            (Piece::TooLong, _) => Piece::TooLong,
            (Piece::Empty | Piece::Handshake | Piece::Junk, b'{') => {
                self.used = 0;
                self.push(byte)
            }
            (piece, b'\r') => piece,
            (Piece::Empty, EOT) => Piece::Handshake,
            (Piece::Empty | Piece::Handshake | Piece::Junk, _) => Piece::Junk,
        };
    }

    fn push(&mut self, byte: u8) -> Piece {
        let Some(place) = self.buffer.get_mut(self.used) else { return Piece::TooLong };
        *place = byte;
        self.used = self.used.saturating_add(1);
        Piece::Frame
    }

    /// Drops what has come of the piece; a frame may still begin in it. The rest of one that does
    /// not begin with the `{` before has more closing than opening brackets, so it is none.
    fn clear(&mut self) -> Option<Received> {
        let was_frame = self.piece == Piece::Frame;
        if self.piece != Piece::TooLong {
            self.give_up();
        }
        self.quotes = 0;
        was_frame.then_some(Received::Dropped(Dropped::NotAscii))
    }

    fn end(&mut self, delimiter: Delimiter) -> Option<Received> {
        let ends_quoted = delimiter == Delimiter::Quotes;
        let quotes = self.quoted || ends_quoted;
        self.quoted = ends_quoted;
        self.quotes = 0;
        match core::mem::replace(&mut self.piece, Piece::Empty) {
            Piece::Empty => (!quotes).then_some(Received::EmptyLine),
            Piece::Handshake => Some(Received::Handshake),
            Piece::Junk => None,
            Piece::Frame => Some(self.check(quotes)),
            Piece::TooLong => {
                Some(Received::Dropped(Dropped::TooLong { capacity: self.buffer.len() }))
            }
        }
    }

    fn check(&mut self, quotes: bool) -> Received {
        match trailer::check(self.buffer.get(..self.used).unwrap_or_default()) {
            Ok(checked) => {
                self.frame_len = checked.len;
                Received::Frame { quotes, crc: checked.has_crc }
            }
            Err(dropped) => Received::Dropped(dropped),
        }
    }
}
