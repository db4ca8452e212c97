//! Too much of what is allowed.

use ota_rpc::{Channel, ChannelId, ChannelKind};
use ota_sim::app::Behaviour;
use ota_sim::device::{Reply, Switches};
use serde_json::json;

use crate::world::{CMD, World, bundle, command, settings, with_world};

const ADAPTER: &str = "pt:j1/mt:cmd/rt:ad/rn:ref/ad:1";

fn ends(world: &World<'_>) -> usize {
    world.hub.updates.iter().filter(|update| update.ends > 0).count()
}

/// Each update is written to the record. Whoever may publish is not to wear its flash out.
#[test]
fn a_flood_of_updates_that_fail_wears_nothing_out() {
    with_world(settings(), |world| {
        for switches in
            [Switches { battery_is_low: true, ..Switches::default() }, Switches::default()]
        {
            world.device.switch(switches);
            let before = world.operations();
            for _ in 0..600 {
                world.install();
                world.run(100);
            }
            // An append is three operations, and an erase now and then.
            let operations = world.operations() - before;
            assert!(operations <= 16 * 5 * 4, "{operations} operations");
        }
        assert_eq!(ends(world), world.hub.updates.len());
        assert_eq!(ends(world), 16);
        // An hour later, more is possible.
        world.now_ms += 3_600_000;
        world.file = Ok(bundle("2.0.0", "sim", Behaviour::Healthy));
        assert_eq!(world.install(), None);
        world.run(20_000);
        assert_eq!(world.hub.updates.last().unwrap().error.as_deref(), Some(""));
        world.judge().unwrap();
    });
}

#[test]
fn an_update_that_fails_at_once_is_written_three_times() {
    with_world(settings(), |world| {
        world.device.switch(Switches { battery_is_low: true, ..Switches::default() });
        let before = world.operations();
        assert_eq!(world.install(), None);
        world.run(1000);
        assert_eq!(ends(world), 1);
        let operations = world.operations() - before;
        assert!(operations <= 3 * 3, "{operations} operations");
    });
}

/// The inclusion report comes when it is asked for; the others come all the same.
#[test]
fn questions_without_end_silence_no_update() {
    with_world(settings(), |world| {
        world.file = Ok(bundle("2.0.0", "sim", Behaviour::Healthy));
        let ask = command("cmd.thing.get_inclusion_report", "string", json!("7"));
        world.send(ADAPTER, &ask);
        world.install();
        for _ in 0..400 {
            world.send(ADAPTER, &ask);
            world.run(50);
        }
        assert_eq!(ends(world), 1);
        assert_eq!(world.hub.updates[0].error.as_deref(), Some(""));
        assert_eq!(world.hub.updates[0].progress.last(), Some(&100));
        assert!(world.hub.all("evt.thing.inclusion_report").count() > 100);
        world.judge().unwrap();
    });
}

/// RPC may come by another broker, which knows who may publish.
#[test]
fn a_flood_of_commands_takes_no_time_of_rpc() {
    with_world(settings(), |world| {
        let ask = command("cmd.ota_status.get_report", "null", json!(null));
        for _ in 0..10_000 {
            world.device.fimp(CMD, &ask, world.now_ms);
        }
        let from = Channel::new(ChannelId(9), ChannelKind::Mqtt, "");
        let frame = br#"{"id":1,"src":"x","method":"OTA.Status"}"#;
        let Reply::Frame(reply) = world.device.rpc(from, frame, world.now_ms).reply else {
            panic!("there is a reply")
        };
        let reply = String::from_utf8(reply).unwrap();
        assert!(reply.contains("result"), "{reply}");
    });
}
