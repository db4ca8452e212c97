//! The flash chips of a campaign's device, under one power supply.

use std::cell::RefCell;

use ota_core::flash::Extent;

use crate::nor::{Flicker, Nor, NorDevice, NorError, PendingOp, Shape, Tear};

/// One or two flash chips.
#[derive(Debug)]
pub struct Board {
    chips: Vec<Nor>,
    /// Power fails inside the operation after so many.
    cut: Option<(u64, Tear)>,
}

impl Board {
    /// Device 0 of the layout's extents first.
    pub fn new(chips: Vec<Nor>) -> Self {
        Self { chips, cut: None }
    }

    /// A chip, by the number of its device.
    pub fn chip(&self, device: u8) -> &Nor {
        &self.chips[usize::from(device)]
    }

    /// The same, to break it.
    pub fn chip_mut(&mut self, device: u8) -> &mut Nor {
        &mut self.chips[usize::from(device)]
    }

    /// All of them, to break them.
    pub fn chips_mut(&mut self) -> impl Iterator<Item = &mut Nor> {
        self.chips.iter_mut()
    }

    /// What lies in `extent`, past all faults.
    pub fn peek(&self, extent: Extent) -> &[u8] {
        self.chip(extent.device).peek(extent.address..extent.address + extent.size)
    }

    /// Boots: power is on, and weak bits read as `flicker` says.
    pub fn power_on_as(&mut self, flicker: Flicker) {
        self.chips.iter_mut().for_each(|chip| chip.power_on_as(flicker));
    }

    /// Whether power is on.
    pub fn is_powered(&self) -> bool {
        self.chips.iter().all(Nor::is_powered)
    }

    /// Operations that were begun.
    pub fn ops(&self) -> u64 {
        self.chips.iter().map(Nor::ops).sum()
    }

    /// Arms a cut: power fails inside the operation after `ops` others. `None` disarms it.
    pub fn cut_after(&mut self, cut: Option<(u64, Tear)>) {
        self.cut = cut;
    }

    /// Cuts power inside `op` on the chip of `device`, as [`Nor::apply_torn`].
    ///
    /// # Errors
    /// As there.
    pub fn apply_torn(
        &mut self,
        device: u8,
        op: &PendingOp<'_>,
        tear: Tear,
    ) -> Result<u64, NorError> {
        let hash = self.chip_mut(device).apply_torn(op, tear)?;
        self.chips.iter_mut().for_each(Nor::power_off);
        Ok(hash)
    }

    fn perform(&mut self, device: u8, op: &PendingOp<'_>) -> Result<(), NorError> {
        match &mut self.cut {
            Some((0, tear)) => {
                let tear = *tear;
                self.cut = None;
                self.apply_torn(device, op, tear)?;
                return Err(NorError::PoweredOff);
            }
            Some((ops, _)) => *ops -= 1,
            None => {}
        }
        self.chip_mut(device).perform(op)
    }
}

impl Clone for Board {
    fn clone(&self) -> Self {
        Self { chips: self.chips.clone(), cut: self.cut }
    }

    fn clone_from(&mut self, source: &Self) {
        let Self { chips, cut } = source;
        self.chips.clone_from(chips);
        self.cut = *cut;
    }
}

/// Sees each operation before it happens.
pub trait Watcher {
    /// `board` is as it is just before `op` on the chip of `device`, which will not be refused.
    fn before(&mut self, board: &Board, device: u8, op: &PendingOp<'_>);
}

/// Lies between the engine's drivers and the chips of a board.
pub(super) struct Wire<'a> {
    board: RefCell<&'a mut Board>,
    watcher: RefCell<Option<&'a mut dyn Watcher>>,
}

/// One chip, as its driver sees it.
pub(super) struct Chip<'w, 'a> {
    wire: &'w Wire<'a>,
    device: u8,
    shape: Shape,
}

impl<'a> Wire<'a> {
    pub(super) fn new(board: &'a mut Board, watcher: Option<&'a mut dyn Watcher>) -> Self {
        Self { board: RefCell::new(board), watcher: RefCell::new(watcher) }
    }

    pub(super) fn chip(&self, device: u8) -> Chip<'_, 'a> {
        let shape = self.board.borrow().chip(device).shape();
        Chip { wire: self, device, shape }
    }
}

impl NorDevice for Chip<'_, '_> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.wire.board.borrow_mut().chip_mut(self.device).read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        let mut board = self.wire.board.borrow_mut();
        board.chip(self.device).check(op)?;
        if let Some(watcher) = self.wire.watcher.borrow_mut().as_deref_mut() {
            watcher.before(&board, self.device, op);
        }
        board.perform(self.device, op)
    }
}
