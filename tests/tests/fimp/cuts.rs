//! Power is cut in the middle of updates that FIMP started, at every flash operation and at every
//! message; a hub that only listens must not be misled.

use ota_sim::app::Behaviour;
use ota_sim::device::Settings;
use ota_sim::nor::Tear;
use serde_json::json;

use crate::world::{Lost, World, bundle, settings, with_world};

/// What is installed, and what becomes of it without a cut.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    behaviour: Behaviour,
    commit_timeout_s: u32,
    /// Somebody commits the new image when it runs.
    commits: bool,
    error: &'static str,
}

const COMMITS_ITSELF: Scenario =
    Scenario { behaviour: Behaviour::Healthy, commit_timeout_s: 0, commits: false, error: "" };
const COMMITTED: Scenario = Scenario { commit_timeout_s: 30, commits: true, ..COMMITS_ITSELF };
const NOT_COMMITTED: Scenario = Scenario { commit_timeout_s: 3, error: "other", ..COMMITS_ITSELF };
const CRASHES: Scenario =
    Scenario { behaviour: Behaviour::Crashes, error: "other", ..COMMITS_ITSELF };

const ALL: [Scenario; 4] = [COMMITS_ITSELF, COMMITTED, NOT_COMMITTED, CRASHES];

/// How power fails.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Never,
    /// In the flash operation behind so many.
    Operation(u64, Tear),
    /// With this report.
    Report(usize, Lost),
}

/// Installs, and lets the device come to rest, with power again when it was cut. True: it was cut
/// before the device had noted the command.
fn play(world: &mut World<'_>, scenario: Scenario, cut: Cut) -> bool {
    match cut {
        Cut::Never => {}
        Cut::Operation(operations, tear) => world.cut_after(operations, tear),
        Cut::Report(number, lost) => world.lost = Some((number, lost)),
    }
    world.file = Ok(bundle("2.0.0", "sim", scenario.behaviour));
    assert!(world.install().is_none());
    let is_unnoted = world.powered_off;
    for _ in 0..40 {
        world.run(500);
        if world.powered_off {
            world.power_on(7);
        }
        if scenario.commits && world.booted.last().is_some_and(|version| version == "2.0.0") {
            world.rpc("OTA.Commit", json!({}));
        }
    }
    is_unnoted
}

/// What a hub may conclude has to be true.
fn check(
    world: &mut World<'_>,
    scenario: Scenario,
    cut: Cut,
    is_unnoted: bool,
) -> Result<(), String> {
    world.judge()?;
    let runs_new = world.booted.last().is_some_and(|version| version == "2.0.0");
    let is_committed = world.is_committed();
    let status = world.rpc("OTA.Status", json!({}));
    let updates = &world.hub.updates;
    let describe = || format!("{updates:?}, then {status:?}, booted {:?}", world.booted);
    if updates.is_empty() {
        return if is_unnoted && !runs_new { Ok(()) } else { Err(describe()) };
    }
    let [update] = &updates[..] else { return Err(describe()) };
    let is_success = update.error.as_deref() == Some("");
    let is_cut = !matches!(cut, Cut::Never);
    let is_right = update.ends >= 1
        && is_committed
        && is_success == runs_new
        && (is_cut || update.error.as_deref() == Some(scenario.error))
        && (is_cut || (update.starts, update.ends) == (1, 1))
        // A message comes twice only if its confirmation was lost or could not be noted.
        && update.starts + update.ends <= 3
        && (!matches!(cut, Cut::Report(_, Lost::Report)) || update.starts + update.ends == 2);
    if is_right { Ok(()) } else { Err(describe()) }
}

fn run(scenario: Scenario, cut: Cut) -> Result<(u64, usize), String> {
    let settings = Settings { commit_timeout_s: scenario.commit_timeout_s, ..settings() };
    with_world(settings, |world| {
        let before = world.operations();
        let is_unnoted = play(world, scenario, cut);
        check(world, scenario, cut, is_unnoted)
            .map_err(|error| format!("{scenario:?} {cut:?}: {error}"))?;
        Ok((world.operations() - before, world.hub.messages.len()))
    })
}

#[test]
fn without_a_cut_everything_comes_once() {
    for scenario in ALL {
        run(scenario, Cut::Never).unwrap();
    }
    with_world(settings(), |world| {
        play(world, COMMITS_ITSELF, Cut::Never);
        let update = &world.hub.updates[0];
        assert_eq!(update.progress.last(), Some(&100), "{update:?}");
        assert!(update.progress.len() >= 2, "{update:?}");
        // New software is a new inclusion report.
        let versions: Vec<_> = world
            .hub
            .all("evt.thing.inclusion_report")
            .map(|report| report.val["sw_ver"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(versions, ["1.0.0", "2.0.0"]);
    });
}

#[test]
fn a_cut_in_any_flash_operation_misleads_nobody() {
    let mut points = 0;
    for scenario in ALL {
        let (operations, _) = run(scenario, Cut::Never).unwrap();
        for at in 0..operations {
            for tear in [Tear::None, Tear::Whole, Tear::Bits { percent: 50, seed: at }] {
                run(scenario, Cut::Operation(at, tear)).unwrap();
                points += 1;
            }
        }
    }
    println!("{points} cuts");
    assert!(points > 1000, "{points}");
}

#[test]
fn a_cut_at_any_message_misleads_nobody() {
    let mut points = 0;
    for scenario in ALL {
        let (_, messages) = run(scenario, Cut::Never).unwrap();
        // The first one was published before the update.
        for number in 2..=messages {
            for lost in [Lost::Report, Lost::Confirmation] {
                run(scenario, Cut::Report(number, lost)).unwrap();
                points += 1;
            }
        }
    }
    println!("{points} cuts");
    assert!(points > 30, "{points}");
}
