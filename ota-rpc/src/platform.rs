//! What the services need of the device: `Sys.GetInfo`, random numbers, the time, its battery.

/// A device that can describe itself, and draw lots.
pub trait Platform {
    /// What is known of it now.
    fn info(&self) -> Info<'_>;

    /// 32 random bits for the nonces of digest authentication, or none if there are none to be had:
    /// then nobody can log in, because logins could be recorded and sent again.
    ///
    /// They must not be predictable, nor come again after a restart. A hardware generator does; so
    /// does a cipher's stream with a seed that is changed in flash at each start. A clock, or the
    /// same seed each time, does not.
    fn random(&self) -> Option<u32> {
        None
    }

    /// The time in ms since 1970, in UTC, if it is known: for messages that carry it.
    fn unix_ms(&self) -> Option<u64> {
        None
    }

    /// Whether the battery has not enough left for an update. Asked when FIMP wants one.
    fn battery_is_low(&self) -> bool {
        false
    }

    /// Whether a user has to start an update that FIMP wants.
    fn needs_user(&self) -> bool {
        false
    }
}

impl<P: Platform + ?Sized> Platform for &P {
    fn info(&self) -> Info<'_> {
        (**self).info()
    }

    fn random(&self) -> Option<u32> {
        (**self).random()
    }

    fn unix_ms(&self) -> Option<u64> {
        (**self).unix_ms()
    }

    fn battery_is_low(&self) -> bool {
        (**self).battery_is_low()
    }

    fn needs_user(&self) -> bool {
        (**self).needs_user()
    }
}

/// The result of `Sys.GetInfo`, but for the device's id. What is none is `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info<'a> {
    /// Name of the application.
    pub app: &'a str,
    /// Version of the image that runs: how tools see that an update took.
    pub fw_version: &'a str,
    /// Build id of the image that runs.
    pub fw_id: &'a str,
    /// Version of the system beneath the application.
    pub mg_version: Option<&'a str>,
    /// Build id of the system beneath the application.
    pub mg_id: Option<&'a str>,
    /// MAC address, 12 hexadecimal digits.
    pub mac: Option<&'a str>,
    /// The platform's name, as bundles give it.
    pub arch: &'a str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Public key of the device.
    pub public_key: Option<&'a str>,
    /// Heap, or all of RAM where there is none, in bytes.
    pub ram_size: u64,
    /// Free of it, in bytes.
    pub ram_free: u64,
    /// The least that was ever free of it, in bytes.
    pub ram_min_free: u64,
    /// File system, in bytes.
    pub fs_size: u64,
    /// Free of it, in bytes.
    pub fs_free: u64,
    /// Wi-Fi, if there is one.
    pub wifi: Option<Wifi<'a>>,
    /// IPv4 address on Ethernet, if there is one.
    pub eth_ip: Option<&'a str>,
}

/// The state of Wi-Fi. What is none is `null`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wifi<'a> {
    /// Address as a station.
    pub sta_ip: Option<&'a str>,
    /// Address as an access point.
    pub ap_ip: Option<&'a str>,
    /// `disconnected`, `connecting`, `connected` or `got ip`.
    pub status: &'a str,
    /// The network joined.
    pub ssid: Option<&'a str>,
}
