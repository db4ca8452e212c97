//! What could make the device tell of an update what is not so, or leave out what is.

use ota_sim::app::Behaviour;
use ota_sim::device::Switches;
use serde_json::json;

use crate::world::{CMD, World, bundle, command, settings, with_world};

/// A command of which nothing is fetched: the server says nothing.
fn install_of_a_silent_server(world: &mut World<'_>) {
    let install = command("cmd.ota_update.install", "string", json!("http://silent/fw.zip"));
    let (reply, action) = world.device.fimp(CMD, &install, world.now_ms);
    assert!(reply.is_none() && action.is_some());
}

/// Another image that runs is not the new one if that was never there.
#[test]
fn a_switch_to_another_slot_is_no_success() {
    with_world(settings(), |world| {
        world.rpc("OTA.CreateSnapshot", json!({}));
        world.run(2000);
        install_of_a_silent_server(world);
        world.run(2000);
        let switch = json!({ "active_slot": 1, "is_committed": true });
        assert_eq!(world.rpc("OTA.SetBootState", switch), Some(json!(null)));
        world.rpc("Sys.Reboot", json!({}));
        world.run(10_000);
        assert_eq!(world.rpc("OTA.Status", json!({})).unwrap()["running_slot"], 1);
        assert_eq!(world.hub.updates.len(), 1);
        assert_eq!(world.hub.updates[0].error.as_deref(), Some("other"));
        world.judge().unwrap();
    });
}

/// Updates that begin and end while the broker confirms nothing.
#[test]
fn a_late_confirmation_is_of_the_report_that_was_sent() {
    with_world(settings(), |world| {
        world.holds_back = true;
        world.device.switch(Switches { battery_is_low: true, ..Switches::default() });
        assert_eq!(world.install(), None);
        world.run(100);
        for _ in 0..2 {
            assert!(world.rpc("OTA.Begin", json!({ "size": 1000 })).is_some());
            world.run(100);
            world.rpc("OTA.Abort", json!({}));
            world.run(100);
        }
        assert_eq!((world.hub.updates.len(), world.hub.updates[0].ends), (1, 0));
        world.holds_back = false;
        world.confirm();
        world.run(2000);
        // What was heard of has ended; so has the last.
        for update in &world.hub.updates {
            assert_eq!((update.starts, update.ends), (1, 1), "{update:?}");
        }
        let errors: Vec<_> = world.hub.updates.iter().map(|it| it.error.as_deref()).collect();
        assert_eq!(errors, [Some("low_battery"), Some("other")]);
        world.judge().unwrap();
    });
}

/// A hub that asks for more while it was not told of the last gets no for an answer, and is told of
/// all that was begun.
#[test]
fn an_update_that_a_hub_starts_is_told_to_its_end() {
    with_world(settings(), |world| {
        world.holds_back = true;
        assert_eq!(world.install(), None);
        world.run(100);
        for _ in 0..3 {
            let reply = world.install().expect("the last is not told of yet");
            assert!(reply.payload.escape_ascii().to_string().contains("not told yet"));
            world.run(100);
        }
        world.holds_back = false;
        world.confirm();
        world.run(2000);
        assert_eq!(world.hub.updates.len(), 1);
        assert_eq!(world.hub.updates[0].ends, 1);
        world.file = Ok(bundle("2.0.0", "sim", Behaviour::Healthy));
        assert_eq!(world.install(), None);
        world.run(20_000);
        assert_eq!(world.hub.updates[1].error.as_deref(), Some(""));
        world.judge().unwrap();
    });
}
