//! The application: it has come up well when it gets as far as its engine.
#![no_std]
#![no_main]

use core::fmt::Write as _;
use core::panic::PanicInfo;

use cortex_m::peripheral::{Peripherals, SCB};
use qemu_sf2::clock;
use qemu_sf2::device::{Role, serve};
use qemu_sf2::download::Downloads;
use qemu_sf2::network::{Memory, Network, Sockets};
use qemu_sf2::uart::Uart;

#[cortex_m_rt::entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    static mut SOCKETS: Sockets = Sockets::new();
    let Some(mut core) = Peripherals::take() else { panic!("taken once") };
    clock::start(&mut core.SYST);
    match qemu_sf2::flash() {
        Ok(flash) => {
            let network = Network::new(MEMORY, SOCKETS, clock::moment(), clock::now_ms());
            let Err(error) = serve(flash, Role::Application, &mut Downloads::new(network));
            let _ = writeln!(Uart::new(), "app: {error:?}");
        }
        Err(error) => drop(writeln!(Uart::new(), "app: {error}")),
    }
    panic!("there is nothing to do")
}

/// The loader counts it as a start that failed.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
