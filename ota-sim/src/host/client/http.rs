//! `POST /rpc`, a frame in each request.

use std::time::Instant;

use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};

use super::login::HttpLogin;
use super::{CallError, Link, Options, is_loopback, unreachable};
use crate::host::broker::without_password;
use crate::host::tls;

pub(super) struct Http {
    url: String,
    /// The target of the request: path and query.
    path: String,
    agent: Agent,
    options: Options,
    login: Option<HttpLogin>,
    reply: Option<Vec<u8>>,
}

impl Http {
    pub(super) fn new(url: &str, options: &Options) -> Result<Self, CallError> {
        let mut config = Agent::config_builder().http_status_as_error(false);
        if is_loopback(url) {
            config = config.proxy(None);
        }
        if let Some(path) = &options.authorities {
            let roots = tls::read_certificates(path).map_err(|error| failed(url, &error))?;
            let roots = roots.iter().map(|root| ureq::tls::Certificate::from_der(root).to_owned());
            let roots = RootCerts::from(roots.collect::<Vec<_>>());
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = host.find('/').map_or("/", |start| &host[start..]).to_owned();
        let agent = config.build().new_agent();
        Ok(Self {
            url: url.to_owned(),
            path,
            agent,
            options: options.clone(),
            login: None,
            reply: None,
        })
    }

    fn post(&mut self, frame: &[u8], deadline: Instant) -> Result<Response<ureq::Body>, CallError> {
        let time = deadline.saturating_duration_since(Instant::now());
        let mut request = self
            .agent
            .post(&self.url)
            .config()
            .timeout_global(Some(time))
            .build()
            .content_type("application/json");
        if let (Some(login), Some(credentials)) = (&mut self.login, &self.options.credentials) {
            request =
                request.header("Authorization", login.answer("POST", &self.path, credentials)?);
        }
        request.send([frame, b"\n"].concat()).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &ureq::Error) -> CallError {
        match error {
            ureq::Error::Timeout(_) => CallError::Late {
                url: without_password(&self.url),
                timeout: self.options.timeout,
                advice: "the device may be busy or hang: ask it for OTA.Status, or wait longer with \
                         --timeout",
            },
            ureq::Error::Io(error) => unreachable(&self.url, error),
            ureq::Error::Rustls(error) => {
                CallError::Untrusted { url: without_password(&self.url), reason: error.to_string() }
            }
            other => failed(&self.url, other),
        }
    }
}

impl Link for Http {
    fn send(&mut self, frame: &[u8], deadline: Instant) -> Result<(), CallError> {
        let mut response = self.post(frame, deadline)?;
        if response.status() == 401 {
            // The first one, or the nonce of the last one is too old.
            let credentials = self.options.credentials.as_ref().ok_or(CallError::NoCredentials)?;
            let header = response.headers().get("www-authenticate");
            let header = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
            self.login = Some(HttpLogin::of(header, credentials)?);
            response = self.post(frame, deadline)?;
            if response.status() == 401 {
                self.login = None;
                return Err(CallError::WrongPassword);
            }
        }
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().map_err(|error| self.failed(&error))?;
        if status == crate::host::http::NO_ANSWER {
            return Err(CallError::NoAnswer);
        }
        if status != 200 || serde_json::from_slice::<serde_json::Value>(&body).is_err() {
            let body = String::from_utf8_lossy(&body).trim().chars().take(100).collect();
            return Err(CallError::NoReply { url: without_password(&self.url), status, body });
        }
        self.reply = Some(body);
        Ok(())
    }

    fn receive(&mut self, _: Instant) -> Result<Option<Vec<u8>>, CallError> {
        Ok(self.reply.take())
    }

    fn has_one_response(&self) -> bool {
        true
    }
}

fn failed(url: &str, error: &dyn std::error::Error) -> CallError {
    // Some errors quote the URL.
    let (url, reason) =
        (without_password(url), error.to_string().replace(url, &without_password(url)));
    CallError::Unreachable { url, reason }
}
