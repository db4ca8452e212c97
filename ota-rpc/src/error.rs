//! Error codes on the wire, and the one way from the engine's errors to them.
//!
//! Numbers and the first words of the texts are those that Mongoose OS devices send, because
//! scripts look at them. Unlike there, a message is never missing.

use core::fmt;

use ota_core::{ChangeError, Refused, StageError};

use crate::engine::EngineError;

/// The codes. Do not renumber: they are what peers see.
pub mod code {
    /// The request was refused, or an update failed: the message says why.
    pub const FAILED: i32 = -1;
    /// `OTA.SetBootState`: the arguments have no key that it knows.
    pub const NO_KNOWN_KEY: i32 = -2;
    /// `OTA.CreateSnapshot`: the boot state cannot be read.
    pub const BOOT_STATE_UNREADABLE: i32 = -2;
    /// The boot state was not changed: a slot cannot be booted, or the record not written.
    pub const BOOT_STATE_NOT_SET: i32 = -3;
    /// The commit timeout was not saved. Never sent: it is saved with the boot state or not at all.
    pub const COMMIT_TIMEOUT_NOT_SET: i32 = -4;
    /// Flash could not be written during an update.
    pub const WRITE_FAILED: i32 = -11;
    /// `OTA.Update`: there is no such file (HTTP status 404).
    pub const NO_FILE: i32 = -404;
    /// An argument or the frame is wrong.
    pub const BAD_REQUEST: i32 = 400;
    /// Credentials are missing or wrong.
    pub const UNAUTHENTICATED: i32 = 401;
    /// The credentials are right, but this is not allowed with them.
    pub const FORBIDDEN: i32 = 403;
    /// There is no such method.
    pub const NOT_FOUND: i32 = 404;
    /// A reboot is about to happen.
    pub const SHUTTING_DOWN: i32 = 418;
    /// Something that waits for its end is in the way; try again.
    pub const BUSY: i32 = 429;
    /// The reply does not fit the transport's buffer.
    pub const INTERNAL: i32 = 500;
}

/// An error of the engine. Its text says what is wrong and what to do; its class decides the code.
pub trait Explain: fmt::Display {
    /// What sort of error this is.
    fn class(&self) -> Class;
}

/// Sorts of errors, as far as codes tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Class {
    /// Not now, or not on this device: something runs, a slot does not exist or cannot be booted,
    /// there is nothing to commit.
    Refused,
    /// Not before the active image is committed.
    Uncommitted,
    /// The boot record cannot be read.
    RecordUnreadable,
    /// The boot record cannot be written.
    RecordNotWritten,
    /// What was received is not an update for this device, or is damaged.
    Package,
    /// A slot cannot be read, erased or programmed.
    Flash,
}

/// What the engine was asked to do when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    GetBootState,
    SetBootState,
    Commit,
    Revert,
    Snapshot,
    StartUpdate,
    Update,
}

/// Code, and words before the engine's own, for every class of error in everything that is done.
pub(crate) fn classify(doing: Doing, class: Class) -> (i32, &'static str) {
    match doing {
        Doing::GetBootState | Doing::Commit | Doing::Revert => (code::FAILED, ""),
        Doing::StartUpdate => (code::FAILED, "Failed to init updater: "),
        Doing::SetBootState => match class {
            Class::RecordUnreadable => (code::FAILED, "Failed to get boot state: "),
            Class::Refused
            | Class::Uncommitted
            | Class::RecordNotWritten
            | Class::Package
            | Class::Flash => (code::BOOT_STATE_NOT_SET, "Failed to set boot state: "),
        },
        Doing::Snapshot => match class {
            Class::Uncommitted => (code::FAILED, "Cannot create snapshots in uncommitted state: "),
            Class::RecordUnreadable => (code::BOOT_STATE_UNREADABLE, "Failed to get boot state: "),
            Class::RecordNotWritten => (code::BOOT_STATE_NOT_SET, "Failed to set boot state: "),
            Class::Refused | Class::Package | Class::Flash => {
                (code::FAILED, "Failed to create snapshot: ")
            }
        },
        // The engine's texts for these begin as those of Mongoose OS.
        Doing::Update => match class {
            Class::Flash => (code::WRITE_FAILED, ""),
            Class::Refused
            | Class::Uncommitted
            | Class::RecordUnreadable
            | Class::RecordNotWritten
            | Class::Package => (code::FAILED, ""),
        },
    }
}

impl Explain for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::Change(ChangeError::Refused(refused)) => of_refused(refused),
            Self::Change(ChangeError::RecordNotWritten) => Class::RecordNotWritten,
            Self::Stage(error) => of_stage(error),
        }
    }
}

fn of_stage(error: &StageError) -> Class {
    match error {
        StageError::Refused(refused) => of_refused(refused),
        StageError::NoSlot | StageError::Aborted | StageError::TooLate | StageError::NotRunning => {
            Class::Refused
        }
        StageError::Bundle(_)
        | StageError::TooBig { .. }
        | StageError::Digest { .. }
        | StageError::MissingPart { .. }
        | StageError::BelowCounter { .. }
        | StageError::Length { .. } => Class::Package,
        StageError::Flash { .. }
        | StageError::ReadBack { .. }
        | StageError::SourceDamaged { .. } => Class::Flash,
        StageError::RecordNotWritten => Class::RecordNotWritten,
    }
}

fn of_refused(refused: &Refused) -> Class {
    match refused {
        Refused::Uncommitted { .. } => Class::Uncommitted,
        Refused::NotBooted { .. }
        | Refused::AlreadyCommitted
        | Refused::Busy { .. }
        | Refused::NothingToRevert
        | Refused::BelowCounter { .. }
        | Refused::NoSuchSlot { .. }
        | Refused::NotBootable { .. }
        | Refused::Protected { .. }
        | Refused::Unproven { .. }
        | Refused::Bound { .. }
        | Refused::NothingToDo
        | Refused::NothingRuns
        | Refused::NotStaging { .. } => Class::Refused,
    }
}
