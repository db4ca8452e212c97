//! `Sys.GetInfo`, `Sys.Reboot`.

use super::{Call, Done};
use crate::error::code;
use crate::limits::REBOOT_DELAY_MS;
use crate::platform::Platform;
use crate::reboot::Reboot;

/// What the device is and runs.
#[inline(never)]
pub(super) fn get_info<O, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let info = call.service.platform.info();
    let out = call.out.key("result").object();
    out.key("id").string(call.service.config.device_id);
    out.key("app").string(info.app);
    out.key("fw_version").string(info.fw_version).key("fw_id").string(info.fw_id);
    out.key("mg_version").string_or_null(info.mg_version);
    out.key("mg_id").string_or_null(info.mg_id);
    out.key("mac").string_or_null(info.mac).key("arch").string(info.arch);
    out.key("uptime").uint(info.uptime_s);
    out.key("public_key").string_or_null(info.public_key);
    out.key("ram_size").uint(info.ram_size).key("ram_free").uint(info.ram_free);
    out.key("ram_min_free").uint(info.ram_min_free);
    out.key("fs_size").uint(info.fs_size).key("fs_free").uint(info.fs_free);
    if let Some(wifi) = info.wifi {
        out.key("wifi").object().key("sta_ip").string_or_null(wifi.sta_ip);
        out.key("ap_ip").string_or_null(wifi.ap_ip).key("status").string(wifi.status);
        out.key("ssid").string_or_null(wifi.ssid).end_object();
    }
    if let Some(ip) = info.eth_ip {
        out.key("eth").object().key("ip").string(ip).end_object();
    }
    out.end_object();
    Ok(())
}

/// Reboots after a while, or does not after all.
pub(super) fn reboot<O, P: Platform>(call: &mut Call<'_, '_, '_, O, P>) -> Done {
    if call.bool("abort")? == Some(true) {
        call.service.reboot = Reboot::Off;
        return call.null();
    }
    let delay_ms = call.int("delay_ms")?.unwrap_or(i64::from(REBOOT_DELAY_MS));
    let Ok(delay_ms) = u32::try_from(delay_ms) else {
        return Err(call.error(code::BAD_REQUEST, format_args!("invalid delay value")));
    };
    call.reboot_after(delay_ms);
    call.null()
}
