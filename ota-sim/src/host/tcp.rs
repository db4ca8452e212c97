//! Frames over TCP, one on each line.

use std::io;
use std::net::SocketAddr;

use ota_rpc::ChannelKind;
use ota_rpc::framing::tcp::{self, Envelope, Received, Receiver};
use ota_rpc::limits::MAX_REQUEST_BYTES;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::owner::{Answer, DeviceHandle, Peer};

/// Connections at once; more have to wait.
const MAX_CONNECTIONS: usize = 16;

/// Serves `listener`, which must not block, until the runtime ends.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(listener: std::net::TcpListener, device: DeviceHandle) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                let (stream, peer) = accepted?;
                connections.spawn(connection(stream, peer, device.clone()));
            }
            Some(ended) = connections.join_next() => {
                if let Ok(Err(error)) = ended {
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
) -> io::Result<()> {
    let peer = Peer::new(ChannelKind::Tcp, peer);
    let mut frame_buffer = vec![0; MAX_REQUEST_BYTES];
    let mut receiver = Receiver::tcp(&mut frame_buffer);
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        let mut bytes = &buffer[..read];
        if bytes.is_empty() {
            return Ok(());
        }
        while let Some(received) = receiver.receive(&mut bytes) {
            let Received::Frame { quotes, .. } = received else { continue };
            let (answer, exchange) = device.rpc(peer.clone(), receiver.frame().to_vec()).await;
            match answer {
                Answer::Frame(frame) | Answer::Rejected(frame) if !frame.is_empty() => {
                    stream.write_all(&wrap(&frame, tcp::envelope(quotes))).await?;
                }
                Answer::Frame(_) | Answer::Rejected(_) | Answer::None => {}
                // It was reset: its connections are gone with it.
                Answer::NoAnswer => return Ok(()),
            }
            drop(exchange);
        }
    }
}

/// A frame with its delimiters.
fn wrap(frame: &[u8], envelope: Envelope) -> Vec<u8> {
    let mut out = vec![0; Envelope::HEAD + frame.len() + Envelope::TAIL];
    Envelope::inside(&mut out).copy_from_slice(frame);
    let range = envelope.close(&mut out, frame.len());
    range.map(|range| out[range].to_vec()).unwrap_or_default()
}
