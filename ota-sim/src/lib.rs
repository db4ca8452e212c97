//! The OTA engine on a PC: strict NOR flash, power cuts everywhere, a simulated device.
//!
//! | module | what |
//! |---|---|
//! | [`nor`] | NOR flash in memory or in a file, and all that goes wrong with it |
//! | [`layout`], [`flash`] | boards: a part, record and slots on it, as the engine sees them |
//! | [`campaign`] | the engine under power cuts everywhere, watched by an oracle |
//! | [`device`], [`app`], [`clock`] | a device that boots, runs what images want, answers RPC |
//! | [`bundle`], [`factory`] | firmware bundles and the flash of new devices |
//! | [`show`] | what a flash holds, drawn |
//! | `host` | the device on this computer's network; with feature `cli` |
//!
//! The program `ota-sim` is these as commands.

pub mod app;
pub mod bundle;
pub mod campaign;
pub mod clock;
#[cfg(feature = "compare")]
pub mod compare;
pub mod device;
pub mod factory;
pub mod flash;
#[cfg(feature = "cli")]
pub mod host;
pub mod layout;
pub mod nor;
pub mod show;
