//! mosquitto, on a free port of this computer.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

/// A broker, until it is dropped.
pub(crate) struct Mosquitto {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Mosquitto {
    /// Starts one. None, told and counted as skipped, where it is not installed.
    pub(crate) fn start(test: &str) -> Option<Self> {
        Self::with(test, "")
    }

    /// The same, with more lines for its configuration.
    pub(crate) fn with(test: &str, lines: &str) -> Option<Self> {
        let Some(program) = find() else {
            skip(test);
            return None;
        };
        // Another program may take the port before the broker does.
        (0..5)
            .find_map(|_| Self::try_start(&program, lines))
            .or_else(|| panic!("mosquitto does not start"))
    }

    fn try_start(program: &Path, lines: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("mosquitto.conf");
        let listener = format!(
            "listener {port} 127.0.0.1
allow_anonymous true
"
        );
        std::fs::write(
            &config,
            format!(
                "{listener}set_tcp_nodelay true
{lines}"
            ),
        )
        .unwrap();
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Self { child, port, _folder: folder });
            }
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join("mosquitto"))
        .find(|candidate| candidate.is_file())
}

/// `cargo xtask test` counts these lines.
fn skip(test: &str) {
    let line = format!("SKIPPED: {test}: mosquitto is not installed (apt-get install mosquitto)\n");
    eprint!("{line}");
    if let Some(path) = env::var_os("OTA_SKIP_LOG") {
        let log = OpenOptions::new().append(true).create(true).open(path);
        log.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
