//! Frames over WebSocket, one in each text message.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::Response;
use ota_rpc::framing::websocket::{self, Close};
use ota_rpc::limits::MAX_REQUEST_BYTES;

use super::owner::{Answer, DeviceHandle, Peer};

/// Answers the handshake. `offered` is the header `Sec-WebSocket-Protocol`.
pub(super) fn accept(
    upgrade: WebSocketUpgrade,
    offered: &str,
    device: DeviceHandle,
    peer: Peer,
) -> Response<axum::body::Body> {
    upgrade
        .protocols(websocket::subprotocol(offered))
        .max_message_size(MAX_REQUEST_BYTES)
        .max_frame_size(MAX_REQUEST_BYTES)
        .on_upgrade(move |socket| serve(socket, device, peer))
}

async fn serve(mut socket: WebSocket, device: DeviceHandle, peer: Peer) {
    while let Some(received) = socket.recv().await {
        let frame = match &received {
            Ok(Message::Text(text)) => websocket::frame(websocket::Message::Text(text.as_bytes())),
            Ok(Message::Binary(bytes)) => websocket::frame(websocket::Message::Binary(bytes)),
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return,
            Err(error) if error.to_string().contains("limit exceeded") => Err(Close::TooBig),
            Err(_) => return,
        };
        let frame = match frame {
            Ok(frame) => frame.to_vec(),
            Err(why) => return close(socket, why).await,
        };
        let (answer, exchange) = device.rpc(peer.clone(), frame).await;
        let reply = match answer {
            Answer::Frame(frame) | Answer::Rejected(frame) => frame,
            Answer::None => continue,
            // It was reset: its connections are gone with it.
            Answer::NoAnswer => return close(socket, Close::GoingAway).await,
        };
        let Ok(text) = String::from_utf8(reply) else { return };
        if !text.is_empty() && socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
        drop(exchange);
    }
}

async fn close(mut socket: WebSocket, why: Close) {
    let frame = CloseFrame { code: why.code(), reason: why.to_string().into() };
    // Whoever is gone need not be told.
    let _ = socket.send(Message::Close(Some(frame))).await;
}
