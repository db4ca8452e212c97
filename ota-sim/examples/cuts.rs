//! The power-cut campaign without the program around it: `cargo xtask sabotage` runs it.

use ota_sim::campaign::{Plan, Replay};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let budget = arguments.next().map_or(20_000, |text| text.parse().expect("a number of points"));
    let depth = arguments.next().map_or(1, |text| text.parse().expect("1 or 2"));
    let scenarios = arguments.collect();
    let (parts, rules) = (Vec::new(), Vec::new());
    let plan = Plan { scenarios, parts, rules, depth, budget, seed: 1, threads: 2 };
    let report = plan.run(&|_| {}).expect("known names");
    let (mut points, mut failed) = (0, 0);
    for case in &report.cases {
        points += case.tally.points;
        failed += case.tally.failed + u64::from(case.broken.is_some());
        if let Some(failure) = &case.broken {
            println!("{}: broken without a cut: {}", case.case, failure.message);
        }
        for (point, failure) in &case.tally.failures {
            println!("replay: {}", Replay::new(case.case, report.seed, point.clone()));
            println!("{}", failure.message.chars().take(600).collect::<String>());
        }
    }
    let rate = points as f64 / report.seconds;
    println!("{points} points, {failed} failed, {:.1} s, {rate:.0} points/s", report.seconds);
    std::process::exit(i32::from(failed > 0));
}
