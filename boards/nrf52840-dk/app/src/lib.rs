//! The application of the board, for whichever slot it is linked: it blinks, which stands for its
//! work, and answers RPC on the UART of the board's debugger.
#![no_std]

mod device;
mod line;

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
#[cfg(feature = "defmt")]
use defmt_rtt as _;
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_executor::Spawner;
use embassy_nrf::buffered_uarte::{self, BufferedUarte};
use embassy_nrf::config::{HfclkSource, LfclkSource};
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::peripherals::{UARTE0, WDT};
use embassy_nrf::wdt::{HaltConfig, SleepConfig, Watchdog, WatchdogHandle};
use embassy_nrf::{Peri, bind_interrupts, config, uarte, wdt};
use embassy_time::Timer;
use nrf52840_dk::{SLOT_ADDRESSES, WATCHDOG_TICKS};

bind_interrupts!(struct Interrupts {
    UARTE0 => buffered_uarte::InterruptHandler<UARTE0>;
});

/// What the UART receives while an erase of 85 ms stops the processor is 980 bytes at 115,200 baud;
/// each half has room for twice that.
const UART_RECEIVE: usize = 4096;
const UART_SEND: usize = 128;

/// The application. It comes back only by a reset.
pub async fn run(spawner: Spawner) {
    let mut config = config::Config::default();
    config.hfclk_source = HfclkSource::ExternalXtal;
    config.lfclk_source = LfclkSource::ExternalXtal;
    let chip = embassy_nrf::init(config);
    let watchdog = watchdog(chip.WDT);
    if let Ok(task) = blink(Output::new(chip.P0_13, Level::High, OutputDrive::Standard)) {
        spawner.spawn(task);
    }
    let (mut receive, mut send) = ([0; UART_RECEIVE], [0; UART_SEND]);
    // The line of the debugger's virtual port, 115,200 8N1.
    let uart = BufferedUarte::new(
        chip.UARTE0,
        chip.TIMER1,
        chip.PPI_CH0,
        chip.PPI_CH1,
        chip.PPI_GROUP0,
        chip.P0_08,
        chip.P0_06,
        Interrupts,
        uarte::Config::default(),
        &mut receive,
        &mut send,
    );
    let flash = BlockingAsync::new(Nvmc::new(chip.NVMC));
    device::serve(uart, flash, running_slot(), watchdog).await
}

/// The watchdog, started here unless the loader did, or an application before a soft reset.
fn watchdog(peripheral: Peri<'static, WDT>) -> WatchdogHandle {
    let mut config = wdt::Config::default();
    config.timeout_ticks = WATCHDOG_TICKS;
    config.action_during_sleep = SleepConfig::Run;
    config.action_during_debug_halt = HaltConfig::Pause;
    match Watchdog::try_new(peripheral, config) {
        Ok((_, [handle])) => handle,
        // It runs with another period, which cannot be changed: fed it must be all the same.
        // SAFETY: it was started, and has its first handle whoever did that.
        Err(_) => unsafe { WatchdogHandle::steal::<WDT>(0) },
    }
}

/// The slot that this program runs in: where its vector table is.
fn running_slot() -> Option<u8> {
    // SAFETY: reads a register of the processor's.
    let table = unsafe { (*SCB::PTR).vtor.read() };
    (0..).zip(SLOT_ADDRESSES).find_map(|(slot, address)| (address == table).then_some(slot))
}

/// The product's work.
#[embassy_executor::task]
async fn blink(mut led: Output<'static>) {
    loop {
        led.toggle();
        Timer::after_millis(500).await;
    }
}

/// The loader counts it as a start that failed, if the image is on trial.
#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("panic: {}", defmt::Display2Format(_info));
    SCB::sys_reset()
}
