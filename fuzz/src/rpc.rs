//! A service with an engine that agrees to everything.

use std::fmt;

use ota_rpc::auth::Access;
use ota_rpc::ota::{Begin, BootState, BootStateChange, Ota, Progress, Report, Snapshot};
use ota_rpc::platform::{Info, Platform};
use ota_rpc::{Class, Config, Explain, Service};

/// The device's id.
pub(crate) const DEVICE: &str = "fuzz";

/// A service that has done nothing yet.
pub(crate) fn service() -> Service<'static, Board> {
    Service::new(Config::new(DEVICE), Board)
}

/// The same, for those whom it knows.
pub(crate) fn service_with(access: Access<'_>) -> Service<'_, Board> {
    Service::new(Config { access: Some(access), ..Config::new(DEVICE) }, Board)
}

/// An engine that remembers how much was written.
#[derive(Default)]
pub(crate) struct Engine {
    written: u32,
    refuses_jobs: bool,
    pub(crate) note: [u8; 16],
}

impl Engine {
    /// One that refuses whatever takes time, so that every reply comes at once.
    pub(crate) fn without_jobs() -> Self {
        Self { refuses_jobs: true, ..Self::default() }
    }

    fn job(&self) -> Result<(), TooBig> {
        if self.refuses_jobs { Err(TooBig) } else { Ok(()) }
    }
}

/// What the engine says to everything that it does not like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooBig;

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Image too big")
    }
}

impl Explain for TooBig {
    fn class(&self) -> Class {
        Class::Package
    }
}

impl Ota for Engine {
    type Error = TooBig;

    fn boot_state(&mut self) -> Result<BootState, TooBig> {
        Ok(BootState { active_slot: 0, is_committed: true, revert_slot: 0, commit_timeout_s: 0 })
    }

    fn set_boot_state(&mut self, _: &BootStateChange) -> Result<(), TooBig> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), TooBig> {
        Ok(())
    }

    fn revert(&mut self) -> Result<(), TooBig> {
        Ok(())
    }

    fn report(&mut self) -> Report {
        Report { running_slot: Some(0), reason: "factory" }
    }

    fn start_snapshot(&mut self, _: &Snapshot) -> Result<u8, TooBig> {
        self.job().map(|()| 1)
    }

    fn may_begin(&mut self) -> Result<(), TooBig> {
        self.job()
    }

    fn begin(&mut self, _: &Begin) -> Result<(), TooBig> {
        self.written = 0;
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), TooBig> {
        self.written += data.len() as u32;
        if self.written > 256 { Err(TooBig) } else { Ok(()) }
    }

    fn wanted_offset(&mut self) -> Option<u32> {
        Some(64)
    }

    fn seek(&mut self, offset: u32) -> bool {
        offset <= 64
    }

    fn end_of_input(&mut self) -> Result<(), TooBig> {
        self.job()
    }

    fn step(&mut self) -> Result<Progress, TooBig> {
        Ok(Progress::Done)
    }

    fn set_commit_timeout(&mut self, _: u32) {}

    fn abort(&mut self) -> Result<(), TooBig> {
        Ok(())
    }
}

/// A device without qualities.
#[derive(Debug)]
pub(crate) struct Board;

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        Info::default()
    }
}
