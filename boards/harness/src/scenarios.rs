//! What a board has to be able to do, from outside: over its serial line and its network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use ota_sim::app::Behaviour;
use ota_sim::host::client::{Client, PushError, PushOptions, Pushed, push};
use serde_json::json;
use tempfile::TempDir;

use crate::board::Board;
use crate::firmware::Firmware;
use crate::machine::{Machine, PATIENCE, Preload, Seen, look};
use crate::records;
use crate::server::Server;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// A board on the bench, with flash files of its own.
pub(crate) struct Bench<'b> {
    pub(crate) firmware: Firmware<'b>,
    pub(crate) preload: Preload,
    folder: TempDir,
    /// A new device with version 1.0.0.
    pub(crate) factory: Vec<u8>,
}

impl<'b> Bench<'b> {
    pub(crate) fn new(firmware: Firmware<'b>, preload: Preload) -> Result<Self> {
        let factory = firmware.factory(&firmware.app("1.0.0")?)?;
        Ok(Self { firmware, preload, folder: tempfile::tempdir()?, factory })
    }

    pub(crate) fn board(&self) -> &'b Board {
        self.firmware.board
    }

    /// A file in the bench's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty log of writes: the library appends to what there is, and firmware looks at its length.
    pub(crate) fn fresh_log(&self) -> Result<PathBuf> {
        let log = self.file("log");
        fs::write(&log, "")?;
        Ok(log)
    }

    /// A board with this flash, switched on.
    pub(crate) fn start(&self, name: &str, flash: &[u8]) -> Result<(Machine, PathBuf)> {
        let file = self.file(name);
        fs::write(&file, flash)?;
        Ok((self.resume(&file)?, file))
    }

    /// The same board again.
    pub(crate) fn resume(&self, file: &Path) -> Result<Machine> {
        Machine::start(self.board(), &self.firmware.loader(), file, &self.preload)
    }

    /// What the application answers.
    pub(crate) fn expect(&self, version: &str, active_slot: u64, is_committed: bool) -> Seen {
        let app = self.board().app.to_owned();
        Seen { app, version: version.to_owned(), active_slot, is_committed }
    }
}

/// A new device comes up. How long that takes, in ms.
pub(crate) fn boot(bench: &Bench<'_>) -> Result<u128> {
    let since = Instant::now();
    let (machine, _) = bench.start("boot", &bench.factory)?;
    let seen = machine.look()?;
    let taken = since.elapsed().as_millis();
    ensure!(seen == bench.expect("1.0.0", 0, true), "a new device: {seen:?}");
    Ok(taken)
}

/// An update over the serial line, on trial, then committed; it is there after the supply was away.
/// The flash afterwards, with 1.0.0 in slot 0 and 2.0.0 in slot 1.
pub(crate) fn push_update(bench: &Bench<'_>) -> Result<Vec<u8>> {
    let (machine, file) = bench.start("push", &bench.factory)?;
    machine.explain(push_and_commit(bench, &machine))?;
    machine.stop()?;
    let machine = bench.resume(&file)?;
    let seen = machine.look()?;
    ensure!(seen == bench.expect("2.0.0", 1, true), "switched on again: {seen:?}");
    machine.stop()?;
    Ok(fs::read(file)?)
}

fn push_and_commit(bench: &Bench<'_>, machine: &Machine) -> Result<()> {
    let mut client = machine.client()?;
    let pushed = send(&mut client, &bench.firmware.app("2.0.0")?, 300)?;
    ensure!(pushed == Pushed { version: "2.0.0".to_owned(), is_committed: false }, "{pushed:?}");
    let seen = look(&mut client)?;
    ensure!(seen == bench.expect("2.0.0", 1, false), "on trial: {seen:?}");
    client.call("OTA.Commit", None)?;
    let seen = look(&mut client)?;
    ensure!(seen == bench.expect("2.0.0", 1, true), "committed: {seen:?}");
    Ok(())
}

/// The board fetches an update, and goes on answering meanwhile. None: it has no network.
pub(crate) fn pull_update(bench: &Bench<'_>) -> Result<Option<usize>> {
    if !bench.board().has_network {
        return Ok(None);
    }
    let bundle = bench.firmware.app("2.0.0")?;
    ensure!(bundle.len() >= 64 * 1024, "that is no large bundle");
    let length = bundle.len();
    let server = Server::start(bundle)?;
    let (machine, _) = bench.start("pull", &bench.factory)?;
    machine.explain(pull(bench, &machine, &server))?;
    Ok(Some(length))
}

fn pull(bench: &Bench<'_>, machine: &Machine, server: &Server) -> Result<()> {
    // Not before the application runs: on a busy computer that takes longer than this client waits.
    let seen = machine.look()?;
    ensure!(seen == bench.expect("1.0.0", 0, true), "before the download: {seen:?}");
    // QEMU's name for this computer.
    let url = format!("http://10.0.2.2:{}/fw.zip", server.port);
    // The reply comes at the end, or after 15 s: too late for this client.
    let asked = machine
        .client_with(Duration::from_secs(5))?
        .call("OTA.Update", Some(&json!({ "url": url, "commit_timeout": 0 })));
    let mut client = machine.client()?;
    let status = client.call("OTA.Status", None)?;
    ensure!(status["state"] == 1, "in the middle of a download: {asked:?}, then {status}");
    let seen = look(&mut client)?;
    ensure!(seen == bench.expect("1.0.0", 0, true), "in the middle of a download: {seen:?}");
    server.go_on();
    wait_for(&mut client, &bench.expect("2.0.0", 1, true))
}

/// Images that do not prove themselves give way: one that nobody commits, one that crashes at its
/// start.
pub(crate) fn roll_back(bench: &Bench<'_>) -> Result<()> {
    let (machine, _) = bench.start("rollback", &bench.factory)?;
    machine.explain(give_way(bench, &machine))
}

fn give_way(bench: &Bench<'_>, machine: &Machine) -> Result<()> {
    let mut client = machine.client()?;
    let pushed = send(&mut client, &bench.firmware.app("2.0.0")?, 3)?;
    ensure!(pushed.version == "2.0.0" && !pushed.is_committed, "on trial: {pushed:?}");
    wait_for(&mut client, &bench.expect("1.0.0", 0, true))?;
    let apps = bench.board().apps;
    let crashes = bench.firmware.bundle(apps, "3.0.0", Behaviour::Crashes)?;
    match send(&mut client, &crashes, 0).map_err(anyhow::Error::downcast::<PushError>) {
        Err(Ok(PushError::NotInstalled { version, .. })) if version == "1.0.0" => {}
        other => bail!("an image that crashes: {other:?}"),
    }
    let seen = look(&mut client)?;
    ensure!(seen == bench.expect("1.0.0", 0, true), "after a crash: {seen:?}");
    Ok(())
}

/// One slot is destroyed, then both; `flash` is that of [`push_update`].
pub(crate) fn recover(bench: &Bench<'_>, flash: &[u8]) -> Result<()> {
    let mut flash = flash.to_vec();
    destroy(bench.board(), &mut flash, 1);
    let (machine, file) = bench.start("recover", &flash)?;
    let seen = machine.look()?;
    ensure!(seen == bench.expect("1.0.0", 0, true), "without slot 1: {seen:?}");
    machine.stop()?;
    let mut flash = fs::read(&file)?;
    destroy(bench.board(), &mut flash, 0);
    let (machine, file) = bench.start("recover", &flash)?;
    let healthy = machine.explain(push_into_recovery(bench, &machine))?;
    machine.stop()?;
    let seen = bench.resume(&file)?.look()?;
    ensure!(seen == healthy, "recovered, and switched on again: {seen:?}");
    records::make_newer(bench.board(), &mut flash);
    let (machine, _) = bench.start("newer", &flash)?;
    machine.explain(without_recovery(&machine))
}

/// The record is of a later format, and there is nothing to boot: the loader says so, and goes on
/// saying so.
fn without_recovery(machine: &Machine) -> Result<()> {
    let complaint = "boot: no recovery: the boot record has format 2";
    let deadline = Instant::now() + PATIENCE;
    while machine.heard().matches(complaint).count() < 3 {
        ensure!(Instant::now() < deadline, "it does not say what is wrong");
        std::thread::sleep(LOOK);
    }
    let starts = machine.heard().matches("boot: recovery, because").count();
    ensure!(starts == 1, "it was reset: {starts} starts");
    Ok(())
}

/// What the board answers afterwards.
fn push_into_recovery(bench: &Bench<'_>, machine: &Machine) -> Result<Seen> {
    let mut client = machine.client()?;
    let seen = look(&mut client)?;
    ensure!(seen.app == bench.board().recovery && seen.version.is_empty(), "no slot: {seen:?}");
    let bundle = bench.firmware.app("4.0.0")?;
    // The active slot may be the same before and after.
    match send(&mut client, &bundle, 0) {
        Ok(_) => {}
        Err(error) if error.to_string().contains("still runs 4.0.0") => {}
        Err(error) => return Err(error.context("in recovery")),
    }
    let healthy = look(&mut client)?;
    ensure!(
        healthy.app == bench.board().app && healthy.version == "4.0.0" && healthy.is_committed,
        "recovered: {healthy:?}"
    );
    Ok(healthy)
}

/// Sends an update over the serial line.
pub(crate) fn send(client: &mut Client, bundle: &[u8], commit_timeout_s: u32) -> Result<Pushed> {
    let options = PushOptions { commit_timeout_s, ..PushOptions::default() };
    Ok(push(client, bundle, &options, &mut |_| ())?)
}

/// Waits until the board is as expected.
fn wait_for(client: &mut Client, expected: &Seen) -> Result<()> {
    wait_until(expected, || look(client))
}

/// Looks at a board again and again until it is as expected.
pub(crate) fn wait_until(expected: &Seen, mut look: impl FnMut() -> Result<Seen>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_over = Instant::now() >= deadline;
        match look() {
            Ok(seen) if seen == *expected => return Ok(()),
            Ok(seen) => ensure!(!is_over, "not {expected:?} but {seen:?}"),
            Err(error) if is_over => {
                return Err(error.context(format!("nothing that is {expected:?}")));
            }
            Err(_) => {}
        }
        std::thread::sleep(LOOK);
    }
}

/// Flips bits in the image of a slot.
pub(crate) fn destroy(board: &Board, flash: &mut [u8], slot: usize) {
    let places = board.places();
    let app = places.layout().slots[slot].app;
    let place = app.address as usize + 1000;
    flash[place..place + 64].iter_mut().for_each(|byte| *byte ^= 0x55);
}
