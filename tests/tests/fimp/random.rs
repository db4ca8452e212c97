//! A long life: updates of all kinds over FIMP and RPC, failures, resets, power cuts, a broker that
//! comes and goes. Every message has to be well-formed, and what it says true.

use ota_sim::app::Behaviour;
use ota_sim::device::{Settings, Switches};
use ota_sim::nor::Tear;
use proptest::prelude::*;
use serde_json::json;

use crate::world::{CMD, World, bundle, command, settings, with_world};

#[derive(Clone, Debug)]
enum Deed {
    Serve(File),
    Install,
    /// `OTA.Update`.
    Update,
    Wait(u64),
    Rate(usize),
    Abort,
    Commit,
    Revert,
    Reboot,
    Snapshot,
    Status,
    Inclusion,
    Nonsense(Vec<u8>),
    Cut(u64, u64),
    Off,
    Broker(bool),
    Switch(Switches),
    UserStarts,
}

#[derive(Clone, Copy, Debug)]
enum File {
    Good(u8, Behaviour),
    OtherPlatform,
    Damaged,
    Missing(i32),
}

impl File {
    fn serve(self) -> Result<Vec<u8>, i32> {
        match self {
            Self::Good(minor, behaviour) => Ok(bundle(&format!("2.{minor}.0"), "sim", behaviour)),
            Self::OtherPlatform => Ok(bundle("3.0.0", "esp32", Behaviour::Healthy)),
            Self::Damaged => {
                let mut file = bundle("4.0.0", "sim", Behaviour::Healthy);
                let middle = file.len() / 2;
                file[middle] ^= 0x10;
                Ok(file)
            }
            Self::Missing(code) => Err(code),
        }
    }
}

fn deeds() -> impl Strategy<Value = Deed> {
    let behaviour = prop_oneof![
        4 => Just(Behaviour::Healthy),
        1 => Just(Behaviour::NeverCommits),
        1 => Just(Behaviour::Crashes),
        1 => Just(Behaviour::BadStart),
    ];
    let file = prop_oneof![
        6 => (0..4u8, behaviour).prop_map(|(minor, behaviour)| File::Good(minor, behaviour)),
        1 => Just(File::OtherPlatform),
        1 => Just(File::Damaged),
        1 => prop_oneof![Just(-404), Just(-10), Just(-1)].prop_map(File::Missing),
    ];
    prop_oneof![
        4 => file.prop_map(Deed::Serve),
        6 => Just(Deed::Install),
        2 => Just(Deed::Update),
        12 => (50..8000u64).prop_map(Deed::Wait),
        1 => (100..20_000usize).prop_map(Deed::Rate),
        1 => Just(Deed::Abort),
        3 => Just(Deed::Commit),
        1 => Just(Deed::Revert),
        1 => Just(Deed::Reboot),
        1 => Just(Deed::Snapshot),
        3 => Just(Deed::Status),
        1 => Just(Deed::Inclusion),
        1 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Deed::Nonsense),
        2 => (0..60u64, any::<u64>()).prop_map(|(operations, seed)| Deed::Cut(operations, seed)),
        1 => Just(Deed::Off),
        2 => any::<bool>().prop_map(Deed::Broker),
        1 => (prop::bool::weighted(0.3), prop::bool::weighted(0.3)).prop_map(
            |(battery_is_low, needs_user)| Deed::Switch(Switches { battery_is_low, needs_user })
        ),
        1 => Just(Deed::UserStarts),
    ]
}

fn make(world: &mut World<'_>, deed: Deed) {
    match deed {
        Deed::Serve(file) => world.file = file.serve(),
        Deed::Install => drop(world.install()),
        Deed::Update => drop(world.rpc("OTA.Update", json!({ "url": "http://host/fw.zip" }))),
        Deed::Wait(ms) => world.run(ms),
        Deed::Rate(rate) => world.rate = rate,
        Deed::Abort => drop(world.rpc("OTA.Abort", json!({}))),
        Deed::Commit => drop(world.rpc("OTA.Commit", json!({}))),
        Deed::Revert => drop(world.rpc("OTA.Revert", json!({}))),
        Deed::Reboot => drop(world.rpc("Sys.Reboot", json!({}))),
        Deed::Snapshot => drop(world.rpc("OTA.CreateSnapshot", json!({}))),
        Deed::Status => {
            drop(world.send(CMD, &command("cmd.ota_status.get_report", "null", json!(null))));
        }
        Deed::Inclusion => {
            let topic = "pt:j1/mt:cmd/rt:ad/rn:ref/ad:1";
            drop(
                world.send(topic, &command("cmd.thing.get_inclusion_report", "string", json!("7"))),
            );
        }
        Deed::Nonsense(bytes) => drop(world.send(CMD, &bytes)),
        Deed::Cut(operations, seed) => {
            world.cut_after(operations, Tear::Bits { percent: 50, seed });
        }
        Deed::Off => world.device.power_off(),
        Deed::Broker(is_there) => world.set_broker(is_there),
        Deed::Switch(switches) => world.device.switch(switches),
        Deed::UserStarts => world.user_starts(),
    }
}

/// An end that says success is believed: was it true? A user may have gone back since, who is not
/// told of by FIMP.
fn check_successes(world: &World<'_>, committed: &[String]) -> Result<(), String> {
    let successes = world.hub.updates.iter().filter(|update| update.error.as_deref() == Some(""));
    match successes.count() {
        told if told <= committed.len() => Ok(()),
        told => Err(format!("{told} successes, and {committed:?} were committed")),
    }
}

/// The update that runs and is there to stay, noted once for each time that it came to be so.
fn note_committed(world: &mut World<'_>, committed: &mut Vec<String>, boots: &mut usize) {
    let is_new = world.booted.len() > *boots;
    let runs = world.booted.last().cloned().unwrap_or_default();
    if is_new && runs.starts_with("2.") && world.device.answers() && world.is_committed() {
        *boots = world.booted.len();
        committed.push(runs);
    }
}

fn live(deeds: Vec<Deed>, commit_timeout_s: u32) -> Result<(), String> {
    with_world(Settings { commit_timeout_s, ..settings() }, |world| {
        let (mut committed, mut boots) = (Vec::new(), 0);
        for deed in deeds {
            make(world, deed);
            if world.powered_off {
                world.power_on(3);
            }
            world.run(50);
            // Without power nobody can be asked what is committed.
            if !world.powered_off {
                note_committed(world, &mut committed, &mut boots);
                check_successes(world, &committed)?;
            }
        }
        // In the end everything comes to rest, and is told.
        world.set_broker(true);
        for _ in 0..60 {
            world.run(1000);
            if world.powered_off {
                world.power_on(3);
            }
            if world.device.recovery().is_some() {
                break;
            }
        }
        world.judge()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_long_life_is_told_well(
        deeds in proptest::collection::vec(deeds(), 1..120),
        commit_timeout_s in prop_oneof![Just(0u32), Just(5)],
    ) {
        live(deeds, commit_timeout_s).map_err(TestCaseError::fail)?;
    }
}
