//! HTTP by axum, on the framing of `ota-rpc`: `/rpc` as frames, REST and WebSocket; `/update` as a
//! form with a firmware or with a URL, `/update/commit`, `/update/revert`; digest authentication. `docs/rpc-transports.md` has the bytes.
//!
//! One thing differs from Mongoose OS: a frame without an id gets an empty 200, where such a device
//! leaves the connection open for ever. A device that is off or hangs is a 503.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
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
use tokio::sync::Semaphore;

use super::handle::{Answer, DeviceHandle, Exchange, Login, Peer};
use super::ws;
use crate::device::Uploaded;

/// Room that the frame around arguments needs.
const FRAME_BYTES: usize = 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);
/// WebSockets at once; more are answered by 503.
pub const MAX_WEBSOCKETS: usize = 16;
/// How much of a form is read for nothing after the device has refused it, in bytes: many clients
/// look at a response only when all is sent.
const REFUSED_BYTES: usize = 4 * 1024 * 1024;
/// Status of the reply of a device that does not answer.
pub const NO_ANSWER: u16 = StatusCode::SERVICE_UNAVAILABLE.as_u16();

/// The routes, for [`super::server::Server`].
pub fn router(device: DeviceHandle) -> Router {
    let sockets = Arc::new(Semaphore::new(MAX_WEBSOCKETS));
    Router::new().fallback(handle).with_state(Site { device, sockets })
}

/// What requests are handled with.
#[derive(Clone)]
struct Site {
    device: DeviceHandle,
    /// WebSockets that may still be opened.
    sockets: Arc<Semaphore>,
}

async fn handle(
    State(site): State<Site>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let keep_alive = text(&parts.headers, header::CONNECTION)
        .is_some_and(|value| value.eq_ignore_ascii_case("keep-alive"));
    let send = |response: &framing::Response<'_>, exchange| respond(response, keep_alive, exchange);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let method = parts.method.as_str().to_owned();
    let header = text(&parts.headers, header::AUTHORIZATION).map(str::to_owned);
    let login =
        header.map(|header| Login { method: method.clone(), target: target.clone(), header });
    let peer = Peer { login, ..Peer::new(ChannelKind::Http, address) };
    let device = &site.device;
    let route = Route::of(&method, &target);
    match &route {
        Route::Answer(response) => return send(response, None),
        Route::WebSocket => return upgrade(&mut parts, &site, address).await,
        Route::Upload => {
            let content_type = text(&parts.headers, header::CONTENT_TYPE).unwrap_or_default();
            let uploaded = upload(device, peer, content_type, body).await;
            return uploaded.unwrap_or_else(|response| *response);
        }
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
    if frame.trim_ascii().is_empty()
        && let Err(Uploaded::Denied(denied)) = device.upload(peer.clone(), String::new()).await
    {
        // A client that knows of digests asks for the challenge with an empty body first.
        return send(&framing::Response::to_reply(form, &denied), None);
    }
    let (answer, exchange) = device.rpc(peer, frame).await;
    let exchange = Some(exchange);
    match &answer {
        Answer::Frame(frame) => send(&framing::Response::to_reply(form, frame), exchange),
        Answer::None => send(&framing::Response::to_notification(), exchange),
        Answer::Rejected(frame) => send(&framing::Response::to_rejected(form, frame), exchange),
        Answer::NoAnswer => send(&framing::Response::unavailable(), None),
    }
}

/// `POST /update`. The response, or the one that says why the device does not want the form.
async fn upload(
    device: &DeviceHandle,
    peer: Peer,
    content_type: &str,
    mut body: Body,
) -> Result<Response<Body>, Box<Response<Body>>> {
    let close = |response: &framing::Response<'_>, exchange| {
        // Not all of the request may have been read.
        respond(response, false, exchange)
    };
    let refused = |uploaded| match uploaded {
        Uploaded::Denied(frame) => close(&framing::Response::to_reply(Form::Update, &frame), None),
        Uploaded::Refused { status, text } => refusal(status, text),
        Uploaded::Later | Uploaded::NoAnswer => close(&framing::Response::unavailable(), None),
    };
    let uploading = match device.upload(peer, content_type.to_owned()).await {
        Ok(uploading) => uploading,
        Err(uploaded) => {
            drain(body).await;
            return Err(Box::new(refused(uploaded)));
        }
    };
    let uploaded = loop {
        match tokio::time::timeout(BODY_TIME, next(&mut body)).await {
            Ok(Some(Ok(bytes))) => {
                if let Err(uploaded) = uploading.feed(bytes.into()).await {
                    drain(body).await;
                    break uploaded;
                }
            }
            Ok(None) => break uploading.end().await,
            // The sender is gone, or silent: the device gives the update up when it hears of it.
            Ok(Some(Err(_))) | Err(_) => break uploading.end().await,
        }
    };
    if uploaded != Uploaded::Later {
        return Err(Box::new(refused(uploaded)));
    }
    Ok(match uploading.answer().await {
        (Answer::Frame(frame) | Answer::Rejected(frame), exchange) => {
            close(&framing::Response::to_reply(Form::Update, &frame), Some(exchange))
        }
        (Answer::None | Answer::NoAnswer, _) => close(&framing::Response::unavailable(), None),
    })
}

/// The next bytes of a body.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    use http_body::Body as _;
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            // Trailers mean nothing here.
            Ok(frame) => match frame.into_data() {
                Ok(bytes) => return Some(Ok(bytes)),
                Err(_) => continue,
            },
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Reads what is left of a body, within limits.
async fn drain(mut body: Body) {
    let mut left = REFUSED_BYTES;
    let reading = async {
        while let Some(Ok(bytes)) = next(&mut body).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIME, reading).await;
}

fn refusal(status: u16, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// `GET /rpc`: a WebSocket, or a mistake.
async fn upgrade(parts: &mut Parts, site: &Site, address: SocketAddr) -> Response<Body> {
    let offered = text(&parts.headers, header::SEC_WEBSOCKET_PROTOCOL).unwrap_or("").to_owned();
    match WebSocketUpgrade::from_request_parts(parts, &()).await {
        Ok(upgrade) => {
            let Ok(permit) = Arc::clone(&site.sockets).try_acquire_owned() else {
                return respond(&framing::Response::unavailable(), false, None);
            };
            let peer = Peer::new(ChannelKind::WebSocket, address);
            ws::accept(upgrade, &offered, site.device.clone(), peer, permit)
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
