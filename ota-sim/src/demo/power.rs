//! Power fails in the middle of a download.

use anyhow::Result;
use ota_sim::app::Behaviour;
use ota_sim::device::Event;
use ota_sim::host::client::CallError;
use ota_sim::nor::Tear;
use serde_json::json;

use super::bench::{Bench, Expected};
use super::voice;

/// The power cut, the boot of the old image, and the update that goes on.
pub(super) fn chapter(bench: &mut Bench) -> Result<()> {
    bench.tell("Power is cut in the middle of the download of 1.4.0, inside a flash operation.");
    // About 17 operations for each sector: one erase and sixteen programs.
    let operations = bench.firmware.len() as u64 / 4096 * 17 / 2;
    let tear = Tear::Bits { percent: 50, seed: 7 };
    voice::line("power", format_args!("will fail inside flash operation {operations}, half done"));
    bench.cut_power_after(operations, tear);
    let params = bench.offer("1.4.0", Behaviour::Healthy, 300)?;
    let silent = matches!(bench.call("OTA.Update", &params), Err(CallError::NoAnswer));
    bench.check(silent, "a device without power does not answer")?;
    bench.expect(&Event::PowerLost)?;

    bench.tell(
        "Power comes back: the old image boots, whole and committed, as if nothing had been.",
    );
    bench.power_on();
    bench.boots("1.1.0", Behaviour::Healthy)?;
    let reason = "rebooted without commit";
    bench.state(&Expected { active: 1, committed: true, revert: 1, version: "1.1.0", reason })?;

    bench.tell("The same update again: it goes on at the last checkpoint, and ends well.");
    bench.install("1.4.0", Behaviour::Healthy, 300)?;
    let resumed = bench.files.requests().iter().any(|(_, start)| *start > 0);
    bench.check(resumed, "the rest was fetched by an HTTP range")?;
    bench.succeed("OTA.Commit", &json!({}))?;
    bench.state(&Expected {
        active: 0,
        committed: true,
        revert: 1,
        version: "1.4.0",
        reason: "update",
    })
}
