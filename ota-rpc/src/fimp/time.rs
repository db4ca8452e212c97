//! Points in time, as RFC 3339 writes them.

const MS_IN_DAY: u64 = 86_400_000;
/// Days from 1 March of the year 0 to 1 January 1970. Years that begin in March end with the day
/// that some of them have more.
const BEFORE_1970: u64 = 719_468;
const IN_400_YEARS: u64 = 146_097;
const IN_100_YEARS: u64 = 36_524;
const IN_4_YEARS: u64 = 1_461;
const IN_YEAR: u64 = 365;

/// `2026-11-21T10:00:00.000Z`
pub(super) type Stamp = heapless::String<24>;

/// A time in ms since 1970, in UTC. None from the year 10,000 on.
pub(super) fn rfc3339(unix_ms: u64) -> Option<Stamp> {
    let (year, month, day) = date(unix_ms / MS_IN_DAY);
    let ms = unix_ms % MS_IN_DAY;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let mut stamp = Stamp::new();
    for (value, digits, end) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (seconds / 3600, 2, ':'),
        (seconds / 60 % 60, 2, ':'),
        (seconds % 60, 2, '.'),
        (ms, 3, 'Z'),
    ] {
        let mut divisor = 10u64.checked_pow(digits)?;
        if value >= divisor {
            return None;
        }
        while divisor > 1 {
            divisor /= 10;
            let digit = u32::try_from(value.checked_div(divisor)? % 10).ok()?;
            stamp.push(char::from_digit(digit, 10)?).ok()?;
        }
        stamp.push(end).ok()?;
    }
    Some(stamp)
}

/// Year, month and day of a day since 1970.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day.saturating_add(BEFORE_1970);
    let (four_centuries, day) = (day / IN_400_YEARS, day % IN_400_YEARS);
    // The last century, and the last year of four, has the day more.
    let century = (day / IN_100_YEARS).min(3);
    let day = day.saturating_sub(century.saturating_mul(IN_100_YEARS));
    let (fours, day) = (day / IN_4_YEARS, day % IN_4_YEARS);
    let one = (day / IN_YEAR).min(3);
    let mut day = day.saturating_sub(one.saturating_mul(IN_YEAR));
    let years = [(four_centuries, 400), (century, 100), (fours, 4), (one, 1)];
    let year = years
        .iter()
        .fold(0u64, |sum, (count, each)| sum.saturating_add(count.saturating_mul(*each)));
    // From March on.
    let lengths = [31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29];
    let mut month = 3u64;
    for length in lengths {
        if day < length {
            break;
        }
        day = day.saturating_sub(length);
        month = month.saturating_add(1);
    }
    let (year, month) = match month {
        13.. => (year.saturating_add(1), month.saturating_sub(12)),
        _ => (year, month),
    };
    (year, month, day.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days_are_found() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_763_640_000_170, "2025-11-20T12:00:00.170Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms).unwrap(), text);
        }
        assert_eq!(rfc3339(253_402_300_800_000), None);
        assert_eq!(rfc3339(u64::MAX), None);
    }

    /// Each day follows the one before, as the rules of leap years say.
    #[test]
    fn no_day_is_missing() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for count in 0..200_000 {
            assert_eq!(date(count), (year, month, day));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
