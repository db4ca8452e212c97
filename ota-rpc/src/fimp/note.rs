//! What is remembered of an update across resets: the 16 bytes that the boot record keeps for the
//! application.
//!
//! ```text
//! 0   mark: 0xF1, so that other bytes there are nothing of ours
//! 1   phase; its highest bit: the start was not told yet, as far as is known
//! 2   outcome
//! 3   slot that ran at the start; 0xFF: unknown
//! 4   start, in s since 1970 (40 bits, low byte first); 0: unknown
//! 9   end, in s after the start (24 bits)
//! 12  what the ids of the two reports are made of (32 bits)
//! ```
//! With these, a report that is repeated after a power cut is the same, byte by byte.

use ota_core::record::NO_SLOT;
pub(super) use ota_core::record::NOTE_LEN;

use super::Outcome;

const MARK: u8 = 0xF1;
const START_DUE: u8 = 0x80;
const MAX_START: u64 = 0xFF_FFFF_FFFF;
const MAX_END: u64 = 0xFF_FFFF;

/// How far an update is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It began. Nothing is known of its end.
    Begun,
    /// All of it has come. Nothing is known of its end.
    Whole,
    /// It has ended, and that is to be told.
    EndDue(Outcome),
    /// That was told.
    Ended(Outcome),
}

/// An update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) stage: Stage,
    pub(super) start_due: bool,
    pub(super) old_slot: u8,
    /// In s since 1970.
    pub(super) started_s: u64,
    /// In s after the start.
    pub(super) lasted_s: u64,
    pub(super) seed: u32,
}

impl Update {
    pub(super) fn new(old_slot: Option<u8>, started_s: u64, seed: u32) -> Self {
        Self {
            stage: Stage::Begun,
            start_due: true,
            old_slot: old_slot.unwrap_or(NO_SLOT),
            started_s: started_s.min(MAX_START),
            lasted_s: 0,
            seed,
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome, now_s: u64) {
        self.stage = Stage::EndDue(outcome);
        self.lasted_s = now_s.saturating_sub(self.started_s).min(MAX_END);
    }

    /// In s since 1970.
    pub(super) fn ended_s(&self) -> u64 {
        self.started_s.saturating_add(self.lasted_s)
    }

    pub(super) fn to_note(self) -> [u8; NOTE_LEN] {
        let (phase, outcome) = match self.stage {
            Stage::Begun => (1, 0),
            Stage::Whole => (4, 0),
            Stage::EndDue(outcome) => (2, outcome as u8),
            Stage::Ended(outcome) => (3, outcome as u8),
        };
        let start_due = if self.start_due { START_DUE } else { 0 };
        let [s0, s1, s2, s3, s4, ..] = self.started_s.to_le_bytes();
        let [e0, e1, e2, ..] = self.lasted_s.to_le_bytes();
        let [u0, u1, u2, u3] = self.seed.to_le_bytes();
        let slot = self.old_slot;
        [MARK, phase | start_due, outcome, slot, s0, s1, s2, s3, s4, e0, e1, e2, u0, u1, u2, u3]
    }

    /// None: no update that is known of.
    pub(super) fn of_note(note: [u8; NOTE_LEN]) -> Option<Self> {
        let [MARK, phase, outcome, old_slot, s0, s1, s2, s3, s4, e0, e1, e2, u0, u1, u2, u3] = note
        else {
            return None;
        };
        let stage = match phase & !START_DUE {
            1 => Stage::Begun,
            2 => Stage::EndDue(Outcome::of_byte(outcome)?),
            3 => Stage::Ended(Outcome::of_byte(outcome)?),
            4 => Stage::Whole,
            _ => return None,
        };
        Some(Self {
            stage,
            start_due: phase & START_DUE != 0,
            old_slot,
            started_s: u64::from_le_bytes([s0, s1, s2, s3, s4, 0, 0, 0]),
            lasted_s: u64::from_le_bytes([e0, e1, e2, 0, 0, 0, 0, 0]),
            seed: u32::from_le_bytes([u0, u1, u2, u3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcomes() -> impl Strategy<Value = Outcome> {
        (0..6u8).prop_filter_map("an outcome", Outcome::of_byte)
    }

    proptest! {
        #[test]
        fn an_update_is_remembered(
            stage in prop_oneof![
                Just(Stage::Begun),
                Just(Stage::Whole),
                outcomes().prop_map(Stage::EndDue),
                outcomes().prop_map(Stage::Ended),
            ],
            start_due: bool,
            old_slot: u8,
            started_s in 0..=MAX_START,
            lasted_s in 0..=MAX_END,
            seed: u32,
        ) {
            let update = Update { stage, start_due, old_slot, started_s, lasted_s, seed };
            prop_assert_eq!(Update::of_note(update.to_note()), Some(update));
        }

        #[test]
        fn other_bytes_are_no_update_or_one_that_stays(note: [u8; NOTE_LEN]) {
            if let Some(update) = Update::of_note(note) {
                prop_assert_eq!(Update::of_note(update.to_note()), Some(update));
            }
        }
    }

    #[test]
    fn a_blank_note_is_no_update() {
        assert_eq!(Update::of_note([0; NOTE_LEN]), None);
        assert_eq!(Update::of_note([0xFF; NOTE_LEN]), None);
    }
}
