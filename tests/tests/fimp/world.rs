//! A device on a hub's bench: its flash, its power, the time, files for it and a broker that never
//! fails by itself. All of it stands still unless it is told to go on.

use ota_rpc::fimp::{self, Address};
use ota_rpc::{Channel, ChannelId, ChannelKind};
use ota_sim::app::Behaviour;
use ota_sim::bundle::{Spec, create};
use ota_sim::device::{
    Action, Event, FetchError, FimpMessage, FimpSettings, Reply, Settings, SimDevice,
};
use ota_sim::factory::{self, Image};
use ota_sim::layout::Board;
use ota_sim::nor::{Nor, Tear};
use serde_json::{Value, json};

use crate::hub::Hub;

pub(crate) const ADDRESS: &str = "/rt:dev/rn:ref/ad:1/sv:ota/ad:7";
pub(crate) const CMD: &str = "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:7";
pub(crate) const EVT: &str = "pt:j1/mt:evt/rt:dev/rn:ref/ad:1/sv:ota/ad:7";
const RPC: Channel<'static> = Channel::new(ChannelId(7), ChannelKind::Http, "");
/// Between two looks of the device at the clock.
const STEP_MS: u64 = 50;
/// How long a connection to the broker takes.
const CONNECT_MS: u64 = 100;

/// What goes wrong on the way of a report to the hub, and power with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The report, after it was handed out.
    Report,
    /// The broker's word that it has it.
    Confirmation,
}

pub(crate) struct World<'m> {
    pub(crate) device: SimDevice<'m, Nor>,
    pub(crate) hub: Hub,
    pub(crate) now_ms: u64,
    /// What is served, whatever is asked for.
    pub(crate) file: Result<Vec<u8>, i32>,
    /// Bytes that are served in a step.
    pub(crate) rate: usize,
    /// The next byte, if a file is being fetched.
    at: Option<usize>,
    pub(crate) has_broker: bool,
    /// The broker confirms nothing: [`World::confirm`].
    pub(crate) holds_back: bool,
    connected: bool,
    connects_at_ms: u64,
    /// How many reports there were, and which one is lost with power.
    reports: usize,
    pub(crate) lost: Option<(usize, Lost)>,
    /// Versions that ran.
    pub(crate) booted: Vec<String>,
    pub(crate) powered_off: bool,
    /// What is wrong with what the hub got.
    wrong: Vec<String>,
}

pub(crate) fn settings() -> Settings<'static> {
    let address = Address::parse(ADDRESS).unwrap();
    let fimp = FimpSettings { config: fimp::Config::new(address), root: std::path::Path::new("/") };
    Settings { fimp: Some(fimp), ..Settings::new("dev", "sim") }
}

/// Runs `test` on a device of version 1.0.0 that has just been connected.
pub(crate) fn with_world<T>(
    settings: Settings<'static>,
    test: impl FnOnce(&mut World<'_>) -> T,
) -> T {
    let board: Board = "4k4".parse().unwrap();
    let image = Image { app: app("1.0.0", Behaviour::Healthy), ..Image::new("1.0.0", "sim") };
    let flash = factory::flash(&board, &image).unwrap();
    let mut ram = vec![0; board.buffer_size()];
    let nor = Nor::with_image(board.part(), &flash);
    let device = SimDevice::new(&board, settings, nor, &mut ram).unwrap();
    let mut world = World {
        device,
        hub: Hub::default(),
        now_ms: 0,
        file: Err(-404),
        rate: 3000,
        at: None,
        has_broker: true,
        holds_back: false,
        connected: false,
        connects_at_ms: CONNECT_MS,
        reports: 0,
        lost: None,
        booted: Vec::new(),
        powered_off: false,
        wrong: Vec::new(),
    };
    world.device.power_on(0, 0).unwrap();
    world.run(500);
    test(&mut world)
}

fn app(version: &str, behaviour: Behaviour) -> Vec<u8> {
    let mut app: Vec<u8> = version.bytes().cycle().take(20_000).collect();
    app.extend(behaviour.mark());
    app
}

pub(crate) fn bundle(version: &str, platform: &str, behaviour: Behaviour) -> Vec<u8> {
    create(&Spec::new(version, platform).with_app(app(version, behaviour))).unwrap()
}

/// A command as a hub sends it.
pub(crate) fn command(kind: &str, val_t: &str, val: Value) -> Vec<u8> {
    json!({
        "type": kind, "serv": "ota", "val_t": val_t, "val": val, "tags": null, "props": null,
        "ver": "1", "corid": "", "src": "hub", "ctime": "2026-11-21T10:00:00.5Z", "uid": "U3",
        "resp_to": "pt:j1/mt:rsp/rt:app/rn:hub/ad:1",
    })
    .to_string()
    .into_bytes()
}

impl World<'_> {
    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(STEP_MS) {
            self.step();
        }
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        if self.has_broker && !self.connected && self.now_ms >= self.connects_at_ms {
            self.device.fimp_connected(true);
            self.connected = true;
        }
        for _ in 0..2000 {
            let polled = self.device.poll(self.now_ms);
            self.act(polled.action);
            self.look();
            self.publish();
            if !self.device.wants_to_run() {
                break;
            }
        }
        self.serve();
        self.look();
    }

    /// Serves the next bytes of the file.
    fn serve(&mut self) {
        let Some(at) = self.at else { return };
        let file = match &self.file {
            Ok(file) => file,
            Err(code) => {
                let error = FetchError { code: *code, message: "it is not to be had".to_owned() };
                self.at = None;
                return self.device.end_feed(Err(error));
            }
        };
        if at == 0 {
            self.device.feed_size(file.len() as u32);
        }
        let end = file.len().min(at + self.rate);
        match self.device.feed(&file[at.min(end)..end], self.now_ms) {
            Err(_) => self.at = None,
            Ok(_) if end == file.len() => {
                self.at = None;
                self.device.end_feed(Ok(()));
            }
            Ok(_) => self.at = Some(end),
        }
    }

    /// Hands the hub what is published.
    fn publish(&mut self) {
        if !self.connected {
            return;
        }
        let Some(report) = self.device.fimp_report(self.now_ms) else { return };
        self.reports += 1;
        let lost = self.lost.filter(|(at, _)| *at == self.reports).map(|(_, lost)| lost);
        if lost != Some(Lost::Report) {
            self.hear(&report);
        }
        match lost {
            Some(_) => self.device.power_off(),
            None if self.holds_back => {}
            None => self.device.fimp_delivered(),
        }
        self.look();
    }

    fn hear(&mut self, message: &FimpMessage) {
        let FimpMessage { topic, payload } = message;
        if let Err(wrong) = self.hub.take(topic, payload, self.now_ms) {
            self.wrong.push(wrong);
        }
    }

    fn act(&mut self, action: Option<Action>) {
        match action {
            Some(Action::Download(_) | Action::Read(_)) => self.at = Some(0),
            Some(Action::AbortDownload) => self.at = None,
            None => {}
        }
    }

    /// What a reset takes with it.
    fn look(&mut self) {
        while let Some(event) = self.device.take_event() {
            match event {
                Event::Reset(_) | Event::PowerLost => {
                    self.at = None;
                    self.connected = false;
                    self.connects_at_ms = self.now_ms + CONNECT_MS;
                    self.powered_off |= event == Event::PowerLost;
                }
                Event::Booted(report) => self.booted.push(report.version),
                _ => {}
            }
        }
    }

    pub(crate) fn power_on(&mut self, seed: u64) {
        self.device.power_on(seed, self.now_ms).unwrap();
        self.powered_off = false;
        self.connected = false;
        self.connects_at_ms = self.now_ms + CONNECT_MS;
        self.at = None;
        self.look();
    }

    pub(crate) fn cut_after(&mut self, operations: u64, tear: Tear) {
        self.device.cut_power_after(operations, tear);
    }

    /// Flash operations so far.
    pub(crate) fn operations(&self) -> u64 {
        self.device.storage().borrow().ops()
    }

    /// The broker goes away, or comes back.
    pub(crate) fn set_broker(&mut self, is_there: bool) {
        self.has_broker = is_there;
        if !is_there {
            self.device.fimp_connected(false);
            self.connected = false;
        }
        self.connects_at_ms = self.now_ms + CONNECT_MS;
    }

    /// The broker has the last report.
    pub(crate) fn confirm(&mut self) {
        self.device.fimp_delivered();
    }

    /// A message for the device.
    pub(crate) fn send(&mut self, topic: &str, payload: &[u8]) -> Option<FimpMessage> {
        if !self.connected {
            return None;
        }
        let (reply, action) = self.device.fimp(topic, payload, self.now_ms);
        if let Some(reply) = &reply {
            self.hear(reply);
        }
        self.act(action);
        self.look();
        reply
    }

    pub(crate) fn install(&mut self) -> Option<FimpMessage> {
        self.send(CMD, &command("cmd.ota_update.install", "string", json!("/fw.zip")))
    }

    pub(crate) fn user_starts(&mut self) {
        let action = self.device.user_starts(self.now_ms);
        self.act(action);
    }

    /// A method of RPC; its result or its error, if it comes at once.
    pub(crate) fn rpc(&mut self, method: &str, params: Value) -> Option<Value> {
        let frame = json!({ "id": 1, "src": "x", "method": method, "params": params });
        let outcome = self.device.rpc(RPC, frame.to_string().as_bytes(), self.now_ms);
        self.act(outcome.action);
        self.look();
        let Reply::Frame(reply) = outcome.reply else { return None };
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        reply.get("result").or(reply.get("error")).cloned()
    }

    /// Whether the image that runs is confirmed.
    pub(crate) fn is_committed(&mut self) -> bool {
        let state = self.rpc("OTA.GetBootState", json!({}));
        state.is_some_and(|state| state["is_committed"] == true)
    }

    /// Nothing that the hub got was wrong.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        match self.wrong.is_empty() {
            true => Ok(()),
            false => Err(self.wrong.join("\n")),
        }
    }
}
