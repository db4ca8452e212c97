//! How far an update has come: a bar on a terminal, a few plain lines anywhere else.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ota_sim::device::Progress;

/// Shows one download after the other.
pub(crate) struct ProgressView {
    /// Stands before every line.
    prefix: &'static str,
    is_terminal: bool,
    bar: Option<ProgressBar>,
    /// Quarters of the download that were told of in plain lines.
    quarters_told: u64,
    /// Bytes that were told of where nobody knows of how many.
    bytes_told: u32,
}

/// Bars.
const BYTES: &str = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}";
const PERCENT: &str = "[{bar:30}] {msg}";

const FIRST_TOLD_BYTES: u32 = 32 * 1024;

impl ProgressView {
    /// On standard output, like everything that it stands between.
    pub(crate) fn new(prefix: &'static str) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self { prefix, is_terminal, bar: None, quarters_told: 0, bytes_told: 0 }
    }

    /// More bytes have come.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let Progress { received, announced, version, .. } = progress;
        let Some(total) = announced.filter(|total| *total > 0) else {
            return self.show_without_total(*received, version);
        };
        if self.is_terminal {
            let bar = self.bar.get_or_insert_with(|| bar(self.prefix, BYTES, total));
            bar.set_message(version.clone());
            bar.set_position((*received).into());
            return;
        }
        let quarters = u64::from(*received) * 4 / u64::from(total);
        if quarters > self.quarters_told {
            self.quarters_told = quarters;
            let percent = u64::from(*received) * 100 / u64::from(total);
            self.line(&format!("{version}: {received} of {total} bytes, {percent} %"));
        }
    }

    /// The same of an update whose length nobody has told, such as a form: a few lines, each for
    /// twice as many bytes.
    fn show_without_total(&mut self, received: u32, version: &str) {
        if received >= self.bytes_told.saturating_mul(2).max(FIRST_TOLD_BYTES) {
            self.bytes_told = received;
            self.line(&format!("{version}: {received} bytes"));
        }
    }

    /// So much has come of an update of which nobody tells the bytes; `left`: how long it takes.
    pub(crate) fn show_percent(&mut self, percent: u8, left: &str) {
        if self.is_terminal {
            let bar = self.bar.get_or_insert_with(|| bar(self.prefix, PERCENT, 100));
            bar.set_message(left.to_owned());
            bar.set_position(percent.into());
            return;
        }
        let quarters = u64::from(percent) / 25;
        if quarters > self.quarters_told {
            self.quarters_told = quarters;
            self.line(left);
        }
    }

    /// An interrupted download goes on at `offset`: what came before it came at no speed of today.
    pub(crate) fn resumed(&mut self, offset: u32) {
        if let Some(bar) = &self.bar {
            bar.set_position(offset.into());
            bar.reset_elapsed();
            bar.reset_eta();
        }
    }

    /// The download has ended.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
        (self.quarters_told, self.bytes_told) = (0, 0);
    }

    /// A line that is none of the progress.
    pub(crate) fn line(&self, text: &str) {
        // A console that nobody reads any more must not end the device.
        let print = || drop(writeln!(std::io::stdout(), "{}{text}", self.prefix));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

fn bar(prefix: &str, template: &str, total: u32) -> ProgressBar {
    let template = format!("{prefix}{template}");
    // The template is a constant but for a prefix without braces; a plain bar is no harm either.
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##.");
    ProgressBar::with_draw_target(Some(total.into()), ProgressDrawTarget::stdout())
        .with_style(style)
}
