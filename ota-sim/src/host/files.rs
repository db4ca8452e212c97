//! A file server for updates, in memory: `Content-Length`, `ETag`, `Range`, as any web server has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::get;

/// Files by name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Files {
    files: Arc<Mutex<HashMap<String, Bytes>>>,
    /// The byte at which each request began, in the order in which they came.
    requests: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Files {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `bytes` under `/NAME` from now on.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.files().insert(name.to_owned(), bytes.into());
    }

    /// The files and first bytes that were asked for, oldest first.
    pub fn requests(&self) -> Vec<(String, usize)> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For [`super::server::Server`].
    pub fn router(&self) -> Router {
        Router::new().route("/{name}", get(serve)).with_state(self.clone())
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        // Whole values are put in and taken out, so that a panic elsewhere leaves nothing half
        // done.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, name: &str, headers: &HeaderMap) -> Answer {
        let Some(bytes) = self.files().get(name).cloned() else {
            return Answer { status: StatusCode::NOT_FOUND, ..Answer::default() };
        };
        let tag = format!("\"{:08x}-{}\"", ota_core::crc::crc32(&bytes), bytes.len());
        let start = range_start(headers, &tag).filter(|start| *start < bytes.len());
        let tag = Some(tag);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push((name.to_owned(), start.unwrap_or(0)));
        match start {
            None => Answer { status: StatusCode::OK, body: bytes, tag, range: None },
            Some(start) => Answer {
                status: StatusCode::PARTIAL_CONTENT,
                range: Some(format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len())),
                body: bytes.slice(start..),
                tag,
            },
        }
    }
}

#[derive(Default)]
struct Answer {
    status: StatusCode,
    body: Bytes,
    tag: Option<String>,
    range: Option<String>,
}

async fn serve(
    State(files): State<Files>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let Answer { status, body, tag, range } = files.answer(&name, &headers);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, Some("application/octet-stream".to_owned())),
        (header::ACCEPT_RANGES, Some("bytes".to_owned())),
        (header::ETAG, tag),
        (header::CONTENT_RANGE, range),
    ];
    for (name, value) in headers {
        // All of them are made of hex, digits and words, and always make a header.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// N of `Range: bytes=N-`, the only form that is understood, unless the file is another by now.
fn range_start(headers: &HeaderMap, tag: &str) -> Option<usize> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|known| known != tag) {
        return None;
    }
    text(header::RANGE)?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
