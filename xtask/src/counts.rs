//! How many tests ran: read from the closing lines of nextest and of `cargo test`.

use std::fmt;
use std::ops::AddAssign;

/// Tests passed, failed and skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// Reads one runner's output: nextest's summary, or else the sum of the lines that `cargo test`
    /// prints, one for each test program. Zero if there is neither.
    ///
    /// Output of a failed test may hold such lines too. Nextest indents it further than its own.
    pub(crate) fn read(output: &str) -> Self {
        let indented = |line: &&str| line.strip_prefix("     ").is_some_and(is_summary);
        if let Some(line) = output.lines().rfind(indented) {
            return nextest(line);
        }
        let mut total = Self::default();
        for rest in output.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            total += cargo_test(rest);
        }
        total
    }

    /// Moves `count` tests that passed only because they had nothing to run on to the skipped ones.
    pub(crate) fn skip_passed(&mut self, count: u64) {
        self.passed = self.passed.saturating_sub(count);
        self.skipped += count;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// The plain closing line that test runners of any language share.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn is_summary(line: &str) -> bool {
    line.starts_with("Summary [")
}

/// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
fn cargo_test(rest: &str) -> Counts {
    let mut counts = Counts::default();
    let numbers = rest.split_once(". ").map_or("", |(_, numbers)| numbers);
    for (number, word) in numbers.split(';').filter_map(number_and_word) {
        match word {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

/// `Summary [ 0.02s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 1 skipped`
fn nextest(line: &str) -> Counts {
    let mut counts = Counts::default();
    let numbers = line.split_once("run: ").map_or("", |(_, numbers)| numbers);
    for (number, word) in without_parentheses(numbers).split(',').filter_map(number_and_word) {
        match word {
            "passed" => counts.passed += number,
            "skipped" => counts.skipped += number,
            // Failed, timed out, could not be started: none of them passed.
            _ => counts.failed += number,
        }
    }
    counts
}

fn number_and_word(part: &str) -> Option<(u64, &str)> {
    let (number, word) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, word.trim()))
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|letter| {
            match letter {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn closing_lines_of_cargo_test_are_summed_up() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; \
            finished in 0.00s\n\n\
            test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(Counts::read(output), counts(7, 2, 1));
    }

    #[test]
    fn closing_lines_of_nextest_are_understood() {
        for (line, expected) in [
            ("     Summary [   0.004s] 1 test run: 1 passed, 0 skipped", counts(1, 0, 0)),
            (
                "     Summary [  12.1s] 7/9 tests run: 3 passed (1 slow, 2 flaky), 1 failed, \
                 2 timed out, 1 exec failed, 5 skipped",
                counts(3, 4, 5),
            ),
        ] {
            assert_eq!(Counts::read(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_in_the_output_of_a_failed_test_are_not_counted_too() {
        let output = "  stdout ---\n    test result: FAILED. 0 passed; 1 failed; 0 ignored\n\
            \x20        Summary [ 0.1s] 9 tests run: 9 passed, 0 skipped\n\
            \x20    Summary [ 0.073s] 2 tests run: 1 passed, 1 failed, 0 skipped\n";
        assert_eq!(Counts::read(output), counts(1, 1, 0));
    }

    #[test]
    fn other_output_counts_nothing() {
        assert_eq!(
            Counts::read("test result\n3 passed\n Summary\nSummary [x] run: a b"),
            counts(0, 0, 0)
        );
    }

    #[test]
    fn the_closing_line_has_the_common_form() {
        let mut total = counts(5, 1, 0);
        total.skip_passed(2);
        assert_eq!(total.to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
