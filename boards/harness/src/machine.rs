//! A board under power: a QEMU process, its serial line and its supply switch.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ota_core::crc::crc32;
use ota_sim::host::client::{Client, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::board::{Board, MINI};
use crate::monitor::Monitor;

/// What a board is asked.
const QUESTIONS: [&str; 2] =
    [r#"{"id":1,"method":"Sys.GetInfo"}"#, r#"{"id":2,"method":"OTA.GetBootState"}"#];
/// Without an answer, it is asked again.
const ASK_EVERY: Duration = Duration::from_millis(40);
/// How long anything may take on a busy computer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// And a whole update over the serial line.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of what a board said last that an error quotes.
const QUOTED: usize = 400;

/// The library that is put under QEMU, and what it is to do.
#[derive(Clone, Default)]
pub(crate) struct Preload {
    /// `libflash_file.so`.
    pub(crate) library: PathBuf,
    /// Where the writes to the flash are logged.
    pub(crate) log: Option<PathBuf>,
    /// The write that the supply fails in, and the file with what becomes of it.
    pub(crate) cut: Option<(usize, PathBuf)>,
}

impl Preload {
    /// The flash is this drive. Firmware for tests gets to know the log as its command line, by
    /// semihosting.
    pub(crate) fn drive(&self, command: &mut Command, flash: &Path) {
        let log = self.log.as_deref().unwrap_or(Path::new("/dev/null/no-log"));
        let log = log.display().to_string().replace(',', ",,");
        command.args(["-semihosting-config", &format!("enable=on,arg={log}")]);
        if self.log.is_none() && self.cut.is_none() {
            return;
        }
        command.env("LD_PRELOAD", &self.library).env("FLASH_FILE", flash);
        if let Some(log) = &self.log {
            command.env("FLASH_LOG", log);
        }
        if let Some((at, with)) = &self.cut {
            command.env("FLASH_CUT_AT", at.to_string()).env("FLASH_CUT_WITH", with);
        }
    }

    /// The flash is in the processor. Firmware for tests tells of each change before it makes it, by
    /// semihosting.
    pub(crate) fn mapped(&self, command: &mut Command, flash: &Path) {
        command.env("LD_PRELOAD", &self.library).env("FLASH_MAPPED", flash);
        let log = match &self.log {
            Some(log) => format!("file,id=log,path={}", log.display()),
            None => "null,id=log".to_owned(),
        };
        command.args(["-semihosting-config", "enable=on,chardev=log", "-chardev", &log]);
    }
}

/// What a board answers of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which program: the application, or the loader that waits for an image.
    pub(crate) app: String,
    /// The version that runs.
    pub(crate) version: String,
    pub(crate) active_slot: u64,
    pub(crate) is_committed: bool,
}

/// Files in a machine's folder: what the board says on its serial line, and QEMU of its troubles.
const LINE: &str = "heard";
const TROUBLES: &str = "troubles";

/// A running board. It is off when this is dropped.
pub(crate) struct Machine {
    child: Child,
    monitor: RefCell<Monitor>,
    /// Its serial line.
    line: PathBuf,
    folder: TempDir,
}

impl Machine {
    /// Switches it on.
    pub(crate) fn start(
        board: &Board,
        loader: &Path,
        flash: &Path,
        preload: &Preload,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (line, control) = (folder.path().join("line"), folder.path().join("control"));
        let socket = |path: &Path| format!("{},server=on,wait=off", path.display());
        // All that the board says is in a file too, whoever listens.
        let serial = socket(&line) + ",logfile=" + &folder.path().join(LINE).display().to_string();
        let mut command = board.command(loader, flash, preload);
        not_without_parent(&mut command);
        let mut child = command
            .args(["-chardev", &format!("socket,id=line,path={serial}"), "-serial", "chardev:line"])
            .args(["-qmp", &format!("unix:{}", socket(&control))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join(TROUBLES))?)
            .spawn()
            .context("qemu-system-arm")?;
        let deadline = Instant::now() + PATIENCE;
        let monitor = loop {
            let error = match Monitor::connect(&control, PATIENCE) {
                Ok(monitor) => break RefCell::new(monitor),
                Err(error) => error,
            };
            let is_on = matches!(child.try_wait(), Ok(None));
            if !is_on || Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                let troubles = said(&folder, TROUBLES);
                bail!("QEMU does not start: {error:#}; {troubles}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Self { child, monitor, line, folder })
    }

    /// With a failure, where the board was then, and what it and QEMU had said.
    pub(crate) fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.context(self.state()))
    }

    fn state(&self) -> String {
        let at = match self.monitor.try_borrow_mut().map(|mut monitor| monitor.places()) {
            Ok(Ok(places)) => places,
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        let line = self.heard();
        let tail = &line[line.len().saturating_sub(QUOTED)..];
        let troubles = said(&self.folder, TROUBLES);
        format!("the board is at {at}; it said last \"{tail}\"; QEMU says \"{troubles}\"")
    }

    pub(crate) fn is_on(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the supply has failed by itself.
    pub(crate) fn wait_until_off(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        while self.is_on() {
            ensure!(Instant::now() < deadline, "the supply was to fail, and has not");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// A client on its serial line.
    pub(crate) fn client(&self) -> Result<Client> {
        self.client_with(PATIENCE)
    }

    /// A client that waits no longer for a reply. The line has one client at a time.
    pub(crate) fn client_with(&self, timeout: Duration) -> Result<Client> {
        let url = self.line.to_str().context("a temporary folder whose name is no text")?;
        Ok(Client::new(url, Options::with_timeout(timeout))?)
    }

    /// Asks it what it runs.
    pub(crate) fn look(&self) -> Result<Seen> {
        self.explain(self.client().and_then(|mut client| look(&mut client)))
    }

    /// The same, of applications too that do not answer but tell their state when a line comes.
    pub(crate) fn look_at_any(&self) -> Result<Seen> {
        self.explain(self.hear())
    }

    fn hear(&self) -> Result<Seen> {
        let stream = UnixStream::connect(&self.line)?;
        stream.set_read_timeout(Some(ASK_EVERY))?;
        let mut lines = BufReader::new(stream);
        // With a CRC each: a reset may swallow the end of one and the beginning of the other.
        let ask =
            QUESTIONS.map(|question| format!("\n{question}{:08x}", crc32(question.as_bytes())));
        let ask = (ask.concat() + "\n").into_bytes();
        let deadline = Instant::now() + PATIENCE;
        let (mut line, mut info, mut state) = (Vec::new(), Value::Null, Value::Null);
        while Instant::now() < deadline {
            lines.get_mut().write_all(&ask)?;
            self.wake()?;
            // An answer that comes in pieces goes on in the line.
            while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let frame = frame(&line);
                line.clear();
                if frame["method"] == "Mini.State" {
                    return mini(&frame["params"]);
                }
                match frame["id"].as_u64() {
                    Some(1) => info = frame["result"].clone(),
                    Some(2) => state = frame["result"].clone(),
                    _ => continue,
                }
                if info.is_object() && state.is_object() {
                    return seen(&info, &state);
                }
            }
        }
        bail!("it says nothing of itself")
    }

    /// QEMU does not see that a UART was switched on, and takes nothing for it, before something else
    /// wakes it: up to a second later.
    fn wake(&self) -> Result<()> {
        self.monitor.borrow_mut().execute("query-status", &json!({})).map(drop)
    }

    /// All that it has said since it was switched on.
    pub(crate) fn heard(&self) -> String {
        said(&self.folder, LINE)
    }

    /// Cuts the supply.
    pub(crate) fn cut(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Switches it off between two writes, with all that was written in the file.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.monitor.get_mut().execute("quit", &json!({}))?;
        self.wait_until_off(PATIENCE)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the process killed when the thread that starts it ends, however that comes: a harness that
/// is killed leaves no QEMU behind. No machine outlives its thread otherwise.
#[expect(unsafe_code, reason = "the standard library has no other way to say this")]
fn not_without_parent(command: &mut Command) {
    let parent = Some(rustix::process::getpid());
    let end_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        match rustix::process::getppid() == parent {
            true => Ok(()),
            // It was too late.
            false => Err(std::io::ErrorKind::NotFound.into()),
        }
    };
    // SAFETY: two system calls, in which nothing is locked, allocated or shared with the parent.
    unsafe { command.pre_exec(end_with_parent) };
}

/// What is in a file of a machine's folder, in characters that fit a terminal.
fn said(folder: &TempDir, name: &str) -> String {
    let bytes = fs::read(folder.path().join(name)).unwrap_or_default();
    bytes.trim_ascii().escape_ascii().to_string()
}

/// Asks a board what it runs.
pub(crate) fn look(client: &mut Client) -> Result<Seen> {
    seen(&client.call("Sys.GetInfo", None)?, &client.call("OTA.GetBootState", None)?)
}

fn seen(info: &Value, state: &Value) -> Result<Seen> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Seen {
        app: text(&info["app"]),
        version: text(&info["fw_version"]),
        active_slot: state["active_slot"].as_u64().context("no active slot")?,
        is_committed: state["is_committed"].as_bool().context("committed or not?")?,
    })
}

/// What the small application tells.
fn mini(state: &Value) -> Result<Seen> {
    let active_slot = state["active"].as_u64().context("no active slot")?;
    ensure!(state["slot"].as_u64() == Some(active_slot), "it runs in another slot: {state}");
    Ok(Seen {
        app: MINI.to_owned(),
        version: state["version"].as_str().unwrap_or_default().to_owned(),
        active_slot,
        is_committed: state["committed"].as_bool().context("committed or not?")?,
    })
}

/// The object in a line, if there is one: the rest is a checksum, quotes, or a log.
fn frame(line: &[u8]) -> Value {
    let start = line.iter().position(|byte| *byte == b'{').unwrap_or(line.len());
    let end = line.iter().rposition(|byte| *byte == b'}').map_or(start, |end| end + 1);
    serde_json::from_slice(line.get(start..end).unwrap_or_default()).unwrap_or_default()
}
