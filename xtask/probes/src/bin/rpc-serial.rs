//! All methods of the RPC service on a serial line, without the engine: its calls go nowhere that
//! the compiler can see. With the service come the JSON reader and the checksum of `ota-core`.
//!
//! Not counted: what the board has anyway, a driver of the line and the engine behind [`Ota`].
#![no_std]
#![no_main]

use core::convert::Infallible;
use core::fmt;
use core::hint::black_box;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use ota_probes::{Flash, Probe};

use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::ota::{Begin, BootState, BootStateChange, Ota, Progress, Report, Snapshot};
use ota_rpc::platform::{Info, Platform};
use ota_rpc::service::Action;
use ota_rpc::{ChannelId, Class, Config, Explain, Service};

/// The longest request, and the longest reply with what is around it. Of a size that a board chooses,
/// so they are in the figure for RAM, not in that for stack; the service and the port are on the
/// stack here.
static mut RECEIVE: [u8; 1024] = [0; 1024];
static mut SEND: [u8; 1040] = [0; 1040];

struct Rpc;

impl Probe for Rpc {
    /// The peer's bytes: every method but `OTA.Revert`, and what goes wrong with them.
    fn prepare(flash: &mut Flash) {
        let mut at = 0;
        for line in [
            "\"\"\"\x04\"\"\"\n\n",
            "{\"id\":1,\"src\":\"mos\",\"tag\":[{}],\"method\":\"RPC.List\"}\n",
            "{\"id\":1,\"method\":\"RPC.Describe\",\"params\":{\"name\":\"OTA.Update\"}}\n",
            "{\"id\":1,\"method\":\"RPC.Ping\"}\n",
            "{\"id\":1,\"method\":\"Sys.GetInfo\"}\n",
            "{\"id\":1,\"method\":\"OTA.GetBootState\"}\n",
            "{\"id\":1,\"method\":\"OTA.SetBootState\",\"params\":{\"revert_slot\":\"0x1\"}}\n",
            "{\"id\":1,\"method\":\"OTA.CreateSnapshot\",\"params\":{\"set_as_revert\":true}}\n",
            "{\"id\":1,\"method\":\"OTA.Update\",\"params\":{\"url\":\"http://x/fw.zip\"}}\n",
            "{\"id\":1,\"method\":\"OTA.Abort\"}\n",
            "{\"id\":1,\"method\":\"OTA.Commit\"}\n",
            "{\"id\":1,\"method\":\"No.Such\\u0041\"}\n",
            "{\"id\":1,\"method\":}\n",
            "{\"id\":1}ffffffff\n",
            "{\"id\":1,\"method\":\"Sys.Reboot\",\"params\":{\"delay_ms\":5000}}\n",
            "{\"id\":1,\"method\":\"Sys.Reboot\",\"params\":{\"abort\":true}}\n",
            "{\"id\":1,\"method\":\"OTA.Begin\",\"params\":{\"size\":3}}\n",
            "{\"id\":1,\"method\":\"OTA.Write\",\"params\":{\"offset\":0,\"data\":\"Zm9v\"}}\n",
            "{\"id\":1,\"method\":\"OTA.Write\",\"params\":{\"offset\":9,\"data\":\"Zm9v\"}}\n",
            "{\"id\":1,\"method\":\"OTA.Write\",\"params\":{\"offset\":3,\"data\":\"Zm9\"}}\n",
            "{\"id\":1,\"method\":\"OTA.Status\"}\n",
            // The last request: it ends with the reboot.
            "\"\"\"{\"id\":\"12\",\"src\":\"\\u00e9\",\"method\":\"OTA.End\"}\"\"\"\n",
        ] {
            // Programmed in words: rows of spaces between lines are junk to the receiver.
            for piece in line.as_bytes().chunks(4) {
                let mut word = [b' '; 4];
                word[..piece.len()].copy_from_slice(piece);
                let _ = flash.write(at, &word);
                at += 4;
            }
        }
    }

    fn run(flash: &mut Flash) -> u32 {
        let (receive, send) = (&raw mut RECEIVE, &raw mut SEND);
        // SAFETY: the only references to them, in the only call of this function.
        let (receive, send) = unsafe { (&mut *receive, &mut *send) };
        let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, receive, send);
        let mut line = Line { flash, at: 0 };
        let mut service = Service::new(Config::new("probe"), Board);
        let mut now_ms = 0;
        loop {
            let Ok(step) = port.step(&mut line, &mut service, &mut Engine, now_ms) else {
                return 0;
            };
            if matches!(black_box(step.action), Some(Action::Reboot)) {
                return line.at;
            }
            now_ms += 10;
        }
    }
}

/// A line on which flash is what comes, up to where it is erased.
struct Line<'f> {
    flash: &'f mut Flash,
    at: u32,
}

impl ErrorType for Line<'_> {
    type Error = Infallible;
}

impl ReadReady for Line<'_> {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        let mut next = [0xff];
        let _ = self.flash.read(self.at, &mut next);
        Ok(next != [0xff])
    }
}

impl Read for Line<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(byte) = bytes.first_mut() else { return Ok(0) };
        let _ = self.flash.read(self.at, core::slice::from_mut(byte));
        self.at += 1;
        Ok(1)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// An engine of which the compiler knows nothing.
struct Engine;

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(black_box(""))
    }
}

impl Explain for Failed {
    fn class(&self) -> Class {
        black_box(Class::Refused)
    }
}

/// Success, as far as is known when the program runs.
fn outcome<T>(value: T) -> Result<T, Failed> {
    if black_box(true) { Ok(black_box(value)) } else { Err(Failed) }
}

impl Ota for Engine {
    type Error = Failed;

    fn boot_state(&mut self) -> Result<BootState, Failed> {
        outcome(BootState {
            active_slot: 0,
            is_committed: true,
            revert_slot: 1,
            commit_timeout_s: 0,
        })
    }

    fn set_boot_state(&mut self, change: &BootStateChange) -> Result<(), Failed> {
        black_box(change);
        outcome(())
    }

    fn commit(&mut self) -> Result<(), Failed> {
        outcome(())
    }

    fn revert(&mut self) -> Result<(), Failed> {
        outcome(())
    }

    fn report(&mut self) -> Report {
        black_box(Report { running_slot: Some(0), reason: "" })
    }

    fn start_snapshot(&mut self, snapshot: &Snapshot) -> Result<u8, Failed> {
        black_box(snapshot);
        outcome(1)
    }

    fn may_begin(&mut self) -> Result<(), Failed> {
        outcome(())
    }

    fn begin(&mut self, begin: &Begin) -> Result<(), Failed> {
        black_box(begin);
        outcome(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failed> {
        black_box(data);
        outcome(())
    }

    fn wanted_offset(&mut self) -> Option<u32> {
        black_box(Some(0))
    }

    fn seek(&mut self, offset: u32) -> bool {
        black_box(offset) == 1
    }

    fn end_of_input(&mut self) -> Result<(), Failed> {
        outcome(())
    }

    fn step(&mut self) -> Result<Progress, Failed> {
        outcome(Progress::Done)
    }

    fn set_commit_timeout(&mut self, commit_timeout_s: u32) {
        black_box(commit_timeout_s);
    }

    fn abort(&mut self) -> Result<(), Failed> {
        outcome(())
    }
}

/// A device without Wi-Fi and Ethernet, whose texts are known when the program runs.
struct Board;

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        black_box(Info::default())
    }
}

ota_probes::entry!(Rpc);
