//! What is taken from a manifest, and what is refused.

use std::format;
use std::string::{String, ToString};

use super::super::{BundleError, Manifest, PartKind, Selector};

const SIM: Selector<'static> = Selector { platform: "sim", target_slot: 1, has_data: true };
const APP: &str = r#""app": {"type": "app", "src": "app.bin"}"#;

/// A manifest with these parts and these other members.
fn text(parts: &str, more: &str) -> String {
    format!(
        r#"{{"name": "demo", "platform": "sim", "version": "1.1.0", "build_id": "b/1", {more}
            "parts": {{{parts}}}}}"#
    )
}

fn select(parts: &str) -> Result<Manifest, BundleError> {
    Manifest::select(text(parts, "").as_bytes(), &SIM)
}

fn refusal(parts: &str) -> String {
    select(parts).unwrap_err().to_string()
}

/// A part of type `app` with these other members.
fn app(more: &str) -> String {
    format!(r#""app": {{"type": "app", "src": "app.bin", {more}}}"#)
}

#[test]
fn everything_is_taken_over() {
    let sha1 = "00112233445566778899aAbBcCdDeEfF00112233";
    let sha256 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let parts = format!(
        r#""x": {{"type": "app", "src": "a.bin", "size": 7, "cs_sha1": "{sha1}",
             "cs_sha256": "{sha256}", "slot": 1, "load_addr": "0x08020000", "encrypt": true}},
           "y": {{"type": "fs", "src": "f.bin"}}"#
    );
    let text = text(&parts, r#""security_counter": 4294967295, "free": [{}],"#);
    let manifest = Manifest::select(text.as_bytes(), &SIM).unwrap();
    assert_eq!((manifest.version.as_str(), manifest.build_id.as_str()), ("1.1.0", "b/1"));
    assert_eq!((manifest.platform.as_str(), manifest.name.as_str()), ("sim", "demo"));
    assert_eq!(manifest.security_counter, u32::MAX);
    assert_eq!(manifest.identity, crate::crc::crc32(text.as_bytes()));
    let app = &manifest.app;
    assert_eq!((app.src.as_str(), app.size), ("a.bin", Some(7)));
    assert_eq!(app.sha1.unwrap()[..12], [0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187]);
    assert_eq!(app.sha256, Some(core::array::from_fn(|at| at as u8)));
    assert_eq!((app.load_address, app.slot_mask), (0x0802_0000, 0b10));
    let data = manifest.data.as_ref().unwrap();
    assert_eq!((data.src.as_str(), data.size, data.sha1, data.sha256), ("f.bin", None, None, None));
    assert_eq!((data.load_address, data.slot_mask), (0, 0xFF));
    assert_eq!(manifest.wanted("a.bin"), Some((PartKind::App, app)));
    assert_eq!(manifest.wanted("f.bin"), Some((PartKind::Data, data)));
    assert_eq!(manifest.wanted("A.bin"), None);
}

#[test]
fn what_is_null_counts_as_absent() {
    let parts = app(r#""size": null, "cs_sha1": null, "slot": null, "load_addr": null"#);
    let manifest = select(&parts).unwrap();
    assert_eq!(manifest.app.size, None);
    assert_eq!(manifest.app.slot_mask, 0xFF);
    let text = text(APP, "").replace(r#""1.1.0""#, "null");
    let error = Manifest::select(text.as_bytes(), &SIM).unwrap_err();
    assert_eq!(error.to_string(), "Required manifest field missing: version");
}

#[test]
fn required_fields_are_named_when_they_are_missing() {
    for field in ["platform", "version", "build_id", "parts"] {
        let good = text(APP, "");
        assert!(Manifest::select(good.as_bytes(), &SIM).is_ok());
        let error = |text: &str| Manifest::select(text.as_bytes(), &SIM).unwrap_err().to_string();
        let message = format!("Required manifest field missing: {field}");
        let key = format!("\"{field}\":");
        assert_eq!(error(&good.replace(&key, "\"other\":")), message);
        if field != "parts" {
            let empty = good.replace(&key, &format!("{key} \"\", \"was\":"));
            assert_eq!(error(&empty), message);
            let number = good.replace(&key, &format!("{key} 7, \"was\":"));
            assert_eq!(error(&number), format!("Invalid manifest: {field} is not text"));
        }
    }
    assert_eq!(refusal(""), "Required manifest field missing: parts");
    assert_eq!(
        refusal(r#""app": {"type": "app"}"#),
        r#"Required manifest field missing: parts.app.src"#
    );
}

#[test]
fn what_is_no_manifest_is_refused() {
    for (text, message) in [
        ("", "Failed to parse manifest: JSON ends too early, after 0 bytes"),
        ("[]", "Invalid manifest: the manifest is not a JSON object"),
        (
            r#"{"platform":"sim","version":"1","build_id":"b","parts":[1]}"#,
            "Invalid manifest: parts is not a JSON object",
        ),
        (
            r#"{"platform":"sim","version":"1","build_id":"b","parts":{"a\nb":1}}"#,
            r#"Invalid manifest: parts.a?b is not a JSON object"#,
        ),
    ] {
        assert_eq!(Manifest::select(text.as_bytes(), &SIM).unwrap_err().to_string(), message);
    }
    assert!(matches!(Manifest::select(b"{", &SIM), Err(BundleError::Json(_))));
}

#[test]
fn the_platform_is_compared_without_case() {
    for platform in ["sim", "SIM", "Sim"] {
        let manifest = Manifest::select(text(APP, "").as_bytes(), &Selector { platform, ..SIM });
        assert_eq!(manifest.unwrap().platform, "sim");
    }
    for platform in ["", "si", "sim2", "ſim"] {
        let error = Manifest::select(text(APP, "").as_bytes(), &Selector { platform, ..SIM });
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("Wrong platform: the bundle is for 'sim', this device is '{platform}'")
        );
    }
}

#[test]
fn texts_have_the_lengths_of_the_descriptor() {
    let with = |version: usize, build_id: usize| {
        let text = text(APP, "")
            .replace("1.1.0", &"v".repeat(version))
            .replace("b/1", &"b".repeat(build_id));
        Manifest::select(text.as_bytes(), &SIM).map_err(|error| error.to_string())
    };
    assert!(with(32, 64).is_ok());
    assert_eq!(with(33, 64).unwrap_err(), "Invalid manifest: version is longer than 32 bytes");
    assert_eq!(with(32, 65).unwrap_err(), "Invalid manifest: build_id is longer than 64 bytes");
    let long = text(APP, "").replace("\"sim\"", &format!("{:?}", "p".repeat(33)));
    let selector = Selector { platform: &"P".repeat(33), ..SIM };
    assert_eq!(
        Manifest::select(long.as_bytes(), &selector).unwrap_err().to_string(),
        "Invalid manifest: platform is longer than 32 bytes"
    );
    let src = |len: usize| select(&APP.replace("app.bin", &"s".repeat(len)));
    assert!(src(49).is_ok());
    assert_eq!(
        src(50).unwrap_err().to_string(),
        r#"Invalid manifest: parts.app.src is longer than 49 bytes"#
    );
}

#[test]
fn texts_hold_no_control_characters() {
    for character in ["\\u0000", "\\r\\n", "\\u001b", "\u{7f}", "\u{85}"] {
        for (key, was) in [("version", "1.1.0"), ("build_id", "b/1")] {
            let text = text(APP, "").replace(was, &format!("1{character}2"));
            assert_eq!(
                Manifest::select(text.as_bytes(), &SIM).unwrap_err().to_string(),
                format!("Invalid manifest: {key} is not text without control characters")
            );
        }
    }
}

#[test]
fn numbers_are_of_32_bits() {
    for (written, size) in [("0", 0), ("4294967295", u32::MAX), (r#""0x10""#, 16)] {
        let manifest = select(&app(&format!(r#""size": {written}"#))).unwrap();
        assert_eq!(manifest.app.size, Some(size));
    }
    for written in ["-1", "4294967296", "1.5", "1e3", r#""5m""#, "true", "[]"] {
        for key in ["size", "load_addr", "slot"] {
            let message = refusal(&app(&format!(r#""{key}": {written}"#)));
            let expected = "is not a number of 32 bits";
            assert_eq!(message, format!(r#"Invalid manifest: parts.app.{key} {expected}"#));
        }
        let text = text(APP, &format!(r#""security_counter": {written},"#));
        let message = Manifest::select(text.as_bytes(), &SIM).unwrap_err().to_string();
        assert_eq!(message, "Invalid manifest: security_counter is not a number of 32 bits");
    }
}

#[test]
fn checksums_are_hex_of_their_length() {
    for (key, digits) in [("cs_sha1", 40), ("cs_sha256", 64)] {
        let with = |value: &str| select(&app(&format!(r#""{key}": {value}"#)));
        assert!(with(&format!("{:?}", "aF".repeat(digits / 2))).is_ok());
        let short = "a".repeat(digits - 1);
        let long = "a".repeat(digits + 1);
        let wrong = "g".repeat(digits);
        let sign = "+a".repeat(digits / 2);
        for value in [short.as_str(), &long, &wrong, &sign, ""] {
            assert_eq!(
                with(&format!("{value:?}")).unwrap_err().to_string(),
                format!(r#"Invalid checksum format: parts.app.{key} is not {digits} hex digits"#)
            );
        }
        assert!(with("12").unwrap_err().to_string().starts_with("Invalid checksum format"));
    }
}

#[test]
fn parts_of_other_types_are_skipped_and_reported() {
    let parts = format!(
        r#""boot": {{"type": "boot", "src": 7, "slot": "x"}}, {APP}, "nvs": {{"type": "nvs"}},
           "odd": {{}}, "odder": {{"type": 5}}, "app9": {{"type": "app9"}},
           "a": {{"type": "app10"}}, "b": {{"type": "app1 "}}, "c": {{"type": "App"}}"#
    );
    let manifest = select(&parts).unwrap();
    assert_eq!((manifest.skipped.count, manifest.skipped.first.as_str()), (8, "boot"));
    let data = format!(r#"{APP}, "files": {{"type": "fs", "slot": "x"}}"#);
    let selector = Selector { has_data: false, ..SIM };
    let manifest = Manifest::select(text(&data, "").as_bytes(), &selector).unwrap();
    assert_eq!(manifest.data, None);
    assert_eq!((manifest.skipped.count, manifest.skipped.first.as_str()), (1, "files"));
    assert_eq!(
        refusal(r#""boot": {"type": "boot", "src": "app.bin"}"#),
        "Missing fw part: no part has type app"
    );
}

/// The file chosen for slot 0, 1 and 2, or why none.
fn choices(parts: &str) -> [Result<String, String>; 3] {
    [0, 1, 2].map(|target_slot| {
        Manifest::select(text(parts, "").as_bytes(), &Selector { target_slot, ..SIM })
            .map(|manifest| manifest.app.src.as_str().into())
            .map_err(|error| error.to_string())
    })
}

#[test]
fn each_slot_gets_the_part_that_is_bound_to_it() {
    let zero = r#""a0": {"type": "app", "src": "0.bin", "slot": 0}"#;
    let one = r#""a1": {"type": "app", "src": "1.bin", "slot": 1}"#;
    let any = r#""any": {"type": "app", "src": "any.bin"}"#;
    let ok = |src: &str| Ok(String::from(src));
    for parts in [[zero, one, any], [any, one, zero], [one, any, zero]] {
        assert_eq!(choices(&parts.join(",")), [ok("0.bin"), ok("1.bin"), ok("any.bin")]);
    }
    let none = "Incomplete update package: no part of type app fits slot 2; add one";
    assert_eq!(choices(&[zero, one].join(",")), [ok("0.bin"), ok("1.bin"), Err(none.into())]);
    assert_eq!(choices(any), [ok("any.bin"), ok("any.bin"), ok("any.bin")]);

    let typed = r#""x": {"type": "app0", "src": "0.bin"}, "y": {"type": "app1", "src": "1.bin"}"#;
    assert_eq!(choices(typed), [ok("0.bin"), ok("1.bin"), Err(none.into())]);
    let manifest = select(typed).unwrap();
    assert_eq!((manifest.app.slot_mask, manifest.skipped.count), (0b10, 0));
}

#[test]
fn two_parts_for_one_slot_are_refused_in_any_order() {
    let any = |name: &str| format!(r#""{name}": {{"type": "app", "src": "{name}.bin"}}"#);
    let one = |name: &str| format!(r#""{name}": {{"type": "app1", "src": "{name}.bin"}}"#);
    let both = format!("{}, {}", any("a"), any("b"));
    assert_eq!(refusal(&both), r#"Invalid manifest: parts 'a' and 'b' both fit slot 1; bind them"#);
    // One that is bound settles it.
    for parts in [format!("{both}, {}", one("c")), format!("{}, {both}", one("c"))] {
        assert_eq!(select(&parts).unwrap().app.src, "c.bin");
        let [zero, ..] = choices(&parts);
        assert!(zero.unwrap_err().contains("both fit slot 0"));
    }
    assert!(refusal(&format!("{}, {}", one("a"), one("b"))).contains("both fit slot 1"));
    assert!(refusal(&format!("{APP}, {APP}")).contains("both fit slot 1"), "a repeated key");
}

#[test]
fn slots_are_numbered_0_to_7() {
    assert_eq!(select(&app(r#""slot": 1"#)).unwrap().app.slot_mask, 2);
    let highest = Selector { target_slot: 7, ..SIM };
    let manifest = Manifest::select(text(&app(r#""slot": 7"#), "").as_bytes(), &highest).unwrap();
    assert_eq!(manifest.app.slot_mask, 0x80);
    assert_eq!(
        refusal(&app(r#""slot": 8"#)),
        r#"Invalid manifest: parts.app.slot is not a slot number from 0 to 7"#
    );
    assert_eq!(
        refusal(r#""a": {"type": "app1", "slot": 0, "src": "x"}"#),
        r#"Invalid manifest: parts.a.slot is not the slot in its type"#
    );
    assert!(select(r#""a": {"type": "app1", "slot": 1, "src": "x"}"#).is_ok());
}

#[test]
fn one_file_is_one_part() {
    let parts = format!(r#"{APP}, "fs": {{"type": "fs", "src": "app.bin"}}"#);
    assert_eq!(
        refusal(&parts),
        r#"Invalid manifest: src 'app.bin' is named by two parts; give each its own"#
    );
    let bound_elsewhere = format!(r#"{APP}, "fs": {{"type": "fs", "src": "f", "slot": 0}}"#);
    assert_eq!(
        refusal(&bound_elsewhere),
        "Incomplete update package: no part of type fs fits slot 1; add one"
    );
}

#[test]
fn the_size_in_the_archive_has_to_be_the_one_in_the_manifest() {
    let manifest = select(&app(r#""size": 100"#)).unwrap();
    assert_eq!(manifest.app.check_size(100), Ok(()));
    assert_eq!(
        manifest.app.check_size(99).unwrap_err().to_string(),
        "Invalid manifest: 'app.bin' has 99 bytes in the archive, size says 100"
    );
    assert_eq!(select(APP).unwrap().app.check_size(99), Ok(()));
}

#[test]
fn escapes_in_names_are_decoded() {
    let manifest = select(r#""app": {"type": "\u0061pp", "src": "app\u002ebin"}"#).unwrap();
    assert_eq!(manifest.app.src, "app.bin");
}
