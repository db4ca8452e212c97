//! The RPC over HTTP, as Mongoose OS devices serve it.
//!
//! | request | reply |
//! |---|---|
//! | `POST /rpc`, a frame | 200 and a frame, errors too; 400 for what is no frame for this device |
//! | `POST /rpc/METHOD`, arguments or nothing | 200, the result; or the error: 403, 404, else 500 |
//! | `GET /rpc/METHOD?a=1&b="x"`, values are JSON | the same |
//! | `OPTIONS` | 200, for browsers |
//! | any, while the device is off or hangs | 503 |
//!
//! Every reply is JSON with a line end, and may be read by any web page. One thing differs: a frame
//! without an id gets an empty 200, where a Mongoose OS device leaves the connection open for ever.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use http_body::{Frame, SizeHint};
use ota_core::json;
use ota_rpc::frame::write_request;
use ota_rpc::limits::MAX_REQUEST_BYTES;

use super::owner::{Answer, DeviceHandle, Exchange};

/// Room that the frame around arguments needs.
const FRAME_BYTES: usize = 512;
/// Status of the reply of a device that does not answer.
pub const NO_ANSWER: u16 = StatusCode::SERVICE_UNAVAILABLE.as_u16();
/// Requests in the REST form have no id of their own.
const REST_ID: u64 = 1;

/// The routes, for [`super::server::Server`].
pub fn router(device: DeviceHandle) -> Router {
    Router::new()
        .route("/rpc", post(frame).options(options))
        .route("/rpc/{method}", get(rest_get).post(rest_post).options(options))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(device)
}

async fn options() -> Response<Body> {
    respond(StatusCode::OK, Vec::new(), None)
}

/// The frame form.
async fn frame(
    State(device): State<DeviceHandle>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Response<Body> {
    let (answer, exchange) = device.rpc(peer.to_string(), body.to_vec()).await;
    match answer {
        Answer::Frame(frame) => respond(StatusCode::OK, frame, Some(exchange)),
        Answer::None => respond(StatusCode::OK, Vec::new(), Some(exchange)),
        Answer::Rejected(frame) if frame.is_empty() => {
            respond(StatusCode::BAD_REQUEST, b"\"Invalid request\"".to_vec(), Some(exchange))
        }
        Answer::Rejected(frame) => respond(StatusCode::BAD_REQUEST, frame, Some(exchange)),
        Answer::NoAnswer => unavailable(),
    }
}

/// The REST form with its arguments in the body.
async fn rest_post(
    State(device): State<DeviceHandle>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(method): Path<String>,
    body: Bytes,
) -> Response<Body> {
    rest(&device, peer, &method, &body).await
}

/// The REST form with its arguments in the query: every value is JSON.
async fn rest_get(
    State(device): State<DeviceHandle>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(method): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response<Body> {
    let members: Vec<String> = query
        .into_iter()
        .map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key)))
        .collect();
    let arguments = match members.is_empty() {
        true => String::new(),
        false => format!("{{{}}}", members.join(",")),
    };
    rest(&device, peer, &method, arguments.as_bytes()).await
}

async fn rest(
    device: &DeviceHandle,
    peer: SocketAddr,
    method: &str,
    arguments: &[u8],
) -> Response<Body> {
    let mut frame = vec![0; arguments.len() + method.len() * 6 + FRAME_BYTES];
    match write_request(&mut frame, REST_ID, method, arguments) {
        Ok(length) => frame.truncate(length),
        Err(error) => {
            let message = format!("Malformed request: {error}");
            let error = serde_json::json!({ "code": 400, "message": message });
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return respond(status, error.to_string().into_bytes(), None);
        }
    }
    let (answer, exchange) = device.rpc(peer.to_string(), frame).await;
    match answer {
        Answer::Frame(frame) | Answer::Rejected(frame) => {
            let (status, body) = unwrap(&frame);
            respond(status, body, Some(exchange))
        }
        Answer::None | Answer::NoAnswer => unavailable(),
    }
}

/// Status and body of the REST form, out of a reply frame.
fn unwrap(frame: &[u8]) -> (StatusCode, Vec<u8>) {
    let reply = json::parse(frame).ok();
    let member = |key| reply.and_then(|reply| reply.get(key));
    if let Some(error) = member("error") {
        let status = match error.get("code").and_then(json::Value::as_i64) {
            Some(403) => StatusCode::FORBIDDEN,
            Some(404) => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        return (status, error.raw().as_bytes().to_vec());
    }
    match member("result") {
        Some(result) => (StatusCode::OK, result.raw().as_bytes().to_vec()),
        None => (StatusCode::INTERNAL_SERVER_ERROR, b"null".to_vec()),
    }
}

fn unavailable() -> Response<Body> {
    let words = b"\"the device does not answer: it is off, hangs, or was reset\"".to_vec();
    respond(StatusCode::SERVICE_UNAVAILABLE, words, None)
}

/// A response of `json` and a line end, or of nothing at all.
fn respond(status: StatusCode, mut json: Vec<u8>, exchange: Option<Exchange>) -> Response<Body> {
    if !json.is_empty() {
        json.extend(b"\r\n");
    }
    let mut response = Response::new(Body::new(ReplyBody::new(json, exchange)));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
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
