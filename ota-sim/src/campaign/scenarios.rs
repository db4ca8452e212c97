//! The scenarios of the campaign.

use ota_core::BootStateChange;

use super::app::Ask;
use super::product::{Product, Second};
use super::scenario::{Fault, Scenario, Step};

const KEEP: BootStateChange =
    BootStateChange { active: None, committed: None, revert: None, commit_timeout_s: None };
const UNCOMMIT: BootStateChange = BootStateChange { committed: Some(false), ..KEEP };
const SWITCH: BootStateChange = BootStateChange { active: Some(1), ..KEEP };
const SWITCH_ON_TRIAL: BootStateChange =
    BootStateChange { active: Some(0), committed: Some(false), ..KEEP };
const VOUCHED: BootStateChange = BootStateChange { committed: Some(true), ..SWITCH };
const SWITCH_BACK: BootStateChange = BootStateChange { active: Some(0), ..KEEP };
const CONFIRM: BootStateChange = BootStateChange { committed: Some(true), ..KEEP };
const REVERT_TO_SELF: BootStateChange = BootStateChange { revert: Some(0), ..KEEP };
const REVERT_TO_OTHER: BootStateChange = BootStateChange { revert: Some(1), ..KEEP };
const NO_SUCH_SLOT: BootStateChange = BootStateChange { revert: Some(7), ..KEEP };
const EVERYTHING: BootStateChange = BootStateChange {
    active: Some(1),
    committed: Some(false),
    revert: Some(0),
    commit_timeout_s: Some(5),
};
const TIMEOUT: BootStateChange = BootStateChange { commit_timeout_s: Some(77), ..KEEP };
const NO_STEPS: &[Step] = &[];

const WITH_DATA: Product = Product { data: true, ..Product::PLAIN };
const TWO_CHIPS: Product = Product { second: Second::Slot, ..Product::PLAIN };
const RECORD_APART: Product = Product { second: Second::Record, ..Product::PLAIN };

use Step::{
    Abandon, Boot, BreakOff, Commit, Crashed, FillRecord, Install, Interrupt, Note, Overdue,
    Revert, Set, Snapshot, Start,
};

const fn scenario(
    name: &'static str,
    setup: &'static [Step],
    cut: &'static [Step],
    retry: &'static [Step],
) -> Scenario {
    Scenario { name, product: Product::PLAIN, setup, cut, retry, fault: Fault::None }
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    scenario("first-boot", NO_STEPS, &[Boot, Boot], NO_STEPS),
    scenario("staging", &[Boot], &[Install(1, 300)], &[Install(1, 300)]),
    scenario(
        "overwrite",
        &[Boot, Install(1, 300), Boot, Commit, Boot],
        &[Install(2, 0)],
        &[Install(2, 0)],
    ),
    scenario("trial-boot", &[Boot, Install(1, 300)], &[Boot], &[Commit]),
    Scenario {
        product: Product { trials: 3, ..Product::PLAIN },
        ..scenario("three-trials", &[Boot, Install(1, 300)], &[Boot, Boot, Boot, Boot], &[Commit])
    },
    scenario("early-commit", &[Boot, Install(1, 300)], &[Commit, Boot, Commit], &[Commit]),
    scenario("commit", &[Boot, Install(1, 300), Boot], &[Commit, Boot, Boot], &[Commit]),
    scenario("auto-commit", &[Boot, Install(1, 0), Boot], &[Start(true), Boot], &[Start(true)]),
    scenario("rollback", &[Boot, Install(1, 300), Boot], &[Boot, Boot], &[Install(2, 300)]),
    scenario("timeout", &[Boot, Install(1, 300), Boot], &[Overdue, Boot], &[Revert]),
    scenario("bad-start", &[Boot, Install(1, 300), Boot], &[Start(false), Boot], &[Revert]),
    scenario("revert-trial", &[Boot, Install(1, 300), Boot], &[Revert, Boot], &[Revert]),
    scenario(
        "revert-committed",
        &[Boot, Install(3, 300), Boot, Commit, Install(1, 0), Boot, Commit, Boot],
        &[Revert, Boot],
        &[Revert],
    ),
    scenario("snapshot", &[Boot], &[Snapshot(false, None), Boot], &[Snapshot(false, None)]),
    scenario(
        "snapshot-revert",
        &[Boot],
        &[Snapshot(true, Some(60)), Boot, Boot],
        &[Snapshot(true, Some(60))],
    ),
    scenario(
        "set-boot-state",
        &[Boot, Snapshot(false, None), Install(1, 9), Boot, Boot, Boot],
        &[Set(UNCOMMIT), Boot, Boot, Set(TIMEOUT)],
        &[Set(UNCOMMIT)],
    ),
    scenario(
        "set-switch",
        &[Boot, Install(3, 9), Boot, Commit, Install(1, 9), Boot, Commit],
        &[Set(SWITCH), Boot, Set(SWITCH_ON_TRIAL), Boot, Boot],
        &[Set(SWITCH_ON_TRIAL)],
    ),
    scenario("turn-over", &[Boot, FillRecord(0)], &[Note(1), Note(2), Boot, Note(3)], &[Note(4)]),
    scenario("turn-over-settled", &[Boot, FillRecord(1), Boot], &[Note(1), Boot], &[Note(4)]),
    scenario(
        "turn-over-commit",
        &[Boot, Install(1, 300), Boot, FillRecord(0)],
        &[Commit, Boot, Note(1), Boot],
        &[Commit],
    ),
    scenario(
        "resume",
        &[Boot, BreakOff(1, 22_000), Boot],
        &[Install(1, 300), Boot],
        &[Install(1, 300)],
    ),
    scenario(
        "resume-other",
        &[Boot, BreakOff(1, 22_000), Boot],
        &[Install(2, 300), Boot],
        &[Install(1, 300)],
    ),
    scenario("abort", &[Boot], &[Abandon(1, 20_000), Boot], &[Install(2, 300)]),
    Scenario {
        fault: Fault::Lies,
        ..scenario("lying-flash", &[Boot], &[Install(1, 300), Boot], NO_STEPS)
    },
    Scenario {
        fault: Fault::Garbles,
        ..scenario("garbling-flash", &[Boot], &[Install(1, 300), Boot, Install(2, 9)], NO_STEPS)
    },
    Scenario {
        fault: Fault::Refuses,
        ..scenario("refusing-flash", &[Boot], &[Install(1, 300), Boot, Install(2, 9)], NO_STEPS)
    },
    Scenario {
        fault: Fault::ReadsFail,
        ..scenario(
            "reads-fail",
            &[Boot, Install(1, 300), Boot, Commit, Boot],
            &[Boot, Note(1), Boot, Revert],
            NO_STEPS,
        )
    },
    Scenario {
        fault: Fault::Rot(0),
        ..scenario(
            "rot-active",
            &[Boot, Install(3, 300), Boot, Commit, Install(1, 0), Boot, Commit, Boot],
            &[Boot, Boot],
            &[Install(2, 300)],
        )
    },
    Scenario {
        fault: Fault::Rot(1),
        ..scenario("rot-trial", &[Boot, Install(1, 300)], &[Boot, Boot], &[Install(2, 300)])
    },
    Scenario {
        product: Product { slots: 3, ..Product::PLAIN },
        fault: Fault::Rot(2),
        ..scenario(
            "rot-unproven",
            // Slot 0 holds an image whose trial failed, slot 1 one that was confirmed, slot 2 runs.
            &[
                Boot,
                Install(3, 300),
                Boot,
                Commit,
                Install(1, 300),
                Boot,
                Commit,
                Install(2, 300),
                Boot,
                Boot,
            ],
            &[Boot, Boot],
            &[Install(2, 300)],
        )
    },
    scenario(
        "set-vouched",
        &[Boot, Install(1, 300), Boot, Boot],
        &[Set(VOUCHED), Set(REVERT_TO_OTHER), Set(SWITCH), Boot, Set(SWITCH_BACK), Revert, Boot],
        &[Set(SWITCH), Boot, Commit],
    ),
    Scenario {
        product: Product { slots: 3, ..Product::PLAIN },
        ..scenario(
            "three-slots",
            &[Boot, Install(1, 300), Boot, Commit],
            &[Install(2, 300), Boot, Commit],
            &[Install(2, 300)],
        )
    },
    Scenario {
        product: WITH_DATA,
        ..scenario(
            "data",
            &[Boot, Install(1, 300), Boot, Commit, Boot],
            &[Install(2, 300), Boot, Commit],
            &[Install(2, 300)],
        )
    },
    Scenario {
        product: WITH_DATA,
        ..scenario(
            "data-resume",
            // Image 2 brings its data first: all of it came, and some of the application.
            &[Boot, BreakOff(2, 21_000), Boot, BreakOff(1, 40_000), Boot],
            &[Install(1, 300), Boot],
            &[Install(2, 300)],
        )
    },
    Scenario {
        product: WITH_DATA,
        ..scenario("data-snapshot", &[Boot], &[Snapshot(true, Some(60)), Boot, Boot], &[Commit])
    },
    scenario("abort-anywhere", &[Boot], &[Interrupt(1, Ask::Abort), Boot], &[Install(2, 300)]),
    scenario("busy", &[Boot], &[Interrupt(1, Ask::Note(9)), Boot], &[Install(2, 300)]),
    Scenario {
        product: WITH_DATA,
        ..scenario("busy-data", &[Boot], &[Interrupt(2, Ask::Note(9)), Boot], &[Install(1, 300)])
    },
    Scenario {
        fault: Fault::Rot(1),
        ..scenario(
            "nothing-left",
            // The image in slot 0 is below the counter by now.
            &[Boot, Install(1, 300), Boot, Commit, Boot],
            &[Boot, Boot],
            NO_STEPS,
        )
    },
    scenario(
        "crash-loop",
        &[Boot, Install(1, 300), Boot],
        &[Crashed, Crashed, Boot],
        &[Install(2, 300)],
    ),
    scenario(
        "crash-loop-committed",
        &[Boot, Install(1, 300), Boot],
        &[Commit, Crashed, Boot, Crashed, Boot],
        &[Install(2, 300)],
    ),
    scenario(
        "counter",
        &[Boot, Install(1, 300), Boot],
        &[Commit, Revert, Set(SWITCH_BACK), Install(0, 300), Boot, Install(2, 300), Boot],
        &[Commit],
    ),
    scenario(
        "set-revert",
        &[Boot, Install(3, 9), Boot, Commit, Install(1, 9), Boot, Commit, Boot],
        &[Set(REVERT_TO_SELF), Revert, Set(REVERT_TO_OTHER), Revert, Boot],
        &[Set(REVERT_TO_OTHER)],
    ),
    scenario(
        "set-all",
        &[Boot, Install(3, 9), Boot, Commit, Install(1, 9), Boot, Commit, Boot],
        &[Set(EVERYTHING), Boot, Set(CONFIRM), Boot, Set(KEEP), Set(NO_SUCH_SLOT), Boot],
        &[Set(TIMEOUT), Set(CONFIRM)],
    ),
    scenario(
        "set-confirm",
        &[Boot, Install(1, 300), Boot],
        &[Set(CONFIRM), Boot, Set(UNCOMMIT), Set(CONFIRM), Boot],
        &[Set(CONFIRM)],
    ),
    Scenario {
        product: Product { slots: 3, golden: Some(0), ..Product::PLAIN },
        ..scenario(
            "golden",
            &[Boot, Install(1, 300), Boot, Commit, Install(2, 300), Boot, Commit, Boot],
            // The only slot left is the one to roll back to: not the golden one.
            &[Install(3, 300), Boot, Commit, Boot],
            &[Install(3, 300)],
        )
    },
    Scenario {
        product: Product { golden: Some(0), ..Product::PLAIN },
        ..scenario(
            "golden-only",
            &[Boot, Install(1, 300), Boot, Commit, Boot],
            // There is no slot left.
            &[Install(2, 300), Snapshot(false, None), Note(1), Boot],
            NO_STEPS,
        )
    },
    Scenario {
        product: TWO_CHIPS,
        ..scenario(
            "two-chips",
            &[Boot, Install(1, 300), Boot],
            &[Commit, Boot, Install(2, 300), Boot, Commit],
            &[Install(2, 300)],
        )
    },
    Scenario {
        product: RECORD_APART,
        ..scenario(
            "record-apart",
            &[Boot],
            &[Install(1, 300), Boot, Commit, Boot],
            &[Install(2, 300)],
        )
    },
    Scenario {
        product: TWO_CHIPS,
        fault: Fault::SecondDead,
        ..scenario(
            "other-dead",
            &[Boot, Install(3, 9), Boot, Commit, Install(1, 9), Boot, Commit, Boot],
            &[Boot, Note(1), Boot],
            &[Note(2)],
        )
    },
    Scenario {
        product: TWO_CHIPS,
        fault: Fault::SecondDead,
        ..scenario("active-dead", &[Boot, Install(1, 300)], &[Boot, Note(1), Boot], &[Note(2)])
    },
    Scenario {
        product: RECORD_APART,
        fault: Fault::SecondDead,
        ..scenario("record-dead", &[Boot, Install(1, 300)], &[Boot, Crashed, Boot], NO_STEPS)
    },
    Scenario {
        fault: Fault::RecordWorn,
        ..scenario("record-worn", &[Boot, Install(1, 300)], &[Boot, Boot], NO_STEPS)
    },
    Scenario {
        fault: Fault::RecordWorn,
        ..scenario("record-worn-trial", &[Boot, Install(1, 300), Boot], &[Boot, Boot], NO_STEPS)
    },
    Scenario {
        fault: Fault::Rot(1),
        ..scenario(
            "rot-snapshot",
            // What runs, in slot 1, has rotted: the copy is refused, and slot 0 keeps its image.
            &[
                Boot,
                Install(3, 9),
                Boot,
                Commit,
                Install(1, 9),
                Boot,
                Commit,
                Install(2, 9),
                Boot,
                Commit,
                Boot,
            ],
            &[Snapshot(false, None), Boot, Boot],
            NO_STEPS,
        )
    },
    scenario(
        "set-away",
        // From an image on trial to the one before; then without a commit: not back as if confirmed.
        &[Boot, Install(3, 9), Boot, Commit, Boot, Install(1, 9), Boot],
        &[Set(SWITCH), Boot, Boot, Boot],
        NO_STEPS,
    ),
    scenario(
        "set-failed",
        // To an image that has failed its trial, without a word of trials: not as if confirmed.
        &[Boot, Install(1, 300), Boot, Boot],
        &[Set(SWITCH), Boot, Boot],
        NO_STEPS,
    ),
    Scenario {
        fault: Fault::Rot(0),
        ..scenario(
            "rot-after-rollback",
            // Nothing but an image that has failed its trial is left: not as if confirmed.
            &[Boot, Install(1, 300), Boot, Boot],
            &[Boot, Boot],
            NO_STEPS,
        )
    },
];

impl Scenario {
    /// The scenario called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|scenario| scenario.name == name)
    }
}
