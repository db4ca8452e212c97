//! Which points are tried, and the cuts themselves.

use std::cell::Cell;

use super::board::{Board, Watcher};
use super::ledger::Ledger;
use super::point::{Cut, Point, hash_op, hash_with, is_within, region_of};
use super::walk::{Possible, Walk};
use crate::nor::{PendingOp, Tear, tears_for};

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

impl Select {
    /// Whether the point of these cuts is to be tried, and whether its first cut leads on to a pair.
    fn wants(&self, cuts: &[Cut], hash: u64) -> (bool, bool) {
        let pair = cuts.len() == 2;
        match self {
            Self::Count => (false, false),
            Self::Singles(share) => (!pair && is_within(hash, *share), false),
            Self::Pairs { second, .. } if pair => (is_within(hash, *second), false),
            Self::Pairs { .. } => (false, self.wants_second(hash)),
            Self::One(one) => (one.cuts == cuts, one.cuts.first() == cuts.first() && !pair),
        }
    }

    /// Whether a second cut is to follow the first, whose hash is given.
    pub(super) fn wants_second(&self, hash: u64) -> bool {
        match self {
            Self::Count | Self::Singles(_) => false,
            Self::Pairs { first, .. } => hash.is_multiple_of(*first),
            Self::One(one) => one.cuts.len() == 2,
        }
    }

    /// Whether the second cut may come in the scenario's `retry` too.
    pub(super) fn wants_retry(&self, hash: u64) -> bool {
        match self {
            Self::Count | Self::Singles(_) => false,
            Self::Pairs { retry, .. } => (hash >> 8).is_multiple_of(*retry),
            Self::One(_) => true,
        }
    }
}

/// Cuts power at each operation of one step.
pub(super) struct Cutter<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// What the device may be after a cut here.
    during: (Possible, Ledger),
    /// The cuts before, and their hash.
    cuts: &'w mut Vec<Cut>,
    hash: u64,
    /// Only while this is set.
    armed: Option<&'w Cell<bool>>,
    /// Nothing of this step has been done yet.
    first: bool,
}

impl<'w, 'a> Cutter<'w, 'a> {
    pub(super) fn new(
        walk: &'w mut Walk<'a>,
        during: (Possible, Ledger),
        cuts: &'w mut Vec<Cut>,
        armed: Option<&'w Cell<bool>>,
    ) -> Self {
        let hash = Point { cuts: cuts.clone() }.hash(walk.seed);
        Self { walk, during, cuts, hash, armed, first: true }
    }

    /// Leaves the device as a cut does, and judges what it makes of it.
    fn cut(
        &mut self,
        board: &Board,
        (device, op): (u8, &PendingOp<'_>),
        point: &Point,
        seen: &mut Vec<u64>,
        wanted: bool,
    ) {
        let walk = &mut *self.walk;
        let tear = point.cuts.last().map_or(Tear::None, |cut| cut.tear);
        let mut scratch = walk.lend_board(board);
        let left = scratch.board.apply_torn(device, op, tear);
        let hash = left.expect("the watcher sees only operations that flash accepts");
        let fresh = !seen[1..].contains(&hash) && (tear == Tear::None || hash != seen[0]);
        seen.push(hash);
        if fresh {
            let (possible, ledger) = &self.during;
            scratch.possible.clone_from(possible);
            scratch.ledger.clone_from(ledger);
            let result = walk.recover(&mut scratch, self.cuts);
            let region = region_of(walk.rig, device, op);
            walk.tally.note(wanted, point, tear, op.kind(), region, result);
        } else {
            walk.tally.without_effect += 1;
        }
        walk.scratch.push(scratch);
    }
}

impl Watcher for Cutter<'_, '_> {
    fn before(&mut self, board: &Board, device: u8, op: &PendingOp<'_>) {
        if self.armed.is_some_and(|armed| !armed.get()) {
            return;
        }
        let chip = board.chip(device);
        let shape = chip.shape();
        // The hash of the untouched range first.
        let mut seen: Vec<u64> = Vec::new();
        let hash = hash_op(self.hash, self.walk.op);
        for tear in tears_for(op, &shape, &self.walk.budget) {
            // Nothing happened: the same as all of the operation before, except at the start.
            if tear == Tear::None && !self.first {
                continue;
            }
            self.walk.tally.listed += 1;
            if matches!(self.walk.select, Select::Count) {
                continue;
            }
            self.cuts.push(Cut { op: self.walk.op, tear });
            let (wanted, leads_on) = self.walk.select.wants(self.cuts, hash_with(hash, tear));
            if wanted || leads_on {
                let point = Point { cuts: self.cuts.clone() };
                if seen.is_empty() {
                    seen.push(chip.state_hash(op.range(&shape)));
                }
                self.cut(board, (device, op), &point, &mut seen, wanted);
            }
            self.cuts.pop();
        }
        self.first = false;
        self.walk.op += 1;
    }
}
