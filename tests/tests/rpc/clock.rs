//! The clock of a test's device: that on the wall, until it is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ota_sim::clock::{Clock, RealClock};

/// Clones show the same time.
#[derive(Clone)]
pub(crate) struct TestClock {
    real: RealClock,
    /// The time it is held at, in ms; 0: it is not held.
    held: Arc<AtomicU64>,
    /// By how many ms it is ahead otherwise.
    ahead: Arc<AtomicU64>,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self { real: RealClock::new(), held: Arc::default(), ahead: Arc::default() }
    }

    /// Lets so much time pass at once. Until [`Self::run`] it passes by this only, so that
    /// nothing is missed on a busy computer.
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.held.store(self.now_ms() + ms, Ordering::Relaxed);
    }

    /// Time passes by itself again.
    pub(crate) fn run(&self) {
        let ahead = self.now_ms().saturating_sub(self.real.now_ms());
        self.ahead.store(ahead, Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        match self.held.load(Ordering::Relaxed) {
            0 => self.real.now_ms() + self.ahead.load(Ordering::Relaxed),
            held => held,
        }
    }
}
