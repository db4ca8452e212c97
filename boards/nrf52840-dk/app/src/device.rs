//! The engine and the RPC service on the UART, until the next reset.

use cortex_m::peripheral::SCB;
use embassy_embedded_hal::adapter::BlockingAsync;
use embassy_futures::yield_now;
use embassy_nrf::buffered_uarte::BufferedUarte;
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::wdt::WatchdogHandle;
use embassy_time::{Duration, Instant};
use nrf52840_dk::{FLASH, LAYOUT, PAGE, TRIALS};
use ota_core::flash::AsyncOneDevice;
use ota_core::{Change, Config as EngineConfig, ImageInfo, Updater};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::platform::Info;
use ota_rpc::service::{Action, SourceError};
use ota_rpc::{Awaited, ChannelId, Config, Platform, Service};

use crate::line::Line;

/// What bundles for this board name as their platform.
const PLATFORM: &str = "nrf52840-dk";
/// The longest request, in bytes: 8 KiB in base64.
const RECEIVE: usize = 12 * 1024;
/// The longest reply, with what is around it.
const SEND: usize = 1200;
/// The most bytes of an update that one request brings.
const CHUNK: usize = RECEIVE / 4 * 3;
/// How long to wait for input when there is nothing to do.
const PATIENCE: Duration = Duration::from_millis(10);

type Flash = BlockingAsync<Nvmc<'static>>;
type Engine<'b> = Awaited<'b, AsyncOneDevice<'static, Flash>, CHUNK>;

/// What the device says of itself.
struct Board {
    image: Option<ImageInfo>,
}

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        let text = |of: fn(&ImageInfo) -> &str| self.image.as_ref().map(of).unwrap_or_default();
        Info {
            app: "nrf52840-app",
            fw_version: text(ImageInfo::version),
            fw_id: text(ImageInfo::build_id),
            arch: PLATFORM,
            uptime_s: Instant::now().as_secs(),
            ram_size: 256 * 1024,
            ..Info::default()
        }
    }
}

/// Serves the UART until a reset.
pub(crate) async fn serve(
    mut uart: BufferedUarte<'_>,
    flash: Flash,
    running: Option<u8>,
    mut watchdog: WatchdogHandle,
) {
    let Ok(map) = AsyncOneDevice::new(flash, LAYOUT, FLASH.erase_value) else {
        panic!("the layout was checked when this was compiled")
    };
    let config = EngineConfig { trials: TRIALS, running, ..EngineConfig::new(PLATFORM) };
    let mut buffer = [0; PAGE as usize];
    let updater = match Updater::open(map, config, &mut buffer, now_ms()) {
        Ok(updater) => updater,
        Err(_error) => {
            // The loader writes a record before it starts an application: this one was started
            // without it, by a debugger.
            #[cfg(feature = "defmt")]
            defmt::error!("no updates: {}", _error);
            return feed(watchdog).await;
        }
    };
    let mut engine: Engine<'_> = Awaited::new(updater);
    let image = engine.updater().running_image();
    let mut service = Service::new(Config::new("nrf52840"), Board { image });
    good_start(&mut engine).await;
    let (mut receive, mut send) = ([0; RECEIVE], [0; SEND]);
    let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
    let mut line = Line::default();
    loop {
        watchdog.pet();
        if engine.updater().tick_async(now_ms()).await == Ok(true) {
            SCB::sys_reset();
        }
        // One flash operation at a time; the reply to what brought the bytes waits for them.
        engine.work().await;
        if engine.is_writing() {
            yield_now().await;
            continue;
        }
        let mut patience = Duration::MIN;
        if let Ok(step) = port.step(&mut line, &mut service, &mut engine, now_ms()) {
            if step.is_idle {
                patience = PATIENCE;
            }
            let refuse = match step.action {
                Some(Action::Reboot) => SCB::sys_reset(),
                Some(Action::Download(_)) => true,
                Some(Action::AbortDownload) | None => false,
            };
            if refuse {
                let message = "this board has no network: push over its serial line";
                service.end_feed(Err(SourceError { code: -10, message }), &mut engine);
            }
        }
        line.send(&mut uart).await;
        line.receive(&mut uart, patience).await;
        yield_now().await;
    }
}

/// It has come this far, so it has come up well: that commits an image without a commit timeout.
async fn good_start(engine: &mut Engine<'_>) {
    let updater = engine.updater();
    if updater.record().committed() {
        return;
    }
    let _started = updater.change_async(Change::GoodStart).await;
    #[cfg(feature = "defmt")]
    defmt::info!("good start: {}", _started);
}

/// Without an engine the product goes on as it is.
async fn feed(mut watchdog: WatchdogHandle) {
    loop {
        watchdog.pet();
        embassy_time::Timer::after_secs(1).await;
    }
}

fn now_ms() -> u64 {
    Instant::now().as_millis()
}
