//! The C entry points of Mongoose OS's `rpc-service-ota`, in Rust.
//!
//! ```text
//! bool mgos_rpc_service_ota_init(void);
//! void mgos_updater_rpc_finish(int error_code, int64_t id, const struct mg_str src);
//! ```
//! are [`rpc_service_ota_init`] and [`updater_rpc_finish`].

use crate::error::code;
use crate::platform::Platform;
use crate::service::{Config, Job, Receiving, Service};

/// Starts the service: `mgos_rpc_service_ota_init()`.
///
/// There is no global state, so instead of registering itself somewhere it returns the service,
/// which cannot fail.
#[doc(alias = "mgos_rpc_service_ota_init")]
pub fn rpc_service_ota_init<P: Platform>(config: Config<'_>, platform: P) -> Service<'_, P> {
    Service::new(config, platform)
}

/// Ends the `OTA.Update` that had this id and sender: `mgos_updater_rpc_finish(error_code, id,
/// src)`.
///
/// For applications that fetch *and install* updates by their own means. Those that use
/// [`Service::feed`] have no need of it: [`Service::end_feed`] does it all.
///
/// With `error_code` 0 the update is in place: the reply is `null`, and the reboot follows. Any
/// other is the code of the error that is replied. If the reply was sent already, after 15 s, only
/// the state changes.
///
/// False if there is no such update: nothing was done.
#[doc(alias = "mgos_updater_rpc_finish")]
pub fn updater_rpc_finish<P: Platform>(
    service: &mut Service<'_, P>,
    error_code: i32,
    id: i64,
    src: &str,
    now_ms: u64,
) -> bool {
    let is_it = service.outstanding.as_ref().is_some_and(|outstanding| outstanding.is(id, src));
    let waits = matches!(service.job, Job::Receiving(Receiving { has_begun: false, .. }));
    if !is_it || !waits {
        return false;
    }
    match error_code {
        0 => service.applied(now_ms),
        code::FAILED => service.failed(error_code, format_args!("Update failed")),
        _ => service.failed(error_code, format_args!("Update failed with code {error_code}")),
    }
    true
}
