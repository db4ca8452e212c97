//! A serial line of this computer: a pseudo terminal made for the purpose, or a tty that is there.
//!
//! Bytes go through [`ota_rpc::framing::port::Port`] in the device's own thread, as on a board.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Speed of a tty, in baud: what `mos` uses.
pub const BAUD: u32 = 115_200;

/// A reader that takes nothing for this long, in ms, is not there: what is sent to it is lost, as
/// on a line with no computer at its end.
pub(super) const PATIENCE_MS: i64 = 1_000;

/// One end of a serial line: raw bytes, [`BAUD`], 8N1.
#[derive(Debug)]
pub struct SerialLine {
    line: File,
    path: PathBuf,
    /// The end of a pseudo terminal that clients open. Held open, so that the line does not hang up
    /// between two of them.
    _clients_end: Option<OwnedFd>,
    /// Nobody took what was sent last.
    is_deserted: bool,
}

impl SerialLine {
    /// A new pseudo terminal. [`Self::path`] is what clients open.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn pty() -> io::Result<Self> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&line)?;
        unlockpt(&line)?;
        let name = ptsname(&line, Vec::new())?;
        let path = PathBuf::from(name.into_string().map_err(io::Error::other)?);
        let clients_end = open(&path)?;
        make_raw(clients_end.as_fd())?;
        set_nonblocking(line.as_fd())?;
        let _clients_end = Some(clients_end.into());
        Ok(Self { line: line.into(), path, _clients_end, is_deserted: false })
    }

    /// A serial port of this computer, such as `/dev/ttyUSB0`; or the socket that an emulator has
    /// instead of one (QEMU's `-serial unix:PATH,server=on`).
    ///
    /// # Errors
    /// It cannot be opened, or is neither a tty nor a socket that somebody listens at.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.metadata()?.file_type().is_socket() {
            let line = OwnedFd::from(UnixStream::connect(path)?);
            set_nonblocking(line.as_fd())?;
            let path = path.to_owned();
            return Ok(Self { line: line.into(), path, _clients_end: None, is_deserted: false });
        }
        let line = open(path)?;
        make_raw(line.as_fd())?;
        set_nonblocking(line.as_fd())?;
        Ok(Self { line, path: path.to_owned(), _clients_end: None, is_deserted: false })
    }

    /// The tty: for a pseudo terminal the end for clients.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `events` come within `timeout_ms`.
    pub(super) fn waits_for(&self, events: PollFlags, timeout_ms: i64) -> io::Result<bool> {
        let timeout =
            Timespec { tv_sec: timeout_ms / 1000, tv_nsec: timeout_ms % 1000 * 1_000_000 };
        let mut fds = [PollFd::new(&self.line, events)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => Ok(fds.iter().any(|fd| fd.revents().intersects(events))),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what fits, without waiting: [`io::ErrorKind::WouldBlock`] if that is nothing.
    pub(super) fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }
}

impl AsRawFd for SerialLine {
    fn as_raw_fd(&self) -> RawFd {
        self.line.as_raw_fd()
    }
}

impl ErrorType for SerialLine {
    type Error = io::Error;
}

impl ReadReady for SerialLine {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.waits_for(PollFlags::IN, 0)
    }
}

impl Read for SerialLine {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer)
    }
}

/// For a thread that has nothing else to do: waits for room, within limits.
impl Write for SerialLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.line.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let patience = if self.is_deserted { 0 } else { PATIENCE_MS };
                    self.is_deserted = !self.waits_for(PollFlags::OUT, patience)?;
                    if self.is_deserted {
                        return Ok(bytes.len());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => {
                    self.is_deserted = false;
                    return written;
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a tty that does not become this program's own.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits();
    OpenOptions::new().read(true).write(true).custom_flags(flags as i32).open(path)
}

fn make_raw(tty: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = tcgetattr(tty).map_err(|error| match error {
        Errno::NOTTY => io::Error::other("it is no serial port"),
        other => other.into(),
    })?;
    attributes.make_raw();
    attributes.set_speed(BAUD)?;
    Ok(tcsetattr(tty, OptionalActions::Now, &attributes)?)
}

fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}
