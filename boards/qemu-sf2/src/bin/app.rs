//! The application: RPC on the UART, updates by pushes over it.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::fmt::Write as _;
use core::panic::PanicInfo;

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals, SCB};
use ota_core::flash::OneDevice;
use ota_core::{Config as EngineConfig, ImageInfo, Updater};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::platform::Info;
use ota_rpc::service::{Action, SourceError};
use ota_rpc::{ChannelId, Config, Platform, Service};
use qemu_sf2::uart::Uart;
use qemu_sf2::{LAYOUT, PLATFORM};

/// What the timer counts in a second.
const CLOCK_HZ: u32 = 142_000_000;

/// Milliseconds since the start.
static TICKS: Mutex<RefCell<u64>> = Mutex::new(RefCell::new(0));

#[cortex_m_rt::exception]
fn SysTick() {
    free(|section| *TICKS.borrow(section).borrow_mut() += 1);
}

fn now_ms() -> u64 {
    free(|section| *TICKS.borrow(section).borrow())
}

/// What the device says of itself.
struct Board {
    image: Option<ImageInfo>,
}

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        let text = |of: fn(&ImageInfo) -> &str| self.image.as_ref().map(of).unwrap_or_default();
        Info {
            app: "sf2-app",
            fw_version: text(ImageInfo::version),
            fw_id: text(ImageInfo::build_id),
            arch: PLATFORM,
            uptime_s: now_ms() / 1000,
            ram_size: 64 * 1024,
            ..Info::default()
        }
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut core = Peripherals::take().expect("taken once");
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(CLOCK_HZ / 1000 - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();

    let mut uart = Uart;
    let flash = qemu_sf2::flash().expect("the loader has read it");
    let map = OneDevice::new(flash, LAYOUT).expect("the loader has used it");
    let mut buffer = [0; 4096];
    let config = EngineConfig { trials: 1, ..EngineConfig::new(PLATFORM) };
    let mut ota = match Updater::open(map, config, &mut buffer, now_ms()) {
        Ok(ota) => ota,
        Err(error) => {
            let _ = writeln!(uart, "app: {error:?}");
            panic!("no engine");
        }
    };
    let image = ota.running_image();
    let mut service = Service::new(Config::new("sf2"), Board { image });
    match ota.report_start(true) {
        Ok(true) => SCB::sys_reset(),
        Ok(false) => {}
        Err(error) => drop(writeln!(uart, "app: {error}")),
    }
    let (mut receive, mut send) = ([0; 12 * 1024], [0; 1200]);
    let mut port =
        Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
    let _ = writeln!(uart, "app: {} runs", service.platform().info().fw_version);
    loop {
        let now = now_ms();
        if matches!(ota.tick(now), Ok(true)) {
            SCB::sys_reset();
        }
        // This UART never fails.
        let Ok(step) = port.step(&mut uart, &mut service, &mut ota, now) else { continue };
        let refuse = match step.action {
            Some(Action::Reboot) => SCB::sys_reset(),
            Some(Action::Download(_)) => true,
            Some(Action::AbortDownload) | None => false,
        };
        if refuse {
            let message = "this board has no network yet: push over its serial line";
            service.end_feed(Err(SourceError { code: -10, message }), &mut ota);
        }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
