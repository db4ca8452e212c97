//! The supply fails while a board changes what it runs, at every write.
//!
//! Each [`Course`] is recorded once, write by write: an update over the serial line, one with which
//! the record turns over, an image that is rolled back, a recovery. Then the flash after every
//! possible cut is built on this computer, and the real firmware is booted from each. It must hold:
//!
//! * a complete image runs, 1.0.0 or 2.0.0; in recovery, 2.0.0, or else the loader says that
//!   nothing does;
//! * what the board says of itself is true: the active slot is the one of that version, and it is
//!   committed;
//! * before the last write to the slot it is not 2.0.0, after the last write of all it is; an image
//!   that crashes never stays.
//!
//! A few updates are cut live, by killing QEMU: in the midst of a write where the flash is a drive,
//! between two where it is in the processor. The flash that is left must be the one that was built,
//! byte by byte. And after some cuts the update is done once more.

mod recording;

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
use ota_sim::host::client::Client;
use serde_json::json;

use crate::board::{Board, Kind};
use crate::machine::{LONG_PATIENCE, Machine, Preload, Seen};
use crate::scenarios::{Bench, wait_until};
use crate::writes::{Chance, Tear, Write, flash_after};
use recording::{Course, Recording, read};

/// How many cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cuts {
    /// None.
    None,
    /// 60 or more, chosen by the seed.
    Sample,
    /// Every write of an update, and those of the other courses that are outside of the image, torn
    /// three ways.
    All,
}

impl Cuts {
    /// Of so many cuts, one is followed by another update, which takes as long as 50 boots.
    fn again(self) -> usize {
        match self {
            Self::None | Self::Sample => 16,
            Self::All => 400,
        }
    }
}

/// Bytes of a piece of an update: every board takes so much.
const PIECE: usize = 512;
/// Updates that are cut live.
const LIVE: usize = 4;
/// After so many boots, it is told how many are left.
const TOLD: usize = 1000;
/// How long to wait for a board without a supply.
const QUICK: Duration = Duration::from_secs(20);

/// What came of the cuts of a board.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Of each course: its name and its writes.
    pub(crate) writes: Vec<(String, usize)>,
    pub(crate) boots: usize,
    pub(crate) old: usize,
    pub(crate) again: usize,
    pub(crate) live: usize,
    pub(crate) failures: Vec<String>,
}

/// A place and a way to cut.
type Point = (usize, Tear);
/// One in a course.
type Cut<'r> = (&'r Recording, Point);

/// Cuts the supply of a board.
pub(crate) fn run(bench: &Bench<'_>, cuts: Cuts, seed: u64) -> Result<Summary> {
    let recordings: Vec<Recording> =
        Course::ALL.iter().map(|course| Recording::new(bench, *course)).collect::<Result<_>>()?;
    let points: Vec<Cut<'_>> = recordings
        .iter()
        .flat_map(|one| choose(bench.board(), one, cuts, seed).into_iter().map(move |at| (one, at)))
        .collect();
    let writes = recordings.iter().map(|one| (format!("{:?}", one.course), one.writes.len()));
    let summary = Mutex::new(Summary { writes: writes.collect(), ..Summary::default() });
    let next = AtomicUsize::new(0);
    let worker = |number: usize| {
        let next = || next.fetch_add(1, Ordering::Relaxed);
        while let Some((at, (recording, point))) = points.iter().enumerate().nth(next()) {
            let again = at.is_multiple_of(cuts.again());
            let result = try_point(bench, recording, *point, seed, again, number);
            let Ok(mut summary) = summary.lock() else { return };
            summary.boots += 1;
            if summary.boots.is_multiple_of(TOLD) {
                eprintln!("{}: {} of {} cuts", bench.board().name, summary.boots, points.len());
            }
            match result {
                Ok(tried) => {
                    summary.old += usize::from(tried.seen.version != NEW);
                    summary.again += usize::from(tried.is_done_again);
                }
                Err(error) => summary.failures.push(format!(
                    "{:?}, cut {} {:?} of seed {seed}: {error:#}",
                    recording.course, point.0, point.1
                )),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
    std::thread::scope(|scope| {
        (0..threads).for_each(|number| drop(scope.spawn(move || worker(number))));
    });
    let mut summary = summary.into_inner().map_err(|_| anyhow!("a worker has panicked"))?;
    let [update, ..] = &recordings[..] else { return Ok(summary) };
    for number in 0..LIVE {
        match cut_live(bench, update, number, seed) {
            Ok(()) => summary.live += 1,
            Err(error) => summary.failures.push(format!("live cut {number}: {error:#}")),
        }
    }
    Ok(summary)
}

const OLD: &str = "1.0.0";
const NEW: &str = "2.0.0";

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

/// Where a course is cut. In a sample, so many inside the image, and so many outside of it.
fn choose(board: &Board, recording: &Recording, cuts: Cuts, seed: u64) -> Vec<Point> {
    let end = recording.writes.len();
    // The last writes of the slot are its descriptor.
    let near = recording.staged.saturating_sub(3);
    let (staging, rest): (Vec<usize>, Vec<usize>) = match recording.course {
        Course::Update | Course::Recovery => ((0..near).collect(), (near..end).collect()),
        // Before, it is an update as any other.
        Course::RollBack => (Vec::new(), (near..end).collect()),
        Course::TurnOver => (Vec::new(), recording.record_writes(board).collect()),
    };
    let (most_staging, most_rest) = match (cuts, recording.course) {
        (Cuts::None, _) => return Vec::new(),
        (Cuts::All, Course::Update) => (usize::MAX, usize::MAX),
        (Cuts::All, _) => (100, usize::MAX),
        (Cuts::Sample, Course::Update) => (12, 12),
        (Cuts::Sample, Course::Recovery) => (6, 8),
        (Cuts::Sample, Course::RollBack | Course::TurnOver) => (0, 12),
    };
    let mut chance = Chance(seed);
    let mut take = |places: Vec<usize>, most: usize| {
        let mut points: Vec<Point> =
            places.into_iter().flat_map(|at| Tear::ALL.map(|tear| (at, tear))).collect();
        while points.len() > most {
            points.swap_remove(chance.below(points.len()));
        }
        points
    };
    [take(staging, most_staging), take(rest, most_rest), vec![(end, Tear::Before)]].concat()
}

/// A board that was switched on after a cut.
struct Tried {
    seen: Seen,
    is_done_again: bool,
}

/// Boots the firmware from the flash after a cut, and judges; updates it once more, if that may be.
fn try_point(
    bench: &Bench<'_>,
    recording: &Recording,
    point: Point,
    seed: u64,
    again: bool,
    worker: usize,
) -> Result<Tried> {
    let (at, tear) = point;
    let flash = after(recording, point, seed);
    let (machine, _) = bench.start(&format!("cut{worker}"), &flash)?;
    let seen = machine.look_at_any()?;
    ensure!(
        recording.allows(bench, at, &seen),
        "{seen:?} runs after {at} of {} writes ({} of them staging), torn {tear:?}",
        recording.writes.len(),
        recording.staged
    );
    // Where the image crashes, another update is no end.
    let is_done_again = again && seen.version != NEW && recording.course != Course::RollBack;
    if is_done_again {
        let updated = update(bench, &machine, &recording.bundle);
        machine.explain(updated).context("the update once more")?;
    }
    Ok(Tried { seen, is_done_again })
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
    let log = Some(bench.fresh_log()?);
    let preload = Preload { log, cut: Some((at, with)), ..bench.preload.clone() };
    let mut machine = Machine::start(bench.board(), &bench.firmware.loader(), file, &preload)?;
    let installing = install_into_nothing(&machine, recording)?;
    machine.wait_until_off(LONG_PATIENCE)?;
    installing.join().map_err(|_| anyhow!("the client has panicked"))?;
    let differs = difference(&fs::read(file)?, &expected);
    ensure!(differs.is_none(), "write {at}, torn {tear:?}: the flash differs at {differs:x?}");
    Ok(())
}

/// The supply fails some time after write `at` was told: it is done then, or not, and so may be some
/// more.
fn cut_between(bench: &Bench<'_>, recording: &Recording, at: usize, file: &Path) -> Result<()> {
    let log = bench.fresh_log()?;
    let preload = Preload { log: Some(log.clone()), ..bench.preload.clone() };
    let machine = Machine::start(bench.board(), &bench.firmware.loader(), file, &preload)?;
    let installing = install_into_nothing(&machine, recording)?;
    let deadline = Instant::now() + LONG_PATIENCE;
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
