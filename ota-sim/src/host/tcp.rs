//! Frames over TCP, one on each line.
//!
//! A request that is answered late does not hold up those behind it. When all connections are taken,
//! the one that was silent for the longest is closed for a new one, if possible one that waits for
//! no reply. A peer that has closed its own direction (`nc -N`) still gets its replies.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ota_rpc::ChannelKind;
use ota_rpc::framing::tcp::{self, Envelope, Received, Receiver};
use ota_rpc::limits::MAX_REQUEST_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::guests::{Guests, LastSeen};
use super::handle::{Answer, DeviceHandle, Peer};

/// Connections at once.
pub const MAX_CONNECTIONS: usize = 16;
/// Requests of a connection that wait for their replies; more have to wait.
pub const MAX_PENDING: usize = 4;
/// A connection on which nothing comes for so long is closed.
pub const IDLE_TIME: Duration = Duration::from_secs(300);
/// How long a peer may take to read a reply.
pub(super) const WRITE_TIME: Duration = Duration::from_secs(30);

/// Serves `listener`, which must not block, until the runtime ends.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(listener: std::net::TcpListener, device: DeviceHandle) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    let mut guests = Guests::new(MAX_CONNECTIONS);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error is of one connection, or of too many files open: others may end.
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                guests.make_room();
                let seen = guests.clock();
                let task = connection(stream, peer, device.clone(), Arc::clone(&seen));
                guests.add(connections.spawn(task), seen);
            }
            Some(ended) = connections.join_next_with_id() => {
                guests.remove(ended.as_ref().map_or_else(|error| error.id(), |(id, _)| *id));
                if let Ok((_, Err(error))) = ended {
                    tracing::debug!("TCP connection: {error}");
                }
            }
        }
    }
}

async fn connection(
    mut stream: TcpStream,
    peer: SocketAddr,
    device: DeviceHandle,
    seen: Arc<LastSeen>,
) -> io::Result<()> {
    let peer = Peer::new(ChannelKind::Tcp, peer);
    let mut resets = device.resets();
    resets.mark_unchanged();
    let mut frame_buffer = vec![0; MAX_REQUEST_BYTES];
    let mut receiver = Receiver::tcp(&mut frame_buffer);
    let mut buffer = [0; 1024];
    let mut unread = 0..0;
    let mut requests = JoinSet::new();
    // Once the peer has sent all that it wanted to: the end, with or without the replies to that.
    let mut ends_at = None;
    loop {
        // What was read is looked at as far as requests may wait.
        while requests.len() < MAX_PENDING && !unread.is_empty() {
            let mut bytes = &buffer[unread.clone()];
            let received = receiver.receive(&mut bytes);
            unread.start = unread.end - bytes.len();
            if let Some(Received::Frame { quotes, .. }) = received {
                let pending = device.send(peer.clone(), receiver.frame().to_vec()).await;
                let waiting = seen.waits();
                requests.spawn(async move {
                    let answered = (pending.answer().await, quotes);
                    drop(waiting);
                    answered
                });
            }
        }
        if ends_at.is_some() && unread.is_empty() && requests.is_empty() {
            return Ok(());
        }
        let idle = sleep_until(ends_at.unwrap_or_else(|| Instant::now() + IDLE_TIME));
        tokio::select! {
            read = stream.read(&mut buffer), if ends_at.is_none() && unread.is_empty() => {
                unread = 0..read?;
                seen.touch();
                ends_at = unread.is_empty().then(|| Instant::now() + WRITE_TIME);
            }
            Some(answered) = requests.join_next() => {
                let ((answer, exchange), quotes) = answered.map_err(io::Error::other)?;
                match answer {
                    Answer::Frame(frame) | Answer::Rejected(frame) if !frame.is_empty() => {
                        let bytes = wrap(&frame, tcp::envelope(quotes));
                        tokio::select! {
                            written = timeout(WRITE_TIME, stream.write_all(&bytes)) => written??,
                            () = reset(&mut resets) => return Ok(()),
                        }
                        seen.touch();
                    }
                    Answer::Frame(_) | Answer::Rejected(_) | Answer::None => {}
                    // It was reset: its connections are gone with it.
                    Answer::NoAnswer => return Ok(()),
                }
                drop(exchange);
            }
            () = reset(&mut resets) => return Ok(()),
            () = idle, if ends_at.is_some() || requests.is_empty() => return Ok(()),
        }
    }
}

/// Until the device is reset.
pub(super) async fn reset(resets: &mut tokio::sync::watch::Receiver<u64>) {
    if resets.changed().await.is_err() {
        // The device is gone; who waits for it is told so.
        pending().await
    }
}

/// A frame with its delimiters.
fn wrap(frame: &[u8], envelope: Envelope) -> Vec<u8> {
    let mut out = vec![0; Envelope::HEAD + frame.len() + Envelope::TAIL];
    Envelope::inside(&mut out).copy_from_slice(frame);
    let range = envelope.close(&mut out, frame.len());
    range.map(|range| out[range].to_vec()).unwrap_or_default()
}
