//! A device and a hub on a real broker.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ota_rpc::fimp::{self, Address, Revision};
use ota_sim::app::Behaviour;
use ota_sim::clock::RealClock;
use ota_sim::device::{FimpSettings, Settings};
use ota_sim::factory::{self, Image};
use ota_sim::host::broker::Broker;
use ota_sim::host::client::{Client, Options};
use ota_sim::host::server::{Server, Transport};
use ota_sim::host::{DeviceHost, http};
use ota_sim::layout::Board;
use ota_sim::nor::Nor;
use rumqttc::{Client as Mqtt, Event, MqttOptions, Packet, Publish, QoS};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::broker::Mosquitto;
use crate::decoder::{Message, decode};
use crate::world::{ADDRESS, CMD, bundle};

const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const REPLY: &str = "pt:j1/mt:rsp/rt:app/rn:acceptance/ad:1";

pub(crate) struct Rig {
    pub(crate) host: DeviceHost,
    /// The folder of update files.
    pub(crate) folder: TempDir,
    pub(crate) http: Server,
    messages: mpsc::Receiver<Publish>,
    hub: Mqtt,
    _transport: Transport,
    _broker: Mosquitto,
}

impl Rig {
    /// A device of version 1.0.0 that has subscribed, and told that it is there. None where there is
    /// no broker.
    pub(crate) fn new(revision: Revision, commit_timeout_s: u32) -> Option<Self> {
        let broker = Mosquitto::start("FIMP")?;
        let url = format!("mqtt://127.0.0.1:{}", broker.port());
        let messages = listen(broker.port());
        let (hub, mut events) = Mqtt::new(MqttOptions::new("hub", "127.0.0.1", broker.port()), 10);
        std::thread::spawn(move || events.iter().take_while(Result::is_ok).for_each(drop));
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), revision, commit_timeout_s);
        let http = Server::start(([127, 0, 0, 1], 0).into(), http::router(host.handle())).unwrap();
        let transport = connect(&host, &url);
        let rig =
            Self { host, folder, http, messages, hub, _transport: transport, _broker: broker };
        assert_eq!(rig.next().kind, "evt.thing.inclusion_report");
        Some(rig)
    }

    /// The next message that anybody publishes, but for commands.
    pub(crate) fn next(&self) -> Message {
        loop {
            let publish = self.messages.recv_timeout(PATIENCE).expect("a message comes");
            if publish.topic.contains("/mt:cmd/") {
                continue;
            }
            assert!(!publish.retain, "{publish:?}");
            assert_eq!(publish.qos, QoS::AtLeastOnce, "{publish:?}");
            return decode(&publish.topic, &publish.payload).unwrap();
        }
    }

    /// No message comes for a while.
    pub(crate) fn is_silent(&self) -> bool {
        self.messages.recv_timeout(Duration::from_millis(300)).is_err()
    }

    pub(crate) fn file(
        &self,
        name: &str,
        version: &str,
        platform: &str,
        behaviour: Behaviour,
    ) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bundle(version, platform, behaviour)).unwrap();
        path.display().to_string()
    }

    /// Publishes a command for the device, as the reference has it.
    pub(crate) fn command(&mut self, kind: &str, val_t: &str, val: Value) {
        let message = json!({
            "type": kind, "serv": "ota", "val_t": val_t, "val": val, "tags": null, "props": null,
            "ver": "1", "corid": "", "resp_to": REPLY, "src": "acceptance_peer",
            "ctime": "2026-11-21T10:00:00.17Z", "uid": "U3",
        });
        self.publish(CMD, &message);
    }

    pub(crate) fn publish(&mut self, topic: &str, message: &Value) {
        self.hub.publish(topic, QoS::AtLeastOnce, false, message.to_string()).unwrap();
    }

    pub(crate) fn install(&mut self, path: &str) {
        self.command("cmd.ota_update.install", "string", json!(path));
    }

    /// What the device says to be doing.
    pub(crate) fn status(&mut self) -> Value {
        self.command("cmd.ota_status.get_report", "null", json!(null));
        loop {
            let message = self.next();
            if message.kind == "evt.ota_status.report" {
                assert_eq!((&message.topic[..], &message.corid[..]), (REPLY, "U3"));
                return message.val;
            }
        }
    }

    /// A client of the other face.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.http.url(), Options::with_timeout(PATIENCE)).unwrap()
    }
}

/// A device of version 1.0.0, whose update files are in `folder`.
pub(crate) fn host(folder: &Path, revision: Revision, commit_timeout_s: u32) -> DeviceHost {
    let root: &'static Path = folder.to_owned().leak();
    let config = fimp::Config { revision, ..fimp::Config::new(Address::parse(ADDRESS).unwrap()) };
    let fimp = Some(FimpSettings { config, root });
    let settings = Settings { fimp, commit_timeout_s, ..Settings::new("dev", "sim") };
    let board: Board = "4k4".parse().unwrap();
    let image = Image { app: vec![7; 5000], ..Image::new("1.0.0", "sim") };
    let flash = factory::flash(&board, &image).unwrap();
    let nor = Nor::with_image(board.part(), &flash);
    DeviceHost::start(board, settings, nor, RealClock::new(), drop).unwrap()
}

/// Connects a device to the broker at `url`.
pub(crate) fn connect(host: &DeviceHost, url: &str) -> Transport {
    let options = url.parse::<Broker>().unwrap().options("dev", None).unwrap();
    let (handle, address) = (host.handle(), Address::parse(ADDRESS).unwrap());
    let serve = move || ota_sim::host::fimp::serve(options, address, handle, |_| ());
    Transport::start("fimp", serve).unwrap()
}

/// Everything that passes through the broker.
fn listen(port: u16) -> mpsc::Receiver<Publish> {
    let (client, mut events) = Mqtt::new(MqttOptions::new("listener", "127.0.0.1", port), 10);
    client.subscribe("#", QoS::AtLeastOnce).unwrap();
    let (sender, messages) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let _client = client;
        for event in events.iter().map_while(Result::ok) {
            match event {
                Event::Incoming(Packet::SubAck(_)) => drop(ready.send(())),
                // Whoever listened may have gone.
                Event::Incoming(Packet::Publish(publish)) => drop(sender.send(publish)),
                _ => {}
            }
        }
    });
    is_ready.recv_timeout(PATIENCE).expect("the listener subscribes");
    messages
}
