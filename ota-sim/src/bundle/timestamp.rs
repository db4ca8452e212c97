//! Moments in UTC, as manifests write them.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 24 * 3600;

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    unix_s: u64,
}

impl Timestamp {
    /// So many seconds after the start of 1970.
    pub const fn from_unix(unix_s: u64) -> Self {
        Self { unix_s }
    }

    /// Now; or the moment in `SOURCE_DATE_EPOCH`, for builds that are to come out the same each
    /// time.
    pub fn now() -> Self {
        let fixed = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
        let unix_s = fixed.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
        });
        Self { unix_s }
    }

    /// As `build_timestamp` has it (RFC 3339): `2026-11-20T21:36:00Z`.
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// As build ids begin: `20261120-213600`.
    pub fn compact(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
    }

    fn time(self) -> (u64, u64, u64) {
        let second = self.unix_s % DAY_S;
        (second / 3600, second / 60 % 60, second % 60)
    }

    /// Year, month, day of the Gregorian calendar. Years are counted from March on, so that the
    /// leap day comes last, in eras of 400 years, which all have 146,097 days.
    fn date(self) -> (u64, u64, u64) {
        let days = self.unix_s / DAY_S + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leaps) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        (year, month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_210_560, "2026-11-20T21:36:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_unix(unix_s).rfc3339(), text);
        }
        assert_eq!(Timestamp::from_unix(1_795_210_560).compact(), "20261120-213600");
    }
}
