//! Where an MQTT broker is: `mqtt[s]://[USER:PASSWORD@]HOST[:PORT][/PATH]`, as `mos` takes it.

use std::path::Path;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, MqttOptions, NetworkOptions, QoS,
    StateError, SubscribeFilter, TlsConfiguration, Transport,
};

use super::tls::{self, TlsError};

/// Seconds between signs of life: those of `mos`.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The longest message that is taken from a broker, in bytes. Much longer than any request, so that
/// one that is too long is dropped by itself: beyond this the connection is, since all of a message
/// is read into memory, and MQTT 3.1.1 has no way to tell a broker of a limit. A broker has a limit
/// of its own, and this is not below what those of common ones are unless they are told otherwise.
const MAX_MESSAGE_BYTES: usize = 2 * 1024 * 1024;
/// The longest message that is sent to one, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// `mqtts://`
    pub is_tls: bool,
    /// Name or address.
    pub host: String,
    /// 1883, or 8883 with TLS, unless given.
    pub port: u16,
    /// What is behind the host: the device that a client means; may be empty.
    pub path: String,
    credentials: Option<(String, String)>,
}

/// Why a text is no broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url}: {reason}; give mqtt://HOST, mqtt://HOST:PORT, mqtt://USER:PASSWORD@HOST, or mqtts:// for TLS"
)]
pub struct BrokerError {
    url: String,
    reason: &'static str,
}

impl std::str::FromStr for Broker {
    type Err = BrokerError;

    fn from_str(url: &str) -> Result<Self, BrokerError> {
        let error = |reason| BrokerError { url: without_password(url), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| error("no URL"))?;
        let is_tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(error("not the URL of a broker")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // A password may contain an @, a host cannot.
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((login, address)) => {
                let login = login.split_once(':').ok_or_else(|| error("a user has a password"))?;
                (Some((login.0.to_owned(), login.1.to_owned())), address)
            }
            None => (None, authority),
        };
        let (host, port) = match address.rsplit_once(':') {
            // [::1] has colons, but its own end.
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| error("the port is no number"))?)
            }
            _ => (address, if is_tls { 8883 } else { 1883 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(error("no host"));
        }
        Ok(Self { is_tls, host: host.to_owned(), port, path: path.to_owned(), credentials })
    }
}

impl Broker {
    /// Whether it is on this computer.
    pub fn is_loopback(&self) -> bool {
        super::client::is_loopback(&self.address())
    }

    /// `host:port`
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// How to connect: MQTT 3.1.1, a clean session. `authorities`: who may vouch for a broker with
    /// TLS; none: those that browsers trust.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn options(
        &self,
        client_id: &str,
        authorities: Option<&Path>,
    ) -> Result<MqttOptions, TlsError> {
        let mut options = MqttOptions::new(client_id, &self.host, self.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(MAX_MESSAGE_BYTES, MAX_REPLY_BYTES);
        if let Some((user, password)) = &self.credentials {
            options.set_credentials(user, password);
        }
        if self.is_tls {
            let config = TlsConfiguration::Rustls(tls::client(authorities)?);
            options.set_transport(Transport::tls_with_config(config));
        }
        Ok(options)
    }
}

impl Broker {
    /// The `--port` of a client of the device `id`.
    pub fn url_of_client(&self, id: &str) -> String {
        format!("{}/{id}", self.url_with_login())
    }

    /// The URL for a client. Whoever has a login there knows it.
    pub fn url_with_login(&self) -> String {
        let login = if self.credentials.is_some() { "USER:PASSWORD@" } else { "" };
        format!("{}://{login}{}", self.scheme(), self.address())
    }

    /// Why a connection of the client `id` ended, and what may help.
    pub fn explain(&self, error: &ConnectionError, id: &str) -> String {
        match error {
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
            ) => {
                let scheme = self.scheme();
                let what = match self.credentials {
                    Some(_) => "refuses user and password",
                    None => "wants user and password",
                };
                format!("the broker {what}: give {scheme}://USER:PASSWORD@{}", self.address())
            }
            // A broker does so with whoever has the name of a newer client.
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                format!("{error} (another client named {id}?)")
            }
            error => error.to_string(),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.is_tls { "mqtts" } else { "mqtt" }
    }
}

/// A URL, or what somebody took for one, as it may be shown: `scheme://user:***@host`.
pub(super) fn without_password(url: &str) -> String {
    let start = url.find("://").map_or(0, |end| end + 3);
    let rest = &url[start..];
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // An @ in a path is none of a password, unless it is the password that has a slash in it, and
    // what stands behind the colon is no port.
    let at = rest[..authority].rfind('@').or_else(|| {
        let (_, port) = rest[..authority].rsplit_once(':')?;
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port { None } else { rest.rfind('@') }
    });
    match at.and_then(|at| Some((rest[..at].find(':')?, at))) {
        Some((colon, at)) => format!("{}:***{}", &url[..start + colon], &rest[at..]),
        None => url.to_owned(),
    }
}

/// Requests wait for replies: nothing is held back to be sent with more.
pub(super) fn network() -> NetworkOptions {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network
}

/// Subscribes to all of `filters`, with QoS 1: one confirmation comes. To be called when nothing else
/// waits to be sent, so that there is room.
pub(super) fn subscribe<F: ToString>(
    client: &AsyncClient,
    filters: impl IntoIterator<Item = F>,
) -> Result<(), ClientError> {
    let filter = |filter: F| SubscribeFilter::new(filter.to_string(), QoS::AtLeastOnce);
    client.try_subscribe_many(filters.into_iter().map(filter))
}

impl std::fmt::Display for Broker {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, address, path, login) in [
            ("mqtt://host", "host:1883", "", None),
            ("mqtts://host", "host:8883", "", None),
            ("mqtt://host:99/dev", "host:99", "dev", None),
            ("mqtt://[::1]/dev/x", "[::1]:1883", "dev/x", None),
            ("mqtt://[::1]:7", "[::1]:7", "", None),
            ("mqtt://u:p@a:b@host/d@1", "host:1883", "d@1", Some(("u", "p@a:b"))),
        ] {
            let broker: Broker = url.parse().unwrap();
            let found = broker.credentials.as_ref().map(|(user, pass)| (&user[..], &pass[..]));
            assert_eq!((&broker.address()[..], &broker.path[..], found), (address, path, login));
            assert!(!broker.to_string().contains("p@"));
        }
        for url in ["host", "http://host", "mqtt://", "mqtt://h:x", "mqtt://user@host"] {
            let error = url.parse::<Broker>().unwrap_err().to_string();
            assert!(error.starts_with(url) && error.contains("mqtt://HOST"), "{error}");
        }
        let error = "mqtt://u:p@h:x".parse::<Broker>().unwrap_err().to_string();
        assert!(error.starts_with("mqtt://u:***@h:x: "), "{error}");
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("mqtt://u:p@h:1/d", "mqtt://u:***@h:1/d"),
            ("u:p@h", "u:***@h"),
            ("ws://u:p@w@h/x@y", "ws://u:***@h/x@y"),
            ("mqtt://u:p/w@h/dev", "mqtt://u:***@h/dev"),
            ("mqtt://h:99/d@1", "mqtt://h:99/d@1"),
            ("mqtt://[::1]:7/d@1", "mqtt://[::1]:7/d@1"),
            ("http://token@h", "http://token@h"),
            ("/dev/ttyUSB0", "/dev/ttyUSB0"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn brokers_that_end_a_connection_are_explained() {
        let refused = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        for (url, words) in [
            ("mqtt://h", "wants user and password: give mqtt://USER:PASSWORD@h:1883"),
            ("mqtts://u:p@h", "refuses user and password: give mqtts://USER:PASSWORD@h:8883"),
        ] {
            let broker: Broker = url.parse().unwrap();
            assert_eq!(broker.explain(&refused, "dev"), format!("the broker {words}"));
        }
        let broker: Broker = "mqtt://u:p@h".parse().unwrap();
        let lost = ConnectionError::MqttState(StateError::ConnectionAborted);
        let words = broker.explain(&lost, "dev");
        assert!(words.ends_with("(another client named dev?)"), "{words}");
        assert_eq!(broker.url_of_client("dev"), "mqtt://USER:PASSWORD@h:1883/dev");
    }
}
