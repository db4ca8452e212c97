//! Power fails again and again, in the very same place: hundreds of boots that never come to an end.

use ota_sim::campaign::{
    Fault, IMAGE_SIZE, Images, Kind, Product, Rig, Scenario, Select, Step, Walk,
};
use ota_sim::nor::{Random, Rule, Tear, TearBudget};

/// More than a record region of any kind has cells.
const CUTS: u64 = 300;

static UNSTEADY: Scenario = Scenario {
    name: "unsteady",
    product: Product::PLAIN,
    setup: &[],
    cut: &[],
    retry: &[],
    fault: Fault::None,
};

/// Boots that are cut, each in another place and way; then power holds.
fn comes_back(kind: &str, seed: u64) -> Result<(), String> {
    let kind = Kind::by_name(kind).expect("the campaign has this kind of flash");
    let rig = Rig::new(kind, Rule::Never, Product::PLAIN);
    let images = Images::new(5, IMAGE_SIZE);
    let mut walk = Walk::new(&rig, &UNSTEADY, &images, TearBudget::BRIEF, Select::Count, seed);
    let mut specimen = walk.specimen();
    let mut random = Random::new(seed);
    for step in [Step::Boot, Step::Install(1, 300)] {
        walk.play(step, &mut specimen).map_err(|failure| failure.message)?;
    }
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
        result.map_err(|failure| format!("boot {cut}, {tear} after {ops}: {}", failure.message))?;
    }
    for step in [Step::Boot, Step::Note(1), Step::Boot] {
        let result = walk.play(step, &mut specimen);
        result.map_err(|failure| format!("after {CUTS} cuts: {}", failure.message))?;
    }
    Ok(())
}

#[test]
fn a_device_whose_power_fails_at_every_boot_comes_back_when_it_holds() {
    for kind in ["4k4", "2k8", "stm32l0", "record-3x1"] {
        for seed in 0..40 {
            if let Err(message) = comes_back(kind, seed) {
                panic!("{kind}, seed {seed}: {message}");
            }
        }
    }
}
