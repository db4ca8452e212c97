//! The supply fails in an update, at every write.
//!
//! One whole update is recorded: the board with version 1.0.0 takes 2.0.0 over its serial line, boots
//! it on trial, and the new image commits itself. Then the flash after every possible cut is built
//! on this computer, and the real firmware is booted from each. What must hold:
//!
//! * a complete image runs, 1.0.0 or 2.0.0: never the loader's recovery, never neither;
//! * what the board says of itself is true: the active slot is the one of that version, and it is
//!   committed;
//! * before the last write to the slot it is 1.0.0, after the last write of all it is 2.0.0.
//!
//! A few updates are cut live, by killing QEMU: in the midst of a write where the flash is a drive,
//! between two where it is in the processor. The flash that is left must be the one that was built,
//! byte by byte. And after some cuts the update is done once more.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use ota_sim::app::Behaviour;
use ota_sim::host::client::Client;
use serde_json::json;

use crate::board::Kind;
use crate::machine::{Machine, Preload, Seen};
use crate::scenarios::{Bench, PATIENCE, wait_until};
use crate::writes::{Chance, Tear, Write, flash_after, read_log, read_words};

/// How many cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cuts {
    /// None.
    None,
    /// 60 or more, chosen by the seed: half of them outside of the image.
    Sample,
    /// Every write, torn three ways.
    All,
}

/// Bytes of a piece of an update: every board takes so much.
const PIECE: usize = 512;
/// Cuts inside the image in a sample, and outside of it.
const SAMPLE: usize = 32;
/// Updates that are cut live.
const LIVE: usize = 4;
/// How long to wait for a board without a supply.
const QUICK: Duration = Duration::from_secs(5);
/// Of so many cuts, one is followed by another update.
const AGAIN: usize = 24;

/// What came of the cuts of a board.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) writes: usize,
    pub(crate) boots: usize,
    pub(crate) old: usize,
    pub(crate) again: usize,
    pub(crate) live: usize,
    pub(crate) failures: Vec<String>,
}

/// An update, recorded.
struct Recording {
    base: Vec<u8>,
    writes: Vec<Write>,
    /// Behind the last write to the new image's slot.
    staged: usize,
    bundle: Vec<u8>,
}

/// A place and a way to cut.
type Point = (usize, Tear);

/// Cuts the supply of a board.
pub(crate) fn run(bench: &Bench<'_>, cuts: Cuts, seed: u64) -> Result<Summary> {
    let recording = record(bench)?;
    let points = choose(&recording, cuts, seed);
    let summary = Mutex::new(Summary { writes: recording.writes.len(), ..Summary::default() });
    let next = AtomicUsize::new(0);
    let worker = |number: usize| {
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = try_point(bench, &recording, *point, seed, number);
            let Ok(mut summary) = summary.lock() else { return };
            summary.boots += 1;
            match result {
                Ok(seen) => {
                    summary.old += usize::from(seen.version == OLD);
                    summary.again += usize::from(is_done_again(*point, seed));
                }
                Err(error) => summary
                    .failures
                    .push(format!("cut {} {:?} of seed {seed}: {error:#}", point.0, point.1)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
    std::thread::scope(|scope| {
        (0..threads).for_each(|number| drop(scope.spawn(move || worker(number))));
    });
    let mut summary = summary.into_inner().map_err(|_| anyhow!("a worker has panicked"))?;
    for number in 0..LIVE {
        match cut_live(bench, &recording, number, seed) {
            Ok(()) => summary.live += 1,
            Err(error) => summary.failures.push(format!("live cut {number}: {error:#}")),
        }
    }
    Ok(summary)
}

const OLD: &str = "1.0.0";
const NEW: &str = "2.0.0";

/// Does the update once, with every write logged.
fn record(bench: &Bench<'_>) -> Result<Recording> {
    // A device that has settled: its first boot writes too.
    let (machine, file) = bench.start("base", &bench.factory)?;
    ensure!(machine.look()? == bench.expect(OLD, 0, true), "a new device");
    machine.stop()?;
    let base = fs::read(&file)?;
    let apps = bench.board().cut_apps;
    let bundle = bench.firmware.bundle(apps, NEW, Behaviour::Healthy)?;
    let log = bench.file("log");
    let preload = Preload { log: Some(log.clone()), ..bench.preload.clone() };
    let loader = bench.firmware.loader();
    let machine = Machine::start(bench.board(), &loader, &file, &preload)?;
    machine.explain(update(bench, &machine, &bundle)).context("the update without a cut")?;
    machine.stop()?;
    let writes = read(bench, &log, &base)?;
    let rebuilt = flash_after(&base, &writes, writes.len(), Tear::Before, &mut Chance(0));
    ensure!(rebuilt == fs::read(&file)?, "the log of the writes is not what was written");
    let places = bench.board().places();
    let slot = places.layout().slots[1].app;
    let is_slot = |write: &Write| {
        (slot.address as usize..(slot.address + slot.size) as usize).contains(&write.offset)
    };
    let staged = writes.iter().rposition(is_slot).context("nothing was staged")? + 1;
    Ok(Recording { base, writes, staged, bundle })
}

fn read(bench: &Bench<'_>, log: &Path, base: &[u8]) -> Result<Vec<Write>> {
    let page = bench.board().places().part().shape.sector_size as usize;
    match bench.board().kind {
        Kind::Drive => read_log(log),
        Kind::Internal => read_words(log, base, page),
    }
}

/// Sends an update that commits itself; the board boots it afterwards. Never more than once.
fn install(client: &mut Client, bundle: &[u8]) -> Result<()> {
    client.call("OTA.Begin", Some(&json!({ "commit_timeout": 0, "size": bundle.len() })))?;
    for (number, piece) in bundle.chunks(PIECE).enumerate() {
        let data = STANDARD.encode(piece);
        client.call("OTA.Write", Some(&json!({ "offset": number * PIECE, "data": data })))?;
    }
    client.call("OTA.End", None)?;
    Ok(())
}

/// Sends an update, and waits until it runs.
fn update(bench: &Bench<'_>, machine: &Machine, bundle: &[u8]) -> Result<()> {
    install(&mut machine.client()?, bundle)?;
    wait_until(&expect_new(bench), || machine.look_at_any())
}

fn expect_new(bench: &Bench<'_>) -> Seen {
    Seen { app: bench.board().cut_app.to_owned(), ..bench.expect(NEW, 1, true) }
}

fn choose(recording: &Recording, cuts: Cuts, seed: u64) -> Vec<Point> {
    let end = recording.writes.len();
    let every = |range: std::ops::Range<usize>| {
        range.flat_map(|at| Tear::ALL.map(|tear| (at, tear))).collect::<Vec<_>>()
    };
    match cuts {
        Cuts::None => Vec::new(),
        Cuts::All => [every(0..end), vec![(end, Tear::Before)]].concat(),
        Cuts::Sample => {
            let mut chance = Chance(seed);
            // The last writes of the slot are its descriptor.
            let near = recording.staged.saturating_sub(3);
            let mut take = |mut points: Vec<Point>| {
                while points.len() > SAMPLE {
                    points.swap_remove(chance.below(points.len()));
                }
                points
            };
            let (staging, rest) = (take(every(0..near)), take(every(near..end)));
            [staging, rest, vec![(end, Tear::Before)]].concat()
        }
    }
}

/// Boots the firmware from the flash after a cut, and judges.
fn try_point(
    bench: &Bench<'_>,
    recording: &Recording,
    point: Point,
    seed: u64,
    worker: usize,
) -> Result<Seen> {
    let (at, tear) = point;
    let flash = after(recording, point, seed);
    let (machine, _) = bench.start(&format!("cut{worker}"), &flash)?;
    let seen = machine.look_at_any()?;
    let (old, new) = (bench.expect(OLD, 0, true), expect_new(bench));
    let end = recording.writes.len();
    let may_be_old = at < end;
    let may_be_new = at >= recording.staged;
    ensure!(
        (may_be_old && seen == old) || (may_be_new && seen == new),
        "{seen:?} runs after {at} of {end} writes ({} of them staging), torn {tear:?}",
        recording.staged
    );
    if seen == old && is_done_again(point, seed) {
        let again = update(bench, &machine, &recording.bundle);
        machine.explain(again).context("the update once more")?;
    }
    Ok(seen)
}

fn is_done_again((at, tear): Point, seed: u64) -> bool {
    Chance(seed ^ ((at as u64) << 2 | tear as u64)).below(AGAIN) == 0
}

fn after(recording: &Recording, (at, tear): Point, seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed ^ (at as u64).rotate_left(32));
    flash_after(&recording.base, &recording.writes, at, tear, &mut chance)
}

/// Cuts an update for real, by killing QEMU, and looks whether that leaves what was built.
fn cut_live(bench: &Bench<'_>, recording: &Recording, number: usize, seed: u64) -> Result<()> {
    let mut chance = Chance(seed.wrapping_add(number as u64));
    let at = match number {
        0 | 1 => chance.below(recording.staged),
        _ => recording.staged + chance.below(recording.writes.len() - recording.staged),
    };
    let file = bench.file("live");
    fs::write(&file, &recording.base)?;
    match bench.board().kind {
        Kind::Drive => cut_write(bench, recording, at, number, &file, seed),
        Kind::Internal => cut_between(bench, recording, at, &file),
    }
}

/// The supply fails in the midst of write `at`.
fn cut_write(
    bench: &Bench<'_>,
    recording: &Recording,
    at: usize,
    number: usize,
    file: &Path,
    seed: u64,
) -> Result<()> {
    let tear = if number.is_multiple_of(2) { Tear::Bytes } else { Tear::Bits };
    let expected = after(recording, (at, tear), seed);
    let Write { offset, bytes } = &recording.writes[at];
    let with = bench.file("with");
    fs::write(&with, &expected[*offset..][..bytes.len()])?;
    let preload = Preload { cut: Some((at, with)), ..bench.preload.clone() };
    let mut machine = Machine::start(bench.board(), &bench.firmware.loader(), file, &preload)?;
    let installing = install_into_nothing(&machine, recording)?;
    machine.wait_until_off()?;
    installing.join().map_err(|_| anyhow!("the client has panicked"))?;
    let differs = difference(&fs::read(file)?, &expected);
    ensure!(differs.is_none(), "write {at}, torn {tear:?}: the flash differs at {differs:x?}");
    Ok(())
}

/// The supply fails some time after write `at` was told: it is done then, or not, and so may be some
/// more.
fn cut_between(bench: &Bench<'_>, recording: &Recording, at: usize, file: &Path) -> Result<()> {
    let log = bench.file("live-log");
    let _ = fs::remove_file(&log);
    let preload = Preload { log: Some(log.clone()), ..bench.preload.clone() };
    let machine = Machine::start(bench.board(), &bench.firmware.loader(), file, &preload)?;
    let installing = install_into_nothing(&machine, recording)?;
    let deadline = Instant::now() + PATIENCE;
    let told = || fs::read(&log).map_or(0, |log| log.iter().filter(|byte| **byte == b'\n').count());
    while told() <= at {
        ensure!(Instant::now() < deadline, "write {at} does not come");
        std::thread::sleep(Duration::from_micros(100));
    }
    machine.cut()?;
    installing.join().map_err(|_| anyhow!("the client has panicked"))?;
    let writes = read(bench, &log, &recording.base)?;
    let end = writes.len();
    ensure!(recording.writes.starts_with(&writes), "another update makes other writes");
    let left = fs::read(file)?;
    let built = |at| flash_after(&recording.base, &writes[..at], at, Tear::Before, &mut Chance(0));
    let differs = [end, end - 1].map(|at| difference(&left, &built(at)));
    ensure!(differs.contains(&None), "after {end} writes the flash differs at {differs:x?}");
    Ok(())
}

/// An update whose end the client will not see.
fn install_into_nothing(machine: &Machine, recording: &Recording) -> Result<JoinHandle<()>> {
    let mut client = machine.client_with(QUICK)?;
    let bundle = recording.bundle.clone();
    Ok(std::thread::spawn(move || drop(install(&mut client, &bundle))))
}

fn difference(left: &[u8], right: &[u8]) -> Option<usize> {
    left.iter().zip(right).position(|(left, right)| left != right)
}
