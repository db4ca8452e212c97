//! What the feature `defmt` logs: boot decisions and the steps of updates, as frames over
//! semihosting. Without the feature, nothing.
//!
//! Loader and application each have a table of texts of their own, and frames do not say whose they
//! are: build one of the two with the feature, and decode with its ELF.

use ota_core::flash::FlashMap;
use ota_core::{BootPlan, RecoverReason, Updater};
use ota_rpc::{Platform, Service};

/// Logs a line; of values that nobody logs nothing is left.
macro_rules! log {
    ($text:literal $(, $value:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::info!($text $(, $value)*);
        #[cfg(not(feature = "defmt"))]
        { $(let _ = &$value;)* }
    }};
}
pub(crate) use log;

// Linked for its logger.
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

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

/// How far the update was when something was logged last.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_busy: bool,
    is_known: bool,
    received: u32,
}

impl Watch {
    /// Logs the beginning of an update, its version, each 32 KiB, and its end.
    pub(crate) fn look<F: FlashMap, P: Platform>(
        &mut self,
        ota: &Updater<'_, F>,
        service: &Service<'_, P>,
    ) {
        const EACH: u32 = 32 * 1024;
        if cfg!(not(feature = "defmt")) {
            return;
        }
        let Some(progress) = ota.progress() else {
            if !service.is_busy() && core::mem::take(self).is_busy {
                log!("update: {=str}", service.message());
            }
            return;
        };
        if !self.is_busy {
            log!("update: to slot {}, {} bytes announced", progress.slot, progress.announced);
        }
        if !self.is_known && !progress.version.is_empty() {
            self.is_known = true;
            log!("update: version {=str}", progress.version);
        }
        if progress.received / EACH != self.received / EACH {
            log!("update: {} bytes", progress.received);
        }
        (self.is_busy, self.received) = (true, progress.received);
    }
}
