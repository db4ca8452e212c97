//! The engine and the RPC service on the UART, until the next reset: the application's work, and that
//! of a loader that has nothing to boot.

use core::convert::Infallible;
use core::fmt::Write as _;
use core::net::Ipv4Addr;

use cortex_m::peripheral::SCB;
use heapless::String;
use ota_core::descriptor::Head;
use ota_core::flash::OneDevice;
use ota_core::json::Text;
use ota_core::{Config as EngineConfig, ImageInfo, OpenError, Updater};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::platform::Info;
use ota_rpc::service::{Action, SourceError};
use ota_rpc::{ChannelId, Config, Ota, Platform, Service};

use crate::log::{Watch, log};
use crate::mark::{self, Behaviour};
use crate::uart::Uart;
use crate::{Flash, LAYOUT, PLATFORM, clock, idle};

/// What the device calls itself.
pub const DEVICE: &str = "sf2";

/// The longest request, in bytes: 8 KiB in base64.
const RECEIVE: usize = 12 * 1024;
/// The longest reply, with what is around it.
const SEND: usize = 1200;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application, which has come up well.
    Application,
    /// The loader, which waits for something to boot.
    Recovery,
}

/// Where updates are downloaded from. A step waits for nothing.
pub trait Source {
    /// Begins to fetch an update, in place of one that is under way.
    fn start(&mut self, url: Text<'_>, now_ms: u64);

    /// Stops fetching it.
    fn stop(&mut self);

    /// Hands what has come to the service, and tells it the end. False: there was nothing to do.
    fn step<O: Ota, P: Platform>(
        &mut self,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> bool;

    /// The board's address, if it has one.
    fn address(&self) -> Option<Ipv4Addr>;

    /// The board's MAC address, if it has one: 12 hexadecimal digits.
    fn mac(&self) -> Option<&'static str>;
}

/// No network: updates come over the serial line.
#[derive(Debug, Default)]
pub struct NoNetwork {
    asked: bool,
}

impl Source for NoNetwork {
    fn start(&mut self, _: Text<'_>, _: u64) {
        self.asked = true;
    }

    fn stop(&mut self) {
        self.asked = false;
    }

    fn step<O: Ota, P: Platform>(
        &mut self,
        service: &mut Service<'_, P>,
        ota: &mut O,
        _: u64,
    ) -> bool {
        let asked = core::mem::take(&mut self.asked);
        if asked {
            let message = "the loader has no network: push over its serial line";
            service.end_feed(Err(SourceError { code: -10, message }), ota);
        }
        asked
    }

    fn address(&self) -> Option<Ipv4Addr> {
        None
    }

    fn mac(&self) -> Option<&'static str> {
        None
    }
}

/// What the device says of itself.
struct Board {
    role: Role,
    image: Option<ImageInfo>,
    /// The version in the memory that runs.
    version: Option<&'static str>,
    mac: Option<&'static str>,
    address: Option<Ipv4Addr>,
    /// The same as text.
    ip: String<15>,
}

impl Board {
    fn note(&mut self, address: Option<Ipv4Addr>) {
        if address != self.address {
            self.address = address;
            self.ip.clear();
            // The longest has 15 characters.
            let _ = address.map(|address| write!(self.ip, "{address}"));
        }
    }
}

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        let text = |of: fn(&ImageInfo) -> &str| self.image.as_ref().map(of).unwrap_or_default();
        Info {
            app: match self.role {
                Role::Application => "sf2-app",
                Role::Recovery => "sf2-recovery",
            },
            fw_version: self.version.unwrap_or_else(|| text(ImageInfo::version)),
            fw_id: text(ImageInfo::build_id),
            mac: self.mac,
            arch: PLATFORM,
            uptime_s: clock::now_ms() / 1000,
            ram_size: 64 * 1024,
            eth_ip: self.address.map(|_| &*self.ip),
            ..Info::default()
        }
    }
}

/// Serves the UART, for ever or until a reset.
///
/// # Errors
/// [`OpenError`]: the record cannot be read.
pub fn serve(flash: Flash, role: Role, source: &mut impl Source) -> Result<Infallible, OpenError> {
    let mut uart = Uart::new();
    idle::start();
    let Ok(map) = OneDevice::new(flash, LAYOUT) else { panic!("the layout is wrong") };
    let mut buffer = [0; 4096];
    let recovery = role == Role::Recovery;
    let config = EngineConfig { recovery, ..EngineConfig::new(PLATFORM) };
    let mut ota = Updater::open(map, config, &mut buffer, clock::now_ms())?;
    let image = match role {
        Role::Application => ota.running_image(),
        Role::Recovery => None,
    };
    let end = image.as_ref().map_or(&[][..], |_| running_end(&mut ota));
    let version = mark::version_in(end);
    let board = Board { role, image, version, mac: source.mac(), address: None, ip: String::new() };
    let mut service = Service::new(Config::new(DEVICE), board);
    if role == Role::Application {
        report_start(&mut ota, &mut uart, Behaviour::of(end));
    }
    let Info { app, fw_version, .. } = service.platform().info();
    let _ = writeln!(uart, "{app}: {fw_version}");
    log!("runs: version {=str}", fw_version);
    let mut watch = Watch::default();
    let (mut receive, mut send) = ([0; RECEIVE], [0; SEND]);
    let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
    loop {
        let now_ms = clock::now_ms();
        if role == Role::Application && ota.tick(now_ms) == Ok(true) {
            log!("reboot: nobody has committed in time");
            SCB::sys_reset();
        }
        service.platform_mut().note(source.address());
        // This UART never fails.
        let Ok(step) = port.step(&mut uart, &mut service, &mut ota, now_ms) else { continue };
        let is_idle = step.is_idle;
        match step.action {
            Some(Action::Reboot) => {
                log!("reboot");
                SCB::sys_reset()
            }
            Some(Action::Download(download)) => {
                log!("download: begins");
                source.start(download.url, now_ms);
            }
            Some(Action::AbortDownload) => {
                log!("download: not wanted any more");
                source.stop();
            }
            None => {}
        }
        let is_waiting = !source.step(&mut service, &mut ota, now_ms);
        watch.look(&ota, &service);
        if is_waiting && is_idle {
            idle::wait();
        }
    }
}

/// The end of the image that runs.
fn running_end(ota: &mut Updater<'_, OneDevice<'_, Flash>>) -> &'static [u8] {
    let booted = Updater::boot_state(ota).booted;
    let head = booted.and_then(|slot| Head::read(ota.flash(), slot).ok());
    head.map_or(&[], |head| mark::end_of_running(&head))
}

/// Reports the start of the application, as its image is marked.
fn report_start(
    ota: &mut Updater<'_, OneDevice<'_, Flash>>,
    uart: &mut Uart,
    behaviour: Behaviour,
) {
    let is_good = match behaviour {
        Behaviour::Healthy => true,
        Behaviour::BadStart => false,
        Behaviour::NeverCommits => return,
        Behaviour::Crashes => SCB::sys_reset(),
        Behaviour::Hangs => loop {
            cortex_m::asm::nop();
        },
    };
    log!("start: good {}", is_good);
    match ota.report_start(is_good) {
        Ok(true) => SCB::sys_reset(),
        Ok(false) => {}
        Err(error) => drop(writeln!(uart, "app: {error}")),
    }
}
