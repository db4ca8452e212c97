//! Which images lie whole in which slots: compared byte by byte, and once for each board.

use std::cell::RefCell;

use super::board::Board;
use super::images::Images;
use super::model::{ImageId, Model};
use super::rig::Rig;

/// What the slots of a board hold, as long as nothing changes it.
pub(super) struct Holdings<'b> {
    rig: &'b Rig,
    images: &'b Images,
    board: &'b Board,
    /// Slot, image, whether it is whole there: the states that are possible mostly agree.
    known: RefCell<Vec<(u8, ImageId, bool)>>,
}

impl<'b> Holdings<'b> {
    pub(super) fn new(rig: &'b Rig, images: &'b Images, board: &'b Board) -> Self {
        Self { rig, images, board, known: RefCell::default() }
    }

    /// Which slots hold the image that `model` says.
    pub(super) fn whole(&self, model: &Model) -> Vec<bool> {
        let slots = (0u8..).zip(&model.slots);
        slots.map(|(slot, held)| held.is_some_and(|image| self.holds(slot, image))).collect()
    }

    /// Which slots hold an image that may be booted: whole, and not below the counter.
    pub(super) fn usable(&self, model: &Model) -> Vec<bool> {
        let recent = |image: ImageId| self.images.get(image).counter >= model.counter;
        let slots = (0u8..).zip(&model.slots);
        slots
            .map(|(slot, held)| held.is_some_and(|id| recent(id) && self.holds(slot, id)))
            .collect()
    }

    fn holds(&self, slot: u8, image: ImageId) -> bool {
        let mut known = self.known.borrow_mut();
        let found = known.iter().find(|(at, id, _)| (*at, *id) == (slot, image));
        if let Some((_, _, whole)) = found {
            return *whole;
        }
        let whole = self.rig.holds(self.board, slot, self.images.get(image));
        known.push((slot, image, whole));
        whole
    }
}
