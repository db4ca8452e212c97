//! Section 2.1 of the reference, on every transport.

use crate::raw::Raw;
use crate::rig::{DEVICE, Rig, Wire};

fn rules(wire: Wire) {
    let Some(mut rig) = Rig::open(wire) else { return };
    let mut raw = Raw::connect(&rig, wire);
    let src = raw.source();
    let state =
        r#""result":{"active_slot":0,"is_committed":true,"revert_slot":0,"commit_timeout":0}}"#;
    let from_me = format!(r#""src":"{DEVICE}","dst":"{src}""#);
    // What is asked, and what is answered.
    for (request, reply) in [
        // 64 bits.
        (
            format!(r#"{{"src":"{src}","id":1669674268421,"method":"OTA.GetBootState"}}"#),
            format!(r#"{{"id":1669674268421,{from_me},{state}"#),
        ),
        // An id made of digits is a number, whatever it came as; another text stays one.
        (
            format!(r#"{{"src":"{src}","id":"42","method":"OTA.GetBootState"}}"#),
            format!(r#"{{"id":42,{from_me},{state}"#),
        ),
        (
            format!(r#"{{"src":"{src}","id":"a-1","method":"OTA.GetBootState"}}"#),
            format!(r#"{{"id":"a-1",{from_me},{state}"#),
        ),
        // The tag comes back, unknown members do not matter, nor does their order.
        (
            format!(
                r#"{{"method":"ota.getbootstate","v":2,"x":[{{}}],"tag":"t\u00e9","id":5,"src":"{src}"}}"#
            ),
            format!(r#"{{"id":5,{from_me},"tag":"t\u00e9",{state}"#),
        ),
        // For this device by name.
        (
            format!(r#"{{"src":"{src}","dst":"{DEVICE}","id":6,"method":"OTA.GetBootState"}}"#),
            format!(r#"{{"id":6,{from_me},{state}"#),
        ),
        // Numbers as texts; args for params; params win.
        (
            format!(
                r#"{{"src":"{src}","id":7,"method":"OTA.SetBootState","args":{{"commit_timeout":"0x12c"}}}}"#
            ),
            format!(r#"{{"id":7,{from_me},"result":null}}"#),
        ),
        (
            format!(
                r#"{{"src":"{src}","id":8,"method":"OTA.SetBootState","args":{{"active_slot":7}},"params":{{"commit_timeout":0}}}}"#
            ),
            format!(r#"{{"id":8,{from_me},"result":null}}"#),
        ),
        (
            format!(r#"{{"src":"{src}","id":9,"method":"Foo.Bar"}}"#),
            format!(
                r#"{{"id":9,{from_me},"error":{{"code":404,"message":"No handler for Foo.Bar"}}}}"#
            ),
        ),
    ] {
        assert_eq!(raw.exchange(&request), reply, "{request}");
    }

    // Not for this device; a notification: no reply.
    let elsewhere =
        format!(r#"{{"src":"{src}","dst":"other","id":10,"method":"OTA.GetBootState"}}"#);
    let notification = format!(
        r#"{{"src":"{src}","method":"OTA.SetBootState","params":{{"commit_timeout":77}}}}"#
    );
    raw.send(&elsewhere);
    if wire == Wire::Http {
        assert!(raw.receive().starts_with("HTTP 400"));
    }
    raw.send(&notification);
    if wire == Wire::Http {
        assert_eq!(raw.receive(), "");
    }
    // But it was carried out.
    let reply = raw.exchange(&format!(r#"{{"src":"{src}","id":11,"method":"OTA.GetBootState"}}"#));
    assert!(
        reply.starts_with(r#"{"id":11"#) && reply.contains(r#""commit_timeout":77"#),
        "{reply}"
    );

    // In the last 100 ms before a reboot.
    let reboot =
        format!(r#"{{"src":"{src}","id":12,"method":"Sys.Reboot","params":{{"delay_ms":1000}}}}"#);
    assert_eq!(raw.exchange(&reboot), format!(r#"{{"id":12,{from_me},"result":null}}"#));
    let mut asked = 12;
    loop {
        asked += 1;
        let reply = raw.exchange(&format!(r#"{{"src":"{src}","id":{asked},"method":"RPC.Ping"}}"#));
        if reply.contains(r#""code":418,"message":"shutting down in "#) {
            break;
        }
        assert!(reply.contains("channel_info") && asked < 200, "{reply}");
        rig.clock.advance_ms(20);
    }
    rig.clock.run();
    assert_eq!(rig.booted(), "1.0.0");
    drop(raw);
    let reply = Raw::connect(&rig, wire)
        .exchange(&format!(r#"{{"src":"{src}","id":1,"method":"OTA.GetBootState"}}"#));
    assert!(reply.contains(r#""is_committed":true"#), "{reply}");
}

macro_rules! on_every_wire {
    ($($wire:ident: $name:ident)*) => {
        $(#[test]
        fn $name() {
            rules(Wire::$wire);
        })*
    };
}

on_every_wire! {
    Http: the_rules_of_frames_over_http
    WebSocket: the_rules_of_frames_over_websocket
    Tcp: the_rules_of_frames_over_tcp
    Udp: the_rules_of_frames_over_udp
    Serial: the_rules_of_frames_over_serial
    Mqtt: the_rules_of_frames_over_mqtt
}
