//! What the feature `defmt` logs: boot decisions, and how the application came up, as frames over
//! semihosting. Without the feature, nothing.
//!
//! Each program has a table of texts of its own, and frames do not say whose they are: build one of
//! them with the feature, and decode with its ELF.

use ota_core::{BootPlan, RecoverReason};

// Linked for its logger.
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// Logs a line; of values that nobody logs nothing is left.
macro_rules! log {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::info!($text $(, $value)*);
        #[cfg(not(feature = "defmt"))]
        { $(let _ = &$value;)* }
    }};
}

/// The loader boots.
pub fn boots(plan: &BootPlan) {
    let record = &plan.record;
    log!("boot: slot {}, because {}", plan.slot, record.reason());
    log!("boot: on trial {}, record written {}", plan.needs_watchdog, plan.durable);
}

/// The loader has nothing to boot.
pub fn recovers(reason: RecoverReason) {
    log!("boot: recovery, because {}", reason);
}

/// A program answers RPC from now on.
pub(crate) fn serves(app: &str, version: &str) {
    log!("{=str} {=str}", app, version);
}
