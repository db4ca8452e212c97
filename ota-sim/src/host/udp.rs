//! Frames over UDP, one in each datagram.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ota_rpc::ChannelKind;
use ota_rpc::limits::{MAX_DATAGRAM_BYTES, MAX_REQUEST_BYTES};
use tokio::net::UdpSocket;

use super::handle::{Answer, DeviceHandle, Peer};

/// Requests at once; datagrams beyond wait in the socket, or are lost.
const MAX_REQUESTS: usize = 16;

/// Serves `socket`, which must not block, until the runtime ends.
///
/// # Errors
/// The socket cannot be used.
pub async fn serve(socket: std::net::UdpSocket, device: DeviceHandle) -> io::Result<()> {
    let socket = Arc::new(UdpSocket::from_std(socket)?);
    let mut requests = tokio::task::JoinSet::new();
    // One byte more, so that a longer request is seen to be too long.
    let mut buffer = vec![0; MAX_REQUEST_BYTES + 1];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer), if requests.len() < MAX_REQUESTS => {
                // An error is of one datagram, such as a reply that nobody took.
                let Ok((length, peer)) = received else { continue };
                let frame = buffer[..length].to_vec();
                requests.spawn(answer(Arc::clone(&socket), peer, frame, device.clone()));
            }
            Some(_) = requests.join_next() => {}
        }
    }
}

async fn answer(socket: Arc<UdpSocket>, peer: SocketAddr, frame: Vec<u8>, device: DeviceHandle) {
    let (answer, exchange) = device.rpc(Peer::new(ChannelKind::Udp, peer), frame).await;
    // What is no frame gets no answer: the address may be forged.
    if let Answer::Frame(frame) = answer
        && frame.len() <= MAX_DATAGRAM_BYTES
        && let Err(error) = socket.send_to(&frame, peer).await
    {
        tracing::debug!("UDP reply to {peer}: {error}");
    }
    drop(exchange);
}
