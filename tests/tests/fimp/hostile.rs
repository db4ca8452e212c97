//! Messages that nobody should send. They change nothing, and get the answer that the protocol has for
//! them.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decoder::decode;
use crate::world::{CMD, EVT, World, command, settings, with_world};

/// What the device would tell of itself.
fn state(world: &mut World<'_>) -> (Option<Value>, Option<Value>, Vec<String>) {
    let status = world.send(CMD, &command("cmd.ota_status.get_report", "null", json!(null)));
    let status =
        status.map(|reply| serde_json::from_slice::<Value>(&reply.payload).unwrap()["val"].clone());
    (status, world.rpc("OTA.Status", json!({})), world.booted.clone())
}

/// Sends it; the message of the error that comes back, if one does, and where it goes.
fn refused(world: &mut World<'_>, topic: &str, payload: &[u8]) -> Option<(String, String)> {
    let before = state(world);
    let reply = world.send(topic, payload);
    assert_eq!(state(world), before, "{topic} {}", payload.escape_ascii());
    let reply = reply?;
    let message = decode(&reply.topic, &reply.payload).unwrap();
    assert_eq!(message.kind, "evt.error.report");
    assert_eq!(message.props["cmd_topic"], topic);
    Some((message.topic, message.props["msg"].clone()))
}

#[test]
fn what_is_no_message_gets_no_answer() {
    with_world(settings(), |world| {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        let long = command("cmd.ota_update.install", "string", json!("x".repeat(20_000)));
        for payload in [
            &b""[..],
            b"nonsense",
            b"{\"type\":",
            b"[1,2]",
            b"\xff\xfe{}",
            b"{}",
            b"{\"serv\":\"ota\",\"val_t\":\"null\"}",
            b"{\"type\":7}",
            &deep,
            &long,
            &command("evt.ota_end.report", "object", json!({})),
        ] {
            assert_eq!(refused(world, CMD, payload), None, "{}", payload.escape_ascii());
        }
        world.judge().unwrap();
    });
}

#[test]
fn wrong_values_are_refused_in_words() {
    with_world(settings(), |world| {
        let install = |val_t: &str, val: Value| command("cmd.ota_update.install", val_t, val);
        for (payload, words) in [
            (install("int", json!(1)), "wrong value type. expected string, got int"),
            (install("string", json!(1)), "wrong value type. expected string"),
            (install("string", json!(null)), "wrong value type. expected string"),
            (install("string", json!("")), "failed to start OTA update: firmware path is empty"),
            (install("string", json!("x".repeat(513))), "firmware path is longer than 512 bytes"),
            (install("string", json!("/fw\n.zip")), "firmware path has control characters"),
            (command("cmd.ota_update.start", "bool", json!(true)), "expected string, got bool"),
            (command("cmd.ota_status.get_report", "int", json!(1)), "expected null, got int"),
            (command("cmd.ota_update.stop", "null", json!(null)), "no such command"),
            (command(&format!("cmd.{}", "x".repeat(5000)), "null", json!(null)), "no such command"),
        ] {
            let (topic, message) = refused(world, CMD, &payload).expect(words);
            assert_eq!(topic, "pt:j1/mt:rsp/rt:app/rn:hub/ad:1");
            assert!(message.contains(words), "{message}");
        }
        world.judge().unwrap();
    });
}

#[test]
fn the_topic_decides_who_is_meant() {
    with_world(settings(), |world| {
        let install = command("cmd.ota_update.install", "string", json!("/fw.zip"));
        for topic in [
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:2/sv:ota/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:other/ad:1/sv:ota/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:refx/ad:1/sv:ota/ad:7",
            "pt:j1/mt:evt/rt:dev/rn:ref/ad:1/sv:ota/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:7/more",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1",
            "pt:j1c1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:7",
            "pt:j1/mt:cmd/rt:discovery",
            // What no broker delivers, and no reply could go to.
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:lo\0ck/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:+",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:#/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:/ad:7",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:",
            "",
            "/",
            "dev/rpc",
        ] {
            assert_eq!(refused(world, topic, &install), None, "{topic}");
        }
        for topic in [
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:ota/ad:8",
            "pt:j1/mt:cmd/rt:dev/rn:ref/ad:1/sv:out_bin_switch/ad:7",
        ] {
            let (_, message) = refused(world, topic, &install).expect(topic);
            assert!(message.contains("there is no such device or service here"), "{message}");
        }
        let adapter = "pt:j1/mt:cmd/rt:ad/rn:ref/ad:1";
        let get = |thing: &str| command("cmd.thing.get_inclusion_report", "string", json!(thing));
        let (_, message) = refused(world, adapter, &get("8")).unwrap();
        assert!(message.contains("there is no such device here"), "{message}");
        let (_, message) = refused(world, adapter, &install).unwrap();
        assert_eq!(message, "no such command");
        world.judge().unwrap();
    });
}

/// A reply goes where it is wanted, unless that is no place for one.
#[test]
fn replies_go_to_no_wrong_topics() {
    with_world(settings(), |world| {
        for (resp_to, place) in [
            (json!("pt:j1/mt:rsp/rt:cloud/rn:remote-client/ad:smarthome-app"), None),
            (json!("site-1/pt:j1/mt:rsp/rt:app/rn:x/ad:1"), None),
            (json!("pt:j1/mt:evt/rt:app/rn:x/ad:1"), None),
            (json!("pt:j1/mt:evt/rt:dev/rn:lock/ad:1/sv:ota/ad:1"), Some(EVT)),
            (json!("pt:j1/mt:evt/rt:ad/rn:lock/ad:1"), Some(EVT)),
            (json!(EVT), Some(EVT)),
            (json!(""), Some(EVT)),
            (json!(null), Some(EVT)),
            (json!(7), Some(EVT)),
            (json!("pt:j1/mt:cmd/rt:dev/rn:lock/ad:1/sv:door_lock/ad:1"), Some(EVT)),
            (json!("pt:j1/mt:rsp/rt:app/rn:+/ad:1"), Some(EVT)),
            (json!("#"), Some(EVT)),
            (json!("$SYS/broker"), Some(EVT)),
            (json!("$SYS/pt:j1/mt:rsp/rt:app/rn:x/ad:1"), Some(EVT)),
            (json!("$share/pt:j1/mt:rsp/rt:app/rn:x/ad:1"), Some(EVT)),
            (json!("/pt:j1/mt:rsp/rt:app/rn:x/ad:1"), Some(EVT)),
            (json!("dev/rpc"), Some(EVT)),
            (json!("pt:j1/mt:rsp/rt:app/rn:x/ad:1\u{0}"), Some(EVT)),
            (json!(format!("pt:j1/mt:rsp/rt:app/rn:{}/ad:1", "x".repeat(300))), Some(EVT)),
        ] {
            let payload = command("cmd.ota_update.install", "string", json!(""));
            let mut message: Value = serde_json::from_slice(&payload).unwrap();
            message["resp_to"] = resp_to.clone();
            let reply =
                world.device.fimp(CMD, message.to_string().as_bytes(), world.now_ms).0.unwrap();
            assert_eq!(reply.topic, place.or(resp_to.as_str()).unwrap(), "{resp_to}");
        }
    });
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_changes(
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        topic in "(pt:j1/mt:cmd/rt:(dev|ad)/rn:ref/ad:1(/sv:ota/ad:7)?)|.{0,60}",
    ) {
        with_world(settings(), |world| {
            refused(world, &topic, &payload);
        });
    }

    #[test]
    fn commands_with_anything_in_them_are_answered_well(
        kind in "cmd\\.(ota_update\\.(start|instal)|ota_status\\.get_report|.{0,20})",
        val_t in "(string|null|int|.{0,20})",
        uid in ".{0,60}",
        resp_to in "(pt:j1/mt:(rsp|evt|cmd)/rt:app/rn:[a-z+#/:]{0,9}/ad:1)|.{0,60}",
        serv in "(ota|.{0,10})",
    ) {
        let message = json!({
            "type": kind, "serv": serv, "val_t": val_t, "val": {}, "uid": uid, "resp_to": resp_to,
        });
        with_world(settings(), |world| {
            let reply = world.device.fimp(CMD, message.to_string().as_bytes(), world.now_ms).0;
            // Others than FIMP's own topics may be written with other characters.
            let reply = reply.expect("a command is answered");
            let text: Value = serde_json::from_slice(&reply.payload).unwrap();
            assert_eq!(&text["corid"], &uid);
            decode(EVT, &reply.payload).unwrap();
        });
    }
}
