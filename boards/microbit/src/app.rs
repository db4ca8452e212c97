//! The application: it has come up well when it gets as far as its engine.

use core::fmt::Write as _;

use cortex_m::peripheral::SCB;
use ota_core::flash::OneDevice;

use crate::behaviour::Behaviour;
use crate::device::{Role, serve};
use crate::uart::Uart;
use crate::{LAYOUT, clock, running_slot, watchdog};

/// Runs it.
pub fn run() -> ! {
    watchdog::feed();
    clock::start();
    let behaviour = behaviour();
    match behaviour {
        Behaviour::Crashes => SCB::sys_reset(),
        Behaviour::Hangs => loop {
            cortex_m::asm::wfi();
        },
        Behaviour::Healthy | Behaviour::NeverCommits | Behaviour::BadStart => {}
    }
    let Err(error) = serve(Uart::new(), Role::Application(behaviour));
    let _ = writeln!(Uart::new(), "app: {error}");
    panic!("there is nothing to do")
}

/// What the image that runs is marked to do.
pub(crate) fn behaviour() -> Behaviour {
    let Ok(mut map) = OneDevice::new(crate::flash(), LAYOUT) else { panic!("the layout is wrong") };
    running_slot().map_or(Behaviour::Healthy, |slot| Behaviour::in_slot(&mut map, slot))
}
