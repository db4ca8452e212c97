//! What a simulated device says of itself: `Sys.GetInfo`, and the headers of its downloads.

use ota_core::ImageInfo;
use ota_rpc::Platform;
use ota_rpc::platform::Info;

use super::{Settings, Switches};
use crate::layout::Board;

/// Name of the application that every simulated device runs.
const APP: &str = "ota-sim";

pub(super) struct SimPlatform<'m> {
    settings: Settings<'m>,
    pub(super) switches: Switches,
    version: String,
    build_id: String,
    started_ms: u64,
    ram_size: u64,
    data_size: u64,
    pub(super) now_ms: u64,
}

impl<'m> SimPlatform<'m> {
    pub(super) fn new(
        settings: Settings<'m>,
        switches: Switches,
        board: &Board,
        image: Option<&ImageInfo>,
        now_ms: u64,
    ) -> Self {
        let text = |of: fn(&ImageInfo) -> &str| image.map(of).unwrap_or_default().to_owned();
        Self {
            settings,
            switches,
            version: text(ImageInfo::version),
            build_id: text(ImageInfo::build_id),
            started_ms: now_ms,
            ram_size: board.buffer_size() as u64,
            data_size: board.data_room().into(),
            now_ms,
        }
    }

    pub(super) fn uptime_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.started_ms)
    }

    /// What a Mongoose OS device sends along when it fetches an update: servers may choose by it.
    pub(super) fn download_headers(&self) -> Vec<(&'static str, String)> {
        let Self { version, build_id, .. } = self;
        let Settings { id, mac, engine, .. } = self.settings;
        let (platform, own) = (engine.platform, env!("CARGO_PKG_VERSION"));
        vec![
            ("X-MGOS-Device-ID", format!("{id} {mac}")),
            ("X-MGOS-FW-Version", format!("{platform} {version} {build_id}")),
            ("User-Agent", format!("{APP}/{version} (ota-sim/{own}; {platform})")),
        ]
    }
}

impl Platform for SimPlatform<'_> {
    fn info(&self) -> Info<'_> {
        Info {
            app: APP,
            fw_version: &self.version,
            fw_id: &self.build_id,
            mac: Some(self.settings.mac),
            arch: self.settings.engine.platform,
            uptime_s: self.uptime_ms() / 1000,
            ram_size: self.ram_size,
            fs_size: self.data_size,
            ..Info::default()
        }
    }

    fn random(&self) -> Option<u32> {
        getrandom::u32().ok()
    }

    fn unix_ms(&self) -> Option<u64> {
        Some(self.settings.epoch_ms.saturating_add(self.now_ms))
    }

    fn battery_is_low(&self) -> bool {
        self.switches.battery_is_low
    }

    fn needs_user(&self) -> bool {
        self.switches.needs_user
    }
}
