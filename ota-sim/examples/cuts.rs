//! The single cuts of the campaign, without the program around it: for `cargo xtask sabotage`, which
//! wants to see it fail.

use ota_sim::campaign::Plan;

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
    std::process::exit(i32::from(total.failed > 0));
}
