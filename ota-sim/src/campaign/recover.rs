//! What follows a cut, and what must hold then.

use super::board::Board;
use super::ledger::Ledger;
use super::model::Model;
use super::point::{Cut, Failure, Point, sealed_cells};
use super::scenario::{Fault, Step};
use super::walk::{Specimen, Walk};
use crate::nor::Random;

/// How many boots follow a cut.
const BOOTS: u64 = 4;
/// Of so many points one is followed by a whole update, one by the loss of a record cell, and four
/// by what a user would do next.
const EXTRAS: u64 = 16;

impl Walk<'_> {
    /// What follows a cut: boots, each under another roll of the weak bits.
    pub(super) fn recover(
        &mut self,
        specimen: &mut Specimen,
        cuts: &mut Vec<Cut>,
    ) -> Result<(), Failure> {
        if self.scenario.setup.is_empty() {
            // The first record was torn: what can be read does not tell a new device from one whose
            // record was lost.
            let lost = |model: &Model| Model { why: "record lost", ..model.clone() };
            let lost: Vec<_> = specimen.possible.iter().map(lost).collect();
            specimen.possible.extend(lost);
        }
        let rolls = Point { cuts: cuts.clone() }.hash(self.seed);
        if cuts.len() == 1 && self.select.wants_second(rolls) {
            let mut fork = self.lend(specimen);
            let result = self.recover_with_cuts(&mut fork, rolls, cuts);
            self.scratch.push(fork);
            return result;
        }
        self.boot(specimen, rolls, None)?;
        let (mut settled, mut wrote) = (false, 0_usize);
        for round in 1..BOOTS {
            let (before, ops) = (specimen.possible.clone(), specimen.board.ops());
            self.boot(specimen, Random::at(rolls, round).next_word(), None)?;
            wrote += usize::from(settled && specimen.board.ops() != ops);
            settled |= before == specimen.possible;
        }
        // What a cut left may show itself late, and is outranked then: once for each cut.
        if wrote > cuts.len() && self.record_is_written() {
            return Err(Failure::new("settled boots write to flash again and again".into()));
        }
        self.keeps_its_word(specimen)?;
        let sound = matches!(self.fault, Fault::None | Fault::ReadsFail | Fault::Rot(_));
        match rolls % EXTRAS {
            0 if sound => self.later_update(specimen),
            1 if sound => self.lost_cell(specimen, rolls),
            2..6 => self.go_on(specimen, rolls),
            _ => Ok(()),
        }
    }

    /// Every image that the record calls bootable is there, whole, with its data.
    pub(super) fn keeps_its_word(&self, specimen: &Specimen) -> Result<(), Failure> {
        let board = &specimen.board;
        let holdings = self.holdings(board);
        let kept = |model: &Model| {
            let whole = holdings.whole(model);
            (0u8..).zip(&model.slots).zip(whole).all(|((slot, held), whole)| {
                let data =
                    held.is_none_or(|id| self.rig.holds_data(board, slot, self.images.get(id)));
                held.is_none() || (whole && data) || self.is_spoilt(board, slot)
            })
        };
        if specimen.possible.iter().any(kept) {
            return Ok(());
        }
        let possible = &specimen.possible;
        Err(Failure::new(format!("a bootable slot does not hold its image: {possible:#?}")))
    }

    /// Whether the fault of the scenario has spoilt what the slot holds.
    fn is_spoilt(&self, board: &Board, slot: u8) -> bool {
        self.fault == Fault::Rot(slot) || !board.chip(self.rig.app(slot, 0).device).answers()
    }

    /// The first boot after a cut and what a user would do then, all cut again.
    fn recover_with_cuts(
        &mut self,
        specimen: &mut Specimen,
        rolls: u64,
        cuts: &mut Vec<Cut>,
    ) -> Result<(), Failure> {
        let op = std::mem::take(&mut self.op);
        let mut result = self.boot(specimen, rolls, Some(cuts));
        if result.is_ok() && self.select.wants_retry(rolls) {
            let mut steps = self.scenario.retry.iter();
            result = steps.try_for_each(|step| self.step(*step, specimen, Some(cuts)));
        }
        self.op = op;
        result
    }

    /// What a user would do next must stay done, however weak bits roll afterwards.
    fn go_on(&mut self, specimen: &mut Specimen, rolls: u64) -> Result<(), Failure> {
        for step in self.scenario.retry {
            self.step(*step, specimen, None)?;
        }
        (20..23)
            .try_for_each(|round| self.boot(specimen, Random::at(rolls, round).next_word(), None))
    }

    /// A whole update must still be possible.
    fn later_update(&mut self, specimen: &mut Specimen) -> Result<(), Failure> {
        if specimen.possible.iter().any(|model| !model.committed) {
            self.request(Step::Commit, specimen, None)?;
        }
        for step in [Step::Install(4, 300), Step::Boot, Step::Commit, Step::Boot] {
            self.step(step, specimen, None)?;
        }
        Ok(())
    }

    /// Any one cell of a quiescent log may be lost.
    fn lost_cell(&mut self, specimen: &mut Specimen, rolls: u64) -> Result<(), Failure> {
        if specimen.possible.iter().any(|model| !model.committed) {
            return Ok(());
        }
        let record = self.rig.layout().record;
        let cells: Vec<u32> = sealed_cells(&specimen.board, record);
        let mut random = Random::new(rolls);
        let Some(cell) = cells.len().checked_sub(1).map(|last| {
            // One of the last few: the others are outranked anyway.
            cells[last - (random.below(3) as usize).min(last)]
        }) else {
            return Err(Failure::new("a quiescent log without a sealed cell".into()));
        };
        let chip = specimen.board.chip_mut(record.device);
        match random.below(3) {
            0 => chip.set_unreadable(cell..cell + 64),
            1 => chip.corrupt(cell..cell + 64, rolls),
            _ => chip.flip(cell + random.below(64), random.below(8) as u8),
        }
        self.boot(specimen, Random::at(rolls, 9).next_word(), None)
    }

    /// A device with this flash, about which nothing is known yet.
    pub(super) fn lend_board(&mut self, board: &Board) -> Specimen {
        match self.scratch.pop() {
            Some(mut scratch) => {
                scratch.board.clone_from(board);
                scratch
            }
            None => {
                let ledger = Ledger::factory(self.rig.product.trials);
                Specimen { board: board.clone(), possible: Vec::new(), ledger }
            }
        }
    }
}
