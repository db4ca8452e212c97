//! Updates: committed, not committed, bad.

use anyhow::Result;
use ota_sim::app::Behaviour;
use ota_sim::device::{Event, ResetCause};
use serde_json::json;

use super::bench::{Bench, Expected};

/// From the factory to the first committed update.
pub(super) fn chapter(bench: &mut Bench) -> Result<()> {
    bench.tell("The factory has written 1.0.0 into slot 0; the device boots for the first time.");
    bench.boots("1.0.0", Behaviour::Healthy)?;
    bench.state(&Expected {
        active: 0,
        committed: true,
        revert: 0,
        version: "1.0.0",
        reason: "factory",
    })?;

    bench.tell("Update to 1.1.0: downloaded into slot 1, checked, read back, and booted on trial.");
    let params = bench.offer("1.1.0", Behaviour::Healthy, 300)?;
    let reply = bench.succeed("OTA.Update", &params)?;
    bench.check(reply.is_null(), "an update in place is answered with null")?;
    // Time stands still: the device is about to reboot, and has not yet.
    bench.refused("OTA.Commit", &json!({}), "shutting down")?;
    bench.expect(&Event::Reset(ResetCause::Requested))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    bench.state(&Expected {
        active: 1,
        committed: false,
        revert: 0,
        version: "1.1.0",
        reason: "update",
    })?;

    bench.tell("1.1.0 works: it is committed, and stays.");
    bench.succeed("OTA.Commit", &json!({}))?;
    bench.let_pass(600);
    bench.state(&Expected {
        active: 1,
        committed: true,
        revert: 0,
        version: "1.1.0",
        reason: "update",
    })
}

/// Updates that nobody commits.
pub(super) fn rollbacks(bench: &mut Bench) -> Result<()> {
    let back =
        |reason| Expected { active: 1, committed: true, revert: 1, version: "1.1.0", reason };

    bench.tell("Update to 1.2.0, which nobody commits: after 60 s the device rolls back.");
    bench.install("1.2.0", Behaviour::NeverCommits, 60)?;
    bench.let_pass(59);
    bench.state(&Expected {
        active: 0,
        committed: false,
        revert: 1,
        version: "1.2.0",
        reason: "update",
    })?;
    bench.let_pass(2);
    bench.expect(&Event::Reset(ResetCause::CommitTimeout))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    bench.state(&back("commit timeout"))?;

    bench.tell("Update to 1.3.0, which reboots before it is committed: the loader rolls back.");
    bench.install("1.3.0", Behaviour::Healthy, 300)?;
    bench.succeed("Sys.Reboot", &json!({}))?;
    bench.expect(&Event::Reset(ResetCause::Requested))?;
    bench.boots("1.1.0", Behaviour::Healthy)?;
    bench.state(&back("rebooted without commit"))
}

/// Images that do not work. Each is tried once.
pub(super) fn bad_images(bench: &mut Bench) -> Result<()> {
    for (version, behaviour, story, cause, reason) in [
        (
            "2.0.0",
            Behaviour::Crashes,
            "Update to 2.0.0, which crashes at its start.",
            ResetCause::Crash,
            "rebooted without commit",
        ),
        (
            "2.1.0",
            Behaviour::Hangs,
            "Update to 2.1.0, which hangs: the loader has started the watchdog.",
            ResetCause::Watchdog,
            "rebooted without commit",
        ),
        (
            "2.2.0",
            Behaviour::BadStart,
            "Update to 2.2.0, which finds that it does not work, and says so.",
            ResetCause::BadStart,
            "start reported bad",
        ),
    ] {
        bench.tell(story);
        bench.install(version, behaviour, 300)?;
        bench.expect(&Event::Reset(cause))?;
        bench.boots("1.1.0", Behaviour::Healthy)?;
        let active = 1;
        bench.state(&Expected { active, committed: true, revert: 1, version: "1.1.0", reason })?;
    }

    bench.tell("Update to 2.3.0 with commit_timeout 0: a good start commits it.");
    bench.install("2.3.0", Behaviour::Healthy, 0)?;
    bench.expect(&Event::CommittedItself)?;
    bench.state(&Expected {
        active: 0,
        committed: true,
        revert: 1,
        version: "2.3.0",
        reason: "update",
    })
}
