//! Walking through a scenario, cutting power at each operation, and judging what is seen.

use ota_core::{BootPlan, BootState};

use super::board::Board;
use super::cutter::{Cutter, Select};
use super::holdings::Holdings;
use super::images::Images;
use super::ledger::Ledger;
use super::model::{Model, Request, Ways};
use super::point::{Cut, Failure, Tally};
use super::product::Second;
use super::rig::{CRASH_LIMIT, Rig};
use super::scenario::{Fault, Scenario, Step};
use crate::nor::{Bad, Flicker, Random, ReadFaults, Stop, Tear, TearBudget};

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
    pub(super) op: u64,
    /// What is wrong with flash now.
    pub(super) fault: Fault,
    pub(super) scratch: Vec<Specimen>,
}

/// The states that a device may be in, as far as one can tell.
pub type Possible = Vec<Model>;

/// A device under test.
#[derive(Debug)]
pub struct Specimen {
    /// Its flash.
    pub board: Board,
    /// What it may be.
    pub possible: Possible,
    pub(super) ledger: Ledger,
}

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
        let (tally, fault, scratch) = (Tally::default(), Fault::None, Vec::new());
        Self { rig, scenario, images, budget, select, seed, tally, op: 0, fault, scratch }
    }

    /// A device as it leaves the factory.
    pub fn specimen(&self) -> Specimen {
        Specimen {
            board: self.rig.factory(self.images.get(0)),
            possible: vec![Model::factory(&self.rig.product)],
            ledger: Ledger::factory(self.rig.product.trials),
        }
    }

    /// Walks through the scenario once, from the factory on.
    ///
    /// # Errors
    /// [`Failure`]: the scenario does not work even without a cut. Failures after cuts are counted.
    pub fn run(&mut self) -> Result<(), Failure> {
        let mut specimen = self.specimen();
        for step in self.scenario.setup {
            self.step(*step, &mut specimen, None)?;
        }
        self.break_flash(&mut specimen.board);
        for step in self.scenario.cut {
            self.step(*step, &mut specimen, Some(&mut Vec::new()))?;
        }
        Ok(())
    }

    /// Does one step without a cut and strikes out what cannot be any more: for tests that make up
    /// their own scenarios.
    ///
    /// # Errors
    /// [`Failure`]: what was seen contradicts every possible state.
    pub fn play(&mut self, step: Step, specimen: &mut Specimen) -> Result<(), Failure> {
        self.seed = Random::at(self.seed, specimen.board.ops()).next_word();
        self.step(step, specimen, None)
    }

    /// The same, but power is cut in the flash operation after `ops` others. Boot afterwards.
    ///
    /// # Errors
    /// As [`Self::play`], if the step ended before the cut.
    pub fn play_cut(
        &mut self,
        step: Step,
        specimen: &mut Specimen,
        (ops, tear): (u64, Tear),
    ) -> Result<(), Failure> {
        let during = self.during(step, specimen);
        specimen.board.cut_after(Some((ops, tear)));
        let result = self.play(step, specimen);
        specimen.board.cut_after(None);
        if specimen.board.is_powered() {
            return result;
        }
        (specimen.possible, specimen.ledger) = during;
        Ok(())
    }

    /// What a device may be when power fails in a step.
    pub(super) fn during(&self, step: Step, specimen: &Specimen) -> (Possible, Ledger) {
        let mut ledger = specimen.ledger.clone();
        let holdings = self.holdings(&specimen.board);
        let ways = specimen.possible.iter().flat_map(|model| {
            let ways = match step {
                Step::Boot | Step::Crashed => {
                    let usable = holdings.usable(model);
                    let done = [model.boot_with(&usable), model.boot_unwritten(&usable)];
                    Ways { between: Vec::new(), done: done.into_iter().flatten().collect() }
                }
                _ => self.ways(step, &holdings, model).unwrap_or_default(),
            };
            let request = step.request(self.images, model);
            ways.done.iter().for_each(|done| ledger.perhaps(&request, model, done));
            std::iter::once(model.clone()).chain(ways.between).chain(ways.done)
        });
        let possible = distinct(ways);
        (possible, ledger)
    }

    /// What a request leads to, from `model`. `None`: it must be refused.
    fn ways(&self, step: Step, holdings: &Holdings<'_>, model: &Model) -> Option<Ways> {
        let request = step.request(self.images, model);
        let copies = matches!(request, Request::Snapshot { .. });
        if copies && !holdings.whole(model)[usize::from(model.booted)] {
            return None;
        }
        model.apply(&request)
    }

    /// Does one step and strikes out what cannot be any more. `cuts`: the cuts made so far, if this
    /// step is to be cut.
    pub(super) fn step(
        &mut self,
        step: Step,
        specimen: &mut Specimen,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        match step {
            Step::Boot => self.boot(specimen, self.seed, cuts),
            Step::Crashed => self.boot_after(CRASH_LIMIT, specimen, self.seed, cuts),
            Step::FillRecord(spare) => self.fill_record(specimen, spare),
            Step::Interrupt(image, ask) => self.interrupt(image, ask, specimen, cuts),
            _ => self.request(step, specimen, cuts),
        }
    }

    /// A reset and a boot.
    pub(super) fn boot(
        &mut self,
        specimen: &mut Specimen,
        seed: u64,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        self.boot_after(0, specimen, seed, cuts)
    }

    /// A reset and a boot, after so many crashes in a row.
    fn boot_after(
        &mut self,
        crashes: u8,
        specimen: &mut Specimen,
        seed: u64,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        specimen.board.power_on_as(Flicker::from_seed(seed));
        let holdings = self.holdings(&specimen.board);
        let expected: Vec<_> = specimen
            .possible
            .iter()
            .map(|model| (model.clone(), self.boots(crashes, &holdings, model)))
            .collect();
        let rig = self.rig;
        let plan = match cuts {
            None => rig.boot(&mut specimen.board, crashes, None),
            Some(cuts) => {
                let during = self.during(Step::Boot, specimen);
                let mut cutter = Cutter::new(self, during, cuts, None);
                rig.boot(&mut specimen.board, crashes, Some(&mut cutter))
            }
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(reason) => {
                let stays = expected.into_iter().filter(|(_, runs)| runs.is_none());
                specimen.possible = distinct(stays.map(|(model, _)| model));
                return specimen.check(|| format!("nothing to boot: {reason:?}"));
            }
        };
        let runs = expected.iter().filter_map(|(model, runs)| Some((model, runs.as_ref()?)));
        let agree: Vec<_> =
            runs.filter(|(_, runs)| self.agrees(&specimen.board, &plan, runs)).collect();
        let image = agree.first().and_then(|(_, runs)| runs.image(plan.slot));
        let written = self.record_is_written();
        let after = agree.iter().map(|(model, runs)| if written { *runs } else { *model });
        specimen.possible = distinct(after.cloned());
        specimen.check(|| format!("after the boot of {plan:?}: contradicts {expected:#?}"))?;
        let Some(image) = image else { return Ok(()) };
        specimen.ledger.jump(plan.slot, image, plan.needs_watchdog)
    }

    /// What runs after a boot of `model`, if anything does.
    fn boots(&self, crashes: u8, holdings: &Holdings<'_>, model: &Model) -> Option<Model> {
        let usable = holdings.usable(model);
        // Without a record every image counts as committed.
        let dead = self.record_is_dead();
        if crashes >= CRASH_LIMIT && (model.committed || dead) {
            return None;
        }
        if dead {
            // Whatever is whole, the lowest slot first; what the record said is not known.
            let slot = (0..self.rig.product.slots).find(|slot| usable[usize::from(*slot)])?;
            return Some(Model { active: slot, booted: slot, committed: true, ..model.clone() });
        }
        match self.record_is_written() {
            true => model.boot_with(&usable),
            false => model.boot_unwritten(&usable),
        }
    }

    /// Whether a boot went as `model` says.
    fn agrees(&self, board: &Board, plan: &BootPlan, model: &Model) -> bool {
        let image = model.image(plan.slot).map(|id| &self.images.get(id).bytes);
        let told = model.matches(&BootState::of(&plan.record));
        model.booted == plan.slot
            && plan.needs_watchdog != model.committed
            && image.is_some_and(|bytes| {
                board.peek(self.rig.app(plan.slot, bytes.len())) == bytes.as_slice()
            })
            && (plan.durable || !self.record_is_written())
            && (told || self.record_is_dead())
    }

    /// A request to the application's engine.
    pub(super) fn request(
        &mut self,
        step: Step,
        specimen: &mut Specimen,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        let (images, rig) = (self.images, self.rig);
        let data = rig.product.data;
        let holdings = self.holdings(&specimen.board);
        let ways: Vec<_> = specimen
            .possible
            .iter()
            .map(|model| (model.clone(), self.ways(step, &holdings, model)))
            .collect();
        let ran = match cuts {
            None => {
                rig.run(&mut specimen.board, None, |app| (step.run(app, images, data), app.state()))
            }
            Some(cuts) => {
                let during = self.during(step, specimen);
                let mut cutter = Cutter::new(self, during, cuts, None);
                rig.run(&mut specimen.board, Some(&mut cutter), |app| {
                    (step.run(app, images, data), app.state())
                })
            }
        };
        let (result, state) = ran.map_err(Failure::new)?;
        let broken = matches!(self.fault, Fault::Lies | Fault::Garbles | Fault::Refuses);
        let accepted = result.is_ok();
        let after = ways.into_iter().flat_map(|(before, ways)| {
            let after = match (&result, ways) {
                (Ok(()), Some(ways)) => ways.done,
                // The slot was begun, and given up.
                (Err(_), Some(ways)) if broken => ways.between,
                (Err(_), None) => vec![before.clone()],
                (Ok(()), None) | (Err(_), Some(_)) => Vec::new(),
            };
            after.into_iter().map(move |after| (before.clone(), after))
        });
        let request = |model: &Model| step.request(images, model);
        let story = || format!("{step:?} -> {result:?}");
        specimen.strike(after.collect(), &state, accepted.then_some(&request), &story)
    }

    /// Appends until the next append, or the one so many later, would begin a sector.
    fn fill_record(&mut self, specimen: &mut Specimen, spare: u8) -> Result<(), Failure> {
        let device = self.rig.layout().record.device;
        let erases = |specimen: &Specimen| specimen.board.chip(device).counters().erases;
        let mut history = vec![specimen.clone()];
        for byte in 100..u8::MAX {
            let mut next = specimen.clone();
            self.request(Step::Note(byte), &mut next, None)?;
            if erases(&next) > erases(specimen) {
                let at = history.len().saturating_sub(1 + usize::from(spare));
                *specimen = history.swap_remove(at);
                return Ok(());
            }
            specimen.clone_from(&next);
            history.push(next);
        }
        Err(Failure::new("the record never turns over".into()))
    }

    pub(super) fn holdings<'b>(&'b self, board: &'b Board) -> Holdings<'b> {
        Holdings::new(self.rig, self.images, board)
    }

    /// Makes the scenario's fault.
    fn break_flash(&mut self, board: &mut Board) {
        self.fault = self.scenario.fault;
        match self.fault {
            Fault::None => {}
            Fault::Lies => self.break_slot(board, Bad::Lies { seed: self.seed }),
            Fault::Garbles => self.break_slot(board, Bad::Garbles { seed: self.seed }),
            Fault::Refuses => self.break_slot(board, Bad::Refuses),
            Fault::ReadsFail => {
                let faults = Some(ReadFaults::new(7, self.seed));
                board.chips_mut().for_each(|chip| chip.set_read_faults(faults));
            }
            Fault::Rot(slot) => {
                let place = self.rig.app(slot, 0);
                board.chip_mut(place.device).flip(place.address + 4321, 3);
            }
            Fault::SecondDead => {
                let chip = board.chip_mut(1);
                chip.stop_at(chip.ops(), Stop::ForEver);
            }
            Fault::RecordWorn => {
                let record = self.rig.layout().record;
                let chip = board.chip_mut(record.device);
                let sector = chip.shape().sector_size as usize;
                (record.address..record.address + record.size)
                    .step_by(sector)
                    .for_each(|address| chip.set_bad_sector(address, Bad::Refuses));
            }
        }
    }

    fn break_slot(&self, board: &mut Board, bad: Bad) {
        let place = self.rig.app(1, 0);
        board.chip_mut(place.device).set_bad_sector(place.address, bad);
    }

    /// Whether nothing can be known of the record.
    fn record_is_dead(&self) -> bool {
        self.fault == Fault::SecondDead && self.rig.product.second == Second::Record
    }

    /// Whether the loader can write the record.
    pub(super) fn record_is_written(&self) -> bool {
        self.fault != Fault::RecordWorn && !self.record_is_dead()
    }

    pub(super) fn lend(&mut self, specimen: &Specimen) -> Specimen {
        match self.scratch.pop() {
            Some(mut scratch) => {
                scratch.clone_from(specimen);
                scratch
            }
            None => specimen.clone(),
        }
    }
}

impl Specimen {
    /// Keeps those of the states `after` others that agree with what the engine tells. `request`:
    /// what was accepted, if anything was.
    pub(super) fn strike(
        &mut self,
        after: Vec<(Model, Model)>,
        state: &BootState,
        accepted: Option<&dyn Fn(&Model) -> Request>,
        story: &dyn Fn() -> String,
    ) -> Result<(), Failure> {
        let agree = || after.iter().filter(|(_, after)| after.matches(state));
        if let Some(request) = accepted {
            agree()
                .for_each(|(before, after)| self.ledger.accepted(&request(before), before, after));
        }
        self.possible = distinct(agree().map(|(_, after)| after.clone()));
        self.check(|| format!("after {}: {state:?} contradicts all of {after:#?}", story()))
    }

    /// Whether any state is possible still.
    fn check(&self, story: impl Fn() -> String) -> Result<(), Failure> {
        if self.possible.is_empty() { Err(Failure::new(story())) } else { Ok(()) }
    }
}

impl Clone for Specimen {
    fn clone(&self) -> Self {
        let Self { board, possible, ledger } = self;
        Self { board: board.clone(), possible: possible.clone(), ledger: ledger.clone() }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { board, possible, ledger } = source;
        self.board.clone_from(board);
        self.possible.clone_from(possible);
        self.ledger.clone_from(ledger);
    }
}

pub(super) fn distinct(models: impl Iterator<Item = Model>) -> Possible {
    let mut found: Possible = Vec::new();
    for model in models {
        if !found.contains(&model) {
            found.push(model);
        }
    }
    found
}
