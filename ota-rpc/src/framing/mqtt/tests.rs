use std::format;
use std::string::ToString;

use proptest::prelude::*;

use super::*;

const DEVICE: &str = "esp_stub";

#[test]
fn a_device_subscribes_to_its_topic_and_those_of_methods() {
    let [frames, methods] = subscriptions(DEVICE).map(|topic| topic.to_string());
    assert_eq!((frames.as_str(), methods.as_str()), ("esp_stub/rpc", "esp_stub/rpc/#"));
}

#[test]
fn only_topics_of_the_device_are_read() {
    for (topic, found) in [
        ("esp_stub/rpc", Some(Topic::Frame)),
        ("esp_stub/rpc/OTA.Commit", Some(Topic::Method("OTA.Commit"))),
        ("esp_stub/rpc/a/b", Some(Topic::Method("a/b"))),
        ("esp_stub/rpc/", None),
        ("esp_stub/rpc-resp/mos-1/rpc", None),
        ("esp_stub", None),
        ("esp_stub2/rpc", None),
        ("x/esp_stub/rpc", None),
        ("", None),
    ] {
        assert_eq!(Topic::parse(DEVICE, topic), found, "{topic}");
    }
}

#[test]
fn the_recorded_request_is_taken_as_it_is_and_answered_where_its_sender_listens() {
    // mos-wire.txt
    let recorded = br#"{"src":"esp_stub/rpc-resp/mos-1661870174","dst":"esp_stub","id":1709181660393,"method":"OTA.Update","params":{"url":"http://x/fw.zip?a=1\u0026b=2","commit_timeout":300}}"#;
    assert_eq!(request(DEVICE, "esp_stub/rpc", recorded, &mut []), Ok(&recorded[..]));
    let url = Frame::parse(recorded).unwrap().argument("url").unwrap().as_text().unwrap();
    assert_eq!(url, "http://x/fw.zip?a=1&b=2");
    let reply = br#"{"id":1709181660393,"src":"esp_stub","dst":"esp_stub/rpc-resp/mos-1661870174","result":null}"#;
    let topic = ReplyTopic::of(reply).unwrap().to_string();
    assert_eq!(topic, "esp_stub/rpc-resp/mos-1661870174/rpc");
    let client = ClientSource { device_id: DEVICE, client_id: "mos-1661870174" };
    assert_eq!(format!("{client}/rpc"), topic);
    // Versions of mos before 2019.
    let reply = br#"{"id":1,"src":"esp_stub","dst":"mos-1","result":null}"#;
    assert_eq!(ReplyTopic::of(reply).unwrap().to_string(), "mos-1/rpc");
}

#[test]
fn the_method_of_the_topic_wins() {
    let message = r#"{"id":"7","src":"é","dst":"d","tag":{"a": 1},"method":"OTA.Revert","args":[1],"auth":{},"v":2}"#;
    let mut buffer = [0; 200];
    let found = request(DEVICE, "esp_stub/rpc/OTA.Commit", message.as_bytes(), &mut buffer);
    let expected = r#"{"id":7,"src":"\u00e9","dst":"d","tag":{"a": 1},"method":"OTA.Commit","params":[1],"auth":{}}"#;
    assert_eq!(core::str::from_utf8(found.unwrap()).unwrap(), expected);
    let found = request(DEVICE, "esp_stub/rpc/a\"b", b"{}", &mut buffer);
    assert_eq!(found, Ok(&br#"{"method":"a\"b"}"#[..]));
    let no_room = NoRoom { capacity: 10 };
    let mut short = [0; 10];
    let found = request(DEVICE, "esp_stub/rpc/OTA.Commit", b"{}", &mut short);
    assert_eq!(found, Err(Ignored::NoRoom(no_room)));
}

#[test]
fn what_cannot_be_answered_is_dropped_unless_it_wants_no_answer() {
    for (topic, message, why) in [
        ("esp_stub/rpc", r#"{"id":1,"method":"m"}"#, Some(Ignored::NoSource)),
        ("esp_stub/rpc", r#"{"id":1,"method":"m","src":""}"#, Some(Ignored::NoSource)),
        ("esp_stub/rpc/m", r#"{"id":1}"#, Some(Ignored::NoSource)),
        ("esp_stub/rpc", r#"{"method":"m"}"#, None),
        ("esp_stub/rpc/m", "{}", None),
        ("esp_stub/rpc", r#"{"id":1,"result":null}"#, None),
        ("other/rpc", r#"{"method":"m"}"#, Some(Ignored::Topic)),
        ("esp_stub/rpc", "[]", Some(Ignored::Rejected(Rejected::NotAnObject))),
    ] {
        let mut buffer = [0; 64];
        let found = request(DEVICE, topic, message.as_bytes(), &mut buffer).err();
        assert_eq!(found, why, "{topic} {message}");
    }
}

#[test]
fn brackets_are_dropped_without_being_followed() {
    for (message, why) in [
        ("[".repeat(100_000), Rejected::TooLong { found: 100_000 }),
        ("[".repeat(10_000), Rejected::Json(ota_core::json::JsonError::TooDeep { offset: 16 })),
    ] {
        let found = request(DEVICE, "esp_stub/rpc/m", message.as_bytes(), &mut []);
        assert_eq!(found, Err(Ignored::Rejected(why)));
    }
}

#[test]
fn a_reply_is_never_published_where_brokers_forbid_it() {
    for src in ["#", "a/+/b", "$SYS/x", "a\\u0000", "a\\n"] {
        let message = format!(r#"{{"id":1,"src":"{src}","method":"OTA.Revert"}}"#);
        let found = request(DEVICE, "esp_stub/rpc", message.as_bytes(), &mut []);
        assert_eq!(found, Err(Ignored::BadSource), "{src}");
        let reply = format!(r#"{{"id":1,"src":"esp_stub","dst":"{src}","result":null}}"#);
        assert_eq!(ReplyTopic::of(reply.as_bytes()), None);
    }
}

#[test]
fn max_reply_topic_bytes() {
    // é has two bytes, however it is written.
    for (src, fits) in [
        ("s".repeat(MAX_REPLY_TOPIC_BYTES - 4), true),
        ("s".repeat(MAX_REPLY_TOPIC_BYTES - 3), false),
        ("\\u00e9".repeat((MAX_REPLY_TOPIC_BYTES - 4) / 2), true),
        ("\\u00e9".repeat((MAX_REPLY_TOPIC_BYTES - 4) / 2 + 1), false),
    ] {
        let message = format!(r#"{{"id":1,"src":"{src}","method":"m"}}"#);
        let found = request(DEVICE, "esp_stub/rpc", message.as_bytes(), &mut []);
        assert_eq!(found.is_ok(), fits);
    }
}

proptest! {
    #[test]
    fn anything_is_taken_or_dropped(
        topic: std::string::String,
        method in "[a-zA-Z.\"é/]{0,8}",
        message: std::vec::Vec<u8>,
        members in "(\"(id|src|method|tag|é)\":(1|\"a\"|null|\\{\\}),){0,4}",
    ) {
        let _ = request(DEVICE, &topic, &message, &mut [0; 64]);
        let topic = format!("{DEVICE}/rpc/{method}");
        let text = format!("{{{members}\"v\":1}}");
        let mut buffer = [0; 256];
        if let Ok(text) = request(DEVICE, &topic, text.as_bytes(), &mut buffer) {
            let frame = Frame::parse(text).unwrap();
            prop_assert_eq!(frame.method.unwrap(), method.as_str());
        }
    }
}
