//! What the device listens on.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use ota_rpc::auth::Access;
use ota_rpc::{ChannelKind, Config};
use ota_sim::host::broker::Broker;
use ota_sim::host::serial::SerialLine;
use ota_sim::host::server::{Bound, Server, Transport};
use ota_sim::host::{DeviceHost, http, mqtt, tcp, tls, udp};
use rumqttc::MqttOptions;

use super::fimp;
use super::hint::{Hint, tell_once};
use crate::cli::broker::BrokerParser;
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
    #[command(flatten)]
    pub(super) fimp: fimp::Options,
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
    fimp: Option<fimp::Taken>,
    /// The certificate that clients of the HTTP server have to be given.
    authorities: Option<PathBuf>,
    serial: Option<SerialLine>,
}

/// What is served, until this is dropped.
pub(super) struct Served {
    _http: Option<Server>,
    _others: Vec<Transport>,
}

impl Options {
    /// Refuses to let strangers replace the firmware, and to run unheard.
    pub(super) fn check(&self, id: &str, access: Option<Access<'static>>) -> Result<()> {
        self.check_names(id)?;
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
            || self.fimp.is_used()
            || self.serial.is_some();
        ensure!(
            is_heard,
            "nobody could call the device: give --tcp, --udp, --mqtt, --fimp or --serial"
        );
        self.fimp.check(self.insecure)?;
        ensure!(
            http.is_some() || self.tls_cert.is_none(),
            "--tls-cert is for the HTTP server, which is off"
        );
        ensure!(
            self.ca.is_none()
                || self.mqtt.as_ref().is_some_and(|broker| broker.is_tls)
                || self.fimp.is_tls(),
            "--ca is for a broker with TLS: give --mqtt or --fimp mqtts://..."
        );
        Ok(())
    }

    /// Refuses a name that no topic can have, and a second one.
    fn check_names(&self, id: &str) -> Result<()> {
        ensure!(!id.is_empty(), "--id: give the device a name");
        ensure!(!id.contains(char::is_control), "--id {id:?} has control characters");
        let Some(broker) = &self.mqtt else { return Ok(()) };
        ensure!(
            !id.contains(['+', '#']) && !id.starts_with('$'),
            "--id {id}: the topics of MQTT begin with it, so it can have no + and #, and no $ at its \
             start"
        );
        ensure!(
            broker.path.is_empty(),
            "--mqtt {broker}/...: the device is not named there; leave the path out, and give --id NAME"
        );
        Ok(())
    }

    /// Takes addresses, files and lines.
    pub(super) fn take(&self, device_id: &str) -> Result<Taken> {
        let http = match self.http {
            Http::Off => None,
            Http::On(address) => {
                let tls = match (&self.tls_cert, &self.tls_key) {
                    (Some(certificates), Some(key)) => {
                        let config = tls::server(certificates, key)?;
                        if tls::is_authority(certificates) {
                            tracing::warn!(
                                "--tls-cert {}: {}",
                                certificates.display(),
                                tls::AUTHORITY
                            );
                        }
                        Some(config)
                    }
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
            fimp: self.fimp.take(device_id, self.ca.as_deref())?,
            authorities: self
                .tls_cert
                .as_deref()
                .filter(|path| tls::is_self_signed(path))
                .map(Path::to_owned),
            serial: self.serial.as_deref().map(open_serial).transpose()?,
        })
    }
}

impl Taken {
    /// Serves all of it.
    pub(super) fn serve(
        self,
        host: &DeviceHost,
        access: Option<Access<'static>>,
    ) -> Result<Served> {
        let mut others = Vec::new();
        // HTTP comes last, and is what most look for; without it the first of the others is tried.
        let (http, authorities) = (self.http, self.authorities);
        let config = Config { access, ..Config::new("") };
        let mut hint = Hint::new(config, http.is_none());
        if let Some(listener) = self.tcp {
            let url = format!("tcp://{}", listener.local_addr()?);
            print(format_args!("RPC at {url}{}", hint.take(ChannelKind::Tcp, &url, None)))?;
            let handle = host.handle();
            others.push(Transport::start("tcp", move || tcp::serve(listener, handle))?);
        }
        if let Some(socket) = self.udp {
            let url = format!("udp://{}", socket.local_addr()?);
            print(format_args!("RPC at {url}{}", hint.take(ChannelKind::Udp, &url, None)))?;
            let handle = host.handle();
            others.push(Transport::start("udp", move || udp::serve(socket, handle))?);
        }
        if let Some((broker, options)) = self.mqtt {
            let handle = host.handle();
            let id = options.client_id();
            let hint = hint.take(ChannelKind::Mqtt, &broker.url_of_client(&id), None);
            let line = format!("RPC at {broker}/{id}{hint}");
            let tell = tell_once(broker, id, line);
            others.push(Transport::start("mqtt", move || mqtt::serve(options, handle, tell))?);
        }
        if let Some(fimp) = self.fimp {
            others.push(fimp.serve(host, access.is_some())?);
        }
        if let Some(line) = self.serial {
            let path = line.path().display().to_string();
            print(format_args!("RPC at {path}{}", hint.take(ChannelKind::Uart, &path, None)))?;
            host.attach(line);
        }
        let http = match http {
            Some((bound, tls)) => {
                let router = http::router(host.handle());
                let server = bound.serve(router, tls).context("cannot serve HTTP")?;
                let url = server.url();
                hint.is_due = true;
                let hint = hint.take(ChannelKind::Http, &url, authorities.as_deref());
                print(format_args!("RPC at {url}/rpc{hint}"))?;
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
