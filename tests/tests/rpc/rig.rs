//! A device on all transports, and a server with updates for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use ota_sim::bundle::{Spec, create};
use ota_sim::device::{Event, Settings};
use ota_sim::factory::{self, Image};
use ota_sim::host::broker::Broker;
use ota_sim::host::client::{Client, Options};
use ota_sim::host::files::Files;
use ota_sim::host::serial::SerialLine;
use ota_sim::host::server::{Server, Transport};
use ota_sim::host::{DeviceHost, Notice, http, mqtt, tcp, udp};
use ota_sim::layout::Board;
use ota_sim::nor::Nor;

use crate::broker::Mosquitto;
use crate::clock::TestClock;

/// What the recordings call their device.
pub(crate) const DEVICE: &str = "esp_stub";

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    WebSocket,
    Tcp,
    Udp,
    Serial,
    Mqtt,
}

pub(crate) struct Rig {
    _host: DeviceHost,
    pub(crate) clock: TestClock,
    pub(crate) files: Files,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) udp: SocketAddr,
    pub(crate) tty: PathBuf,
    pub(crate) broker: Option<Mosquitto>,
    file_server: Server,
    notices: mpsc::Receiver<Notice>,
    /// Told each time that the device has subscribed.
    subscribed: Option<mpsc::Receiver<()>>,
    _http: Server,
    _transports: Vec<Transport>,
}

impl Rig {
    /// A fresh device with firmware 1.0.0. None where `wire` cannot be had on this machine.
    pub(crate) fn new(wire: Wire, settings: Settings<'static>) -> Option<Self> {
        let broker = match wire {
            Wire::Mqtt => Some(Mosquitto::start("rpc over MQTT")?),
            _ => None,
        };
        let board: Board = "sim:slots=2,app=640K".parse().unwrap();
        let image = Image { app: vec![7; 5000], ..Image::new("1.0.0", "sim") };
        let flash = factory::flash(&board, &image).unwrap();
        let nor = Nor::with_image(board.part(), &flash);
        let (sender, notices) = mpsc::channel();
        let observer = move |notice| drop(sender.send(notice));
        let clock = TestClock::new();
        let host = DeviceHost::start(board, settings, nor, clock.clone(), observer).unwrap();
        let web = Server::start(LOCAL, http::router(host.handle())).unwrap();
        let mut transports = Vec::new();
        let listener = TcpListener::bind(LOCAL).unwrap();
        listener.set_nonblocking(true).unwrap();
        let tcp_address = listener.local_addr().unwrap();
        let handle = host.handle();
        transports.push(Transport::start("tcp", move || tcp::serve(listener, handle)).unwrap());
        let socket = UdpSocket::bind(LOCAL).unwrap();
        socket.set_nonblocking(true).unwrap();
        let udp_address = socket.local_addr().unwrap();
        let handle = host.handle();
        transports.push(Transport::start("udp", move || udp::serve(socket, handle)).unwrap());
        let mut subscribed = None;
        if let Some(broker) = &broker {
            let url = format!("mqtt://127.0.0.1:{}", broker.port());
            let options = url.parse::<Broker>().unwrap().options(settings.id, None).unwrap();
            let (ready, is_ready) = mpsc::channel();
            let tell = move |state: Result<(), &_>| {
                if state.is_ok() {
                    let _ = ready.send(());
                }
            };
            let handle = host.handle();
            let serve = move || mqtt::serve(options, handle, tell);
            transports.push(Transport::start("mqtt", serve).unwrap());
            subscribed = Some(is_ready);
        }
        let line = SerialLine::pty().unwrap();
        let tty = line.path().to_owned();
        host.attach(line);
        let files = Files::new();
        let mut rig = Self {
            _host: host,
            clock,
            file_server: Server::start(LOCAL, files.router()).unwrap(),
            files,
            http: web.address(),
            tcp: tcp_address,
            udp: udp_address,
            tty,
            broker,
            notices,
            subscribed,
            _http: web,
            _transports: transports,
        };
        assert_eq!(rig.booted(), "1.0.0");
        Some(rig)
    }

    /// The device of the recordings, open to everybody.
    pub(crate) fn open(wire: Wire) -> Option<Self> {
        Self::new(wire, Settings::new(DEVICE, "sim"))
    }

    /// Where a client finds it.
    pub(crate) fn url(&self, wire: Wire) -> String {
        match wire {
            Wire::Http => format!("http://{}", self.http),
            Wire::WebSocket => format!("ws://{}", self.http),
            Wire::Tcp => format!("tcp://{}", self.tcp),
            Wire::Udp => format!("udp://{}", self.udp),
            Wire::Serial => self.tty.display().to_string(),
            Wire::Mqtt => {
                format!("mqtt://127.0.0.1:{}/{DEVICE}", self.broker.as_ref().unwrap().port())
            }
        }
    }

    pub(crate) fn client(&self, wire: Wire) -> Client {
        Client::new(&self.url(wire), Options::with_timeout(PATIENCE)).unwrap()
    }

    /// Waits for the next boot, until the device can be reached again, and tells which version.
    pub(crate) fn booted(&mut self) -> String {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).expect("the device boots");
            if let Notice::Event(Event::Booted(report)) = notice {
                if let Some(subscribed) = &self.subscribed {
                    subscribed.recv_timeout(PATIENCE).expect("the device subscribes");
                }
                return report.version;
            }
        }
    }

    /// Serves an update and tells where.
    pub(crate) fn serve(&self, version: &str, size: usize) -> String {
        let name = format!("{version}.zip");
        self.files.put(&name, bundle(version, size));
        format!("{}/{name}", self.file_server.url())
    }
}

/// A bundle with an image of `size` bytes that depend on the version.
pub(crate) fn bundle(version: &str, size: usize) -> Vec<u8> {
    let mut state = ota_core::crc::crc32(version.as_bytes()) | 1;
    let app = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    create(&Spec::new(version, "sim").with_app(app.collect())).unwrap()
}
