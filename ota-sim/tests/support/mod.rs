//! The program in processes of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ota-sim");
/// How long it may take to say something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs it to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).current_dir(folder).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with the updates `one.zip`, of version 1.0.0, and `two.zip`, of 2.0.0.
pub(crate) fn folder_of_updates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.bin"), [0x5A; 40_000]).unwrap();
    for (version, file) in [("1.0.0", "one.zip"), ("2.0.0", "two.zip")] {
        let arguments =
            ["bundle", "create", "--app", "app.bin", "--fw-version", version, "-o", file];
        assert!(run(folder.path(), &arguments).status.success());
    }
    folder
}

/// A process that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    /// The lines of its console, and of its warnings.
    console: mpsc::Receiver<String>,
    warnings: mpsc::Receiver<String>,
}

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::with_input(folder, arguments, Stdio::null())
    }

    /// The same with something on its standard input.
    pub(crate) fn with_input(folder: &Path, arguments: &[&str], input: Stdio) -> Self {
        let mut process = Command::new(PROGRAM)
            .current_dir(folder)
            .args(arguments)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let console = lines(process.stdout.take().unwrap());
        let warnings = lines(process.stderr.take().unwrap());
        Self { process, console, warnings }
    }

    /// `ota-sim device` with the flash file `dev.flash`.
    pub(crate) fn device(folder: &Path, arguments: &[&str]) -> Self {
        Self::start(folder, &[&["device", "--flash", "dev.flash"], arguments].concat())
    }

    /// The next line of the console that holds `words`.
    pub(crate) fn line_with(&self, words: &str) -> String {
        find(&self.console, words)
    }

    /// The next line of the warnings that holds `words`.
    pub(crate) fn warning_with(&self, words: &str) -> String {
        find(&self.warnings, words)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines of a stream as they come.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut all = BufReader::new(stream).lines().map_while(Result::ok);
        all.try_for_each(|line| sender.send(line))
    });
    lines
}

fn find(lines: &mpsc::Receiver<String>, words: &str) -> String {
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if line.contains(words) {
            return line;
        }
        seen.push(line);
    }
    panic!("no {words:?} among {seen:#?}");
}
