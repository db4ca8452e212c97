//! The engine and the RPC service on the UART, until the next reset: the application's work, and
//! that of a loader that has nothing to boot.

use core::convert::Infallible;
use core::fmt::Write as _;

use cortex_m::peripheral::SCB;
use ota_core::flash::OneDevice;
use ota_core::{Config as EngineConfig, ImageInfo, OpenError, Updater};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::platform::Info;
use ota_rpc::service::{Action, SourceError};
use ota_rpc::{ChannelId, Config, Platform, Service};

use crate::behaviour::Behaviour;
use crate::nvmc::Nvmc;
use crate::uart::Uart;
use crate::{LAYOUT, PLATFORM, RAM_SIZE, clock, running_slot, watchdog};

/// The longest request, in bytes: 1 KiB in base64.
const RECEIVE: usize = 1536;
/// The longest reply, with what is around it.
const SEND: usize = 1088;
/// What the engine is lent: the manifest of a bundle with two applications, and a page.
const BUFFER: usize = 2048;

/// The engine of this board.
pub(crate) type Engine<'b> = Updater<'b, OneDevice<'static, Nvmc>>;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The application, which has come up as it is meant to.
    Application(Behaviour),
    /// The loader, which waits for something to boot.
    Recovery,
}

/// What the device says of itself.
struct Board {
    role: Role,
    image: Option<ImageInfo>,
}

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        let text = |of: fn(&ImageInfo) -> &str| self.image.as_ref().map(of).unwrap_or_default();
        Info {
            app: match self.role {
                Role::Application(_) => "microbit-app",
                Role::Recovery => "microbit-recovery",
            },
            fw_version: text(ImageInfo::version),
            fw_id: text(ImageInfo::build_id),
            arch: PLATFORM,
            uptime_s: clock::now_ms() / 1000,
            ram_size: RAM_SIZE.into(),
            ..Info::default()
        }
    }
}

/// Serves the UART, for ever or until a reset.
///
/// # Errors
/// [`OpenError`]: the record cannot be read.
pub fn serve(uart: Uart, role: Role) -> Result<Infallible, OpenError> {
    let mut buffer = [0; BUFFER];
    // Used where it is: each move of an engine would be 2 KiB of a stack of 15.
    match &mut open(&mut buffer, role == Role::Recovery) {
        Ok(ota) => run(uart, role, ota),
        Err(error) => Err(*error),
    }
}

/// The engine, on its own stack.
#[inline(never)]
pub(crate) fn open(buffer: &mut [u8], recovery: bool) -> Result<Engine<'_>, OpenError> {
    let Ok(map) = OneDevice::new(crate::flash(), LAYOUT) else { panic!("the layout is wrong") };
    let config = EngineConfig { running: running_slot(), recovery, ..EngineConfig::new(PLATFORM) };
    Updater::open(map, config, buffer, clock::now_ms())
}

#[inline(never)]
fn run(mut uart: Uart, role: Role, ota: &mut Engine<'_>) -> ! {
    match role {
        Role::Application(Behaviour::NeverCommits) | Role::Recovery => {}
        Role::Application(Behaviour::BadStart) => report_start(&mut uart, ota, false),
        Role::Application(_) => report_start(&mut uart, ota, true),
    }
    let image = ota.running_image();
    let mut service = Service::new(Config::new(PLATFORM), Board { role, image });
    let Info { app, fw_version, .. } = service.platform().info();
    let _ = writeln!(uart, "{app}: {fw_version}");
    let (mut receive, mut send) = ([0; RECEIVE], [0; SEND]);
    let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
    loop {
        watchdog::feed();
        let now_ms = clock::now_ms();
        if role != Role::Recovery && ota.tick(now_ms) == Ok(true) {
            SCB::sys_reset();
        }
        // What was lost of a frame is sent again by the peer.
        let Ok(step) = port.step(&mut uart, &mut service, ota, now_ms) else { continue };
        let refuse = match step.action {
            Some(Action::Reboot) => SCB::sys_reset(),
            Some(Action::Download(_)) => true,
            Some(Action::AbortDownload) | None => false,
        };
        if refuse {
            let message = "this board has no network: push over its serial line";
            service.end_feed(Err(SourceError { code: -10, message }), ota);
        }
    }
}

/// Tells the engine how the start went, and resets if the image is not to go on.
fn report_start(uart: &mut Uart, ota: &mut Engine<'_>, good: bool) {
    match ota.report_start(good) {
        Ok(true) => SCB::sys_reset(),
        Ok(false) => {}
        Err(error) => drop(writeln!(uart, "app: {error}")),
    }
}
