//! Random histories of requests, resets and power cuts, against the campaign's reference model.
//!
//! The model knows nothing of the engine's code; after every step the engine's report and what was
//! booted must agree with at least one state that the model allows.

use std::sync::OnceLock;

use ota_core::BootStateChange;
use ota_sim::campaign::{
    Fault, IMAGE_SIZE, Images, Kind, Product, Rig, Scenario, Select, Specimen, Step, Walk,
};
use ota_sim::nor::{Rule, Tear, TearBudget};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

fn images() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| Images::new(5, IMAGE_SIZE))
}

fn rig(three_slots: bool) -> &'static Rig {
    static RIGS: OnceLock<[Rig; 2]> = OnceLock::new();
    let rigs = RIGS.get_or_init(|| {
        [
            Rig::new(kind("4k4"), Rule::Never, Product { trials: 2, ..Product::PLAIN }),
            Rig::new(kind("2k8"), Rule::AllZero, Product { slots: 3, ..Product::PLAIN }),
        ]
    });
    &rigs[usize::from(three_slots)]
}

fn kind(name: &str) -> &'static Kind {
    Kind::by_name(name).expect("the campaign has this kind of flash")
}

static HISTORY: Scenario = Scenario {
    name: "history",
    product: Product::PLAIN,
    setup: &[Step::Boot],
    cut: &[],
    retry: &[],
    fault: Fault::None,
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Does(Step),
    /// A step during which power fails: after so many flash operations, torn so; then a boot.
    Cut(Step, u64, Tear),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = prop_oneof![Just(None), (0u8..3).prop_map(Some)];
    let change = (slot.clone(), slot, any::<Option<bool>>(), prop::option::of(0u32..100));
    let set = change.prop_map(|(active, revert, committed, commit_timeout_s)| {
        Step::Set(BootStateChange { active, committed, revert, commit_timeout_s })
    });
    prop_oneof![
        4 => Just(Step::Boot),
        3 => (1u8..5, prop_oneof![Just(0), Just(300)]).prop_map(|(id, s)| Step::Install(id, s)),
        1 => (1u8..5, 0usize..33_000).prop_map(|(id, limit)| Step::BreakOff(id, limit)),
        1 => (1u8..5, 0usize..33_000).prop_map(|(id, limit)| Step::Abandon(id, limit)),
        3 => Just(Step::Commit),
        1 => any::<bool>().prop_map(Step::Start),
        1 => Just(Step::Revert),
        1 => (any::<bool>(), prop::option::of(0u32..100)).prop_map(|(t, s)| Step::Snapshot(t, s)),
        2 => set,
        1 => any::<u8>().prop_map(Step::Note),
    ]
}

fn tear() -> impl Strategy<Value = Tear> {
    let bits = (prop::sample::select(vec![0u8, 10, 50, 90, 100]), any::<u64>());
    prop_oneof![
        Just(Tear::None),
        Just(Tear::Whole),
        Just(Tear::Head),
        Just(Tear::Tail),
        Just(Tear::Zeros),
        any::<u64>().prop_map(|seed| Tear::Units { seed }),
        bits.prop_map(|(percent, seed)| Tear::Bits { percent, seed }),
    ]
}

/// Where a history begins. What follows is not looked at here: the device under test carries the
/// states that are possible.
#[derive(Clone, Debug)]
struct Start {
    three_slots: bool,
    seed: u64,
}

struct Histories;

impl ReferenceStateMachine for Histories {
    type State = Start;
    type Transition = Happening;

    fn init_state() -> BoxedStrategy<Start> {
        (any::<bool>(), any::<u64>())
            .prop_map(|(three_slots, seed)| Start { three_slots, seed })
            .boxed()
    }

    fn transitions(_: &Start) -> BoxedStrategy<Happening> {
        prop_oneof![
            3 => step().prop_map(Happening::Does),
            2 => (step(), 0u64..150, tear()).prop_map(|(s, ops, t)| Happening::Cut(s, ops, t)),
        ]
        .boxed()
    }

    fn apply(state: Start, _: &Happening) -> Start {
        state
    }
}

struct Device {
    walk: Walk<'static>,
    specimen: Specimen,
}

impl StateMachineTest for Device {
    type SystemUnderTest = Self;
    type Reference = Histories;

    fn init_test(start: &Start) -> Self {
        let rig = rig(start.three_slots);
        let budget = TearBudget::BRIEF;
        let walk = Walk::new(rig, &HISTORY, images(), budget, Select::Count, start.seed);
        let specimen = walk.specimen();
        let mut device = Self { walk, specimen };
        device.walk.play(Step::Boot, &mut device.specimen).expect("first boot");
        device
    }

    fn apply(mut device: Self, _: &Start, happening: Happening) -> Self {
        let Self { walk, specimen } = &mut device;
        let result = match happening.clone() {
            Happening::Does(step) => walk.play(step, specimen),
            Happening::Cut(step, ops, tear) => {
                let cut = walk.play_cut(step, specimen, (ops, tear));
                cut.and_then(|()| walk.play(Step::Boot, specimen))
            }
        };
        if let Err(failure) = result {
            panic!("{happening:?}: {}", failure.message);
        }
        device
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 400, .. Config::default() })]
    #[test]
    fn every_history_agrees_with_the_reference_model(sequential 1..40 => Device);
}
