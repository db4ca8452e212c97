//! How the demo speaks.

use std::fmt::Display;
use std::io::Write;

/// A line.
pub(super) fn say(text: impl Display) {
    // Whoever has seen enough (`| head`) does not end the demo.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The start of something new.
pub(super) fn title(text: &str) {
    say(format_args!("\n{text}"));
}

/// A line of one of those who take part: `call`, `reply`, `state`, `device`, `time`.
pub(super) fn line(who: &str, text: impl Display) {
    say(format_args!("  {who:<7}| {text}"));
}

/// What the progress of a download begins with.
pub(super) const FETCH: &str = "  fetch  | ";
