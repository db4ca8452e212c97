//! Frames over WebSocket, one in each text message.

use std::error::Error as _;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::Response;
use ota_rpc::framing::websocket::{self, Close};
use ota_rpc::limits::MAX_REQUEST_BYTES;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::handle::{Answer, DeviceHandle, Peer};
use super::tcp::{IDLE_TIME, MAX_PENDING, WRITE_TIME, reset};

/// What may wait to be sent on a connection, in bytes: a reply, a pong and a farewell.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// Answers the handshake. `offered` is the header `Sec-WebSocket-Protocol`; `permit` is for one
/// WebSocket.
pub(super) fn accept(
    upgrade: WebSocketUpgrade,
    offered: &str,
    device: DeviceHandle,
    peer: Peer,
    permit: OwnedSemaphorePermit,
) -> Response<axum::body::Body> {
    upgrade
        .protocols(websocket::subprotocol(offered))
        .max_message_size(MAX_REQUEST_BYTES)
        .max_frame_size(MAX_REQUEST_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_UNSENT_BYTES)
        .on_upgrade(move |socket| async move {
            serve(socket, device, peer).await;
            drop(permit);
        })
}

async fn serve(mut socket: WebSocket, device: DeviceHandle, peer: Peer) {
    let mut resets = device.resets();
    resets.mark_unchanged();
    if let Err(Some(why)) = talk(&mut socket, &device, &peer, &mut resets).await {
        let frame = CloseFrame { code: why.code(), reason: why.to_string().into() };
        // Whoever is gone need not be told.
        let _ = timeout(WRITE_TIME, socket.send(Message::Close(Some(frame)))).await;
    }
}

/// Until the connection is to be closed, with a reason if the peer does not know it.
async fn talk(
    socket: &mut WebSocket,
    device: &DeviceHandle,
    peer: &Peer,
    resets: &mut tokio::sync::watch::Receiver<u64>,
) -> Result<std::convert::Infallible, Option<Close>> {
    let mut requests = JoinSet::new();
    // Only frames are signs of life: whoever pings has nothing to say, and keeps a place.
    let mut heard = Instant::now();
    loop {
        let idle = sleep_until(heard + IDLE_TIME);
        tokio::select! {
            received = socket.recv(), if requests.len() < MAX_PENDING => {
                let received = received.ok_or(None)?;
                if let Ok(Message::Ping(payload)) = &received {
                    // The same as tungstenite has ready, and it takes that one's place. Nothing more
                    // is read until it is out.
                    send(socket, Message::Pong(payload.clone()), resets).await?;
                }
                if let Some(frame) = frame(&received)? {
                    heard = Instant::now();
                    let pending = device.send(peer.clone(), frame).await;
                    requests.spawn(pending.answer());
                }
            }
            Some(answered) = requests.join_next() => {
                let (answer, exchange) = answered.map_err(|_| None)?;
                match answer {
                    Answer::Frame(frame) | Answer::Rejected(frame) if !frame.is_empty() => {
                        let text = String::from_utf8(frame).map_err(|_| None)?;
                        send(socket, Message::Text(text.into()), resets).await?;
                        heard = Instant::now();
                    }
                    Answer::Frame(_) | Answer::Rejected(_) | Answer::None => {}
                    // It was reset: its connections are gone with it.
                    Answer::NoAnswer => return Err(Some(Close::GoingAway)),
                }
                drop(exchange);
            }
            () = reset(resets) => return Err(Some(Close::GoingAway)),
            () = idle, if requests.is_empty() => return Err(Some(Close::GoingAway)),
        }
    }
}

/// Sends a message, which the peer has to read in time.
async fn send(
    socket: &mut WebSocket,
    message: Message,
    resets: &mut tokio::sync::watch::Receiver<u64>,
) -> Result<(), Option<Close>> {
    tokio::select! {
        sent = timeout(WRITE_TIME, socket.send(message)) => {
            sent.map_err(|_| None)?.map_err(|_| None)
        }
        () = reset(resets) => Err(None),
    }
}

/// The frame in what came, if there is one; else why the connection is to be closed.
fn frame(received: &Result<Message, axum::Error>) -> Result<Option<Vec<u8>>, Option<Close>> {
    let frame = match received {
        Ok(Message::Text(text)) => websocket::frame(websocket::Message::Text(text.as_bytes())),
        Ok(Message::Binary(bytes)) => websocket::frame(websocket::Message::Binary(bytes)),
        // A farewell is answered when the next message is asked for, which is none.
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => return Ok(None),
        Err(error) => return Err(reason(error)),
    };
    frame.map(|frame| Some(frame.to_vec())).map_err(Some)
}

/// What a peer did that its connection fails.
fn reason(error: &axum::Error) -> Option<Close> {
    match error.source()?.downcast_ref::<tungstenite::Error>()? {
        tungstenite::Error::Capacity(_) => Some(Close::TooBig),
        tungstenite::Error::Utf8(_) => Some(Close::NotUtf8),
        _ => None,
    }
}
