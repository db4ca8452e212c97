//! HTTP by axum, on the framing of `ota-rpc`: `/rpc` as frames, REST and WebSocket, `/update?url=`,
//! `/update/commit`, `/update/revert`, digest authentication. `docs/rpc-transports.md` has the bytes.
//!
//! One thing differs from Mongoose OS: a frame without an id gets an empty 200, where such a device
//! leaves the connection open for ever. A device that is off or hangs is a 503.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::{Frame, SizeHint};
use ota_rpc::ChannelKind;
use ota_rpc::framing::http::{self as framing, Form, Route};
use ota_rpc::limits::MAX_REQUEST_BYTES;

use super::owner::{Answer, DeviceHandle, Exchange, Login, Peer};
use super::ws;

/// Room that the frame around arguments needs.
const FRAME_BYTES: usize = 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Status of the reply of a device that does not answer.
pub const NO_ANSWER: u16 = StatusCode::SERVICE_UNAVAILABLE.as_u16();

/// The routes, for [`super::server::Server`].
pub fn router(device: DeviceHandle) -> Router {
    Router::new().fallback(handle).with_state(device)
}

async fn handle(
    State(device): State<DeviceHandle>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let keep_alive = text(&parts.headers, header::CONNECTION)
        .is_some_and(|value| value.eq_ignore_ascii_case("keep-alive"));
    let send = |response: &framing::Response<'_>, exchange| respond(response, keep_alive, exchange);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let method = parts.method.as_str().to_owned();
    let route = Route::of(&method, &target);
    match &route {
        Route::Answer(response) => return send(response, None),
        Route::WebSocket => return upgrade(&mut parts, device, address).await,
        // Uploads are not served yet: a 503 says to come back another time.
        Route::Upload => return send(&framing::Response::unavailable(), None),
        Route::Frame | Route::Call(_) => {}
    }
    let reading = axum::body::to_bytes(body, MAX_REQUEST_BYTES);
    let Ok(Ok(body)) = tokio::time::timeout(BODY_TIME, reading).await else {
        return send(&framing::Response::too_long(), None);
    };
    let (form, frame) = match &route {
        Route::Call(call) => {
            let mut frame = vec![0; body.len() + target.len() + FRAME_BYTES];
            match call.write_request(&body, &mut frame) {
                Ok(length) => frame.truncate(length),
                Err(error) => return send(&framing::Response::bad_call(call.form(), error), None),
            }
            (call.form(), frame)
        }
        Route::Frame | Route::WebSocket | Route::Upload | Route::Answer(_) => {
            (Form::Frame, body.to_vec())
        }
    };
    let header = text(&parts.headers, header::AUTHORIZATION).map(str::to_owned);
    let login =
        header.map(|header| Login { method: method.clone(), target: target.clone(), header });
    let peer = Peer { login, ..Peer::new(ChannelKind::Http, address) };
    let (answer, exchange) = device.rpc(peer, frame).await;
    let exchange = Some(exchange);
    match &answer {
        Answer::Frame(frame) => send(&framing::Response::to_reply(form, frame), exchange),
        Answer::None => send(&framing::Response::to_notification(), exchange),
        Answer::Rejected(frame) => send(&framing::Response::to_rejected(form, frame), exchange),
        Answer::NoAnswer => send(&framing::Response::unavailable(), None),
    }
}

/// `GET /rpc`: a WebSocket, or a mistake.
async fn upgrade(parts: &mut Parts, device: DeviceHandle, address: SocketAddr) -> Response<Body> {
    let offered = text(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL).unwrap_or("").to_owned();
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => {
            ws::accept(upgrade, &offered, device, Peer::new(ChannelKind::WebSocket, address))
        }
        Err(rejection) => axum::response::IntoResponse::into_response(rejection),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn respond(
    of: &framing::Response<'_>,
    keep_alive: bool,
    exchange: Option<Exchange>,
) -> Response<Body> {
    let body = ReplyBody::new(of.body().to_string().into_bytes(), exchange);
    let mut response = Response::new(Body::new(body));
    *response.status_mut() =
        StatusCode::from_u16(of.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    of.for_each_header(|name, value| {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value.to_string());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    });
    let connection = if keep_alive && !of.must_close() { "keep-alive" } else { "close" };
    headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
    response
}

/// The bytes of a reply. They are out, or never will be, when this is dropped: with it goes the
/// exchange, and a reboot that waits for that may come.
struct ReplyBody {
    bytes: Option<Bytes>,
    _exchange: Option<Exchange>,
}

impl ReplyBody {
    fn new(bytes: Vec<u8>, exchange: Option<Exchange>) -> Self {
        Self { bytes: (!bytes.is_empty()).then(|| bytes.into()), _exchange: exchange }
    }
}

impl http_body::Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
