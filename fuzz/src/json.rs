//! Hostile JSON.

use ota_core::json::{JsonError, Kind, MAX_DEPTH, Value, parse};
use serde_json::Value as Oracle;

/// Any bytes: the scanner accepts what serde_json accepts, but for what is nested too deep, and both
/// see the same in it.
pub fn json_scan(data: &[u8]) {
    let oracle = serde_json::from_slice::<Oracle>(data);
    match (parse(data), oracle) {
        (Ok(value), Ok(oracle)) => compare(value, &oracle),
        (Ok(value), Err(error)) => panic!("{:?} is no JSON: {error}", value.raw()),
        (Err(JsonError::TooDeep { .. }), Ok(oracle)) => assert!(depth(&oracle) > MAX_DEPTH),
        (Err(error), Ok(oracle)) => panic!("{oracle} is JSON, but: {error}"),
        (Err(error), Err(_)) => assert!(offset(error) <= data.len()),
    }
}

fn compare(value: Value<'_>, oracle: &Oracle) {
    match oracle {
        Oracle::Null => assert_eq!(value.kind(), Kind::Null),
        Oracle::Bool(expected) => assert_eq!(value.as_bool(), Some(*expected)),
        Oracle::Number(expected) => {
            assert_eq!(value.kind(), Kind::Number);
            assert_eq!(as_serde_writes_it(value.raw()), expected.to_string());
            assert_eq!(value.as_i64(), expected.as_i64());
            assert_eq!(value.as_u64(), expected.as_u64());
        }
        Oracle::String(expected) => compare_text(value, expected),
        Oracle::Array(expected) => {
            assert_eq!(value.items().count(), expected.len());
            value.items().zip(expected).for_each(|(item, expected)| compare(item, expected));
        }
        Oracle::Object(expected) => {
            assert_eq!(value.kind(), Kind::Object);
            // Of a repeated key both take the last member.
            assert!(value.entries().count() >= expected.len());
            for (key, member) in value.entries() {
                assert!(expected.contains_key(&key.to_string()), "{key}");
                assert!(!member.raw().is_empty());
            }
            for (key, expected) in expected {
                compare(value.get(key).expect("the member"), expected);
            }
        }
    }
}

/// As it is, but for the exponent: `E5` is `e+5`.
fn as_serde_writes_it(number: &str) -> String {
    match number.split_once(['e', 'E']) {
        Some((digits, exponent)) if exponent.starts_with(['+', '-']) => {
            format!("{digits}e{exponent}")
        }
        Some((digits, exponent)) => format!("{digits}e+{exponent}"),
        None => number.to_owned(),
    }
}

fn compare_text(value: Value<'_>, expected: &str) {
    let text = value.as_text().expect("a string");
    assert_eq!(text, *expected);
    assert!(text.eq_ignore_ascii_case(&expected.to_ascii_uppercase()));
    assert_eq!(text.to_string(), expected);
    assert_eq!(text.is_empty(), expected.is_empty());
    let mut buffer = vec![0; expected.len()];
    assert_eq!(text.decode(&mut buffer), Ok(expected));
    if let Some(short) = buffer.len().checked_sub(1) {
        assert!(text.decode(&mut buffer[..short]).is_err());
    }
    // What a C program would read there, if it is a plain decimal.
    let is_decimal = expected.starts_with(|c| matches!(c, '1'..='9' | '-'))
        && expected.trim_start_matches('-').starts_with(|c| matches!(c, '1'..='9'));
    if is_decimal {
        assert_eq!(value.lenient_i64(), expected.parse().ok());
    }
}

fn depth(value: &Oracle) -> usize {
    match value {
        Oracle::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Oracle::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Oracle::Null | Oracle::Bool(_) | Oracle::Number(_) | Oracle::String(_) => 0,
    }
}

fn offset(error: JsonError) -> usize {
    match error {
        JsonError::Truncated { offset }
        | JsonError::Unexpected { offset }
        | JsonError::BadEscape { offset }
        | JsonError::TooDeep { offset }
        | JsonError::NotUtf8 { offset }
        | JsonError::TrailingData { offset } => offset,
    }
}
