//! Power that fails again and again, in the very same place: hundreds of boots that never come to an
//! end, more than any record region has cells. Then power holds, and the device must be there.

use std::fmt;
use std::str::FromStr;

use super::cutter::Select;
use super::images::Images;
use super::kind::Kind;
use super::point::Failure;
use super::product::Product;
use super::rig::{IMAGE_SIZE, Rig};
use super::scenario::{Fault, Scenario, Step};
use super::walk::Walk;
use crate::nor::{Random, Rule, Tear, TearBudget};

/// Cuts in a row.
const CUTS: u64 = 300;
/// What [`Unsteady`] is called in replay lines.
const NAME: &str = "unsteady";

static SCENARIO: Scenario = Scenario {
    name: NAME,
    product: Product::PLAIN,
    setup: &[],
    cut: &[],
    retry: &[],
    fault: Fault::None,
};

/// One such device. Its text is a replay line: `unsteady KIND SEED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsteady {
    /// The flash, which refuses to program a unit twice.
    pub kind: &'static Kind,
    /// Chooses where and how power fails.
    pub seed: u64,
}

impl Unsteady {
    /// Installs an image, cuts power in each of many boots, lets it hold, and goes on.
    ///
    /// # Errors
    /// [`Failure`]: what went wrong, and at which boot.
    pub fn run(&self) -> Result<(), Failure> {
        let rig = Rig::new(self.kind, Rule::Never, Product::PLAIN);
        let images = Images::new(5, IMAGE_SIZE);
        let select = Select::Count;
        let mut walk = Walk::new(&rig, &SCENARIO, &images, TearBudget::BRIEF, select, self.seed);
        let mut specimen = walk.specimen();
        let mut random = Random::new(self.seed);
        for step in [Step::Boot, Step::Install(1, 300)] {
            walk.play(step, &mut specimen)?;
        }
        let told = |what: String, failure: Failure| Failure {
            message: format!("{what}: {}", failure.message),
        };
        for cut in 0..CUTS {
            // In the header, mostly in the body: no append ever comes to its seal.
            let tears = [
                Tear::Head,
                Tear::Bits { percent: 50, seed: cut },
                Tear::Bits { percent: 90, seed: cut },
                Tear::Bits { percent: 100, seed: 0 },
            ];
            let tear = tears[random.below(4) as usize];
            let ops = u64::from(random.below(8) > 0);
            let result = walk.play_cut(Step::Boot, &mut specimen, (ops, tear));
            result.map_err(|failure| told(format!("boot {cut}, {tear} after {ops}"), failure))?;
        }
        for step in [Step::Boot, Step::Note(1), Step::Boot] {
            let result = walk.play(step, &mut specimen);
            result.map_err(|failure| told(format!("after {CUTS} cuts"), failure))?;
        }
        Ok(())
    }
}

impl fmt::Display for Unsteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME} {} {}", self.kind.name, self.seed)
    }
}

impl FromStr for Unsteady {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [NAME, kind, seed] = words[..] else {
            return Err(format!("{line:?}: give {NAME} KIND SEED"));
        };
        let kind = Kind::by_name(kind).ok_or_else(|| format!("no kind of flash {kind:?}"))?;
        let seed = seed.parse().map_err(|error| format!("seed {seed:?}: {error}"))?;
        Ok(Self { kind, seed })
    }
}
