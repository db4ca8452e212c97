//! Where a device is, in the words of `mos --port`.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use super::{CallError, Link, Options, http, line, mqtt, udp, websocket};
use crate::host::broker::{Broker, without_password};

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `http://HOST[:PORT][/PATH]` or https; the path is `/rpc` unless given.
    Http {
        /// With its path.
        url: String,
    },
    /// `ws://HOST[:PORT][/PATH]` or wss.
    WebSocket {
        /// With its path.
        url: String,
    },
    /// `tcp://HOST:PORT`
    Tcp {
        /// Host and port.
        address: String,
    },
    /// `udp://HOST:PORT`
    Udp {
        /// Host and port.
        address: String,
    },
    /// `mqtt://HOST[:PORT]/DEVICE` or mqtts.
    Mqtt {
        /// Its path is the device.
        broker: Broker,
        /// What the client calls itself.
        client_id: String,
    },
    /// A serial port.
    Serial {
        /// The tty.
        path: PathBuf,
    },
}

impl Target {
    /// Reads what `--port` says. A host without a scheme is HTTP, a path a serial port.
    ///
    /// # Errors
    /// [`CallError::Target`].
    pub fn parse(url: &str) -> Result<Self, CallError> {
        let error = |reason| CallError::Target { url: without_password(url), reason };
        if url.starts_with('/') || url.starts_with("./") {
            return Ok(Self::Serial { path: url.into() });
        }
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        if rest.is_empty() || (rest.starts_with('/') && scheme != "serial") {
            return Err(error("no host"));
        }
        match scheme {
            "http" | "https" => Ok(Self::Http { url: with_path(scheme, rest) }),
            "ws" | "wss" => Ok(Self::WebSocket { url: with_path(scheme, rest) }),
            "tcp" => Ok(Self::Tcp { address: with_port(rest).map_err(error)? }),
            "udp" => Ok(Self::Udp { address: with_port(rest).map_err(error)? }),
            "mqtt" | "mqtts" => {
                let broker: Broker = url.parse().map_err(|_| error("no broker"))?;
                if broker.path.is_empty() {
                    return Err(error("the device is missing behind the broker"));
                }
                let client_id = format!("ota-sim-{}", getrandom::u32().unwrap_or_default());
                Ok(Self::Mqtt { broker, client_id })
            }
            "serial" => Ok(Self::Serial { path: rest.into() }),
            _ => Err(error("not a kind of transport")),
        }
    }

    pub(super) fn connect(
        &self,
        options: &Options,
        deadline: Instant,
    ) -> Result<Box<dyn Link>, CallError> {
        Ok(match self {
            Self::Http { url } => Box::new(http::Http::new(url, options)?),
            Self::WebSocket { url } => {
                Box::new(websocket::WebSocketLink::connect(url, options, deadline)?)
            }
            Self::Tcp { address } => Box::new(line::tcp(address, deadline)?),
            Self::Udp { address } => Box::new(udp::Datagrams::connect(address)?),
            Self::Mqtt { broker, client_id } => {
                Box::new(mqtt::Session::connect(broker, client_id, options, deadline)?)
            }
            Self::Serial { path } => Box::new(line::serial(path, options.uart_pace, deadline)?),
        })
    }

    /// Whether a connection is made and kept: then it is worth trying again.
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::Http { .. } | Self::Udp { .. } => false,
            Self::WebSocket { .. } | Self::Tcp { .. } | Self::Mqtt { .. } | Self::Serial { .. } => {
                true
            }
        }
    }

    /// The device that a frame is for, where that has to be said.
    pub(super) fn device(&self) -> Option<&str> {
        match self {
            Self::Mqtt { broker, .. } => Some(&broker.path),
            _ => None,
        }
    }

    /// Who the client says it is.
    pub(super) fn source(&self) -> String {
        match self {
            Self::Mqtt { broker, client_id } => mqtt::source(&broker.path, client_id),
            _ => "ota-sim".to_owned(),
        }
    }

    /// What to do when no reply comes.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Mqtt { .. } => {
                "is this the device's name, and is it connected to this broker? Or wait longer with \
                 --timeout"
            }
            Self::Udp { .. } => {
                "datagrams get lost, and devices answer nothing that they do not like; try again, or \
                 wait longer with --timeout"
            }
            _ => {
                "the device may be busy or hang: ask it for OTA.Status, or wait longer with --timeout"
            }
        }
    }
}

impl fmt::Display for Target {
    /// Without a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { url } | Self::WebSocket { url } => f.write_str(&without_password(url)),
            Self::Tcp { address } => write!(f, "tcp://{}", without_password(address)),
            Self::Udp { address } => write!(f, "udp://{}", without_password(address)),
            Self::Mqtt { broker, .. } => write!(f, "{broker}/{}", broker.path),
            Self::Serial { path } => path.display().fmt(f),
        }
    }
}

fn with_path(scheme: &str, rest: &str) -> String {
    let path = match rest.split_once('/') {
        None => "/rpc",
        Some((_, "")) => "rpc",
        Some(_) => "",
    };
    format!("{scheme}://{rest}{path}")
}

fn with_port(rest: &str) -> Result<String, &'static str> {
    let address = rest.trim_end_matches('/');
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| address.to_owned()).ok_or("the port is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_completed_as_mos_takes_them() {
        for (given, used) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/rpc"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/rpc"),
            ("http://host/other/path", "http://host/other/path"),
            ("host:1234", "http://host:1234/rpc"),
            ("ws://host", "ws://host/rpc"),
            ("wss://host:1/x", "wss://host:1/x"),
            ("tcp://[::1]:5", "tcp://[::1]:5"),
            ("udp://host:5/", "udp://host:5"),
            ("mqtts://u:p@host/dev/1", "mqtts://host:8883/dev/1"),
            ("/dev/ttyUSB0", "/dev/ttyUSB0"),
            ("serial:///dev/pts/3", "/dev/pts/3"),
        ] {
            assert_eq!(Target::parse(given).unwrap().to_string(), used);
        }
        for given in ["mqtt://host", "ftp://host", "", "http://", "tcp://host", "mqtt:///dev"] {
            let error = Target::parse(given).unwrap_err();
            assert!(matches!(error, CallError::Target { .. }), "{given}");
            assert!(error.to_string().contains("mqtt://HOST/DEVICE"), "{error}");
        }
    }
}
