//! How fast may be tried, for each kind of channel: nobody waits, the answer is just "later".
//!
//! * After [`FREE_FAILURES`] wrong passwords every further one closes the door: for
//!   [`FAILURE_DELAY_MS`], then for twice as long, up to [`MAX_FAILURE_DELAY_MS`]. A right password
//!   does not open it again, because who has one of several could guess another's with it; a quiet
//!   time of [`FAILURE_MEMORY_MS`] does.
//! * Challenges that nobody answers well are limited to [`MAX_CHALLENGES`] at once and one more each
//!   [`CHALLENGE_MS`], so that nobody can have nonces issued until one comes again that he has
//!   recorded an answer to.

use crate::limits::{
    CHALLENGE_MS, FAILURE_DELAY_MS, FAILURE_MEMORY_MS, FREE_FAILURES, MAX_CHALLENGES,
    MAX_FAILURE_DELAY_MS,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Wrong passwords since the last quiet time.
    failures: u32,
    failed_ms: u64,
    /// Challenges that were not answered well, and have not been forgotten since.
    challenges: u32,
    forgot_ms: u64,
}

impl Pace {
    pub(super) const NEW: Self = Self { failures: 0, failed_ms: 0, challenges: 0, forgot_ms: 0 };

    /// How long no password is looked at, in ms.
    pub(super) fn closed_for_ms(&self, now_ms: u64) -> Option<u32> {
        let since_ms = since(self.failed_ms, now_ms);
        self.delay_ms().checked_sub(since_ms).filter(|left_ms| *left_ms > 0)
    }

    /// A password was wrong.
    pub(super) fn failed(&mut self, now_ms: u64) {
        if since(self.failed_ms, now_ms) >= FAILURE_MEMORY_MS {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_ms = now_ms;
    }

    /// Counts a challenge, if there may be one now.
    ///
    /// # Errors
    /// After how many ms there may be one.
    pub(super) fn challenge(&mut self, now_ms: u64) -> Result<(), u32> {
        let since_ms = since(self.forgot_ms, now_ms);
        let forgotten = since_ms.checked_div(CHALLENGE_MS).unwrap_or(0);
        self.challenges = self.challenges.saturating_sub(forgotten);
        self.forgot_ms = match self.challenges {
            0 => now_ms,
            _ => {
                let until_ms = forgotten.saturating_mul(CHALLENGE_MS);
                self.forgot_ms.saturating_add(u64::from(until_ms))
            }
        };
        if self.challenges >= MAX_CHALLENGES {
            return Err(CHALLENGE_MS.saturating_sub(since(self.forgot_ms, now_ms)));
        }
        self.challenges = self.challenges.saturating_add(1);
        Ok(())
    }

    /// A challenge was answered well: it does not count.
    pub(super) fn answered(&mut self) {
        self.challenges = self.challenges.saturating_sub(1);
    }

    fn delay_ms(&self) -> u32 {
        let Some(doublings) = self.failures.checked_sub(FREE_FAILURES.saturating_add(1)) else {
            return 0;
        };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        FAILURE_DELAY_MS.saturating_mul(factor).min(MAX_FAILURE_DELAY_MS)
    }
}

/// In ms. In 32 bits, because divisions in 64 are 0.9 kB on a 32-bit processor; longer times are as
/// good as 49 days.
fn since(then_ms: u64, now_ms: u64) -> u32 {
    u32::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_wrong_password_costs_more_than_the_last() {
        let mut pace = Pace::NEW;
        let mut now_ms = 1_000_000;
        let mut waits = Vec::new();
        for _ in 0..100 {
            pace.failed(now_ms);
            let wait_ms = pace.closed_for_ms(now_ms).unwrap_or(0);
            waits.push(wait_ms);
            assert_eq!(pace.closed_for_ms(now_ms + u64::from(wait_ms)), None);
            now_ms += u64::from(wait_ms);
        }
        assert_eq!(waits[..10], [0, 0, 0, 1000, 2000, 4000, 8000, 16_000, 32_000, 32_000]);
        assert!(waits[10..].iter().all(|wait_ms| *wait_ms == MAX_FAILURE_DELAY_MS));
    }

    #[test]
    fn after_a_quiet_time_failures_are_forgotten() {
        for (quiet_ms, closed) in [(FAILURE_MEMORY_MS - 1, true), (FAILURE_MEMORY_MS, false)] {
            let mut pace = Pace::NEW;
            (0..10).for_each(|_| pace.failed(0));
            pace.failed(u64::from(quiet_ms));
            assert_eq!(pace.closed_for_ms(u64::from(quiet_ms)).is_some(), closed);
        }
    }

    #[test]
    fn challenges_that_nobody_answers_become_few() {
        let mut pace = Pace::NEW;
        let at_once = (0..1000).filter(|_| pace.challenge(7).is_ok()).count();
        assert_eq!(at_once, MAX_CHALLENGES as usize);
        assert_eq!(pace.challenge(7), Err(CHALLENGE_MS));
        assert_eq!(pace.challenge(8), Err(CHALLENGE_MS - 1));
        let in_ten_s = (8..10_007).filter(|now_ms| pace.challenge(*now_ms).is_ok()).count();
        assert_eq!(in_ten_s as u32, 10_000 / CHALLENGE_MS - 1);
        // After a very long time there are as many as ever, not more.
        let later_ms = 1 << 40;
        let at_once = (0..1000).filter(|_| pace.challenge(later_ms).is_ok()).count();
        assert_eq!(at_once, MAX_CHALLENGES as usize);
    }

    #[test]
    fn challenges_that_are_answered_are_free() {
        let mut pace = Pace::NEW;
        for _ in 0..1000 {
            assert_eq!(pace.challenge(7), Ok(()));
            pace.answered();
        }
    }
}
