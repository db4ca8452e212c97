//! What went wrong, in a few lines: whoever reads the end of a long log shall find it there.

/// The most lines of a failed step, and bytes of a line.
const LINES: usize = 12;
const WIDTH: usize = 300;
/// What the lines begin with that tools tell failures in, behind blanks and punctuation.
const BEGINNINGS: [&str; 7] =
    ["FAILED", "FAIL ", "error", "thread ", "panicked", "SUMMARY", "failures"];

/// The telling lines of an error: with a panic, its message too. If none is, its first and last.
pub(crate) fn gist(error: &str) -> Vec<String> {
    let lines: Vec<&str> = error.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        let is_panic = text.contains("panicked at");
        if is_panic || BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
            found.push(*line);
        }
        if is_panic {
            found.extend(lines.get(at + 1));
        }
    }
    if found.is_empty() {
        found.extend(lines.first());
        found.extend(lines.last().filter(|_| lines.len() > 1));
    }
    let mut told: Vec<String> = Vec::new();
    for line in found {
        let line: String = line.trim_end().chars().take(WIDTH).collect();
        if !told.contains(&line) {
            told.push(line);
        }
    }
    let more = told.len().saturating_sub(LINES);
    told.truncate(LINES);
    if more > 0 {
        told.push(format!("... and {more} more such lines above"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_message() {
        let log = "#1 NEW\n\nthread '<unnamed>' (7) panicked at src/fimp.rs:68:5:\nthe message\n\
                   stack backtrace:\n  0: rust_begin_unwind\n  FAIL [ 0.1s] x y\n";
        let told = gist(log);
        assert_eq!(
            told,
            [
                "thread '<unnamed>' (7) panicked at src/fimp.rs:68:5:",
                "the message",
                "  FAIL [ 0.1s] x y"
            ]
        );
    }

    #[test]
    fn without_a_telling_line_it_is_the_first_and_the_last() {
        assert_eq!(
            gist("`size`: exit status: 1\nmore\nthe end\n"),
            ["`size`: exit status: 1", "the end"]
        );
        assert_eq!(gist("alone"), ["alone"]);
        assert!(gist("").is_empty());
    }

    #[test]
    fn it_stays_short() {
        let log: String = (0..100).map(|at| format!("error: {at} {}\n", "x".repeat(500))).collect();
        let told = gist(&log);
        assert_eq!(told.len(), LINES + 1);
        assert!(told.iter().all(|line| line.len() <= WIDTH));
        assert_eq!(told[LINES], "... and 88 more such lines above");
    }
}
