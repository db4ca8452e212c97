//! How many updates may be started by whoever may publish to the broker.
//!
//! Each one writes the record three to five times, even one that fails at once. A thousand of them in a
//! second would wear its flash out within a day; what is let through here does not within years: one
//! erase of each of two sectors with 32 cells takes an hour or more.

use crate::limits::{FIMP_START_MS, MAX_FIMP_STARTS};

/// How far starts are ahead of their time at most, in ms.
const MAX_AHEAD_MS: u64 = MAX_FIMP_STARTS.saturating_mul(FIMP_START_MS);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// When all that were started would have been, had there been one each [`FIMP_START_MS`].
    until_ms: u64,
}

impl Budget {
    /// Counts one.
    ///
    /// # Errors
    /// There were too many: in so many seconds there may be another.
    pub(super) fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let until_ms = self.until_ms.max(now_ms).saturating_add(FIMP_START_MS);
        let latest_ms = now_ms.saturating_add(MAX_AHEAD_MS);
        match until_ms.saturating_sub(latest_ms) {
            0 => {
                self.until_ms = until_ms;
                Ok(())
            }
            early_ms => Err(early_ms.div_ceil(1000)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_let_through_drop_by_drop() {
        let mut budget = Budget::default();
        let taken = (0..86_400).filter(|second| budget.take(second * 1000).is_ok()).count();
        assert_eq!(taken, 16 + 86_400 / 300 - 1);
        let mut budget = Budget::default();
        assert!((0..16).all(|_| budget.take(7).is_ok()));
        assert_eq!(budget.take(7), Err(300));
        assert_eq!(budget.take(300_000), Err(1));
        assert_eq!(budget.take(300_007), Ok(()));
        assert!(budget.take(u64::MAX).is_ok(), "whatever the clock says");
    }
}
