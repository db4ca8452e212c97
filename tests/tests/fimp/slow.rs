//! Brokers that are slow, or say too much.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ota_rpc::fimp::Revision;
use ota_sim::app::Behaviour;
use ota_sim::host::DeviceHost;
use ota_sim::host::server::Transport;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{connect, host};
use crate::world::{CMD, bundle, command};

const PATIENCE: Duration = Duration::from_secs(30);
/// So many packets the device's client sends without a confirmation.
const CLIENT_HOLDS: usize = 100;
const INSTALL: &str = "cmd.ota_update.install";

/// A broker that does as it is told, and a device on it.
struct OddBroker {
    listener: TcpListener,
    folder: TempDir,
    _host: DeviceHost,
    _transport: Transport,
}

/// The device's connection.
struct Connection {
    stream: TcpStream,
    /// What the device publishes: the number of the packet, type of the message, and the message.
    published: Receiver<(u16, String, Value)>,
}

impl OddBroker {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), Revision::Draft, 0);
        let url = format!("mqtt://{}", listener.local_addr().unwrap());
        let transport = connect(&host, &url);
        Self { listener, folder, _host: host, _transport: transport }
    }

    /// The next connection, on which the device has subscribed.
    fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().unwrap();
        let (mut input, mut output) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        let (sender, published) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok((head, body)) = packet(&mut input) {
                match head >> 4 {
                    1 => output.write_all(&[0x20, 2, 0, 0]).unwrap(),
                    8 => output.write_all(&[0x90, 3, body[0], body[1], 1]).unwrap(),
                    3 => drop(sender.send(publication(&body))),
                    _ => {}
                }
            }
        });
        Connection { stream, published }
    }

    /// The first connection, on which the device was told to install an image that is all right.
    fn install(&self) -> Connection {
        let file = bundle("2.0.0", "sim", Behaviour::Healthy);
        std::fs::write(self.folder.path().join("fw.zip"), file).unwrap();
        let mut connection = self.accept();
        assert_eq!(connection.next(), "evt.thing.inclusion_report");
        connection.send(&command(INSTALL, "string", json!("fw.zip"))).unwrap();
        connection
    }
}

fn packet(input: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    let [head] = byte;
    let (mut length, mut shift) = (0, 0);
    loop {
        input.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok((head, body))
}

/// Of a packet with QoS 1.
fn publication(body: &[u8]) -> (u16, String, Value) {
    let number_at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    let message: Value = serde_json::from_slice(&body[number_at + 2..]).unwrap();
    let number = u16::from_be_bytes([body[number_at], body[number_at + 1]]);
    (number, message["type"].as_str().unwrap().to_owned(), message)
}

/// A message for the device, with QoS 0.
fn packet_of(payload: &[u8]) -> Vec<u8> {
    let length = 2 + CMD.len() + payload.len();
    let mut packet = vec![0x30, (length & 0x7F) as u8 | 0x80, (length >> 7) as u8];
    packet.extend((CMD.len() as u16).to_be_bytes());
    packet.extend(CMD.bytes());
    packet.extend(payload);
    packet
}

impl Connection {
    /// Hands the device a message.
    fn send(&mut self, payload: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(&packet_of(payload))
    }

    fn confirm(&mut self, number: u16) -> std::io::Result<()> {
        let [high, low] = number.to_be_bytes();
        self.stream.write_all(&[0x40, 2, high, low])
    }

    /// The next message, which is confirmed.
    fn next(&mut self) -> String {
        let (number, kind, _) = self.published.recv_timeout(PATIENCE).expect("a message comes");
        self.confirm(number).unwrap();
        kind
    }
}

/// A broker confirms nothing for a while, and so many replies wait that there is no room for more.
#[test]
fn a_report_is_not_lost_among_replies() {
    let broker = OddBroker::new();
    let mut connection = broker.accept();
    assert_eq!(connection.next(), "evt.thing.inclusion_report");
    let ask = command("cmd.ota_status.get_report", "null", json!(null));
    let mut held = Vec::new();
    // Some are dropped when many come at once: until no more are sent, and then until no more wait.
    let mut rounds_when_full = 0;
    while rounds_when_full < 3 {
        rounds_when_full += usize::from(held.len() >= CLIENT_HOLDS);
        (0..200).for_each(|_| connection.send(&ask).unwrap());
        let pause = Duration::from_millis(200);
        while let Ok((number, ..)) = connection.published.recv_timeout(pause) {
            held.push(number);
        }
    }
    assert_eq!(held.len(), CLIENT_HOLDS);
    connection.send(&command(INSTALL, "string", json!("none.zip"))).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    held.into_iter().for_each(|number| connection.confirm(number).unwrap());
    let mut reports = Vec::new();
    while reports.last().is_none_or(|last| last != "evt.ota_end.report") {
        let kind = connection.next();
        if kind != "evt.ota_status.report" {
            reports.push(kind);
        }
    }
    assert_eq!(reports, ["evt.ota_start.report", "evt.ota_end.report"]);
}

/// Messages come as fast as they can be sent; an update goes on all the same.
#[test]
fn a_flood_stops_no_update() {
    let broker = OddBroker::new();
    let mut connection = broker.install();
    let since = Instant::now();
    let mut flood = Vec::new();
    (0..1000).for_each(|_| flood.extend(packet_of(b"nonsense")));
    // Until the device reboots.
    while connection.stream.write_all(&flood).is_ok() {
        assert!(since.elapsed() < PATIENCE, "the update does not come to its end");
        while let Ok((number, ..)) = connection.published.try_recv() {
            let _ = connection.confirm(number);
        }
    }
    let mut connection = broker.accept();
    assert_eq!(connection.next(), "evt.thing.inclusion_report");
    assert_eq!(connection.next(), "evt.ota_end.report");
}

/// What is not confirmed comes again, the same each time; the device waits for no broker.
#[test]
fn a_broker_that_hangs_up_after_each_message_hears_it_all() {
    let broker = OddBroker::new();
    let mut connection = broker.install();
    let mut heard = Vec::new();
    let mut confirms = false;
    // Each message comes twice, but for progress.
    while heard.iter().filter(|(kind, _)| kind == "evt.ota_end.report").count() < 2 {
        let (number, kind, message) = connection.published.recv_timeout(PATIENCE).unwrap();
        if confirms {
            connection.confirm(number).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        heard.push((kind, message));
        confirms = !confirms;
        connection.stream.shutdown(std::net::Shutdown::Both).unwrap();
        connection = broker.accept();
    }
    for kind in ["evt.ota_start.report", "evt.ota_end.report"] {
        let mut all = heard.iter().filter(|(it, _)| it == kind);
        let (_, first) = all.next().expect(kind);
        assert!(all.all(|(_, other)| other == first), "{kind}");
    }
    assert_eq!(heard.last().unwrap().1["val"], json!({ "success": true, "error": "" }));
}

/// A broker that takes messages and never says so.
#[test]
fn a_broker_that_confirms_nothing_holds_no_reboot_for_long() {
    let broker = OddBroker::new();
    let _connection = broker.install();
    let since = Instant::now();
    let mut connection = broker.accept();
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    for expected in ["evt.thing.inclusion_report", "evt.ota_start.report", "evt.ota_end.report"] {
        assert_eq!(connection.next(), expected);
    }
}
