//! What an update is doing, found out by looking at the service and the engine: it does not matter
//! who has started it.
//!
//! ```text
//! Idle --(begins)--> Running --(in place)--> Rebooting --(reset)--> Rediscovery --(commit)--> Idle
//!   \                   |                                  \              | rolled back, reset
//!    \-> Waiting        '--(failed)--> Idle                 '--(reset)----'--> Idle
//! ```
//! In `Idle`, the update is none, or one that has ended.
//!
//! After a reset, that an update was begun and how it ended is told by three things: the note, the
//! slot that runs, and whether it is committed. If all of it has come, another slot than at the start
//! runs the new image; the same one runs the old image, because the new one was not put in place or
//! was rolled back. If not all has come, the transfer was cut off, whichever slot was chosen to run.

use super::{Fimp, Notes, Outcome, Progress, Sent, Stage, Update};
use crate::error::Class;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Job, Last, Service};

/// The reboot waits for the report of the transfer's end for so long, in ms.
const REBOOT_WAIT_MS: u64 = 3_000;

/// What the last update is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// A user has to start it.
    Waiting,
    /// It comes in.
    Running {
        /// Bytes have come.
        has_bytes: bool,
    },
    /// It is in place. At this time the device reboots, whatever was told of it.
    Rebooting {
        /// In ms.
        latest_ms: u64,
    },
    /// The new image runs, and is not committed.
    Rediscovery,
}

impl Phase {
    /// Whether there is progress to be told.
    pub(super) fn has_transfer(self) -> bool {
        matches!(self, Self::Running { has_bytes: true } | Self::Rebooting { .. })
    }
}

impl Fimp<'_> {
    /// After a reset.
    pub(super) fn go_on<O: Ota + Notes, P: Platform>(
        &mut self,
        platform: &P,
        ota: &mut O,
        now_ms: u64,
    ) {
        let Some(Update { stage, old_slot, .. }) = self.update else { return };
        let is_whole = match stage {
            Stage::Begun => false,
            Stage::Whole => true,
            Stage::EndDue(_) | Stage::Ended(_) => return,
        };
        let running = ota.report().running_slot;
        if !is_whole || running.is_none_or(|slot| slot == old_slot) {
            return self.end(Outcome::Other, platform, ota, now_ms);
        }
        self.phase = Phase::Rediscovery;
        self.look_for_commit(platform, ota, now_ms);
    }

    /// The new image runs: is it committed? Nothing is claimed that is not known.
    fn look_for_commit<O: Ota + Notes, P: Platform>(
        &mut self,
        platform: &P,
        ota: &mut O,
        now_ms: u64,
    ) {
        let running = ota.report().running_slot;
        let is_committed = ota
            .boot_state()
            .is_ok_and(|state| state.is_committed && running == Some(state.active_slot));
        if is_committed {
            self.end(Outcome::Success, platform, ota, now_ms);
        }
    }

    /// Finds out what service and engine have done with the update. An update that began and ended
    /// between two looks was not there.
    pub fn look<O: Ota + Notes, P: Platform>(
        &mut self,
        service: &Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) {
        let comes_in = matches!(service.job, Job::Receiving(_) | Job::Finishing);
        match self.phase {
            Phase::Idle | Phase::Waiting if comes_in => {
                self.begin(service.platform(), ota, now_ms);
                self.advance(service, ota, now_ms);
            }
            Phase::Running { .. } => self.advance(service, ota, now_ms),
            Phase::Rediscovery => self.look_for_commit(service.platform(), ota, now_ms),
            Phase::Idle | Phase::Waiting | Phase::Rebooting { .. } => {}
        }
    }

    fn advance<O: Ota + Notes, P: Platform>(
        &mut self,
        service: &Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) {
        match (&service.job, service.last) {
            (Job::Receiving(receiving), _) => {
                if receiving.received > 0 {
                    self.phase = Phase::Running { has_bytes: true };
                    self.progress.received(receiving.received, receiving.begin.size, now_ms);
                }
            }
            (Job::Finishing, _) => {
                self.phase = Phase::Running { has_bytes: true };
                self.progress.complete();
                // Before the engine can put it in place.
                if let Some(update) = self.update.as_mut().filter(|it| it.stage == Stage::Begun) {
                    update.stage = Stage::Whole;
                    self.remember(ota);
                }
            }
            (Job::Idle | Job::Snapshot(_), Last::Applied) => {
                self.progress.complete();
                let latest_ms = now_ms.saturating_add(REBOOT_WAIT_MS);
                self.phase = Phase::Rebooting { latest_ms };
            }
            (Job::Idle | Job::Snapshot(_), Last::Failed | Last::Nothing) => {
                let outcome = outcome_of(service.failure);
                self.end(outcome, service.platform(), ota, now_ms);
            }
        }
    }

    /// An update begins.
    pub(super) fn begin<O: Ota + Notes, P: Platform>(
        &mut self,
        platform: &P,
        ota: &mut O,
        now_ms: u64,
    ) {
        self.take_up(platform, ota, now_ms);
        self.remember(ota);
    }

    /// One begins that has ended already: it is remembered at once.
    pub(super) fn fail_at_once<O: Ota + Notes, P: Platform>(
        &mut self,
        outcome: Outcome,
        platform: &P,
        ota: &mut O,
        now_ms: u64,
    ) {
        self.take_up(platform, ota, now_ms);
        self.end(outcome, platform, ota, now_ms);
    }

    fn take_up<O: Ota, P: Platform>(&mut self, platform: &P, ota: &mut O, now_ms: u64) {
        let started_s = platform.unix_ms().unwrap_or(0) / 1000;
        let [seed, ..] = self.uid(platform, now_ms);
        let update = Update::new(ota.report().running_slot, started_s, seed);
        let last = self.update.replace(update);
        // If the one before the last was not told to its end, the last was not told of at all: what a
        // hub has heard of is what it hears the end of.
        if self.previous.is_none() {
            self.previous = last.filter(|last| matches!(last.stage, Stage::EndDue(_)));
            self.in_flight = self.in_flight.map(Sent::of_previous);
        }
        self.phase = Phase::Running { has_bytes: false };
        self.progress = Progress::default();
    }

    /// It has ended.
    pub(super) fn end<O: Notes, P: Platform>(
        &mut self,
        outcome: Outcome,
        platform: &P,
        ota: &mut O,
        now_ms: u64,
    ) {
        self.phase = Phase::Idle;
        if let Some(update) = &mut self.update {
            // Reports before it have ms: it is not told as earlier than they are.
            update.end(outcome, platform.unix_ms().unwrap_or(now_ms).div_ceil(1000));
        }
        self.remember(ota);
    }

    /// Writes the update to the record, in which it is across resets. If that fails it is known
    /// until the next one, as well as can be.
    pub(super) fn remember<O: Notes>(&mut self, ota: &mut O) {
        if let Some(update) = self.update {
            let note = update.to_note();
            if ota.note() != note {
                let _ = ota.set_note(note);
            }
        }
    }

    /// The time of the last start, in s since 1970, if there was one and the time was known.
    pub(super) fn last_update_s(&self) -> Option<u64> {
        self.update.map(|update| update.started_s).filter(|started_s| *started_s > 0)
    }
}

/// What a hub is told of a failure.
pub(super) fn outcome_of(failure: Option<Class>) -> Outcome {
    match failure {
        Some(Class::Package) => Outcome::InvalidFile,
        Some(Class::Refused | Class::Uncommitted) => Outcome::NotUpgradable,
        Some(Class::RecordUnreadable | Class::RecordNotWritten | Class::Flash) | None => {
            Outcome::Other
        }
    }
}
