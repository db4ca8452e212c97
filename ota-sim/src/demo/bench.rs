//! The device of the demo and everything around it: server, client, files, clock; and the checks.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ota_sim::app::Behaviour;
use ota_sim::clock::VirtualClock;
use ota_sim::device::{BootReport, Event, Settings};
use ota_sim::factory;
use ota_sim::host::client::{self, CallError, Client};
use ota_sim::host::files::Files;
use ota_sim::host::server::Server;
use ota_sim::host::{DeviceHost, Notice, http};
use ota_sim::layout::Board;
use ota_sim::nor::{FileNor, Tear};
use serde_json::{Value, json};

use super::firmware::Firmware;
use super::{PLATFORM, voice};
use crate::cli::progress::ProgressView;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a call may take on a slow computer.
const PATIENCE: Duration = Duration::from_secs(120);
/// While the demo waits for the device, so much virtual time passes in so much real time.
const VIRTUAL_STEP: Duration = Duration::from_millis(20);
const REAL_STEP: Duration = Duration::from_millis(2);

/// Everything that takes part.
pub(super) struct Bench {
    pub(super) firmware: Firmware,
    pub(super) board: Board,
    // Before the servers, so that the device goes first when all is over.
    host: DeviceHost,
    server: Server,
    file_server: Server,
    pub(super) files: Files,
    client: Client,
    clock: VirtualClock,
    notices: Receiver<Notice>,
    bundles: Vec<(String, Vec<u8>)>,
    /// Version and behaviour of the image that is expected to run.
    running: (String, Behaviour),
    step: u32,
    checks: u32,
}

/// What a boot state is expected to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected<'a> {
    pub(super) active: u8,
    pub(super) committed: bool,
    pub(super) revert: u8,
    pub(super) version: &'a str,
    pub(super) reason: &'a str,
}

impl Bench {
    /// A device fresh from the factory, not yet switched on by anybody but the demo.
    pub(super) fn start(firmware: Firmware, board: Board, flash: &Path) -> Result<Self> {
        let image = factory::flash(&board, &firmware.factory("1.0.0"))?;
        crate::cli::write_new(flash, &image)?;
        let storage = FileNor::open(flash, board.part())?;
        let (clock, (sender, notices)) = (VirtualClock::new(), channel());
        let mut view = ProgressView::new(voice::FETCH);
        let observer = move |notice: Notice| {
            match &notice {
                Notice::Progress(progress) => view.show(progress),
                Notice::Resumed { offset } => {
                    view.resumed(*offset);
                    view.line(&format!(
                        "the device has what lies before byte {offset}: goes on there"
                    ));
                }
                Notice::Ended { .. } | Notice::Event(Event::PowerLost) => view.end(),
                Notice::Event(_) | Notice::WaitsForUser => {}
            }
            // Nobody listens any more when the demo is over.
            let _ = sender.send(notice);
        };
        let settings = Settings::new("demo", PLATFORM);
        let host = DeviceHost::start(board.clone(), settings, storage, clock.clone(), observer)?;
        let server = Server::start(LOOPBACK, http::router(host.handle()))?;
        let files = Files::new();
        let file_server = Server::start(LOOPBACK, files.router())?;
        let client = Client::new(&server.url(), client::Options::with_timeout(PATIENCE))?;
        let running = ("1.0.0".to_owned(), Behaviour::Healthy);
        let (bundles, step, checks) = (Vec::new(), 0, 0);
        Ok(Self {
            firmware,
            board,
            host,
            server,
            file_server,
            files,
            client,
            clock,
            notices,
            bundles,
            running,
            step,
            checks,
        })
    }

    pub(super) fn device_url(&self) -> String {
        self.server.url()
    }

    pub(super) fn files_url(&self) -> String {
        self.file_server.url()
    }

    pub(super) fn step(&self) -> u32 {
        self.step
    }

    pub(super) fn checks(&self) -> u32 {
        self.checks
    }

    /// Begins a step of the story.
    pub(super) fn tell(&mut self, text: &str) {
        self.step += 1;
        voice::title(&format!("{}. {text}", self.step));
    }

    /// A claim of the demo. One that does not hold ends it.
    pub(super) fn check(&mut self, holds: bool, claim: &str) -> Result<()> {
        self.checks += 1;
        ensure!(holds, "it should be so, and is not: {claim}");
        Ok(())
    }

    /// Calls a method and shows call and reply.
    pub(super) fn call(&mut self, method: &str, params: &Value) -> Result<Value, CallError> {
        match params.as_object() {
            Some(members) if members.is_empty() => voice::line("call", method),
            _ => voice::line("call", format_args!("{method} {params}")),
        }
        let result = self.client.call(method, Some(params));
        match &result {
            Ok(reply) => voice::line("reply", reply),
            Err(error) => voice::line("reply", error),
        }
        result
    }

    /// A call that has to succeed.
    pub(super) fn succeed(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.checks += 1;
        Ok(self.call(method, params)?)
    }

    /// A call that has to be refused, with these words in the message.
    pub(super) fn refused(&mut self, method: &str, params: &Value, words: &str) -> Result<()> {
        match self.call(method, params) {
            Err(CallError::Remote { code, message }) => self.check(
                code != 0 && message.contains(words),
                &format!("{method} is refused with {words:?}"),
            ),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("{method} should have been refused"),
        }
    }

    /// A quiet call, for what the demo itself wants to know.
    fn ask(&mut self, method: &str) -> Result<Value> {
        self.client.call(method, None).with_context(|| method.to_owned())
    }

    /// Shows the boot state and what runs.
    pub(super) fn show_state(&mut self) -> Result<Value> {
        let state = self.ask("OTA.GetBootState")?;
        let (status, info) = (self.ask("OTA.Status")?, self.ask("Sys.GetInfo")?);
        let trial = match state["is_committed"] == true {
            true => "committed".to_owned(),
            false => format!("on trial, {} s to commit", state["commit_timeout"]),
        };
        let way_back = match state["revert_slot"] == state["active_slot"] {
            true => "nothing to go back to".to_owned(),
            false => format!("the way back is slot {}", state["revert_slot"]),
        };
        voice::line(
            "state",
            format_args!(
                "active slot {}, {trial}, {way_back}; version {} runs from slot {}; reason: {}",
                state["active_slot"],
                info["fw_version"].as_str().unwrap_or("?"),
                status["running_slot"],
                status["reason"].as_str().unwrap_or("?"),
            ),
        );
        Ok(json!({
            "active": state["active_slot"],
            "committed": state["is_committed"],
            "revert": state["revert_slot"],
            "running": status["running_slot"],
            "version": info["fw_version"],
            "reason": status["reason"],
        }))
    }

    /// Shows the boot state, which has to be as expected, and the active slot to run.
    pub(super) fn state(&mut self, expected: &Expected<'_>) -> Result<()> {
        let Expected { active, committed, revert, version, reason } = *expected;
        let wanted = json!({
            "active": active,
            "committed": committed,
            "revert": revert,
            "running": active,
            "version": version,
            "reason": reason,
        });
        let found = self.show_state()?;
        self.check(found == wanted, &format!("the state is {wanted}; found {found}"))
    }

    /// Serves a bundle and returns its URL.
    pub(super) fn serve(&mut self, name: &str, bundle: Vec<u8>) -> String {
        self.files.put(name, bundle.clone());
        self.bundles.push((name.to_owned(), bundle));
        format!("{}/{name}", self.files_url())
    }

    /// Serves a version of the firmware, and returns the arguments of its `OTA.Update`.
    pub(super) fn offer(
        &mut self,
        version: &str,
        behaviour: Behaviour,
        commit_timeout_s: u32,
    ) -> Result<Value> {
        let name = format!("fw-{version}.zip");
        let is_served = self.bundles.iter().any(|(served, _)| *served == name);
        let url = if is_served {
            // The very same: a bundle built again is another build.
            format!("{}/{name}", self.files_url())
        } else {
            let bundle = self.firmware.bundle(version, behaviour, PLATFORM)?;
            self.serve(&name, bundle)
        };
        Ok(json!({ "url": url, "commit_timeout": commit_timeout_s }))
    }

    /// Installs a version and lets the device reboot into it.
    pub(super) fn install(
        &mut self,
        version: &str,
        behaviour: Behaviour,
        commit_timeout_s: u32,
    ) -> Result<()> {
        let params = self.offer(version, behaviour, commit_timeout_s)?;
        let reply = self.succeed("OTA.Update", &params)?;
        self.check(reply.is_null(), "an update in place is answered with null")?;
        self.boots(version, behaviour)
    }

    /// Lets time pass until the device boots, which has to be this version.
    pub(super) fn boots(&mut self, version: &str, behaviour: Behaviour) -> Result<()> {
        let report = self.next_boot()?;
        self.running = (version.to_owned(), behaviour);
        self.check(report.version == version, &format!("version {version} boots"))
    }

    /// Lets time pass until the device boots.
    pub(super) fn next_boot(&mut self) -> Result<BootReport> {
        loop {
            if let Event::Booted(report) = self.next_event()? {
                return Ok(report);
            }
        }
    }

    /// Lets time pass until something happens in the device, and shows it.
    pub(super) fn next_event(&mut self) -> Result<Event> {
        for _ in 0..(PATIENCE.as_millis() / REAL_STEP.as_millis()) {
            match self.notices.recv_timeout(REAL_STEP) {
                Ok(Notice::Event(event)) => {
                    voice::line("device", &event);
                    return Ok(event);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => self.clock.advance(VIRTUAL_STEP),
                Err(RecvTimeoutError::Disconnected) => bail!("the device has stopped"),
            }
        }
        Err(anyhow!("nothing happens in the device any more"))
    }

    /// An event that has to be the next.
    pub(super) fn expect(&mut self, expected: &Event) -> Result<()> {
        let event = self.next_event()?;
        self.check(event == *expected, &format!("{expected}"))
    }

    /// Lets time pass.
    pub(super) fn let_pass(&self, seconds: u64) {
        voice::line("time", format_args!("{seconds} s pass"));
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Cuts power inside the flash operation that comes after `operations` more.
    pub(super) fn cut_power_after(&self, operations: u64, tear: Tear) {
        self.host.cut_power_after(operations, tear);
    }

    pub(super) fn power_on(&self) {
        voice::line("power", "on");
        self.host.power_on(1);
    }

    /// The bytes of the application that runs.
    pub(super) fn running_image(&mut self) -> Result<Vec<u8>> {
        let info = self.ask("Sys.GetInfo")?;
        let (version, behaviour) = &self.running;
        ensure!(
            info["fw_version"] == version.as_str(),
            "another version runs than the demo thinks"
        );
        Ok(self.firmware.app(version, *behaviour))
    }

    /// Leaves the bundles in `folder`.
    pub(super) fn keep_bundles(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        for (name, bundle) in &self.bundles {
            let path = folder.join(name);
            std::fs::write(&path, bundle)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
