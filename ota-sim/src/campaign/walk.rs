//! Walking through a scenario, cutting power at each operation, and judging what comes after.

use super::images::Images;
use super::model::{Model, Ways};
use super::point::{Cut, Failure, Point, Tally};
use super::rig::Rig;
use super::scenario::{Fault, Scenario, Step};
use crate::nor::{
    Bad, Flicker, Nor, Observed, Observer, PendingOp, Random, ReadFaults, Tear, TearBudget,
    tears_for,
};

/// How many boots follow a cut.
const BOOTS: u64 = 4;
/// Of so many points one is followed by a whole update, one by the loss of a record cell, and four
/// by what a user would do next.
const EXTRAS: u64 = 16;

/// One scenario on one kind of device.
pub struct Walk<'a> {
    /// The device.
    pub rig: &'a Rig,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The images.
    pub images: &'a Images,
    /// Which tears are tried.
    pub budget: TearBudget,
    /// Which points are tried.
    pub select: Select,
    /// For the rolls of weak bits.
    pub seed: u64,
    /// What was found.
    pub tally: Tally,
    /// The operation being cut, counted from the first of the scenario's `cut` steps.
    op: u64,
    scratch: Vec<Nor>,
}

/// Which points a walk tries.
#[derive(Clone, Debug)]
pub enum Select {
    /// Count them, try none.
    Count,
    /// Single cuts: this share of them, 0 to 1.
    Singles(f64),
    /// Pairs of cuts.
    Pairs {
        /// One first cut in so many.
        first: u64,
        /// The share of second cuts after them, 0 to 1.
        second: f64,
        /// One of those first cuts in so many is followed by the scenario's `retry` too, whose way
        /// is long.
        retry: u64,
    },
    /// Just this one.
    One(Point),
}

/// The states that a device may be in, as far as one can tell.
pub type Possible = Vec<Model>;

impl<'a> Walk<'a> {
    /// A walk that has not begun.
    pub fn new(
        rig: &'a Rig,
        scenario: &'a Scenario,
        images: &'a Images,
        budget: TearBudget,
        select: Select,
        seed: u64,
    ) -> Self {
        let tally = Tally::default();
        Self { rig, scenario, images, budget, select, seed, tally, op: 0, scratch: Vec::new() }
    }

    /// Walks through the scenario once, from the factory on.
    ///
    /// # Errors
    /// [`Failure`]: the scenario does not work even without a cut. Failures after cuts are counted.
    pub fn run(&mut self) -> Result<(), Failure> {
        let mut nor = self.rig.factory(self.images.get(0));
        let mut possible = vec![Model::factory(self.rig.slot_count, self.rig.trials)];
        for step in self.scenario.setup {
            self.step(*step, &mut nor, &mut possible, None)?;
        }
        self.break_flash(&mut nor);
        for step in self.scenario.cut {
            self.step(*step, &mut nor, &mut possible, Some(&mut Vec::new()))?;
        }
        Ok(())
    }

    /// Does one step without a cut and strikes out what cannot be any more: for tests that make up
    /// their own scenarios.
    ///
    /// # Errors
    /// [`Failure`]: what was seen contradicts every possible state.
    pub fn play(
        &mut self,
        step: Step,
        nor: &mut Nor,
        possible: &mut Possible,
    ) -> Result<(), Failure> {
        self.seed = Random::at(self.seed, nor.ops()).next_word();
        self.step(step, nor, possible, None)
    }

    /// The same, but power is cut in the flash operation after `ops` others. Boot afterwards.
    ///
    /// # Errors
    /// As [`Self::play`], if the step ended before the cut.
    pub fn play_cut(
        &mut self,
        step: Step,
        nor: &mut Nor,
        possible: &mut Possible,
        (ops, tear): (u64, Tear),
    ) -> Result<(), Failure> {
        let during = self.during(step, nor, possible);
        nor.cut_after(ops, tear);
        let result = self.play(step, nor, possible);
        if nor.is_powered() {
            nor.disarm_cut();
            return result;
        }
        *possible = during;
        Ok(())
    }

    /// What a device may be when power fails in a step.
    fn during(&self, step: Step, nor: &Nor, possible: &Possible) -> Possible {
        let ways = possible.iter().flat_map(|model| {
            let ways = match step {
                Step::Boot => {
                    let done = model.boot_with(&self.usable(nor, model));
                    Ways { between: Vec::new(), done: done.into_iter().collect() }
                }
                _ => model.apply(&step.request(self.images, model)).unwrap_or_default(),
            };
            std::iter::once(model.clone()).chain(ways.between).chain(ways.done)
        });
        distinct(ways)
    }

    /// Does one step and strikes out what cannot be any more. `cuts`: the cuts made so far, if this
    /// step is to be cut.
    fn step(
        &mut self,
        step: Step,
        nor: &mut Nor,
        possible: &mut Possible,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        match step {
            Step::Boot => self.boot(nor, possible, self.seed, cuts),
            Step::FillRecord(spare) => self.fill_record(nor, possible, spare),
            _ => self.request(step, nor, possible, cuts),
        }
    }

    /// A reset and a boot.
    fn boot(
        &mut self,
        nor: &mut Nor,
        possible: &mut Possible,
        seed: u64,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        nor.power_on_as(Flicker::from_seed(seed));
        let after = possible.iter().filter_map(|model| model.boot_with(&self.usable(nor, model)));
        let after = distinct(after);
        let rig = self.rig;
        let plan = match cuts {
            None => rig.boot(&mut *nor),
            Some(cuts) => {
                let during = self.during(Step::Boot, nor, possible);
                let mut cutter = Cutter { walk: self, during, cuts, first: true };
                rig.boot(Observed::new(nor, &mut cutter))
            }
        };
        let plan = plan.map_err(|reason| Failure::new(format!("nothing to boot: {reason:?}")))?;
        *possible = after;
        self.strike(possible, "the boot", |model| {
            let image = model.image(plan.slot).map(|id| &self.images.get(id).bytes);
            model.booted == plan.slot
                && plan.durable
                && plan.needs_watchdog != model.committed
                && image.is_some_and(|bytes| {
                    nor.peek(rig.app_range(plan.slot, bytes.len())) == bytes.as_slice()
                })
                && model.matches(&ota_core::BootState::of(&plan.record))
        })
    }

    /// A request to the application's engine.
    fn request(
        &mut self,
        step: Step,
        nor: &mut Nor,
        possible: &mut Possible,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        let images = self.images;
        let rig = self.rig;
        let ways: Vec<_> =
            possible.iter().map(|m| (m.clone(), m.apply(&step.request(images, m)))).collect();
        let ran = match cuts {
            None => rig.app(&mut *nor, |app| (step.run(app, images), app.state())),
            Some(cuts) => {
                let during = self.during(step, nor, possible);
                let mut cutter = Cutter { walk: self, during, cuts, first: true };
                rig.app(Observed::new(nor, &mut cutter), |app| (step.run(app, images), app.state()))
            }
        };
        let (result, state) = ran.map_err(Failure::new)?;
        let faulty = self.scenario.fault == Fault::Lies;
        let after = ways.into_iter().flat_map(|(before, ways)| match (&result, ways) {
            (Ok(()), Some(ways)) => ways.done,
            // The slot was begun, and given up.
            (Err(_), Some(ways)) if faulty => ways.between,
            (Err(_), None) => vec![before],
            (Ok(()), None) | (Err(_), Some(_)) => Vec::new(),
        });
        *possible = distinct(after);
        let what = format!("{step:?} -> {result:?}");
        self.strike(possible, &what, |model| model.matches(&state))
    }

    /// Strikes out the states that an observation contradicts.
    fn strike(
        &self,
        possible: &mut Possible,
        what: &str,
        agrees: impl Fn(&Model) -> bool,
    ) -> Result<(), Failure> {
        let before = possible.clone();
        possible.retain(agrees);
        if possible.is_empty() {
            return Err(Failure::new(format!("after {what}: contradicts all of {before:#?}")));
        }
        Ok(())
    }

    /// Appends until the next append, or the one so many later, would begin a sector.
    fn fill_record(
        &mut self,
        nor: &mut Nor,
        possible: &mut Possible,
        spare: u8,
    ) -> Result<(), Failure> {
        let mut history = vec![(nor.clone(), possible.clone())];
        for byte in 100..u8::MAX {
            let (mut next, mut after) = (nor.clone(), possible.clone());
            self.request(Step::Note(byte), &mut next, &mut after, None)?;
            if next.counters().erases > nor.counters().erases {
                let at = history.len().saturating_sub(1 + usize::from(spare));
                (*nor, *possible) = history.swap_remove(at);
                return Ok(());
            }
            (*nor, *possible) = (next, after);
            history.push((nor.clone(), possible.clone()));
        }
        Err(Failure::new("the record never turns over".into()))
    }

    /// What follows a cut: boots, each under another roll of the weak bits.
    fn recover(
        &mut self,
        nor: &mut Nor,
        during: &[Model],
        cuts: &mut Vec<Cut>,
    ) -> Result<(), Failure> {
        let mut possible = during.to_vec();
        if self.scenario.setup.is_empty() {
            // The first record was torn: what can be read does not tell a new device from one whose
            // record was lost.
            possible.extend(during.iter().map(|m| Model { why: "record lost", ..m.clone() }));
        }
        let point = Point { cuts: cuts.clone() };
        let rolls = point.hash(self.seed);
        if cuts.len() == 1 && self.wants_second(&point) {
            let mut clone = self.lend(nor);
            let mut fork = possible.clone();
            let result = self.recover_with_cuts(&mut clone, &mut fork, rolls, cuts, &point);
            self.scratch.push(clone);
            return result;
        }
        self.boot(nor, &mut possible, rolls, None)?;
        let (mut settled, mut wrote) = (false, 0_usize);
        for round in 1..BOOTS {
            let (before, ops) = (possible.clone(), nor.ops());
            self.boot(nor, &mut possible, Random::at(rolls, round).next_word(), None)?;
            wrote += usize::from(settled && nor.ops() != ops);
            settled |= before == possible;
        }
        // What a cut left may show itself late, and is outranked then: once for each cut.
        if wrote > cuts.len() {
            return Err(Failure::new("settled boots write to flash again and again".into()));
        }
        self.keeps_its_word(nor, &possible)?;
        match rolls % EXTRAS {
            0 => self.later_update(nor, &mut possible),
            1 => self.lost_cell(nor, &mut possible, rolls),
            2..6 => self.go_on(nor, &mut possible, rolls),
            _ => Ok(()),
        }
    }

    /// Every image that the record calls bootable is there, whole.
    fn keeps_its_word(&self, nor: &Nor, possible: &Possible) -> Result<(), Failure> {
        let kept = |model: &Model| {
            self.whole(nor, model).iter().zip(&model.slots).zip(0u8..).all(
                |((whole, held), slot)| {
                    held.is_none() || *whole || self.scenario.fault == Fault::Rot(slot)
                },
            )
        };
        if possible.iter().any(kept) {
            return Ok(());
        }
        Err(Failure::new(format!("a bootable slot does not hold its image: {possible:#?}")))
    }

    /// Which slots hold the image that `model` says.
    fn whole(&self, nor: &Nor, model: &Model) -> Vec<bool> {
        let slots = (0u8..).zip(&model.slots);
        slots
            .map(|(slot, held)| {
                held.is_some_and(|id| self.rig.holds(nor, slot, self.images.get(id)))
            })
            .collect()
    }

    /// Which slots hold an image that may be booted: whole, and not below the counter.
    fn usable(&self, nor: &Nor, model: &Model) -> Vec<bool> {
        let recent =
            |held: &Option<u8>| held.is_some_and(|id| self.images.get(id).counter >= model.counter);
        self.whole(nor, model)
            .into_iter()
            .zip(&model.slots)
            .map(|(whole, held)| whole && recent(held))
            .collect()
    }

    /// Makes the scenario's fault.
    fn break_flash(&self, nor: &mut Nor) {
        match self.scenario.fault {
            Fault::None => {}
            Fault::Lies => {
                let start = self.rig.app_range(1, 0).start;
                nor.set_bad_sector(start, Bad::Lies { seed: self.seed });
            }
            Fault::ReadsFail => nor.set_read_faults(Some(ReadFaults::new(7, self.seed))),
            Fault::Rot(slot) => nor.flip(self.rig.app_range(slot, 0).start + 4321, 3),
        }
    }

    /// The first boot after a cut and what a user would do then, all cut again.
    fn recover_with_cuts(
        &mut self,
        nor: &mut Nor,
        possible: &mut Possible,
        rolls: u64,
        cuts: &mut Vec<Cut>,
        point: &Point,
    ) -> Result<(), Failure> {
        let op = std::mem::take(&mut self.op);
        let mut result = self.boot(nor, possible, rolls, Some(cuts));
        if result.is_ok() && self.wants_retry(point) {
            for step in self.scenario.retry {
                result = self.step(*step, nor, possible, Some(cuts));
            }
        }
        self.op = op;
        result
    }

    /// What a user would do next must stay done, however weak bits roll afterwards.
    fn go_on(&mut self, nor: &mut Nor, possible: &mut Possible, rolls: u64) -> Result<(), Failure> {
        for step in self.scenario.retry {
            self.step(*step, nor, possible, None)?;
        }
        (20..23).try_for_each(|round| {
            self.boot(nor, possible, Random::at(rolls, round).next_word(), None)
        })
    }

    /// A whole update must still be possible.
    fn later_update(&mut self, nor: &mut Nor, possible: &mut Possible) -> Result<(), Failure> {
        if self.scenario.fault == Fault::Lies {
            return Ok(());
        }
        if possible.iter().any(|model| !model.committed) {
            self.request(Step::Commit, nor, possible, None)?;
        }
        for step in [Step::Install(4, 300), Step::Boot, Step::Commit, Step::Boot] {
            self.step(step, nor, possible, None)?;
        }
        Ok(())
    }

    /// Any one cell of a quiescent log may be lost.
    fn lost_cell(
        &mut self,
        nor: &mut Nor,
        possible: &mut Possible,
        rolls: u64,
    ) -> Result<(), Failure> {
        if possible.iter().any(|model| !model.committed) {
            return Ok(());
        }
        let record = 0..self.rig.layout().record.size;
        let cells: Vec<u32> = super::point::sealed_cells(nor, record);
        let mut random = Random::new(rolls);
        let Some(cell) = cells.len().checked_sub(1).map(|last| {
            // One of the last few: the others are outranked anyway.
            cells[last - (random.below(3) as usize).min(last)]
        }) else {
            return Err(Failure::new("a quiescent log without a sealed cell".into()));
        };
        match random.below(3) {
            0 => nor.set_unreadable(cell..cell + 64),
            1 => nor.corrupt(cell..cell + 64, rolls),
            _ => nor.flip(cell + random.below(64), random.below(8) as u8),
        }
        self.boot(nor, possible, Random::at(rolls, 9).next_word(), None)
    }

    fn lend(&mut self, nor: &Nor) -> Nor {
        match self.scratch.pop() {
            Some(mut scratch) => {
                scratch.clone_from(nor);
                scratch
            }
            None => nor.clone(),
        }
    }

    fn wants_second(&self, point: &Point) -> bool {
        match &self.select {
            Select::Count | Select::Singles(_) => false,
            Select::Pairs { first, .. } => point.hash(self.seed).is_multiple_of(*first),
            Select::One(one) => one.cuts.len() == 2,
        }
    }

    fn wants_retry(&self, point: &Point) -> bool {
        match &self.select {
            Select::Count | Select::Singles(_) => false,
            Select::Pairs { retry, .. } => (point.hash(self.seed) >> 8).is_multiple_of(*retry),
            Select::One(_) => true,
        }
    }

    /// Whether a point is to be tried, and whether its first cut leads on to a pair.
    fn wants(&self, point: &Point) -> (bool, bool) {
        let pair = point.cuts.len() == 2;
        match &self.select {
            Select::Count => (false, false),
            Select::Singles(share) => (!pair && point.within(*share, self.seed), false),
            Select::Pairs { second, .. } if pair => (point.within(*second, self.seed), false),
            Select::Pairs { .. } => (false, self.wants_second(point)),
            Select::One(one) => (one == point, one.cuts.first() == point.cuts.first() && !pair),
        }
    }
}

/// Cuts power at each operation of one step.
struct Cutter<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// What the device may be after a cut here.
    during: Possible,
    /// The cuts before.
    cuts: &'w mut Vec<Cut>,
    /// Nothing of this step has been done yet.
    first: bool,
}

impl Observer for Cutter<'_, '_> {
    fn before(&mut self, nor: &Nor, op: &PendingOp<'_>) {
        let walk = &mut *self.walk;
        let shape = walk.rig.part.shape;
        let number = walk.op;
        let mut seen: Vec<u64> = Vec::with_capacity(32);
        let untouched = nor.state_hash(op.range(&shape));
        for tear in tears_for(op, &shape, &walk.budget) {
            // Nothing happened: the same as all of the operation before, except at the start.
            if tear == Tear::None && !self.first {
                continue;
            }
            self.cuts.push(Cut { op: number, tear });
            let point = Point { cuts: self.cuts.clone() };
            let (wanted, leads_on) = walk.wants(&point);
            walk.tally.listed += 1;
            if wanted || leads_on {
                let mut scratch = walk.lend(nor);
                let left = scratch.apply_torn(op, tear);
                let hash = left.expect("the observer sees only operations that flash accepts");
                let fresh = !seen.contains(&hash) && (tear == Tear::None || hash != untouched);
                seen.push(hash);
                if fresh {
                    let result = walk.recover(&mut scratch, &self.during, self.cuts);
                    let region = super::point::region_of(walk.rig, op);
                    walk.tally.note(wanted, &point, tear, op.kind(), region, result);
                } else {
                    walk.tally.without_effect += 1;
                }
                walk.scratch.push(scratch);
            }
            self.cuts.pop();
        }
        self.first = false;
        walk.op += 1;
    }
}

fn distinct(models: impl Iterator<Item = Model>) -> Possible {
    let mut found: Possible = Vec::new();
    for model in models {
        if !found.contains(&model) {
            found.push(model);
        }
    }
    found
}
