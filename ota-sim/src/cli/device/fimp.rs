//! The device's `ota` service of FIMP.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ota_rpc::fimp::{Address, Config};
use ota_sim::device::{FimpSettings, Switches};
use ota_sim::host::broker::Broker;
use ota_sim::host::server::Transport;
use ota_sim::host::{DeviceHandle, DeviceHost, fimp};
use rumqttc::MqttOptions;

use super::hint::tell_once;
use crate::cli::broker::BrokerParser;
use crate::cli::fimp::{Revision, address};
use crate::cli::print;

/// Told when an update waits.
pub(super) const WAITS: &str = "FIMP: an update waits for its user: type start, and Enter";

#[derive(Args)]
#[group(id = "fimp_options")]
pub(super) struct Options {
    /// Broker of a hub that drives updates by FIMP: mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts:// for
    /// TLS
    #[arg(long, value_name = "URL", value_parser = BrokerParser)]
    fimp: Option<Broker>,
    /// Where the hub finds the device; without it /rt:dev/rn:ID/ad:1/sv:ota/ad:1 with its --id. No two
    /// devices on one broker may have the same rn
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "fimp")]
    fimp_address: Option<Address<'static>>,
    /// Wording of the service: what it advertises, and how it calls errors
    #[arg(long, value_name = "REVISION", default_value = "draft", requires = "fimp")]
    fimp_revision: Revision,
    /// Where update files are that the hub names
    #[arg(long, value_name = "FOLDER", default_value = ".", requires = "fimp")]
    fimp_root: PathBuf,
    /// The battery has not enough left for an update of the hub
    #[arg(long, requires = "fimp")]
    fimp_battery_low: bool,
    /// Updates of the hub wait until start is typed here, and Enter
    #[arg(long, requires = "fimp")]
    fimp_user_starts: bool,
}

/// A broker, and how to connect to it.
pub(super) struct Taken {
    broker: Broker,
    options: MqttOptions,
    address: Address<'static>,
    /// What it is told about.
    line: String,
}

impl Options {
    pub(super) fn is_used(&self) -> bool {
        self.fimp.is_some()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.fimp.as_ref().is_some_and(|broker| broker.is_tls)
    }

    /// Refuses to let strangers replace the firmware unasked.
    pub(super) fn check(&self, may_be_open: bool) -> Result<()> {
        let Some(broker) = &self.fimp else { return Ok(()) };
        ensure!(
            broker.is_loopback() || may_be_open,
            "--fimp {broker} can be reached by others, and FIMP has no credentials: whoever may publish \
             there could replace the firmware; use a broker on 127.0.0.1, or give --insecure if all who \
             may publish there are yours"
        );
        ensure!(
            broker.path.is_empty(),
            "--fimp {broker}/...: the device is not named there; leave the path out, and give \
             --fimp-address /rt:dev/rn:NAME/ad:1/sv:ota/ad:THING"
        );
        let root = self.fimp_root.display();
        let found = std::fs::metadata(&self.fimp_root);
        let found = found.with_context(|| format!("--fimp-root {root}: cannot be read"))?;
        ensure!(found.is_dir(), "--fimp-root {root}: is no folder");
        Ok(())
    }

    /// The address given, or one of the device's own.
    fn address(&self, device_id: &str) -> Address<'static> {
        self.fimp_address.unwrap_or_else(|| {
            let name = device_id.chars().take(Address::MAX_NAME_BYTES);
            let fair = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            let resource = crate::cli::forever(&name.map(fair).collect::<String>());
            Address { resource, adapter: "1", thing: "1" }
        })
    }

    /// The service, if there is one.
    pub(super) fn settings(&self, device_id: &str) -> Option<FimpSettings<'static>> {
        self.fimp.as_ref()?;
        let address = self.address(device_id);
        let config = Config { revision: self.fimp_revision.into(), ..Config::new(address) };
        let root: &'static Path = Box::leak(self.fimp_root.clone().into_boxed_path());
        Some(FimpSettings { config, root })
    }

    /// Reads what the connection needs.
    pub(super) fn take(
        &self,
        device_id: &str,
        authorities: Option<&Path>,
    ) -> Result<Option<Taken>> {
        let Some(broker) = self.fimp.clone() else { return Ok(None) };
        // Two clients of one name end each other's connections.
        let options = broker.options(&format!("{device_id}-fimp"), authorities)?;
        let address = self.address(device_id);
        let url = broker.url_with_login();
        let mut line = format!("FIMP at {broker}{address}; try: ota-sim fimp watch {url}");
        if let Some(path) = authorities.filter(|_| broker.is_tls) {
            line += &format!(" --ca {}", path.display());
        }
        Ok(Some(Taken { broker, options, address, line }))
    }

    /// Sets what is around the device, before the hub can want anything.
    pub(super) fn start(&self, host: &DeviceHost) -> Result<()> {
        let (battery_is_low, needs_user) = (self.fimp_battery_low, self.fimp_user_starts);
        host.switch(Switches { battery_is_low, needs_user });
        if needs_user {
            let handle = host.handle();
            let thread = std::thread::Builder::new().name("console".to_owned());
            thread.spawn(move || listen(&handle)).context("cannot read the console")?;
        }
        Ok(())
    }
}

impl Taken {
    /// `is_protected`: others are asked for credentials.
    pub(super) fn serve(self, host: &DeviceHost, is_protected: bool) -> Result<Transport> {
        let Self { broker, options, address, line } = self;
        if is_protected {
            tracing::warn!(
                "--fimp: FIMP asks nobody for credentials: whoever may publish to {broker} may replace \
                 the firmware"
            );
        }
        let tell = tell_once(broker, options.client_id(), line);
        let handle = host.handle();
        Ok(Transport::start("fimp", move || fimp::serve(options, address, handle, tell))?)
    }
}

/// What the user types, until there is no more.
fn listen(device: &DeviceHandle) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let said = match line.trim() {
            "" => continue,
            "start" if device.user_starts() => "FIMP: the user has started the update",
            "start" => "FIMP: nothing was started: no update waits, or it may not begin now",
            _ => "FIMP: type start, and Enter, to start an update that waits",
        };
        let _ = print(said);
    }
}
