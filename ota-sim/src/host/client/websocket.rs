//! A frame in each text message.

use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::error::{ProtocolError, SubProtocolError};
use tungstenite::handshake::HandshakeRole;
use tungstenite::http::HeaderValue;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::stream::{Stream, is_late};
use super::{CallError, Link, Options, unreachable};
use crate::host::broker::without_password;
use crate::host::tls;

/// What `mos` speaks.
const PROTOCOL: &str = "clubby.cesanta.com";
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_millis(200);

pub(super) struct WebSocketLink {
    socket: WebSocket<Stream>,
    url: String,
}

impl WebSocketLink {
    pub(super) fn connect(
        url: &str,
        options: &Options,
        deadline: Instant,
    ) -> Result<Self, CallError> {
        let shown = without_password(url);
        let failed = |reason: String| CallError::Unreachable { url: shown.clone(), reason };
        let (scheme, rest) = url.split_once("://").unwrap_or(("ws", url));
        let host = rest.split('/').next().unwrap_or_default();
        let is_tls = scheme == "wss";
        let address = match host.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => host.to_owned(),
            _ => format!("{host}:{}", if is_tls { 443 } else { 80 }),
        };
        let tls = match is_tls {
            true => Some(tls::client(options.authorities.as_deref())),
            false => None,
        };
        let tls = tls.transpose().map_err(|error| failed(error.to_string()))?;
        let mut protocol = Some(PROTOCOL);
        loop {
            let stream = Stream::connect(&address, tls.clone(), deadline);
            let stream = stream.map_err(|error| unreachable(url, &error))?;
            let request = url.into_client_request();
            let mut request = request.map_err(|error| failed(error.to_string()))?;
            if let Some(protocol) = protocol {
                let protocol = HeaderValue::from_static(protocol);
                request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            }
            match tungstenite::client(request, stream) {
                Ok((socket, _)) => return Ok(Self { socket, url: shown }),
                // A device may leave it out of its answer, which the library takes for a refusal.
                Err(error) if protocol.is_some() && is_without_protocol(&error) => protocol = None,
                Err(error) => return Err(failed(format!("no WebSocket: {error}"))),
            }
        }
    }

    fn lost(&self, reason: impl ToString) -> CallError {
        CallError::Lost { url: self.url.clone(), reason: reason.to_string() }
    }
}

fn is_without_protocol<R: HandshakeRole>(error: &HandshakeError<R>) -> bool {
    let HandshakeError::Failure(Error::Protocol(error)) = error else { return false };
    *error == ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol)
}

impl Link for WebSocketLink {
    fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<(), CallError> {
        self.socket.get_mut().wait_until(deadline);
        let text = String::from_utf8_lossy(frame).into_owned() + "\n";
        self.socket.send(Message::text(text)).map_err(|error| self.lost(error))
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError> {
        self.socket.get_mut().wait_until(deadline);
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(Some(text.as_bytes().to_vec())),
                Ok(Message::Close(Some(frame))) => return Err(self.lost(frame)),
                Ok(Message::Close(None)) => return Err(self.lost("closed")),
                Ok(_) if Instant::now() >= deadline => return Ok(None),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if is_late(&error) => return Ok(None),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }
}

impl Drop for WebSocketLink {
    fn drop(&mut self) {
        let frame = tungstenite::protocol::CloseFrame {
            code: tungstenite::protocol::frame::coding::CloseCode::Normal,
            reason: "".into(),
        };
        // A device that is gone need not be told.
        self.socket.get_mut().wait_until(Instant::now() + FAREWELL);
        let _ = self.socket.close(Some(frame));
        let _ = self.socket.flush();
    }
}
