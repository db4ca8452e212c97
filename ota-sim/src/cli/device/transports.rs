//! What the device listens on.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use ota_rpc::auth::Access;
use ota_rpc::{ChannelKind, Config};
use ota_sim::host::broker::{Broker, BrokerError};
use ota_sim::host::serial::SerialLine;
use ota_sim::host::server::{Bound, Server, Transport};
use ota_sim::host::{DeviceHost, http, mqtt, tcp, tls, udp};
use rumqttc::MqttOptions;

use crate::cli::print;

#[derive(Args)]
#[group(id = "transports")]
pub(super) struct Options {
    /// Address of the HTTP and WebSocket server, such as localhost:8080; port 0: any free one; off:
    /// none
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: Http,
    /// Certificates of the HTTP server, PEM: it speaks TLS then
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the first of them, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Address of a TCP server, frames on lines
    #[arg(long, value_name = "ADDRESS", value_parser = crate::cli::address)]
    tcp: Option<SocketAddr>,
    /// Address of a UDP server, frames in datagrams
    #[arg(long, value_name = "ADDRESS", value_parser = crate::cli::address)]
    udp: Option<SocketAddr>,
    /// Broker to be a client of: mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts:// for TLS
    #[arg(long, value_name = "URL", value_parser = BrokerParser)]
    mqtt: Option<Broker>,
    /// Who vouches for a broker with TLS, PEM; without it the authorities that browsers trust
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Serial port, such as /dev/ttyUSB0; pty: a pseudo terminal, whose name is printed
    #[arg(long, value_name = "PATH")]
    serial: Option<PathBuf>,
    /// Listen where others can reach the device, although anybody may then replace the firmware
    #[arg(long)]
    insecure: bool,
}

#[derive(Clone, Copy)]
enum Http {
    Off,
    On(SocketAddr),
}

impl FromStr for Http {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            address => {
                Ok(Self::On(crate::cli::address(address).map_err(|error| error.to_string())?))
            }
        }
    }
}

/// What is taken, and not served yet: whoever connects has to wait.
pub(super) struct Taken {
    http: Option<(Bound, Option<Arc<rustls::ServerConfig>>)>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    mqtt: Option<(Broker, MqttOptions)>,
    serial: Option<SerialLine>,
}

/// What is served, until this is dropped.
pub(super) struct Served {
    _http: Option<Server>,
    _others: Vec<Transport>,
}

impl Options {
    /// Refuses to let strangers replace the firmware, and to run unheard.
    pub(super) fn check(&self, access: Option<Access<'static>>) -> Result<()> {
        let config = Config { access, ..Config::new("") };
        let http = match self.http {
            Http::On(address) => Some(address),
            Http::Off => None,
        };
        let listened = [
            (ChannelKind::Http, "--http", http),
            (ChannelKind::WebSocket, "--http (WebSocket)", http),
            (ChannelKind::Tcp, "--tcp", self.tcp),
            (ChannelKind::Udp, "--udp", self.udp),
        ];
        let listened = listened.into_iter().filter_map(|(kind, option, address)| {
            let address = address.filter(|address| !address.ip().is_loopback())?;
            Some((kind, option, address.to_string()))
        });
        let broker = self.mqtt.as_ref().filter(|broker| !broker.is_loopback());
        let broker = broker.map(|broker| (ChannelKind::Mqtt, "--mqtt", broker.to_string()));
        for (kind, option, address) in listened.chain(broker) {
            ensure!(
                !config.is_open(kind) || self.insecure,
                "{option} {address} can be reached by others, and without credentials anybody could \
                 replace the firmware; give --creds USER:PASSWORD (and rules that ask for them), \
                 use 127.0.0.1, or give --insecure if the network is yours alone"
            );
        }
        let is_heard = http.is_some()
            || self.tcp.is_some()
            || self.udp.is_some()
            || self.mqtt.is_some()
            || self.serial.is_some();
        ensure!(is_heard, "nobody could call the device: give --tcp, --udp, --mqtt or --serial");
        ensure!(
            http.is_some() || self.tls_cert.is_none(),
            "--tls-cert is for the HTTP server, which is off"
        );
        ensure!(
            self.ca.is_none() || self.mqtt.as_ref().is_some_and(|broker| broker.is_tls),
            "--ca is for a broker with TLS: give --mqtt mqtts://..."
        );
        Ok(())
    }

    /// Takes addresses, files and lines.
    pub(super) fn take(&self, device_id: &str) -> Result<Taken> {
        let http = match self.http {
            Http::Off => None,
            Http::On(address) => {
                let tls = match (&self.tls_cert, &self.tls_key) {
                    (Some(certificates), Some(key)) => Some(tls::server(certificates, key)?),
                    _ => None,
                };
                let bound = Bound::new(address).with_context(|| {
                    format!("cannot listen on {address}; choose another with --http, or off")
                })?;
                Some((bound, tls))
            }
        };
        let mqtt = match &self.mqtt {
            Some(broker) => Some((broker.clone(), broker.options(device_id, self.ca.as_deref())?)),
            None => None,
        };
        Ok(Taken {
            http,
            tcp: self.tcp.map(bind_tcp).transpose()?,
            udp: self.udp.map(bind_udp).transpose()?,
            mqtt,
            serial: self.serial.as_deref().map(open_serial).transpose()?,
        })
    }
}

impl Taken {
    /// Serves all of it.
    pub(super) fn serve(self, host: &DeviceHost) -> Result<Served> {
        let mut others = Vec::new();
        if let Some(listener) = self.tcp {
            print(format_args!("RPC at tcp://{}", listener.local_addr()?))?;
            let handle = host.handle();
            others.push(Transport::start("tcp", move || tcp::serve(listener, handle))?);
        }
        if let Some(socket) = self.udp {
            print(format_args!("RPC at udp://{}", socket.local_addr()?))?;
            let handle = host.handle();
            others.push(Transport::start("udp", move || udp::serve(socket, handle))?);
        }
        if let Some((broker, options)) = self.mqtt {
            let handle = host.handle();
            let id = options.client_id();
            // Told once: a device reconnects at each reboot.
            let mut was_told = None;
            let tell = move |state: Result<(), &rumqttc::ConnectionError>| {
                if was_told.replace(state.is_ok()) == Some(state.is_ok()) {
                    return;
                }
                match state {
                    Ok(()) => drop(print(format_args!("RPC at {broker}/{id}"))),
                    Err(error) => tracing::warn!("{broker}: {error}; trying again"),
                }
            };
            others.push(Transport::start("mqtt", move || mqtt::serve(options, handle, tell))?);
        }
        if let Some(line) = self.serial {
            print(format_args!("RPC at {}", line.path().display()))?;
            host.attach(line);
        }
        let http = match self.http {
            Some((bound, tls)) => {
                let router = http::router(host.handle());
                let server = bound.serve(router, tls).context("cannot serve HTTP")?;
                print(format_args!(
                    "RPC at {0}/rpc; try: ota-sim call --port {0} OTA.GetBootState; Ctrl-C ends",
                    server.url()
                ))?;
                Some(server)
            }
            None => None,
        };
        Ok(Served { _http: http, _others: others })
    }
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another with --tcp"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn bind_udp(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another with --udp"))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn open_serial(path: &Path) -> Result<SerialLine> {
    match path.to_str() {
        Some("pty") => SerialLine::pty().context("there is no pseudo terminal to be had"),
        _ => SerialLine::open(path).with_context(|| {
            format!("{}: cannot be opened as a serial port (pty: make one)", path.display())
        }),
    }
}

/// Reads a broker. What is no broker is told without its password: the library's own words quote it.
#[derive(Clone)]
struct BrokerParser;

impl TypedValueParser for BrokerParser {
    type Value = Broker;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Broker, clap::Error> {
        value.to_string_lossy().parse().map_err(|error: BrokerError| {
            let message = format!("--mqtt {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
