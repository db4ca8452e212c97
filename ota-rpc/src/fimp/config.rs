//! What a device is told at the start, and what updates are called.

use super::address::Address;

/// Which wording of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Revision {
    /// `cmd.ota_update.install`, a status that can be asked for, error `invalid_file`.
    #[default]
    Draft,
    /// Of 2023: `cmd.ota_update.start`, error `invalid_image`. An update that a user has to start
    /// fails with `needs_user_action`.
    Current,
}

/// What the service is told at the start.
#[derive(Clone, Copy, Debug)]
pub struct Config<'d> {
    /// Where the device is.
    pub address: Address<'d>,
    /// What is advertised, and how errors are called. Commands of both are taken.
    pub revision: Revision,
    /// `power_source` of the inclusion report: `ac`, `dc` or `battery`.
    pub power_source: &'d str,
}

impl<'d> Config<'d> {
    /// The draft's wording, on mains.
    pub const fn new(address: Address<'d>) -> Self {
        Self { address, revision: Revision::Draft, power_source: "ac" }
    }
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Outcome {
    /// The new image runs, and is committed.
    Success = 0,
    /// The battery is too low.
    LowBattery = 1,
    /// The device takes no update now.
    NotUpgradable = 2,
    /// The file is no update for this device, is damaged, or is not there.
    InvalidFile = 3,
    /// Anything else: not fetched, flash failed, aborted, rolled back.
    Other = 4,
    /// A user has to start it. In the current revision only.
    NeedsUserAction = 5,
}

impl Outcome {
    pub(super) fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Success,
            1 => Self::LowBattery,
            2 => Self::NotUpgradable,
            3 => Self::InvalidFile,
            4 => Self::Other,
            5 => Self::NeedsUserAction,
            _ => return None,
        })
    }

    /// `error` of the end report.
    pub const fn error(self, revision: Revision) -> &'static str {
        match (self, revision) {
            (Self::Success, _) => "",
            (Self::LowBattery, _) => "low_battery",
            (Self::NotUpgradable, _) => "not_upgradable",
            (Self::InvalidFile, Revision::Draft) => "invalid_file",
            (Self::InvalidFile, Revision::Current) => "invalid_image",
            (Self::Other, _) => "other",
            (Self::NeedsUserAction, _) => "needs_user_action",
        }
    }

    /// `substate` of the status report.
    pub(super) const fn substate(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::LowBattery => "LOW BATTERY",
            Self::NotUpgradable => "NOT UPGRADABLE",
            Self::InvalidFile => "INVALID FILE",
            Self::Other | Self::NeedsUserAction => "ERROR",
        }
    }
}
