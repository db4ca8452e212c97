//! The first cut campaign: the whole update, boot, commit and rollback flow, cut at every erase and
//! every program in every way, on two geometries. `ota-sim cuts` runs the large ones.

use ota_sim::campaign::Plan;

/// Seed of the choice of points and of the rolls of weak bits.
const SEED: u64 = 2026;

#[test]
fn no_power_cut_breaks_an_update_on_two_geometries() {
    let scenarios = [
        "first-boot",
        "staging",
        "overwrite",
        "trial-boot",
        "commit",
        "rollback",
        "timeout",
        "revert-committed",
        "snapshot-revert",
        "turn-over",
        "resume",
    ];
    let plan = Plan {
        scenarios: scenarios.map(String::from).to_vec(),
        parts: vec!["4k4".into(), "2k8".into()],
        rules: Vec::new(),
        depth: 1,
        budget: 0,
        seed: SEED,
        threads: 2,
        stop_at_failure: false,
    };
    let report = plan.run(&|_| {}).expect("the scenarios exist");
    let failures: Vec<String> = report
        .cases
        .iter()
        .flat_map(|case| case.failures(report.seed))
        .map(|(replay, failure)| format!("replay: {replay}: {}", failure.message))
        .collect();
    let total = report.total();
    println!("{} points, seed {SEED}", total.points);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(total.points >= 20_000, "only {} points", total.points);
}
