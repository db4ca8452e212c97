//! A frame in each datagram.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::stream::is_late;
use super::{CallError, Link, is_repeatable, unreachable};
use crate::host::broker::without_password;

/// The longest datagram, in bytes.
const MAX_DATAGRAM_BYTES: usize = 64 * 1024;

pub(super) struct Datagrams {
    socket: UdpSocket,
    url: String,
}

impl Datagrams {
    pub(super) fn connect(address: &str) -> Result<Self, CallError> {
        let url = without_password(&format!("udp://{address}"));
        let connect = || {
            let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Ok(socket)
        };
        match connect() {
            Ok(socket) => Ok(Self { socket, url }),
            Err(error) => Err(unreachable(&url, &error)),
        }
    }
}

impl Link for Datagrams {
    fn send(&mut self, frame: &[u8], _: Instant) -> Result<(), CallError> {
        self.socket.send(frame).map(drop).map_err(|error| unreachable(&self.url, &error))
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError> {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        let received = self
            .socket
            .set_read_timeout(Some(time.max(Duration::from_millis(1))))
            .and_then(|()| self.socket.recv(&mut buffer));
        match received {
            Ok(length) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Err(error) if is_late(&error) => Ok(None),
            // Nobody is there now; a device that reboots is back soon.
            Err(error) => Err(unreachable(&self.url, &error)),
        }
    }

    fn may_repeat(&self, method: &str) -> bool {
        is_repeatable(method)
    }
}
