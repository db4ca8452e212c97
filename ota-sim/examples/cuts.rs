//! The single cuts of the campaign, and many in a row, without the program around it: for
//! `cargo xtask sabotage`, which wants to see it fail.

use ota_sim::campaign::{KINDS, Plan, Unsteady};

fn main() {
    let plan = Plan {
        scenarios: std::env::args().skip(1).collect(),
        parts: Vec::new(),
        rules: Vec::new(),
        depth: 1,
        budget: 0,
        seed: 1,
        threads: 2,
        stop_at_failure: true,
    };
    let report = plan.run(&|_| {}).expect("the scenarios named exist");
    for case in &report.cases {
        for (replay, failure) in case.failures(report.seed) {
            println!("replay: {replay}");
            println!("{}", failure.message.chars().take(600).collect::<String>());
        }
    }
    let total = report.total();
    println!("{} points, {} failed", total.points, total.failed);
    let unsteady = KINDS.iter().flat_map(|kind| (0..20).map(move |seed| Unsteady { kind, seed }));
    let fails = |device: Unsteady| device.run().err().map(|failure| (device, failure));
    let failed = if total.failed > 0 { None } else { unsteady.into_iter().find_map(fails) };
    if let Some((device, failure)) = &failed {
        println!("replay: {device}");
        println!("{}", failure.message.chars().take(600).collect::<String>());
    }
    std::process::exit(i32::from(total.failed > 0 || failed.is_some()));
}
