//! A whole campaign: which walks are made, on how many threads, and what they found.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::cutter::Select;
use super::images::Images;
use super::kind::{self, Kind};
use super::point::{Failure, Point, Tally};
use super::rig::{IMAGE_SIZE, Rig};
use super::scenario::Scenario;
use super::scenarios::ALL;
use super::walk::Walk;
use crate::nor::{Rule, TearBudget};

/// Images that scenarios name.
const IMAGES: u8 = 5;
/// First cuts that lead on to pairs, at the most, before second cuts are thinned out.
const FIRST_CUTS: u64 = 400;
/// One first cut in so many is followed by the scenario's `retry`, whose way is long.
const RETRY_ONE_IN: u64 = 6;
/// More points are planned than asked for, because equal tears are struck out only when tried.
const MARGIN_PERCENT: u64 = 25;

/// What a campaign does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Scenarios, by name; empty: all.
    pub scenarios: Vec<String>,
    /// Parts, by name; empty: all.
    pub parts: Vec<String>,
    /// Rules for programming twice; empty: those of each part.
    pub rules: Vec<Rule>,
    /// Cuts one after another: 1 or 2.
    pub depth: u8,
    /// About how many points to try; 0: all single cuts.
    pub budget: u64,
    /// Chooses points and rolls weak bits.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Begin no further case after a failure.
    pub stop_at_failure: bool,
}

/// One kind of device in one scenario.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What happens.
    pub scenario: &'static Scenario,
    /// To which kind of flash.
    pub kind: &'static Kind,
    /// Under which rule.
    pub rule: Rule,
}

/// What one case came to.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case.
    pub case: Case,
    /// What was found.
    pub tally: Tally,
    /// How long a processor was busy with it; where the system does not tell, how long it took.
    pub seconds: f64,
    /// It does not even work without a cut.
    pub broken: Option<Failure>,
}

/// What a campaign found.
#[derive(Clone, Debug)]
pub struct Report {
    /// By case.
    pub cases: Vec<CaseReport>,
    /// From start to end.
    pub seconds: f64,
    /// Threads that worked.
    pub threads: usize,
    /// The seed.
    pub seed: u64,
}

impl Plan {
    /// The cases of this plan.
    ///
    /// # Errors
    /// A text, if there is no scenario or part of a given name.
    pub fn cases(&self) -> Result<Vec<Case>, String> {
        let scenarios = chosen(&self.scenarios, ALL, |scenario| scenario.name, "scenario")?;
        let kinds = chosen(&self.parts, kind::ALL, |kind| kind.name, "part")?;
        let mut cases = Vec::new();
        for kind in kinds {
            let rules = if self.rules.is_empty() { kind.rules } else { &self.rules };
            for rule in rules.iter().copied() {
                cases.extend(scenarios.iter().map(|scenario| Case { scenario, kind, rule }));
            }
        }
        Ok(cases)
    }

    /// Runs it. `progress` is told the points so far, now and then.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub fn run(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Report, String> {
        let started = Instant::now();
        let cases = self.cases()?;
        let images = Images::new(IMAGES, IMAGE_SIZE);
        let quota =
            (self.budget * (100 + MARGIN_PERCENT) / 100).div_ceil(cases.len().max(1) as u64);
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let points = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = self.run_case(case, &images, quota);
                        if self.stop_at_failure && report.failed() > 0 {
                            next.store(cases.len(), Ordering::Relaxed);
                        }
                        let new = report.tally.points;
                        progress(points.fetch_add(new, Ordering::Relaxed) + new);
                        found.lock().expect("no thread panics with the lock").push(report);
                    }
                });
            }
        });
        let mut cases = found.into_inner().expect("no thread panics with the lock");
        cases.sort_by_key(|report| report.case.to_string());
        let seconds = started.elapsed().as_secs_f64();
        Ok(Report { cases, seconds, threads: self.threads.max(1), seed: self.seed })
    }

    fn run_case(&self, case: &Case, images: &Images, quota: u64) -> CaseReport {
        let stopwatch = Stopwatch::start();
        let rig = case.rig();
        let mut tally = Tally::default();
        let walk = |select| {
            let budget = TearBudget::BRIEF;
            let mut walk = Walk::new(&rig, case.scenario, images, budget, select, self.seed);
            walk.run().map(|()| walk.tally)
        };
        let mut all = || {
            let singles = walk(Select::Count)?.listed.max(1);
            let planned = if self.depth > 1 { quota / 2 } else { quota };
            let share = if quota == 0 { 1.0 } else { planned as f64 / singles as f64 };
            tally.add(&walk(Select::Singles(share))?);
            if self.depth > 1 && quota > tally.points {
                let first = singles.div_ceil(FIRST_CUTS);
                let retry = RETRY_ONE_IN;
                // Count the second cuts behind them first.
                let look = walk(Select::Pairs { first, second: 0.0, retry })?;
                let pairs = look.listed.saturating_sub(singles);
                let second = (quota - tally.points) as f64 / pairs.max(1) as f64;
                tally.add(&walk(Select::Pairs { first, second, retry })?);
            }
            Ok(())
        };
        let broken = all().err();
        CaseReport { case: *case, tally, seconds: stopwatch.seconds(), broken }
    }
}

/// Measures a thread's work. On Linux by the time that it had a processor: how much else the
/// computer has to do does not matter then.
struct Stopwatch {
    started: Instant,
    busy_ns: Option<u64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { started: Instant::now(), busy_ns: Self::busy_ns() }
    }

    fn seconds(&self) -> f64 {
        match (self.busy_ns, Self::busy_ns()) {
            (Some(before), Some(now)) => (now - before) as f64 / 1e9,
            _ => self.started.elapsed().as_secs_f64(),
        }
    }

    /// The first number of this file, as proc(5) tells.
    fn busy_ns() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok()
    }
}

impl CaseReport {
    /// How many points failed; a scenario that does not work without a cut counts as one.
    pub fn failed(&self) -> u64 {
        self.tally.failed + u64::from(self.broken.is_some())
    }

    /// A replay line and a story for each failure that was kept.
    pub fn failures(&self, seed: u64) -> Vec<(Replay, &Failure)> {
        let none = Point { cuts: Vec::new() };
        let broken = self.broken.iter().map(|failure| (none.clone(), failure));
        let cut = self.tally.failures.iter().map(|(point, failure)| (point.clone(), failure));
        broken
            .chain(cut)
            .map(|(point, story)| (Replay::new(self.case, seed, point), story))
            .collect()
    }
}

impl Report {
    /// Everything that was found, added up.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.cases.iter().for_each(|case| total.add(&case.tally));
        total.failed = self.cases.iter().map(CaseReport::failed).sum();
        total
    }
}

impl Case {
    /// The device of this case.
    pub fn rig(&self) -> Rig {
        Rig::new(self.kind, self.rule, self.scenario.product)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.scenario.name, self.kind.name, self.rule)
    }
}

/// A line that replays a point: scenario, part, rule, seed, cuts.
#[derive(Clone, Debug)]
pub struct Replay {
    case: Case,
    seed: u64,
    point: Point,
}

impl Replay {
    /// The line of a point.
    pub fn new(case: Case, seed: u64, point: Point) -> Self {
        Self { case, seed, point }
    }

    /// Tries this one point.
    ///
    /// # Errors
    /// What failed at it.
    pub fn run(&self) -> Result<Tally, Failure> {
        let rig = self.case.rig();
        let images = Images::new(IMAGES, IMAGE_SIZE);
        let select = Select::One(self.point.clone());
        let scenario = self.case.scenario;
        let mut walk = Walk::new(&rig, scenario, &images, TearBudget::BRIEF, select, self.seed);
        walk.run()?;
        match walk.tally.failures.pop() {
            Some((_, failure)) => Err(failure),
            None if walk.tally.points == 0 && !self.point.cuts.is_empty() => {
                Err(Failure { message: "there is no such point".into() })
            }
            None => Ok(walk.tally),
        }
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.case, self.seed, self.point)
    }
}

impl FromStr for Replay {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [scenario, part, rule, seed, point] = words[..] else {
            return Err(format!("{line:?}: give SCENARIO PART RULE SEED OP@TEAR[,OP@TEAR]"));
        };
        let case = Case {
            scenario: one(scenario, ALL, |scenario| scenario.name, "scenario")?,
            kind: one(part, kind::ALL, |kind| kind.name, "part")?,
            rule: rule.parse().map_err(|error| format!("rule {rule:?}: {error:?}"))?,
        };
        let seed = seed.parse().map_err(|error| format!("seed {seed:?}: {error}"))?;
        Ok(Self { case, seed, point: point.parse()? })
    }
}

fn chosen<T>(
    names: &[String],
    all: &'static [T],
    name: impl Fn(&T) -> &'static str + Copy,
    what: &str,
) -> Result<Vec<&'static T>, String> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    names.iter().map(|wanted| one(wanted, all, name, what)).collect()
}

fn one<T>(
    wanted: &str,
    all: &'static [T],
    name: impl Fn(&T) -> &'static str,
    what: &str,
) -> Result<&'static T, String> {
    all.iter().find(|item| name(item) == wanted).ok_or_else(|| {
        let known: Vec<_> = all.iter().map(&name).collect();
        format!("no {what} {wanted:?}; there are {}", known.join(", "))
    })
}
