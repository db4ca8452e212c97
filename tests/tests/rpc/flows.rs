//! The life of a device, driven over each transport by the client of `ota-sim`.

use ota_sim::host::client::{Client, PushEvent, PushOptions, Pushed, push};
use serde_json::{Value, json};

use crate::rig::{Rig, Wire, bundle};

fn state(client: &mut Client) -> Value {
    client.call("OTA.GetBootState", None).unwrap()
}

fn whole_life(wire: Wire) {
    let Some(mut rig) = Rig::open(wire) else { return };
    let mut client = rig.client(wire);
    let factory = json!({
        "active_slot": 0, "is_committed": true, "revert_slot": 0, "commit_timeout": 0
    });
    assert_eq!(state(&mut client), factory);

    // Pulled, on trial, committed.
    let url = rig.serve("1.1.0", 100_000);
    let update = json!({ "url": url, "commit_timeout": 300 });
    client.call("OTA.Update", Some(&update)).unwrap();
    assert_eq!(rig.booted(), "1.1.0");
    client.disconnect();
    assert_eq!(state(&mut client)["is_committed"], false);
    assert_eq!(client.call("OTA.Commit", None).unwrap(), Value::Null);
    assert_eq!(state(&mut client)["is_committed"], true);
    assert_eq!(client.call("OTA.Commit", None).unwrap_err().to_string()[..15], *"remote error -1");

    // Pushed, on trial, reverted.
    let new = bundle("1.2.0", 512 * 1024);
    let mut sent = 0;
    let pushed = push(&mut client, &new, &PushOptions::default(), &mut |event| match event {
        PushEvent::Sent { offset } => {
            assert!(offset > sent);
            sent = offset;
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(pushed, Ok(Pushed { version: "1.2.0".to_owned(), is_committed: false }));
    assert_eq!(sent, new.len());
    assert_eq!(rig.booted(), "1.2.0");
    assert_eq!(state(&mut client)["commit_timeout"], 300);
    assert_eq!(client.call("OTA.Revert", None).unwrap(), Value::Null);
    assert_eq!(rig.booted(), "1.1.0");
    client.disconnect();
    assert_eq!(client.call("Sys.GetInfo", None).unwrap()["fw_version"], "1.1.0");
    assert_eq!(state(&mut client)["is_committed"], true);
}

macro_rules! on_every_wire {
    ($($name:ident => $wire:ident)*) => {
        $(#[test]
        fn $name() {
            whole_life(Wire::$wire);
        })*
    };
}

on_every_wire! {
    a_whole_life_over_http => Http
    a_whole_life_over_websocket => WebSocket
    a_whole_life_over_tcp => Tcp
    a_whole_life_over_udp => Udp
    a_whole_life_over_serial => Serial
    a_whole_life_over_mqtt => Mqtt
}
