//! What a program, whole or cut, and a cut erase do to one write unit: the physics of the model,
//! as pure functions.
//!
//! Bytes here are *normalised*: an erased bit is 1 and programming clears it, whatever the part's
//! erase value is; the model flips them on the way in and out.
//!
//! ```text
//!   blank --program--> programmed --erase--> blank
//!     |                    |
//!     +--cut program--> torn <--cut erase--+       bits that differ between `old` and `new` are
//!                        |                         weak: they may read as either
//!                        +--program--> torn, or programmed once no bit is weak any more
//!                        +--erase----> blank
//! ```

use super::random::BitDraw;
use super::{MAX_WRITE_SIZE, Rule};

/// The bytes of one unit; only the first `len` of its cell mean anything.
pub(super) type UnitBytes = [u8; MAX_WRITE_SIZE as usize];

/// The laws that hold for every unit of a flash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Physics {
    /// Programming twice.
    pub(super) rule: Rule,
    /// Units carry check bits: inconsistent ones cannot be read.
    pub(super) ecc: bool,
    /// Torn units flicker; otherwise they stay as the tear left them.
    pub(super) weak: bool,
}

/// One write unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Size of the unit in bytes.
    pub(super) len: usize,
    /// What it reads as.
    pub(super) visible: UnitBytes,
    /// Present while some of its bits are weak.
    pub(super) torn: Option<TornUnit>,
    /// Programmed, or torn, since the last completed erase.
    pub(super) programmed: bool,
    /// Unreadable until erased.
    pub(super) dead: bool,
}

/// The two contents between which a torn unit hangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct TornUnit {
    /// As if the cut operation had not begun.
    pub(super) old: UnitBytes,
    /// As if it had been completed.
    pub(super) new: UnitBytes,
    /// Whether it can be read at this boot: always, except under ECC.
    pub(super) readable: bool,
}

impl Cell {
    /// A completed program of `bytes`.
    ///
    /// A bit that the program clears becomes a strong 0. A weak bit that it leaves at 1 stays
    /// weak: programming with a 1 applies no pulse, so the charge that the cut left stays where
    /// it is.
    pub(super) fn program(&mut self, bytes: &[u8], physics: Physics) {
        if physics.ecc && self.programmed {
            self.program_over_check_bits(bytes, physics);
        }
        self.programmed = true;
        for (visible, byte) in self.visible.iter_mut().zip(bytes) {
            *visible &= byte;
        }
        let Some(torn) = &mut self.torn else { return };
        for (i, byte) in bytes.iter().enumerate() {
            torn.old[i] &= byte;
            torn.new[i] &= byte;
        }
        if torn.old[..self.len] == torn.new[..self.len] {
            self.torn = None;
        }
    }

    /// Under ECC the check bits of both programs are ANDed too and match neither, with two
    /// exceptions: the same bytes once more on a sound unit, and all bits programmed where the
    /// part allows it (its code is made so that all-programmed is consistent).
    fn program_over_check_bits(&mut self, bytes: &[u8], physics: Physics) {
        let all_programmed = physics.rule == Rule::AllZero && bytes.iter().all(|&b| b == 0);
        let same_again = self.torn.is_none() && bytes == &self.visible[..self.len];
        if all_programmed {
            self.dead = false;
        } else if !same_again {
            self.dead = true;
        }
        self.torn = None;
    }

    /// A program of `bytes` that is cut inside this unit; `draw` picks the bits that already
    /// changed.
    pub(super) fn program_torn(&mut self, bytes: &[u8], draw: &mut BitDraw, how: Tearing) {
        let again = self.programmed;
        let (mut old, mut new) = (self.visible, self.visible);
        for (i, &byte) in bytes.iter().enumerate() {
            if let Some(torn) = &self.torn {
                // A weak bit under the pulse may still be at either level; one that gets no pulse
                // keeps both of its levels.
                old[i] = (torn.old[i] & byte) | ((torn.old[i] | torn.new[i]) & !byte);
                new[i] = torn.new[i];
            }
            new[i] &= byte;
            self.visible[i] ^= self.visible[i] & !byte & draw.byte();
        }
        self.programmed = true;
        self.hang(old, new, again, how);
    }

    /// An erase that is cut; `draw` picks the bits that already rose. A blank unit has no bit in
    /// transition and stays blank.
    pub(super) fn erase_torn(&mut self, draw: &mut BitDraw, how: Tearing) {
        if !self.programmed {
            return;
        }
        let mut old = self.visible;
        for (i, level) in old[..self.len].iter_mut().enumerate() {
            if let Some(torn) = &self.torn {
                *level = torn.old[i] & torn.new[i];
            }
            self.visible[i] |= !self.visible[i] & draw.byte();
        }
        // Check bits of a unit that was torn before match neither side any more.
        let hopeless = self.torn.is_some();
        self.hang(old, [0xFF; MAX_WRITE_SIZE as usize], hopeless, how);
    }

    /// An erase that is cut after its pre-programming phase: NOR cells are all driven to the
    /// programmed level first, so that none is erased too deeply. Blank units are hit as well.
    pub(super) fn preprogram(&mut self, how: Tearing) {
        self.visible[..self.len].fill(0);
        self.programmed = true;
        self.hang(self.visible, [0xFF; MAX_WRITE_SIZE as usize], false, how);
    }

    /// Leaves the unit between `old` and `new`. `hopeless`: under ECC neither is consistent.
    fn hang(&mut self, old: UnitBytes, new: UnitBytes, hopeless: bool, how: Tearing) {
        let Tearing { physics, settled } = how;
        self.torn = None;
        if physics.ecc && (hopeless || !physics.weak) {
            self.dead = true;
        } else if physics.weak && (physics.ecc || old[..self.len] != new[..self.len]) {
            let readable = !physics.ecc || settled;
            self.torn = Some(TornUnit { old, new, readable });
        }
    }
}

/// The circumstances of a tear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tearing {
    pub(super) physics: Physics,
    /// For now every bit of the unit is at one side, so that its check bits match.
    pub(super) settled: bool,
}
