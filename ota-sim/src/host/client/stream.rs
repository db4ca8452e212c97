//! A TCP connection, with TLS or without, on which nothing takes longer than until a deadline.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// What is read and written.
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A socket with a deadline for all that is read and written: a limit for each piece alone would
/// last for ever with a peer that sends a byte now and then.
pub(super) struct Timed {
    socket: TcpStream,
    deadline: Instant,
}

impl Stream {
    /// Connects to `host:port`; with TLS if there is a configuration for it. The deadline is also
    /// that of what comes first.
    pub(super) fn connect(
        address: &str,
        tls: Option<Arc<ClientConfig>>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut error = io::Error::other("the name stands for no address");
        let mut connected = None;
        for address in address.to_socket_addrs()? {
            match time_until(deadline).and_then(|time| TcpStream::connect_timeout(&address, time)) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(why) => error = why,
            }
        }
        let socket = connected.ok_or(error)?;
        socket.set_nodelay(true)?;
        let stream = Timed { socket, deadline };
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Until when reading and writing may wait.
    pub(super) fn wait_until(&mut self, deadline: Instant) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
        };
        stream.deadline = deadline;
    }
}

/// An error when it is over: no time at all the system would take for no limit.
fn time_until(deadline: Instant) -> io::Result<Duration> {
    let time = deadline.saturating_duration_since(Instant::now());
    if time.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(time) }
}

/// Whether an error says no more than that nothing has come in time.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What Linux says about a time that is over reads as if the socket were in another mode.
fn timed<T>(result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(time_until(self.deadline)?))?;
        timed(self.socket.read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(time_until(self.deadline)?))?;
        timed(self.socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
