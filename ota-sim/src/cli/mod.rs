//! The commands, one in each file, and what they share.

pub(crate) mod broker;
pub(crate) mod bundle;
pub(crate) mod call;
#[cfg(feature = "compare")]
pub(crate) mod compare;
pub(crate) mod cuts;
pub(crate) mod device;
pub(crate) mod fimp;
pub(crate) mod flash;
pub(crate) mod progress;
pub(crate) mod push;
pub(crate) mod remote;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ota_sim::layout::{self, Board};
use tokio::runtime;

/// Prints what a command is for. A reader who has seen enough (`| head`) is no error.
pub(crate) fn print(text: impl Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// JSON fit for a terminal: characters that would control it are escaped, as JSON does it.
pub(crate) fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_control() && c != '\n' {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// Calls `action` when Ctrl-C is pressed, which from now on does not end the program by itself.
pub(crate) fn on_ctrl_c(action: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            action();
        }
    });
    Ok(())
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file, but not over another one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::fs::OpenOptions;
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match file {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; remove it, or choose another name", path.display())
        }
        other => other.with_context(|| format!("cannot create {}", path.display()))?,
    };
    file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// `20s`, `10m`, `500ms`, `2h`; a number alone means seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("give a time such as 20s, 10m or 500ms".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "give a time such as 20s, 10m or 500ms")?;
    Ok(Duration::from_millis(number.saturating_mul(unit_ms)))
}

/// `localhost:8080`, `127.0.0.1:8080`, `[::1]:8080`, or a port alone, of this computer.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let found = text.to_socket_addrs().map_err(|error| {
        format!("{error}; give HOST:PORT, such as localhost:8080, or a port alone")
    })?;
    // A name may stand for an address of either kind; the older is the one that is expected.
    let found: Vec<SocketAddr> = found.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| "the name stands for no address".to_owned())
}

/// Help for `--board`.
pub(crate) const BOARD_HELP: &str = "Board: a part or `sim`, with sizes if wanted: \
     sim, nrf52840, stm32l4, sim:slots=3,app=512K,data=64K,record=16K; or with its own places, \
     ADDRESS+SIZE, a slot with its data behind a slash: \
     nrf52840:record=0xFE000+8K,slot=0x8000+400K,slot=0x83000+400K/0xE7000+64K";

/// The board that is named, or else the one that a flash file of this length is of.
pub(crate) fn board_of(name: Option<&Board>, path: &Path, length: u64) -> Result<Board> {
    if let Some(board) = name {
        return Ok(board.clone());
    }
    let names = layout::names().collect::<Vec<_>>().join(", ");
    Board::of_length(length).with_context(|| {
        format!(
            "{} has {length} bytes, as the flash of none of these boards: {names}; \
             say which it is with --board",
            path.display()
        )
    })
}

/// Text that lives as long as the process. For settings that are read once.
pub(crate) fn forever(text: &str) -> &'static str {
    text.to_owned().leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_have_names_or_be_a_port_alone() {
        for text in ["127.0.0.1:8080", "localhost:8080", "8080"] {
            assert_eq!(address(text), Ok(([127, 0, 0, 1], 8080).into()), "{text}");
        }
        assert_eq!(address("[::1]:1").unwrap().to_string(), "[::1]:1");
        for text in ["", "localhost", "127.0.0.1:99999", "http://127.0.0.1:8080"] {
            assert!(address(text).unwrap_err().contains("HOST:PORT"), "{text}");
        }
    }

    #[test]
    fn results_do_not_control_the_terminal() {
        let value = serde_json::json!({ "a": "\u{1b}[2J\u{9b}2J\u{7f}" });
        let text = harmless(&format!("{value:#}"));
        assert_eq!(text, "{\n  \"a\": \"\\u001b[2J\\u009b2J\\u007f\"\n}");
    }

    #[test]
    fn times_are_read_as_mos_writes_them() {
        for (text, ms) in [("20s", 20_000), ("10m", 600_000), ("500ms", 500), ("7", 7_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "10 parsecs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
