//! A small application for tests of the loader: it commits itself, and tells of its boot state.
//!
//! Every second, and for each line that comes in, it says, in one line:
//!
//! ```text
//! {"src":"microbit","method":"Mini.State",
//!  "params":{"version":"1.0.0","slot":0,"active":0,"committed":true}}
//! ```
//! It cannot be updated; the loader's recovery can. Of the marks of images it knows `crashes`.

use cortex_m::peripheral::SCB;
use embedded_io::{Read as _, ReadReady as _, Write as _};
use ota_core::MIN_BUFFER;
use ota_core::descriptor::Descriptor;

use crate::app::behaviour;
use crate::behaviour::Behaviour;
use crate::device::{Engine, open};
use crate::uart::Uart;
use crate::{clock, running_slot, watchdog};

const PERIOD_MS: u64 = 1000;

/// Runs it.
pub fn run() -> ! {
    watchdog::feed();
    clock::start();
    if behaviour() == Behaviour::Crashes {
        SCB::sys_reset();
    }
    match &mut open(&mut [0; MIN_BUFFER], false) {
        Ok(ota) => serve(Uart::new(), ota),
        Err(_) => panic!("the loader writes a record before it starts anybody"),
    }
}

fn serve(mut uart: Uart, ota: &mut Engine<'_>) -> ! {
    if ota.report_start(true) == Ok(true) {
        SCB::sys_reset();
    }
    let mut next_ms = 0;
    loop {
        watchdog::feed();
        let now_ms = clock::now_ms();
        if ota.tick(now_ms) == Ok(true) {
            SCB::sys_reset();
        }
        if now_ms >= next_ms || asked(&mut uart) {
            next_ms = now_ms + PERIOD_MS;
            tell(&mut uart, ota);
        }
    }
}

/// Whether a line has come in.
fn asked(uart: &mut Uart) -> bool {
    let mut byte = [0];
    uart.read_ready() == Ok(true) && uart.read(&mut byte) == Ok(1) && byte == *b"\n"
}

fn tell(uart: &mut Uart, ota: &mut Engine<'_>) {
    let state = ota.boot_state();
    let slot = running_slot().unwrap_or_default();
    let descriptor = Descriptor::read(ota.flash(), slot);
    let version = descriptor.as_ref().map_or("", Descriptor::version);
    let committed = if state.committed { "true" } else { "false" };
    let parts = [
        "{\"src\":\"microbit\",\"method\":\"Mini.State\",\"params\":{\"version\":\"",
        version,
        "\",\"slot\":",
        digit(slot),
        ",\"active\":",
        digit(state.active),
        ",\"committed\":",
        committed,
        "}}\n",
    ];
    for part in parts {
        // The UART takes everything.
        let _ = uart.write(part.as_bytes());
    }
}

fn digit(number: u8) -> &'static str {
    "01234567".get(usize::from(number)..=usize::from(number)).unwrap_or("-1")
}
