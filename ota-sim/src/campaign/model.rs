//! The oracle: what a device may be, told without a line of the engine's code.
//!
//! A [`Model`] is one abstract state of a device. A power cut inside an operation leaves one of
//! several; the campaign carries the set of all that are possible and strikes out those that an
//! observation contradicts. When none is left, the engine has broken its promise.
//!
//! The rules below are written from `design.md`, "Boot" and "Semantics", as plain statements on plain
//! fields; the engine works on packed bytes and knows nothing of this file.

use ota_core::{BootState, BootStateChange};

use super::app::{Ask, INTERRUPTED_TIMEOUT_S};
use super::product::Product;

/// An image that the campaign knows, by its index in [`super::images::Images`].
pub type ImageId = u8;

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The whole image in each slot, if the slot may be booted.
    pub slots: Vec<Option<ImageId>>,
    /// Whether the image in each slot came by an update and was never confirmed.
    pub unproven: Vec<bool>,
    /// The slot that is chosen.
    pub active: u8,
    /// The slot to go back to.
    pub revert: u8,
    /// The slot that runs.
    pub booted: u8,
    /// Whether the chosen image is confirmed.
    pub committed: bool,
    /// Further boots of an unconfirmed image.
    pub trials_left: u8,
    /// Boots that a new image gets.
    pub trials: u8,
    /// The slot that is never overwritten.
    pub golden: Option<u8>,
    /// The chosen image came by an update and was never confirmed.
    pub new: bool,
    /// Seconds for the commit.
    pub timeout_s: u32,
    /// Why the chosen image was chosen.
    pub why: &'static str,
    /// Lowest accepted security counter.
    pub counter: u32,
    /// The application's bytes.
    pub note: [u8; 16],
}

/// What the application asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Install an image.
    Install {
        /// Which.
        image: ImageId,
        /// Its security counter.
        counter: u32,
        /// Seconds for the commit.
        timeout_s: u32,
    },
    /// Begin to install an image and leave it.
    Abandon,
    /// Install an image; in the midst of it something else is asked for.
    Interrupted {
        /// Which.
        image: ImageId,
        /// Its security counter.
        counter: u32,
        /// What is asked for.
        ask: Ask,
    },
    /// Confirm.
    Commit {
        /// Security counter of what runs.
        counter: u32,
    },
    /// Report a good start.
    GoodStart {
        /// Security counter of what runs.
        counter: u32,
    },
    /// Report a failed start.
    BadStart,
    /// The commit is overdue.
    Overdue,
    /// Go back.
    Revert {
        /// Security counter of the image to go back to.
        counter: u32,
    },
    /// Copy what runs.
    Snapshot {
        /// Put what runs on trial.
        on_trial: bool,
        /// Seconds for the commit, if given.
        timeout_s: Option<u32>,
    },
    /// Change fields.
    Set {
        /// Which.
        change: BootStateChange,
        /// Security counter of the image in each slot.
        counters: Vec<u32>,
    },
    /// Keep bytes.
    Note([u8; 16]),
}

/// What a request may lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// States in between, besides the one before and those at the end.
    pub between: Vec<Model>,
    /// States at the end: more than one where the engine may choose a slot.
    pub done: Vec<Model>,
}

impl Ways {
    /// The same, where `ask` is put at some point on the way from `before`.
    fn with_ask(self, before: &Model, ask: Ask) -> Self {
        let Ask::Note(byte) = ask else { return self };
        let note = |model: &Model| Model { note: [byte; 16], ..model.clone() };
        let noted = std::iter::once(before).chain(&self.between).map(note).collect::<Vec<_>>();
        let done = self.done.iter().map(note).collect();
        Self { between: [self.between, self.done, noted].concat(), done }
    }
}

impl Model {
    /// A device as it leaves the factory, after its first boot: image 0 in slot 0.
    pub fn factory(product: &Product) -> Self {
        let mut held = vec![None; usize::from(product.slots)];
        held[0] = Some(0);
        Self {
            slots: held,
            unproven: vec![false; usize::from(product.slots)],
            active: 0,
            revert: 0,
            booted: 0,
            committed: true,
            trials_left: 0,
            trials: product.trials,
            golden: product.golden,
            new: false,
            timeout_s: 0,
            why: "factory",
            counter: 0,
            note: [0; 16],
        }
    }

    /// The image in a slot.
    pub fn image(&self, slot: u8) -> Option<ImageId> {
        self.slots.get(usize::from(slot)).copied().flatten()
    }

    /// Whether a slot's image waits for its first confirmation.
    pub fn is_unproven(&self, slot: u8) -> bool {
        self.unproven.get(usize::from(slot)).copied().unwrap_or(false)
    }

    /// After a boot with every image whole; the image that runs is that of `booted`.
    pub fn boot(&self) -> Self {
        let mut after = self.clone();
        if self.committed {
            after.booted = self.active;
        } else if self.trials_left > 0 {
            after.trials_left -= 1;
            after.booted = self.active;
        } else {
            after.fall_back_to(self.revert, "rebooted without commit");
        }
        after
    }

    /// After a boot in which only the images of `whole` slots verify; `None`: there is nothing to
    /// boot.
    pub fn boot_with(&self, whole: &[bool]) -> Option<Self> {
        let ok = |slot: u8| {
            self.image(slot).is_some() && whole.get(usize::from(slot)).copied().unwrap_or(false)
        };
        let plain = self.boot();
        if ok(plain.booted) {
            return Some(plain);
        }
        // What was never confirmed is on trial once, and never a way out.
        let rest = 0..self.slots.len() as u8;
        let mut ways_out = [self.revert].into_iter().chain(rest);
        let next = ways_out.find(|slot| ok(*slot) && !self.is_unproven(*slot))?;
        let mut after = self.clone();
        after.fall_back_to(next, "verification failed");
        Some(after)
    }

    /// What runs after a boot that cannot write the record: never an image on trial. The record stays
    /// as it is.
    pub fn boot_unwritten(&self, whole: &[bool]) -> Option<Self> {
        let mut before = self.clone();
        before.trials_left = 0;
        before.boot_with(whole)
    }

    fn fall_back_to(&mut self, slot: u8, why: &'static str) {
        self.active = slot;
        self.revert = slot;
        self.booted = slot;
        self.committed = true;
        self.trials_left = 0;
        self.new = false;
        self.why = why;
    }

    /// What a request leads to. `None`: it must be refused.
    pub fn apply(&self, request: &Request) -> Option<Ways> {
        let mut after = self.clone();
        let runs = self.booted == self.active;
        match request {
            Request::Install { image, counter, timeout_s } => {
                return self.fill(*counter, |after, slot| after.install(*image, slot, *timeout_s));
            }
            Request::Interrupted { image, counter, ask } => {
                let timeout_s = INTERRUPTED_TIMEOUT_S;
                let ways =
                    self.fill(*counter, |after, slot| after.install(*image, slot, timeout_s));
                return ways.map(|ways| ways.with_ask(self, *ask));
            }
            Request::Abandon => {
                let mut ways = self.fill(self.counter, |_, _| {})?;
                // Before the manifest is complete, nothing is begun.
                ways.done.push(self.clone());
                return Some(ways);
            }
            Request::Snapshot { on_trial, timeout_s } => {
                return self.fill(self.counter, |after, slot| {
                    after.slots[usize::from(slot)] = self.image(self.booted);
                    if *on_trial {
                        after.revert = slot;
                        after.committed = false;
                        after.trials_left = self.trials;
                    }
                    after.timeout_s = timeout_s.unwrap_or(self.timeout_s);
                });
            }
            Request::Commit { counter } => {
                if self.committed || !runs {
                    return None;
                }
                after.confirm(*counter);
            }
            Request::GoodStart { counter } => {
                if !runs {
                    return None;
                }
                if !self.committed && self.timeout_s == 0 {
                    after.confirm(*counter);
                }
            }
            Request::BadStart | Request::Overdue => {
                if self.committed || !runs {
                    return None;
                }
                let overdue = *request == Request::Overdue;
                after.go_back(if overdue { "commit timeout" } else { "start reported bad" });
            }
            Request::Revert { counter } => {
                let elsewhere = self.revert != self.active || !self.committed;
                if self.image(self.revert).is_none() || !elsewhere || *counter < self.counter {
                    return None;
                }
                after.go_back("revert requested");
            }
            Request::Set { change, counters } => after = self.set(change, counters)?,
            Request::Note(note) => after.note = *note,
        }
        Some(Ways { between: Vec::new(), done: vec![after] })
    }

    /// Overwrites a slot: from its first erase on, what it held is gone; `end` is what becomes of it.
    fn fill(&self, counter: u32, end: impl Fn(&mut Self, u8)) -> Option<Ways> {
        let allowed = self.committed && self.booted == self.active && counter >= self.counter;
        if !allowed {
            return None;
        }
        let mut ways = Ways::default();
        for slot in self.targets() {
            let mut begun = self.clone();
            begun.slots[usize::from(slot)] = None;
            begun.unproven[usize::from(slot)] = false;
            if begun.revert == slot {
                begun.revert = begun.active;
            }
            let mut done = begun.clone();
            end(&mut done, slot);
            ways.between.push(begun);
            ways.done.push(done);
        }
        (!ways.done.is_empty()).then_some(ways)
    }

    /// The slots that may be overwritten: not the active one, nor the golden one; the one to go back to
    /// only if there is no other; one that holds an image only if all do, and then one that was never
    /// confirmed first.
    fn targets(&self) -> Vec<u8> {
        let others = (0..self.slots.len() as u8)
            .filter(|slot| *slot != self.active && Some(*slot) != self.golden);
        let (kept, free): (Vec<u8>, Vec<u8>) = others.partition(|slot| *slot == self.revert);
        let (full, empty): (Vec<u8>, Vec<u8>) =
            free.into_iter().partition(|slot| self.image(*slot).is_some());
        let (unproven, proven): (Vec<u8>, Vec<u8>) =
            full.into_iter().partition(|slot| self.is_unproven(*slot));
        let choices = [empty, unproven, proven, kept];
        choices.into_iter().find(|slots| !slots.is_empty()).unwrap_or_default()
    }

    fn install(&mut self, image: ImageId, slot: u8, timeout_s: u32) {
        self.slots[usize::from(slot)] = Some(image);
        self.unproven[usize::from(slot)] = true;
        self.revert = self.active;
        self.active = slot;
        self.committed = false;
        self.new = true;
        self.trials_left = self.trials;
        self.timeout_s = timeout_s;
        self.why = "update";
    }

    fn confirm(&mut self, counter: u32) {
        self.committed = true;
        self.trials_left = 0;
        self.new = false;
        self.counter = self.counter.max(counter);
        self.unproven[usize::from(self.active)] = false;
    }

    fn go_back(&mut self, why: &'static str) {
        self.active = self.revert;
        self.committed = true;
        self.trials_left = 0;
        self.new = false;
        self.why = why;
    }

    fn set(&self, change: &BootStateChange, counters: &[u32]) -> Option<Self> {
        let mut after = self.clone();
        let asked = [change.active, change.revert];
        let nothing = asked == [None, None]
            && change.committed.is_none()
            && change.commit_timeout_s.is_none();
        if nothing || asked.iter().flatten().any(|slot| self.image(*slot).is_none()) {
            return None;
        }
        let moves = change.active.is_some_and(|slot| slot != self.active);
        let counter = counters[usize::from(change.active.unwrap_or(self.active))];
        if moves && counter < self.counter {
            return None;
        }
        if let Some(slot) = change.active {
            after.active = slot;
            if moves && after.revert == slot && !self.is_unproven(self.active) {
                after.revert = self.active;
            }
        }
        after.revert = change.revert.unwrap_or(after.revert);
        let untried = moves && self.is_unproven(after.active);
        if self.is_unproven(after.revert) || (untried && change.committed == Some(true)) {
            return None;
        }
        after.timeout_s = change.commit_timeout_s.unwrap_or(after.timeout_s);
        if moves {
            after.why = "set by SetBootState";
        }
        let stays_unconfirmed = change.committed.is_none() && !self.committed;
        if change.committed == Some(true) {
            if !self.committed && !moves {
                if self.booted != self.active {
                    return None;
                }
                after.confirm(counter);
            }
            after.committed = true;
            after.trials_left = 0;
            after.new = false;
        } else if change.committed == Some(false) || untried || (stays_unconfirmed && moves) {
            after.committed = false;
            after.new = false;
            after.trials_left = self.trials;
        }
        // Without a way back nothing is put on trial.
        let way_back = counters[usize::from(after.revert)] >= after.counter;
        (after.committed || way_back).then_some(after)
    }

    /// Whether the engine's report says just this.
    pub fn matches(&self, seen: &BootState) -> bool {
        let first = self.new && self.booted == self.active && self.trials_left + 1 == self.trials;
        seen.active == self.active
            && seen.revert == self.revert
            && seen.booted == Some(self.booted)
            && seen.committed == self.committed
            && seen.trials_left == self.trials_left
            && seen.commit_timeout_s == self.timeout_s
            && seen.reason.name() == self.why
            && seen.first_boot == first
            && seen.security_counter == self.counter
            && seen.note == self.note
    }
}
