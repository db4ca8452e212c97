//! Power-fail-safe A/B firmware updates for any `NorFlash`.
//!
//! A firmware engineer names two or more *slots* and a small *record* region; this crate writes
//! images into the slots, boots them on trial, and commits them or rolls back. Power may fail inside
//! any flash operation, any number of times: the device still boots a complete, verified image and
//! tells the truth about which one and why.
//!
//! The crate knows nothing of clocks, networks, files or RPC. It never allocates, never panics and
//! contains no `unsafe`.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::wildcard_enum_match_arm,
        clippy::missing_errors_doc,
        clippy::too_many_lines
    )
)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod boot;
#[cfg(feature = "stage")]
pub mod bundle;
mod bytes;
pub mod crc;
pub mod descriptor;
pub mod flash;
#[cfg(feature = "stage")]
pub mod json;
#[cfg(feature = "stage")]
mod machine;
pub mod record;
#[cfg(feature = "stage")]
mod report;
#[cfg(feature = "stage")]
pub mod stage;
#[cfg(feature = "stage")]
pub mod state;
#[cfg(feature = "stage")]
mod updater;
pub mod verify;

pub use boot::{BootOptions, BootPlan, RecoverReason, boot};
pub use flash::{FlashMap, FlashRead, Geometry, Region};
#[cfg(feature = "stage")]
pub use machine::{Config, MIN_BUFFER, OpenError};
#[cfg(feature = "stage")]
pub use report::{BootState, ImageInfo, Progress};
#[cfg(feature = "stage")]
pub use stage::{RawImage, StageError};
#[cfg(feature = "stage")]
pub use state::{BootStateChange, Refused};
#[cfg(feature = "stage")]
pub use updater::{Change, ChangeError, JobState, Updater};
