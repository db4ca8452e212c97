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
//! A few updates are cut live, by killing QEMU in the midst of a write: the flash that is left must
//! be the one that was built, byte by byte. And after some cuts the update is done once more.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use ota_sim::app::Behaviour;

use crate::machine::{Machine, Preload, Seen, look};
use crate::scenarios::{Bench, send};
use crate::writes::{Chance, Tear, Write, flash_after, read_log};

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

/// Cuts inside the image in a sample, and outside of it.
const SAMPLE: usize = 32;
/// Updates that are cut live.
const LIVE: usize = 4;
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
    eprintln!("recorded {} {}", recording.writes.len(), recording.staged);
    let points = choose(&recording, cuts, seed);
    let summary = Mutex::new(Summary { writes: recording.writes.len(), ..Summary::default() });
    let next = AtomicUsize::new(0);
    let worker = |number: usize| {
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            let since = std::time::Instant::now();
            let result = try_point(bench, &recording, *point, seed, number);
            eprintln!("{point:?} {:?} {result:?}", since.elapsed());
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
    let mut client = machine.client()?;
    send(&mut client, &bundle, 0)?;
    let seen = look(&mut client)?;
    ensure!(seen == bench.expect(NEW, 1, true), "the update without a cut: {seen:?}");
    drop(client);
    machine.stop()?;
    let writes = read_log(&log)?;
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
    let mut client = machine.client()?;
    let seen = look(&mut client)?;
    let old = bench.expect(OLD, 0, true);
    let new = bench.expect(NEW, 1, true);
    let end = recording.writes.len();
    let may_be_old = at < end;
    let may_be_new = at >= recording.staged || at == end;
    ensure!(
        (may_be_old && seen == old) || (may_be_new && seen == new),
        "{seen:?} runs after {at} of {end} writes ({} of them staging), torn {tear:?}",
        recording.staged
    );
    if seen == old && is_done_again(point, seed) {
        send(&mut client, &recording.bundle, 0).context("the update once more")?;
        let seen = look(&mut client)?;
        ensure!(seen == new, "the update once more: {seen:?}");
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

/// Cuts an update in the midst of a write, for real.
fn cut_live(bench: &Bench<'_>, recording: &Recording, number: usize, seed: u64) -> Result<()> {
    let tear = if number % 2 == 0 { Tear::Bytes } else { Tear::Bits };
    let mut chance = Chance(seed.wrapping_add(number as u64));
    let at = match number {
        0 | 1 => chance.below(recording.staged),
        _ => recording.staged + chance.below(recording.writes.len() - recording.staged),
    };
    let expected = after(recording, (at, tear), seed);
    let Write { offset, bytes } = &recording.writes[at];
    let with = bench.file("with");
    fs::write(&with, &expected[*offset..][..bytes.len()])?;
    let file = bench.file("live");
    fs::write(&file, &recording.base)?;
    let preload = Preload { cut: Some((at, with)), ..bench.preload.clone() };
    let mut machine = Machine::start(bench.board(), &bench.firmware.loader(), &file, &preload)?;
    let mut client = machine.client()?;
    let bundle = recording.bundle.clone();
    let pushing = std::thread::spawn(move || send(&mut client, &bundle, 0));
    machine.wait_until_off()?;
    let result = pushing.join().map_err(|_| anyhow!("the client has panicked"))?;
    let left = fs::read(&file)?;
    let differs = left.iter().zip(&expected).position(|(left, built)| left != built);
    ensure!(differs.is_none(), "write {at}, torn {tear:?}: the flash differs at {differs:x?}");
    ensure!(result.is_err(), "an update without a device: {result:?}");
    Ok(())
}
