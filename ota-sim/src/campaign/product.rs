//! What a scenario wants of its device, besides flash.

/// A product: how many slots of which kind, on how many chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Slots.
    pub slots: u8,
    /// Boots that a new image gets.
    pub trials: u8,
    /// A slot that is never overwritten.
    pub golden: Option<u8>,
    /// Every slot has a data part, and every bundle brings one.
    pub data: bool,
    /// What lies on a second chip, a serial NOR.
    pub second: Second,
}

/// What lies on the second chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// There is no second chip.
    None,
    /// Slot 1.
    Slot,
    /// The boot record.
    Record,
}

impl Product {
    /// Two slots on one chip, one trial.
    pub const PLAIN: Self =
        Self { slots: 2, trials: 1, golden: None, data: false, second: Second::None };
}
