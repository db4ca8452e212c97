//! A second oracle beside the model, which only counts: an image that came by an update is jumped to
//! on trial until somebody has confirmed it, and no more often than it has trials.
//!
//! It knows what was asked for and which bytes were jumped to, and nothing of active, revert or
//! committed. What a cut request may have done counts as done, in the device's favour.
//!
//! | what happened | what the image is from then on |
//! |---|---|
//! | left the factory | confirmed |
//! | was installed | on trial, with all trials |
//! | commit or good start accepted while it ran; `SetBootState` called it committed | confirmed |
//! | `SetBootState` or a snapshot put it on trial | as before; all trials again if on trial |
//! | was copied by a snapshot | what the original is |

use super::model::{ImageId, Model, Request};
use super::point::Failure;

/// What is known of the images in a device.
#[derive(Clone, Debug)]
pub struct Ledger {
    trials: u8,
    entries: Vec<Entry>,
}

/// An image in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    slot: u8,
    image: ImageId,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Confirmed,
    OnTrial { left: u8 },
}

impl Ledger {
    /// A device as it leaves the factory: image 0 in slot 0.
    pub(super) fn factory(trials: u8) -> Self {
        let entry = Entry { slot: 0, image: 0, standing: Standing::Confirmed };
        Self { trials, entries: vec![entry] }
    }

    /// A request that leads from `before` to `after` was accepted, or may have been.
    pub(super) fn accepted(&mut self, request: &Request, before: &Model, after: &Model) {
        let in_slot = |model: &Model, slot: u8| model.image(slot).map(|image| (slot, image));
        match request {
            Request::Install { image, .. } | Request::Interrupted { image, .. } => {
                if after.active != before.active {
                    self.installed(after.active, *image);
                }
            }
            Request::Commit { .. } | Request::GoodStart { .. } => {
                if after.committed && !before.committed {
                    self.put(in_slot(after, before.booted), Standing::Confirmed);
                }
            }
            Request::Set { change, .. } => match change.committed {
                // The word of whoever says so, also of an image that does not run.
                Some(true) => self.put(in_slot(after, after.active), Standing::Confirmed),
                Some(false) | None if !after.committed => {
                    self.new_trials(in_slot(after, after.active));
                }
                Some(false) | None => {}
            },
            Request::Snapshot { on_trial, .. } => {
                for slot in (0..after.slots.len() as u8).filter(|slot| *slot != before.booted) {
                    self.copied(in_slot(before, before.booted), slot);
                }
                if *on_trial {
                    self.new_trials(in_slot(after, after.active));
                }
            }
            Request::Abandon
            | Request::BadStart
            | Request::Overdue
            | Request::Revert { .. }
            | Request::Note(_) => {}
        }
    }

    /// The same request was cut: it may have been done or not, so what was confirmed stays so.
    pub(super) fn perhaps(&mut self, request: &Request, before: &Model, after: &Model) {
        let known = self.entries.clone();
        self.accepted(request, before, after);
        let confirmed = known.iter().filter(|entry| entry.standing == Standing::Confirmed);
        confirmed.for_each(|entry| self.put(Some((entry.slot, entry.image)), entry.standing));
    }

    /// The loader jumps to `image` in `slot`.
    pub(super) fn jump(&mut self, slot: u8, image: ImageId, on_trial: bool) -> Result<(), Failure> {
        let place = format!("image {image} in slot {slot}");
        let Some(entry) = self.entry(slot, image) else {
            return Err(Failure::new(format!("{place} runs, which was never installed there")));
        };
        match &mut entry.standing {
            Standing::Confirmed => Ok(()),
            Standing::OnTrial { .. } if !on_trial => {
                Err(Failure::new(format!("{place} runs as committed; nobody ever confirmed it")))
            }
            Standing::OnTrial { left: 0 } => {
                Err(Failure::new(format!("{place} runs more often than it has trials")))
            }
            Standing::OnTrial { left } => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn entry(&mut self, slot: u8, image: ImageId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| (entry.slot, entry.image) == (slot, image))
    }

    fn put(&mut self, place: Option<(u8, ImageId)>, standing: Standing) {
        let Some((slot, image)) = place else { return };
        match self.entry(slot, image) {
            Some(entry) => entry.standing = standing,
            None => self.entries.push(Entry { slot, image, standing }),
        }
    }

    fn installed(&mut self, slot: u8, image: ImageId) {
        self.put(Some((slot, image)), Standing::OnTrial { left: self.trials.max(1) });
    }

    fn new_trials(&mut self, place: Option<(u8, ImageId)>) {
        let trials = self.trials.max(1);
        let Some((slot, image)) = place else { return };
        if let Some(Entry { standing: Standing::OnTrial { left }, .. }) = self.entry(slot, image) {
            *left = trials;
        }
    }

    fn copied(&mut self, from: Option<(u8, ImageId)>, to: u8) {
        let Some((slot, image)) = from else { return };
        if let Some(Entry { standing, .. }) = self.entry(slot, image).copied() {
            self.put(Some((to, image)), standing);
        }
    }
}
