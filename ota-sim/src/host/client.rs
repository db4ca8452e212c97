//! A client of the RPC over HTTP: what `mos call` does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ureq::Agent;

/// A device to be called.
pub struct Client {
    url: String,
    timeout: Duration,
    agent: Agent,
    next_id: AtomicU64,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The device has answered with an error.
    #[error("remote error {code}: {message}")]
    Remote {
        /// Its code.
        code: i64,
        /// Its message; may be empty.
        message: String,
    },
    /// The URL is of a kind that this program does not speak.
    #[error("--port {url}: only http:// is supported; give http://HOST:PORT")]
    Scheme {
        /// As given.
        url: String,
    },
    /// The device cannot be reached.
    #[error("{url}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The device did not answer in time.
    #[error(
        "{url}: no reply within {} s; the device may be busy or hang: ask it for OTA.Status, or \
         wait longer with --timeout", timeout.as_secs_f64()
    )]
    Late {
        /// Where the call went.
        url: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// There is a simulated device, but it does not answer.
    #[error("the device does not answer: it is off, hangs, or was reset")]
    NoAnswer,
    /// Something answered, but not with a reply frame.
    #[error("{url}: HTTP status {status}, and no reply frame: {body:?}; is this a device's /rpc?")]
    NoReply {
        /// Where.
        url: String,
        /// Its HTTP status.
        status: u16,
        /// How the body starts.
        body: String,
    },
}

impl Client {
    /// A client of the device at `url`: `http://HOST:PORT`, with the path `/rpc` unless another is
    /// given.
    ///
    /// # Errors
    /// [`CallError::Scheme`].
    pub fn new(url: &str, timeout: Duration) -> Result<Self, CallError> {
        let url = complete(url)?;
        let mut config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(timeout));
        if is_loopback(&url) {
            config = config.proxy(None);
        }
        // Ids as `mos` picks them, from 2^40 on: they have to survive as 64-bit numbers.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = (1 << 40) | (now.as_micros() as u64 & ((1 << 40) - 1));
        Ok(Self { url, timeout, agent: config.build().new_agent(), next_id: AtomicU64::new(id) })
    }

    /// Calls a method and waits for the result.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&self, method: &str, params: Option<&Value>) -> Result<Value, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut frame = serde_json::json!({ "src": "ota-sim", "id": id, "method": method });
        if let Some(params) = params {
            frame["params"] = params.clone();
        }
        let request = self.agent.post(&self.url).content_type("application/json");
        let mut response =
            request.send(format!("{frame}\n")).map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body =
            response.body_mut().read_to_string().map_err(|error| self.unreachable(&error))?;
        if status == super::http::NO_ANSWER {
            return Err(CallError::NoAnswer);
        }
        let reply: Value = serde_json::from_str(&body).unwrap_or_default();
        if status != 200 || reply["id"] != id {
            let body = body.trim().chars().take(100).collect();
            return Err(CallError::NoReply { url: self.url.clone(), status, body });
        }
        result(&reply)
    }

    fn unreachable(&self, error: &ureq::Error) -> CallError {
        let url = self.url.clone();
        match error {
            ureq::Error::Timeout(_) => CallError::Late { url, timeout: self.timeout },
            other => CallError::Unreachable { url, reason: other.to_string() },
        }
    }
}

/// The result in a reply. An error of code 0 is a success: old devices reply so to `OTA.Update`.
fn result(reply: &Value) -> Result<Value, CallError> {
    match reply.get("error") {
        Some(error) if error["code"] != 0 => Err(CallError::Remote {
            code: error["code"].as_i64().unwrap_or(-1),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
        Some(_) => Ok(Value::Null),
        None => Ok(reply.get("result").cloned().unwrap_or_default()),
    }
}

/// `url` with scheme and path.
fn complete(url: &str) -> Result<String, CallError> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let is_known = scheme == "http" || scheme == "https";
    if !is_known || rest.is_empty() || rest.starts_with('/') {
        return Err(CallError::Scheme { url: url.to_owned() });
    }
    let path = match rest.split_once('/') {
        None => "/rpc",
        Some((_, "")) => "rpc",
        Some(_) => "",
    };
    Ok(format!("{scheme}://{rest}{path}"))
}

/// Whether `url` is of this computer, so that no proxy is asked.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.starts_with("[::1]")
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn urls_are_completed_as_mos_takes_them() {
        for (given, used) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/rpc"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/rpc"),
            ("http://host/other/path", "http://host/other/path"),
            ("host:1234", "http://host:1234/rpc"),
        ] {
            assert_eq!(complete(given).unwrap(), used);
        }
        for given in ["mqtt://host/dev", "/dev/ttyUSB0", "", "http://"] {
            assert!(matches!(complete(given), Err(CallError::Scheme { .. })), "{given}");
        }
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for url in ["http://127.0.0.1:80/x", "http://localhost", "127.1.2.3", "http://[::1]:5/"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://10.0.0.1", "http://127.0.0.1.example.org", "http://host/127.0.0.1"] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn results_and_errors_are_told_apart_as_mos_does() {
        assert_eq!(result(&json!({ "result": { "a": 1 } })), Ok(json!({ "a": 1 })));
        assert_eq!(result(&json!({ "id": 1 })), Ok(Value::Null));
        assert_eq!(result(&json!({ "error": { "code": 0, "message": "fine" } })), Ok(Value::Null));
        let error = result(&json!({ "error": { "code": -1, "message": "no" } })).unwrap_err();
        assert_eq!(error.to_string(), "remote error -1: no");
    }
}
