//! How far a transfer has come, and how long it will take.

/// Between two looks at the rate, in ms.
const SAMPLE_MS: u64 = 500;
/// Between two reports, in ms.
const REPORT_MS: u64 = 1_000;
/// No estimate is longer, in s.
const MAX_REMAINING_S: u64 = 359_999;

/// A transfer, watched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    percent: u8,
    remaining_s: Option<u64>,
    /// Bytes in 2^20 ms, smoothed.
    rate: Option<u64>,
    /// What had come at the last look at the rate, and when.
    sample: Option<(u32, u64)>,
    /// The last report: its percent, and when it was.
    reported: Option<(u8, u64)>,
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) percent: u8,
    /// In s, if it can be told.
    pub(super) remaining_s: Option<u64>,
}

impl Progress {
    /// So many of so many bytes have come.
    pub(super) fn received(&mut self, received: u32, size: Option<u32>, now_ms: u64) {
        let (last, since_ms) = *self.sample.get_or_insert((received, now_ms));
        let passed_ms = now_ms.saturating_sub(since_ms);
        if passed_ms >= SAMPLE_MS {
            self.sample = Some((received, now_ms));
            let bytes = u64::from(received.saturating_sub(last)) << 20;
            let now = bytes.checked_div(passed_ms).unwrap_or(0);
            // A quarter of what is new, so that a pause does not make an eternity.
            let smooth = |rate: u64| rate.saturating_mul(3).saturating_add(now) >> 2;
            self.rate = Some(self.rate.map_or(now, smooth));
        }
        let Some(size) = size else { return };
        // As long as the end was not looked at, it is not there.
        self.grow(percent(received, size).min(99));
        let left = u64::from(size.saturating_sub(received)) << 20;
        let remaining_ms = left.checked_div(self.rate.unwrap_or(0));
        self.remaining_s =
            remaining_ms.map(|ms| (ms.saturating_add(500) / 1000).min(MAX_REMAINING_S));
    }

    /// All has come.
    pub(super) fn complete(&mut self) {
        self.grow(100);
        self.remaining_s = Some(0);
    }

    /// Never backwards: an update that goes on after a break may look at bytes again.
    fn grow(&mut self, percent: u8) {
        self.percent = self.percent.max(percent);
    }

    /// How much has come.
    pub(super) fn percent(&self) -> u8 {
        self.percent
    }

    /// The next report, if one is due.
    pub(super) fn due(&self, now_ms: u64) -> Option<Report> {
        let is_due = self.reported.is_none_or(|(percent, at_ms)| {
            self.percent > percent && now_ms.saturating_sub(at_ms) >= REPORT_MS
        });
        is_due.then_some(Report { percent: self.percent, remaining_s: self.remaining_s })
    }

    /// It was handed out.
    pub(super) fn reported(&mut self, report: Report, now_ms: u64) {
        self.reported = Some((report.percent, now_ms));
    }

    /// Whether the last report there will be was handed out.
    pub(super) fn is_told(&self) -> bool {
        self.reported.is_some_and(|(percent, _)| percent == 100)
    }
}

fn percent(part: u32, whole: u32) -> u8 {
    let percent = u64::from(part).saturating_mul(100).checked_div(u64::from(whole));
    percent.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_steady_transfer_is_estimated_well() {
        let mut progress = Progress::default();
        for second in 0..=60u32 {
            progress.received(second * 1000, Some(100_000), u64::from(second) * 1000);
        }
        let report = progress.due(60_000).unwrap();
        assert_eq!(report.percent, 60);
        assert!((39..=42).contains(&report.remaining_s.unwrap()), "{report:?}");
        progress.complete();
        assert_eq!(progress.due(60_001), Some(Report { percent: 100, remaining_s: Some(0) }));
    }

    #[test]
    fn nothing_is_known_at_the_start_or_without_a_size() {
        let mut progress = Progress::default();
        progress.received(0, Some(1000), 5);
        assert_eq!(progress.due(5), Some(Report { percent: 0, remaining_s: None }));
        let mut progress = Progress::default();
        progress.received(900, None, 5);
        progress.received(1900, None, 5000);
        assert_eq!(progress.due(5000), Some(Report { percent: 0, remaining_s: None }));
    }

    proptest! {
        /// Whatever comes in, in whatever steps and with whatever size.
        #[test]
        fn reports_grow_and_are_not_too_many(
            steps in proptest::collection::vec((any::<u32>(), 0..3000u64), 1..200),
            size in proptest::option::of(any::<u32>()),
        ) {
            let mut progress = Progress::default();
            let (mut now_ms, mut last) = (0, None);
            for (received, pause_ms) in steps {
                now_ms += pause_ms;
                progress.received(received, size, now_ms);
                if let Some(report) = progress.due(now_ms) {
                    progress.reported(report, now_ms);
                    prop_assert!(report.percent <= 100);
                    prop_assert!(report.remaining_s.is_none_or(|s| s <= MAX_REMAINING_S));
                    if let Some((percent, at_ms)) = last.replace((report.percent, now_ms)) {
                        prop_assert!(report.percent > percent && now_ms - at_ms >= REPORT_MS);
                    }
                }
            }
        }
    }
}
