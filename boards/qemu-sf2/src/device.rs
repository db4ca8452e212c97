//! The engine and the RPC service on the UART, until the next reset: the application's work, and that
//! of a loader that has nothing to boot.

use core::fmt::Write as _;

use cortex_m::peripheral::SCB;
use ota_core::flash::OneDevice;
use ota_core::{Config as EngineConfig, ImageInfo, OpenError, Updater};
use ota_rpc::framing::port::{FlowControl, Port};
use ota_rpc::platform::Info;
use ota_rpc::service::{Action, SourceError};
use ota_rpc::{ChannelId, Config, Platform, Service};

use crate::uart::Uart;
use crate::{Flash, LAYOUT, PLATFORM, clock};

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
                Role::Application => "sf2-app",
                Role::Recovery => "sf2-recovery",
            },
            fw_version: text(ImageInfo::version),
            fw_id: text(ImageInfo::build_id),
            arch: PLATFORM,
            uptime_s: clock::now_ms() / 1000,
            ram_size: 64 * 1024,
            ..Info::default()
        }
    }
}

/// Serves the UART, for ever or until a reset.
///
/// # Errors
/// [`OpenError`]: the record cannot be read.
pub fn serve(flash: Flash, role: Role) -> Result<core::convert::Infallible, OpenError> {
    let mut uart = Uart;
    let Ok(map) = OneDevice::new(flash, LAYOUT) else { panic!("the layout is wrong") };
    let mut buffer = [0; 4096];
    let mut ota = Updater::open(map, EngineConfig::new(PLATFORM), &mut buffer, clock::now_ms())?;
    let image = match role {
        Role::Application => ota.running_image(),
        Role::Recovery => None,
    };
    let mut service = Service::new(Config::new("sf2"), Board { role, image });
    if role == Role::Application {
        match ota.report_start(true) {
            Ok(true) => SCB::sys_reset(),
            Ok(false) => {}
            Err(error) => drop(writeln!(uart, "app: {error}")),
        }
    }
    let Info { app, fw_version, .. } = service.platform().info();
    let _ = writeln!(uart, "{app}: {fw_version}");
    let (mut receive, mut send) = ([0; RECEIVE], [0; SEND]);
    let mut port = Port::serial(ChannelId(0), FlowControl::XonXoff, &mut receive, &mut send);
    loop {
        let now_ms = clock::now_ms();
        if role == Role::Application && ota.tick(now_ms) == Ok(true) {
            SCB::sys_reset();
        }
        // This UART never fails.
        let Ok(step) = port.step(&mut uart, &mut service, &mut ota, now_ms) else { continue };
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
