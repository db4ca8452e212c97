//! QEMU's monitor (QMP): what QEMU is told to do, and where a board is that does not answer.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// How often a board is asked where it is, and the pause between.
const LOOKS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);
/// What is asked for, and what it is called in QEMU's table of the registers.
const REGISTERS: [(&str, &str); 2] = [("pc", "R15="), ("lr", "R14=")];

/// The monitor of a process.
pub(crate) struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Says hello. QEMU carries out commands when all else is set up, the serial line too.
    pub(crate) fn connect(path: &Path, timeout: Duration) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.execute("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Has QEMU carry out a command.
    pub(crate) fn execute(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let command = json!({ "execute": name, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{command}")?;
        loop {
            let mut line = String::new();
            ensure!(self.stream.read_line(&mut line)? > 0, "QEMU has gone");
            let said: Value = serde_json::from_str(&line).context("QEMU's monitor")?;
            ensure!(said["error"].is_null(), "QEMU: {name}: {}", said["error"]);
            // The greeting, and events such as a reset, come between.
            if let Some(answer) = said.get("return") {
                return Ok(answer.clone());
            }
        }
    }

    /// Where the program is, several times, so that a loop is told from a wait.
    pub(crate) fn places(&mut self) -> Result<String> {
        let mut places = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(PAUSE);
            }
            let command = json!({ "command-line": "info registers" });
            let table = self.execute("human-monitor-command", &command)?;
            places.push(place(table.as_str().unwrap_or_default()));
        }
        Ok(places.join(", "))
    }
}

/// Program counter and link register out of QEMU's table.
fn place(table: &str) -> String {
    let value = |key| table.split_whitespace().find_map(|word| word.strip_prefix(key));
    REGISTERS.map(|(name, key)| format!("{name} {}", value(key).unwrap_or("?"))).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_among_the_registers() {
        let table = "R12=00000000 R13=2000fff8 R14=a0000123 R15=a0001234\r\nXPSR=61000000 -ZC-\r\n";
        assert_eq!(place(table), "pc a0001234 lr a0000123");
        assert_eq!(place(""), "pc ? lr ?");
    }
}
