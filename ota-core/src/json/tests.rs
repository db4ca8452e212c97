use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use serde_json::Value as Oracle;

use super::*;

fn value(text: &str) -> Value<'_> {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn members_are_found_by_their_decoded_key_and_the_last_of_a_kind_wins() {
    let object = value(r#" {"a": 1, "\u0061":2 ,"b":{"a":3},"c":[4, "x" ,null]} "#);
    assert_eq!(object.kind(), Kind::Object);
    assert_eq!(object.get("a").unwrap().as_i64(), Some(2));
    assert_eq!(object.get("b").unwrap().get("a").unwrap().as_u64(), Some(3));
    assert_eq!(object.get("d"), None);
    let items: Vec<&str> = object.get("c").unwrap().items().map(Value::raw).collect();
    assert_eq!(items, ["4", "\"x\"", "null"]);
    assert_eq!(object.entries().count(), 4);
    assert_eq!(object.items().count(), 0);
    assert_eq!(value("[ ]").items().count(), 0);
    assert_eq!(value("[1]").get("a"), None);
}

#[test]
fn kinds_and_plain_values() {
    for (text, kind) in [
        ("null", Kind::Null),
        ("true", Kind::Bool),
        ("-1.5e3", Kind::Number),
        ("\"{\"", Kind::String),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
    ] {
        assert_eq!(value(text).kind(), kind);
        assert_eq!(value(text).raw(), text);
    }
    assert_eq!(value("true").as_bool(), Some(true));
    assert_eq!(value("1").as_bool(), None);
    assert_eq!(value("\"true\"").as_bool(), None);
    assert_eq!(value("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(value("18446744073709551615").as_i64(), None);
    assert_eq!(value("-9223372036854775808").as_i64(), Some(i64::MIN));
    assert_eq!(value("1.0").as_i64(), None);
    assert_eq!(value("\"1\"").as_i64(), None);
}

#[test]
fn strings_decode_escapes_and_surrogate_pairs() {
    let text = value(r#""a\u0026\"\\\/\b\f\n\r\t\ud83d\ude00é""#).as_text().unwrap();
    let decoded = "a&\"\\/\x08\x0c\n\r\t\u{1f600}é";
    assert_eq!(text, decoded);
    assert_eq!(text.to_string(), decoded);
    assert_eq!(text.decode(&mut [0; 16]), Ok(decoded));
    assert_eq!(text.decode(&mut [0; 15]), Err(TooLong { limit: 15 }));
    assert_eq!(text.decode_into::<16>().unwrap(), decoded);
    assert_eq!(text.decode_into::<15>(), Err(TooLong { limit: 15 }));
    assert_ne!(text, "a&");
    assert!(value("\"Ota.\\u0055pdate\"").as_text().unwrap().eq_ignore_ascii_case("OTA.update"));
    assert!(!value("\"OTA.Updat\"").as_text().unwrap().eq_ignore_ascii_case("OTA.Update"));
}

#[test]
fn integers_are_read_as_leniently_as_mongoose_does() {
    for (text, number) in [
        ("300", 300),
        ("\"300\"", 300),
        ("\"0x12c\"", 300),
        ("\"0X12C\"", 300),
        ("\"010\"", 8),
        ("\"0\"", 0),
        ("0", 0),
        ("-7", -7),
        ("\" +7\"", 7),
        ("\"-0x10\"", -16),
        ("\"\\u0033\"", 3),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(value(text).lenient_i64(), Some(number), "{text}");
    }
    for text in [
        "\"5m\"",
        "1.5",
        "\"1.5\"",
        "1e3",
        "\"\"",
        "\" \"",
        "\"-\"",
        "\"0x\"",
        "\"08\"",
        "\"5 \"",
        "\"--5\"",
        "\"0x-5\"",
        "true",
        "null",
        "[1]",
        "{}",
        "9223372036854775808",
    ] {
        assert_eq!(value(text).lenient_i64(), None, "{text}");
    }
    assert_eq!(value("4294967295").lenient_u32(), Some(u32::MAX));
    assert_eq!(value("4294967296").lenient_u32(), None);
    assert_eq!(value("-1").lenient_u32(), None);
}

#[test]
fn errors_say_what_and_where() {
    for (text, error) in [
        ("", JsonError::Truncated { offset: 0 }),
        ("{\"a\":", JsonError::Truncated { offset: 5 }),
        ("[1,]", JsonError::Unexpected { offset: 3 }),
        ("{\"a\":1,}", JsonError::Unexpected { offset: 7 }),
        ("{a:1}", JsonError::Unexpected { offset: 1 }),
        ("[01]", JsonError::Unexpected { offset: 2 }),
        ("[1}", JsonError::Unexpected { offset: 2 }),
        ("nulL", JsonError::Unexpected { offset: 3 }),
        ("\"\n\"", JsonError::Unexpected { offset: 1 }),
        ("\"\\x\"", JsonError::BadEscape { offset: 1 }),
        ("\"\\u00g0\"", JsonError::BadEscape { offset: 5 }),
        ("\"\\udc00\"", JsonError::BadEscape { offset: 1 }),
        ("\"\\ud800x\"", JsonError::BadEscape { offset: 7 }),
        ("\"\\ud800\\u0041\"", JsonError::BadEscape { offset: 7 }),
        ("1 2", JsonError::TrailingData { offset: 2 }),
        ("{}]", JsonError::TrailingData { offset: 2 }),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
    }
    assert_eq!(parse(b"\"a\xff\""), Err(JsonError::NotUtf8 { offset: 2 }));
    let shown = JsonError::Unexpected { offset: 3 }.to_string();
    assert_eq!(shown, "unexpected byte in JSON at offset 3");
}

#[test]
fn depth_is_bounded_and_hostile_nesting_is_cheap() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    let too_deep = Err(JsonError::TooDeep { offset: MAX_DEPTH });
    assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), too_deep);
    assert_eq!(parse("[".repeat(100_000).as_bytes()), too_deep);
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(parse(objects.as_bytes()), Err(JsonError::TooDeep { offset: 5 * MAX_DEPTH }));
    // Siblings do not count: the depth is what is open at once.
    let wide = format!("[{}1]", "[[]],".repeat(1000));
    assert_eq!(value(&wide).items().count(), 1001);
}

/// The deepest nesting of a valid text.
fn depth(oracle: &Oracle) -> usize {
    match oracle {
        Oracle::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Oracle::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Checks that both parsers say the same of `text`, and read the same from it.
fn agree(text: &[u8]) {
    match (parse(text), serde_json::from_slice::<Oracle>(text)) {
        (Ok(value), Ok(oracle)) => same(value, &oracle),
        (Err(JsonError::TooDeep { .. }), Ok(oracle)) => assert!(depth(&oracle) > MAX_DEPTH),
        (Err(_), Err(_)) => {}
        // serde_json also refuses what RFC 8259 allows: numbers that no f64 can hold.
        (Ok(_), Err(error)) => assert!(error.to_string().contains("out of range"), "{error}"),
        (Err(error), Ok(oracle)) => panic!("refused ({error}): {oracle}"),
    }
}

fn same(value: Value<'_>, oracle: &Oracle) {
    match oracle {
        Oracle::Null => assert_eq!(value.kind(), Kind::Null),
        Oracle::Bool(expected) => assert_eq!(value.as_bool(), Some(*expected)),
        Oracle::Number(expected) => {
            assert_eq!(value.kind(), Kind::Number);
            // To serde_json, -0 is a float.
            if value.raw() != "-0" {
                assert_eq!(value.as_i64(), expected.as_i64());
                assert_eq!(value.as_u64(), expected.as_u64());
            }
        }
        Oracle::String(expected) => {
            let text = value.as_text().expect("a string");
            assert_eq!(text, expected.as_str());
            assert_eq!(text.decode_into::<4096>().expect("room"), expected.as_str());
        }
        Oracle::Array(expected) => {
            assert_eq!(value.items().count(), expected.len());
            value.items().zip(expected).for_each(|(item, oracle)| same(item, oracle));
        }
        Oracle::Object(expected) => {
            assert_eq!(value.kind(), Kind::Object);
            expected.iter().for_each(|(key, oracle)| same(value.get(key).expect(key), oracle));
            for (key, _) in value.entries() {
                assert!(expected.contains_key(&key.to_string()));
            }
        }
    }
}

/// Bytes that matter to a JSON parser.
fn json_byte() -> impl Strategy<Value = u8> {
    proptest::sample::select(
        b"{}[]\",:\\/bfnrtu0123456789abcdefDdE.+- \t\r\n\0truefalsenull\xc3\xa9".to_vec(),
    )
}

fn any_json() -> impl Strategy<Value = Oracle> {
    let leaf = prop_oneof![
        Just(Oracle::Null),
        any::<bool>().prop_map(Oracle::from),
        any::<i64>().prop_map(Oracle::from),
        any::<u64>().prop_map(Oracle::from),
        any::<f32>().prop_map(Oracle::from),
        any::<String>().prop_map(Oracle::from),
    ];
    leaf.prop_recursive(20, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Oracle::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Oracle::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes the characters of all strings as escapes, except those that may belong to one already.
fn escape_all(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, inside) {
            ('"', _) => {
                inside = !inside;
                out.push(c);
            }
            ('\\', true) => {
                out.push(c);
                out.extend(chars.next());
            }
            (c, true) if c.is_ascii_hexdigit() => out.push(c),
            (c, true) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
            (c, false) => out.push(c),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_agree_with_serde_json(text in prop::collection::vec(any::<u8>(), 0..40)) {
        agree(&text);
    }

    #[test]
    fn json_like_bytes_agree_with_serde_json(text in prop::collection::vec(json_byte(), 0..40)) {
        agree(&text);
    }

    #[test]
    fn strings_of_json_like_bytes_agree(text in prop::collection::vec(json_byte(), 0..24)) {
        agree(&[b"\"", text.as_slice(), b"\""].concat());
    }

    #[test]
    fn surrogates_agree(units in prop::collection::vec(0xd7ff_u16..=0xe000, 1..4)) {
        let units: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        agree(format!("\"{units}\"").as_bytes());
    }

    #[test]
    fn valid_json_reads_the_same(oracle in any_json(), pretty in any::<bool>()) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&oracle).unwrap(),
            false => oracle.to_string(),
        };
        agree(text.as_bytes());
        agree(escape_all(&text).as_bytes());
    }

    #[test]
    fn mutated_json_agrees(
        oracle in any_json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), json_byte(), 0..3), 1..4),
    ) {
        let mut text = oracle.to_string().into_bytes();
        for (index, byte, edit) in edits {
            let at = index.index(text.len() + 1);
            match edit {
                0 => text.insert(at, byte),
                1 => text.truncate(at),
                _ => text.splice(at..(at + 1).min(text.len()), [byte]).for_each(drop),
            }
        }
        agree(&text);
    }
}
