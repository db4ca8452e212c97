//! What an operator may do without a new bundle: revert, snapshots, the boot state.

use anyhow::Result;
use ota_sim::app::Behaviour;
use ota_sim::device::{Event, ResetCause};
use serde_json::json;

use super::bench::{Bench, Expected};

/// Reverts, snapshots, and a commit that comes too early.
pub(super) fn chapter(bench: &mut Bench) -> Result<()> {
    bench.tell("OTA.Revert: 1.4.0 is committed, and 1.1.0 is still in slot 1.");
    bench.succeed("OTA.Revert", &json!({}))?;
    bench.expect(&Event::Reset(ResetCause::Requested))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    let reason = "revert requested";
    let settled = Expected { active: 1, committed: true, revert: 1, version: "1.1.0", reason };
    bench.state(&settled)?;

    bench.tell("OTA.CreateSnapshot copies the running 1.1.0 to slot 0, and changes nothing else.");
    let reply = bench.succeed("OTA.CreateSnapshot", &json!({}))?;
    bench.check(reply == json!({ "slot": 0 }), "the copy is in slot 0")?;
    bench.state(&settled)?;

    bench.tell(
        "OTA.CreateSnapshot with set_as_revert: 1.1.0 is on trial, the copy to fall back on.",
    );
    let params = json!({ "set_as_revert": true, "commit_timeout": 120 });
    let reply = bench.succeed("OTA.CreateSnapshot", &params)?;
    bench.check(reply == json!({ "slot": 0 }), "the copy is in slot 0")?;
    let on_trial = Expected { committed: false, revert: 0, ..settled.clone() };
    bench.state(&on_trial)?;

    bench.tell("One more boot of 1.1.0, now against the clock; the next one would be slot 0's.");
    bench.succeed("Sys.Reboot", &json!({}))?;
    bench.expect(&Event::Reset(ResetCause::Requested))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    bench.state(&on_trial)?;
    bench.succeed("OTA.Commit", &json!({}))?;
    let copied = Expected { committed: true, ..on_trial };
    bench.state(&copied)?;

    bench.tell("OTA.Commit of an image that does not run yet is refused.");
    let choose = json!({ "active_slot": 0, "is_committed": false });
    bench.succeed("OTA.SetBootState", &choose)?;
    bench.show_state()?;
    bench.refused("OTA.Commit", &json!({}), "reboot into slot 0 first")?;
    bench.succeed("OTA.SetBootState", &json!({ "active_slot": 1, "is_committed": true }))?;
    let reason = "set by SetBootState";
    bench.state(&Expected { reason, ..copied })?;

    bench.tell("OTA.Revert of an image on trial: 1.5.0 is given up at once.");
    bench.install("1.5.0", Behaviour::Healthy, 300)?;
    bench.succeed("OTA.Revert", &json!({}))?;
    bench.expect(&Event::Reset(ResetCause::Requested))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    bench.state(&settled)
}
