//! Runs a process: quiet when it succeeds, its whole output when it fails.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than any healthy step takes; a hung one must not use up the time that CI is given.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30 * 60);
const POLL: Duration = Duration::from_millis(10);
/// How long output may still arrive from grandchildren after the process itself has ended.
const LINGER: Duration = Duration::from_secs(1);

/// Set by `cargo run` for this program. Handed on they would describe the wrong package.
const FROM_CARGO_RUN: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME"];

/// A process to run, with a time limit.
pub(crate) struct Process {
    command: Command,
    limit: Duration,
}

/// What became of it.
pub(crate) struct Outcome {
    /// The command line, for messages.
    pub(crate) shown: String,
    /// Standard output and standard error, in the order written.
    pub(crate) output: String,
    /// `None`: ended by the time limit.
    pub(crate) status: Option<ExitStatus>,
}

impl Process {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if FROM_CARGO_RUN.iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.stdin(Stdio::null());
        Self { command, limit: DEFAULT_LIMIT }
    }

    /// `cargo SUBCOMMAND` of the toolchain that runs this program.
    pub(crate) fn cargo(subcommand: &str) -> Self {
        Self::new("cargo").arg(subcommand)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it and fails, with its whole output, unless it succeeds. Returns the output.
    pub(crate) fn run(self) -> Result<String> {
        let outcome = self.outcome()?;
        if outcome.succeeded() {
            return Ok(outcome.output);
        }
        bail!("{}", outcome.describe());
    }

    /// Runs it and returns standard output alone: for output that a program reads.
    pub(crate) fn stdout(mut self) -> Result<String> {
        let shown = self.shown();
        let output = self.command.output().with_context(|| format!("cannot start `{shown}`"))?;
        if !output.status.success() {
            bail!("`{shown}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it can be started and succeeds; its output is dropped.
    pub(crate) fn works(self) -> bool {
        self.outcome().is_ok_and(|outcome| outcome.succeeded())
    }

    /// Runs it to its end or to the time limit.
    pub(crate) fn outcome(mut self) -> Result<Outcome> {
        let shown = self.shown();
        let (reader, writer) = std::io::pipe()?;
        self.command.stdout(writer.try_clone()?).stderr(writer);
        let mut child = self.command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        // The writing ends held here must go, or the reader never sees the end.
        drop(self.command);
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let collector = thread::spawn(move || collect(reader, &sink));
        let status = wait(&mut child, self.limit)?;
        let ended = Instant::now();
        while !collector.is_finished() && ended.elapsed() < LINGER {
            thread::sleep(POLL);
        }
        let output = {
            let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok(Outcome { shown, output, status })
    }

    fn shown(&self) -> String {
        let program = self.command.get_program().to_string_lossy().into_owned();
        self.command.get_args().fold(program, |mut line, argument| {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
            line
        })
    }
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// The command, how it ended, and all that it wrote.
    pub(crate) fn describe(&self) -> String {
        let end = match self.status {
            Some(status) => status.to_string(),
            None => "ended: it ran past its time limit".to_owned(),
        };
        format!("`{}`: {end}\n{}", self.shown, self.output)
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

fn collect(mut reader: impl Read, sink: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 8192];
    while let Ok(count) = reader.read(&mut chunk) {
        if count == 0 {
            return;
        }
        sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::new("sh").args(["-c", script])
    }

    #[test]
    fn a_failure_shows_everything_that_was_written() {
        let error = shell("echo to out; echo to err >&2; exit 3").run().unwrap_err().to_string();
        assert!(error.contains("to out\nto err"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_process_that_hangs_is_ended() {
        let outcome = shell("echo begun; exec sleep 60").limit(Duration::from_millis(300));
        let outcome = outcome.outcome().unwrap();
        assert!(outcome.status.is_none() && outcome.output.contains("begun"));
        assert!(outcome.describe().contains("time limit"));
    }

    #[test]
    fn a_background_process_that_keeps_the_pipe_does_not_hold_up_the_caller() {
        let started = Instant::now();
        assert!(shell("sleep 20 & echo done").run().unwrap().contains("done"));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_does_not_work() {
        assert!(Process::new("no-such-program-at-all").run().is_err());
        assert!(!Process::new("no-such-program-at-all").works());
    }
}
