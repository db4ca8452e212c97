//! A strict reader of FIMP messages, written from the rules of the protocol alone: a hub in Go reads
//! `10.0` as 0, and one in Python falls over a key that is missing.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A message that is all right.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) kind: String,
    pub(crate) serv: String,
    pub(crate) val_t: String,
    pub(crate) val: Value,
    pub(crate) props: BTreeMap<String, String>,
    pub(crate) corid: String,
    pub(crate) src: String,
    pub(crate) ctime: String,
    pub(crate) uid: String,
}

/// A JSON object none of whose keys is there twice.
struct Unique(BTreeMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> serde::de::Visitor<'de> for Keys {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Unique, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if found.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("{key} is there twice")));
                    }
                }
                Ok(Unique(found))
            }
        }
        from.deserialize_map(Keys)
    }
}

/// Reads a message, or says what is wrong with it.
pub(crate) fn decode(topic: &str, payload: &[u8]) -> Result<Message, String> {
    check_topic(topic)?;
    let text = std::str::from_utf8(payload).map_err(|_| "not UTF-8")?;
    let Unique(mut keys) = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut take = |key: &str| keys.remove(key).ok_or_else(|| format!("{key} is missing"));
    let string = |key: &str, value: Value| match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{key} is no string: {other}")),
    };
    let text = |key: &str| take(key).and_then(|value| string(key, value));
    let [kind, serv, val_t, ver, corid, src, ctime, uid] =
        ["type", "serv", "val_t", "ver", "corid", "src", "ctime", "uid"].map(text);
    let (kind, serv, val_t) = (kind?, serv?, val_t?);
    let (corid, src, ctime, uid) = (corid?, src?, ctime?, uid?);
    check_kind(&kind)?;
    ensure(ver? == "1", "ver is not 1")?;
    ensure(!src.is_empty(), "src is empty")?;
    ensure(is_snake(&serv), "serv is not in snake case")?;
    check_time(&ctime)?;
    ensure(is_uuid_v4(&uid), "uid is no UUID of version 4")?;
    let val = keys.remove("val").ok_or("val is missing")?;
    check_value(&val_t, &val)?;
    match keys.remove("tags").ok_or("tags is missing")? {
        Value::Null => {}
        Value::Array(tags) if tags.iter().all(Value::is_string) => {}
        other => return Err(format!("tags: {other}")),
    }
    let props = match keys.remove("props").ok_or("props is missing")? {
        Value::Null => BTreeMap::new(),
        Value::Object(props) => {
            let texts =
                props.into_iter().map(|(key, value)| Ok((key.clone(), string(&key, value)?)));
            texts.collect::<Result<_, String>>()?
        }
        other => return Err(format!("props: {other}")),
    };
    if let Some(storage) = keys.remove("storage") {
        let strategy = storage["strategy"].as_str();
        ensure(matches!(strategy, Some("aggregate" | "skip" | "split")), "storage")?;
    }
    if let Some(resp_to) = keys.remove("resp_to") {
        check_topic(resp_to.as_str().unwrap_or_default())?;
    }
    ensure(keys.is_empty(), &format!("unknown keys: {keys:?}"))?;
    check_interface(&kind, &val_t, &val)?;
    Ok(Message { topic: topic.to_owned(), kind, serv, val_t, val, props, corid, src, ctime, uid })
}

fn ensure(is_so: bool, error: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(error.to_owned()) }
}

fn is_snake(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_kind(kind: &str) -> Result<(), String> {
    let parts: Vec<&str> = kind.split('.').collect();
    let is_kind = matches!(parts[..], ["cmd" | "evt", attribute, action]
        if is_snake(attribute) && is_snake(action));
    ensure(is_kind, &format!("type {kind}"))
}

/// `pt:j1/mt:evt/rt:dev/rn:X/ad:1/sv:ota/ad:7` and its like.
pub(crate) fn check_topic(topic: &str) -> Result<(), String> {
    let wrong = || format!("topic {topic}");
    let segments: Vec<(&str, &str)> = topic
        .split('/')
        .map(|segment| segment.split_once(':').filter(|(_, value)| !value.contains(':')))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let is_alphanumeric =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    let is_thing =
        |name: &str| name.split('_').count() <= 2 && name.split('_').all(is_alphanumeric);
    let is_right = match segments[..] {
        [
            ("pt", "j1"),
            ("mt", "cmd" | "evt" | "rsp"),
            ("rt", rt),
            ("rn", rn),
            ("ad", ad),
            ref rest @ ..,
        ] => {
            is_name(rn)
                && is_alphanumeric(ad)
                && match (rt, rest) {
                    ("dev" | "loc", [("sv", service), ("ad", thing)]) => {
                        is_snake(service) && is_thing(thing)
                    }
                    ("ad" | "app" | "cloud", []) => true,
                    _ => false,
                }
        }
        _ => false,
    };
    ensure(is_right, &wrong())
}

/// RFC 3339, with ms and a zone.
fn check_time(time: &str) -> Result<(), String> {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = time.len() == pattern.len()
        && time.chars().zip(pattern.chars()).all(|(found, wanted)| match wanted {
            'd' => found.is_ascii_digit(),
            other => found == other,
        });
    ensure(fits, &format!("ctime {time}"))?;
    let number = |from: usize, to: usize| time[from..to].parse::<u32>().unwrap();
    let is_time = (1..=12).contains(&number(5, 7))
        && (1..=31).contains(&number(8, 10))
        && number(11, 13) < 24
        && number(14, 16) < 60
        && number(17, 19) < 60;
    ensure(is_time, &format!("ctime {time}"))
}

fn is_uuid_v4(uid: &str) -> bool {
    let parts: Vec<&str> = uid.split('-').collect();
    let is_hex = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| is_hex(part))
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

fn check_value(val_t: &str, val: &Value) -> Result<(), String> {
    let fits = match val_t {
        "null" => val.is_null(),
        "string" => val.is_string(),
        "object" => val.is_object(),
        "int" => val.is_i64(),
        "bool" => val.is_boolean(),
        // No fraction, no exponent, nothing beyond 64 bits, no null.
        "int_map" => val.as_object().is_some_and(|map| map.values().all(Value::is_i64)),
        "str_map" => val.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        _ => return Err(format!("val_t {val_t}")),
    };
    ensure(fits, &format!("val is no {val_t}: {val}"))
}

/// What the document of the service says.
fn check_interface(kind: &str, val_t: &str, val: &Value) -> Result<(), String> {
    let keys = |allowed: &[&str]| {
        let map = val.as_object();
        map.is_some_and(|map| map.keys().all(|key| allowed.contains(&key.as_str())))
    };
    let wrong = format!("{kind}: {val_t} {val}");
    let is_right = match kind {
        "evt.ota_start.report" => val_t == "null",
        "evt.ota_progress.report" => {
            let small =
                |key: &str, limit: i64| val[key].as_i64().is_none_or(|it| (0..limit).contains(&it));
            val_t == "int_map"
                && keys(&["progress", "remaining_min", "remaining_sec"])
                && val["progress"].is_i64()
                && small("progress", 101)
                && small("remaining_min", i64::MAX)
                && small("remaining_sec", 60)
        }
        "evt.ota_end.report" => {
            let errors = [
                "",
                "low_battery",
                "invalid_file",
                "invalid_image",
                "not_upgradable",
                "other",
                "needs_user_action",
            ];
            val_t == "object"
                && keys(&["success", "error"])
                && val["error"].as_str().is_some_and(|error| errors.contains(&error))
                && val["success"] == Value::Bool(val["error"] == "")
        }
        "evt.ota_status.report" => {
            let substates: &[&str] = match val["state"].as_str() {
                Some("NOT STARTED") => &[""],
                Some("IN PROGRESS") => &[
                    "STARTED",
                    "TRANSFERING",
                    "REDISCOVERY",
                    "DEVICE REBOOTING",
                    "NEEDS USER ACTION TO START",
                ],
                Some("FINISHED") => {
                    &["SUCCESS", "LOW BATTERY", "NOT UPGRADABLE", "INVALID FILE", "ERROR"]
                }
                _ => &[],
            };
            let last_update = &val["last_update"];
            val_t == "object"
                && keys(&["state", "substate", "last_update"])
                && substates.contains(&val["substate"].as_str().unwrap_or_default())
                && (last_update.is_null() || last_update.as_i64().is_some_and(|it| it > 0))
        }
        "evt.error.report" => val_t == "string",
        "evt.thing.inclusion_report" => {
            let is_interface = |intf: &Value| {
                matches!(intf["intf_t"].as_str(), Some("in" | "out"))
                    && ["msg_t", "val_t", "ver"].iter().all(|key| intf[key].is_string())
            };
            let is_service = |service: &Value| {
                let address = service["address"].as_str().unwrap_or_default();
                check_topic(&format!("pt:j1/mt:cmd{address}")).is_ok()
                    && service["interfaces"]
                        .as_array()
                        .is_some_and(|all| all.iter().all(is_interface))
            };
            val_t == "object"
                && val["services"].as_array().is_some_and(|all| all.iter().all(is_service))
                && val["sw_ver"].is_string()
        }
        _ => false,
    };
    ensure(is_right, &wrong)
}

#[test]
fn what_hubs_trip_over_is_refused() {
    let good = concat!(
        r#"{"type":"evt.ota_progress.report","serv":"ota","val_t":"int_map","val":{"progress":10},"#,
        r#""tags":null,"props":null,"ver":"1","corid":"","src":"x","#,
        r#""ctime":"2026-11-21T10:00:00.000Z","uid":"0f2b9c3e-1111-4222-8333-444455556666"}"#
    );
    let topic = "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:7";
    decode(topic, good.as_bytes()).unwrap();
    for (part, bad) in [
        ("10}", "10.0}"),
        ("10}", "101}"),
        ("10}", "10,\"remaining_sec\":null}"),
        ("10}", "\"10\"}"),
        ("10}", "1e1}"),
        ("\"tags\":null,", ""),
        ("\"props\":null", "\"props\":{\"a\":1}"),
        ("\"ver\":\"1\"", "\"ver\":\"1\",\"ver\":\"1\""),
        ("\"ver\":\"1\"", "\"ver\":1"),
        ("-4222-", "-5222-"),
        (".000Z", "Z"),
        ("\"int_map\"", "\"float_map\""),
        ("ota_progress", "ota-progress"),
        ("\"src\":\"x\"", "\"src\":\"\""),
        ("\"corid\":\"\"", "\"corid\":null"),
        ("\"ver\"", "\"more\":1,\"ver\""),
    ] {
        assert!(good.contains(part));
        let text = good.replace(part, bad);
        decode(topic, text.as_bytes()).expect_err(&text);
    }
    for bad in [
        "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota",
        "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:7:8",
        "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:aa:bb",
        "pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:",
        "/pt:j1/mt:evt/rt:ad/rn:x/ad:1",
        "pt:j1/mt:evt/rt:ad/rn:x/ad:1/sv:ota/ad:7",
    ] {
        decode(bad, good.as_bytes()).expect_err(bad);
    }
}
