//! What is recorded, write by write, to be cut: a board that changes what it runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ota_sim::app::Behaviour;
use ota_sim::host::client::PushError;

use super::{NEW, OLD, update};
use crate::board::{Board, Kind};
use crate::machine::{Machine, Preload, Seen};
use crate::records;
use crate::scenarios::{Bench, destroy, send};
use crate::writes::{Chance, Tear, Write, flash_after, read_log, read_words};

/// How a board comes to run something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// 1.0.0 takes 2.0.0, which is booted on trial and commits itself.
    Update,
    /// The same, and the record goes on in its next sector: this one is full.
    TurnOver,
    /// 1.0.0 takes 2.0.0, which crashes at its start; 1.0.0 comes back.
    RollBack,
    /// Both slots are destroyed; the loader takes 2.0.0.
    Recovery,
}

impl Course {
    pub(super) const ALL: [Self; 4] =
        [Self::Update, Self::TurnOver, Self::RollBack, Self::Recovery];
}

/// A course, recorded.
pub(super) struct Recording {
    pub(super) course: Course,
    /// The flash before.
    pub(super) base: Vec<u8>,
    pub(super) writes: Vec<Write>,
    /// Behind the last write to the new image's slot.
    pub(super) staged: usize,
    pub(super) bundle: Vec<u8>,
}

impl Recording {
    /// Has a board go its course, with every write logged.
    pub(super) fn new(bench: &Bench<'_>, course: Course) -> Result<Self> {
        Self::record(bench, course).with_context(|| format!("{course:?} without a cut"))
    }

    fn record(bench: &Bench<'_>, course: Course) -> Result<Self> {
        let base = base(bench, course)?;
        let behaviour = match course {
            Course::RollBack => Behaviour::Crashes,
            Course::Update | Course::TurnOver | Course::Recovery => Behaviour::Healthy,
        };
        let bundle = bench.firmware.bundle(bench.board().cut_apps, NEW, behaviour)?;
        let (file, log) = (bench.file("recorded"), bench.fresh_log()?);
        fs::write(&file, &base)?;
        let preload = Preload { log: Some(log.clone()), ..bench.preload.clone() };
        let machine = Machine::start(bench.board(), &bench.firmware.loader(), &file, &preload)?;
        machine.explain(match course {
            Course::RollBack => roll_back(&machine, &bundle),
            Course::Update | Course::TurnOver | Course::Recovery => {
                update(bench, &machine, &bundle)
            }
        })?;
        machine.stop()?;
        let writes = read(bench, &log, &base)?;
        if let Some(at) = idle_write(&base, &writes) {
            bail!("write {at} is in the one before: the firmware did not wait for the log");
        }
        let rebuilt = flash_after(&base, &writes, writes.len(), Tear::Before, &mut Chance(0));
        ensure!(rebuilt == fs::read(&file)?, "the log of the writes is not what was written");
        let slot = bench.board().places().layout().slots[1].app;
        let is_slot = |write: &Write| write.is_within(slot);
        let staged = writes.iter().rposition(is_slot).context("nothing was staged")? + 1;
        let recording = Self { course, base, writes, staged, bundle };
        let turns = recording.record_writes(bench.board()).any(|at| {
            let bytes = &recording.writes[at].bytes;
            bytes.len() > 1000 && bytes.iter().all(|byte| *byte == 0xFF)
        });
        ensure!(turns || course != Course::TurnOver, "the record has not turned over");
        Ok(recording)
    }

    /// The writes to the boot record.
    pub(super) fn record_writes(&self, board: &Board) -> impl Iterator<Item = usize> {
        let record = board.places().layout().record;
        (0..self.writes.len()).filter(move |at| self.writes[*at].is_within(record))
    }

    /// Whether a board may tell this of itself after a cut in write `at`.
    pub(super) fn allows(&self, bench: &Bench<'_>, at: usize, seen: &Seen) -> bool {
        let is_old = match self.course {
            Course::Update | Course::TurnOver | Course::RollBack => {
                *seen == bench.expect(OLD, 0, true)
            }
            Course::Recovery => seen.app == bench.board().recovery && seen.version.is_empty(),
        };
        let is_new = *seen == super::expect_new(bench);
        let ends_with_old = self.course == Course::RollBack;
        let may_be_old = ends_with_old || at < self.writes.len();
        let may_be_new = !ends_with_old && at >= self.staged;
        (may_be_old && is_old) || (may_be_new && is_new)
    }
}

/// The flash of a device that has settled: a first boot writes too.
fn base(bench: &Bench<'_>, course: Course) -> Result<Vec<u8>> {
    let settle = |flash: &[u8]| -> Result<(Seen, Vec<u8>)> {
        let (machine, file) = bench.start("base", flash)?;
        let seen = machine.look()?;
        machine.stop()?;
        Ok((seen, fs::read(file)?))
    };
    let old = bench.expect(OLD, 0, true);
    let (seen, mut flash) = settle(&bench.factory)?;
    ensure!(seen == old, "a new device: {seen:?}");
    match course {
        Course::Update | Course::RollBack => {}
        Course::TurnOver => {
            records::fill(bench.board(), &mut flash)?;
            let (seen, settled) = settle(&flash)?;
            ensure!(seen == old && settled == flash, "the record was not taken: {seen:?}");
        }
        Course::Recovery => {
            (0..2).for_each(|slot| destroy(bench.board(), &mut flash, slot));
            let (seen, settled) = settle(&flash)?;
            ensure!(seen.app == bench.board().recovery, "no slot: {seen:?}");
            flash = settled;
        }
    }
    Ok(flash)
}

/// The first write that changes nothing, and is no erase.
fn idle_write(base: &[u8], writes: &[Write]) -> Option<usize> {
    let mut flash = base.to_vec();
    writes.iter().position(|write| {
        let is_idle = flash[write.offset..].starts_with(&write.bytes);
        write.apply(&mut flash);
        is_idle && !write.bytes.iter().all(|byte| *byte == 0xFF)
    })
}

/// Sends an image that crashes, and waits until the one before is back.
fn roll_back(machine: &Machine, bundle: &[u8]) -> Result<()> {
    let sent = send(&mut machine.client()?, bundle, 0);
    match sent.map_err(anyhow::Error::downcast::<PushError>) {
        Err(Ok(PushError::NotInstalled { version, .. })) if version == OLD => Ok(()),
        Err(Err(error)) => Err(error),
        other => bail!("an image that crashes: {other:?}"),
    }
}

/// The writes in a log.
pub(super) fn read(bench: &Bench<'_>, log: &Path, base: &[u8]) -> Result<Vec<Write>> {
    let page = bench.board().places().part().shape.sector_size as usize;
    match bench.board().kind {
        Kind::Drive => read_log(log),
        Kind::Internal => read_words(log, base, page),
    }
}
