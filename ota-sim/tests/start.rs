//! What `ota-sim device` refuses, warns of and hints at when it starts.

#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod support;

use std::path::Path;
use std::time::Duration;

use support::{Running, run, text};

/// A folder with a bundle for the platform `sim`, and one for `esp32`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.bin"), [0x5A; 40_000]).unwrap();
    for (platform, file) in [("sim", "fw.zip"), ("esp32", "esp.zip")] {
        let create = ["bundle", "create", "--app", "app.bin", "--fw-version", "1.0.0"];
        let rest = ["--platform", platform, "-o", file];
        assert!(run(folder.path(), &[&create[..], &rest].concat()).status.success());
    }
    folder
}

/// What a device says that does not start.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let device = ["device", "--flash", "dev.flash", "--factory", "fw.zip", "--http", "127.0.0.1:0"];
    let output = run(folder, &[&device[..], arguments].concat());
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
    assert!(!folder.join("dev.flash").exists(), "{arguments:?}");
    words
}

#[test]
fn a_factory_bundle_beside_a_flash_file_is_said_to_be_of_no_use() {
    let folder = folder();
    let path = folder.path();
    assert!(run(path, &["bundle", "factory", "fw.zip", "-o", "dev.flash"]).status.success());
    let device = Running::device(path, &["--factory", "esp.zip", "--http", "127.0.0.1:0"]);
    device.line_with("dev.flash exists; --factory is not used");
}

#[test]
fn a_factory_bundle_of_another_platform_is_refused() {
    let folder = folder();
    let words = refused(folder.path(), &["--platform", "esp32"]);
    assert!(words.contains("fw.zip: Wrong platform: the bundle is for 'sim'"), "{words}");
    let arguments = ["device", "--flash", "dev.flash", "--factory", "esp.zip", "--http"];
    let arguments = [&arguments[..], &["127.0.0.1:0"]].concat();
    let words = text(&run(folder.path(), &arguments).stderr);
    assert!(words.contains("this device is 'sim'; name it with --platform"), "{words}");
    assert!(!folder.path().join("dev.flash").exists());
    let platform = [&arguments[..], &["--platform", "ESP32"]].concat();
    let device = Running::device(folder.path(), &platform[3..]);
    device.line_with("version 1.0.0");
}

#[test]
fn names_that_no_topic_can_have_are_refused() {
    let folder = folder();
    let mqtt = ["--mqtt", "mqtt://127.0.0.1:9", "--id"];
    for (id, words) in [
        ("a+b", "no + and #"),
        ("+", "no + and #"),
        ("#", "no + and #"),
        ("$SYS", "no $"),
        ("", "give the device a name"),
        ("a\nb", "control characters"),
    ] {
        let found = refused(folder.path(), &[&mqtt[..], &[id]].concat());
        assert!(found.contains("--id") && found.contains(words), "{id:?}: {found}");
    }
    let found = refused(folder.path(), &["--id", "a\tb"]);
    assert!(found.contains("control characters"), "{found}");
    let found = refused(folder.path(), &["--mqtt", "mqtt://u:secret@127.0.0.1:9/foo"]);
    assert!(found.contains("mqtt://127.0.0.1:9/...: the device is not named there"), "{found}");
    assert!(found.contains("--id NAME") && !found.contains("secret"), "{found}");
}

#[test]
fn users_and_rules_that_cannot_be_meant_are_refused() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("bob.json", r#"[{"method": "OTA.Get*", "acl": "*"}, {"method": "*", "acl": "+bob"}]"#);
    write("all.json", r#"[{"method": "*", "acl": "+*"}]"#);
    write("text.json", "method: OTA.Get*");
    write("object.json", r#"{"method": "*", "acl": "*"}"#);
    write("nohex", "admin:RPC:secret\n");
    write("md5", "admin:RPC:cf685a4a101de8b1eec42ddc7c7efcf0\n");
    write("sha", &format!("admin:RPC:{}\n", "ab".repeat(32)));
    write("empty", "\n");
    for (arguments, words) in [
        (
            &["--creds", "a:x", "--acl", "bob.json"][..],
            "bob.json: rule 1, of *: there is no user bob",
        ),
        (&["--acl", "all.json"], "+* asks for a user, and there is none"),
        (&["--acl", "bob.json"], "+bob asks for a user, and there is none"),
        (&["--acl", "text.json"], "--acl text.json: not JSON: "),
        (&["--acl", "object.json"], "--acl object.json: no list of rules: "),
        (&["--creds", "bob:x", "--creds", "bob:y"], "two passwords for the user bob"),
        (&["--creds", "admin:"], "the password of admin is empty"),
        (&["--creds", ":x"], "--creds: the user is empty"),
        (&["--creds", "admin"], "give USER:PASSWORD"),
        (&["--creds", "@empty"], "give USER:PASSWORD"),
        (&["--creds", "@none"], "--creds @none: cannot read the file"),
        (&["--auth-file", "nohex"], "--auth-file nohex: line 1: the digest of admin is not one"),
        (
            &["--auth-file", "md5"],
            "--auth-file md5: the digest of admin is of MD5: give --auth-algo md5",
        ),
        (
            &["--auth-file", "sha", "--auth-algo", "md5"],
            "the digest of admin is of SHA-256: give --auth-algo sha-256",
        ),
        (&["--auth-file", "md5", "--auth-algo", "md5", "--creds", "admin:x"], "two passwords"),
    ] {
        let found = refused(folder.path(), arguments);
        assert!(found.contains(words), "{arguments:?}: {found}");
        let is_of_htdigest = arguments.contains(&"--auth-file");
        assert!(is_of_htdigest || !found.contains("htdigest"), "{arguments:?}: {found}");
    }
}

#[test]
fn the_hint_at_the_start_is_what_works() {
    let folder = folder();
    std::fs::write(folder.path().join("creds"), "admin:secret\nmore\n").unwrap();
    let factory = ["--factory", "fw.zip"];
    for (arguments, words) in [
        (&["--http", "127.0.0.1:0"][..], "OTA.GetBootState"),
        (&["--http", "127.0.0.1:0", "--creds", "@creds"], "--creds USER:PASSWORD OTA.GetBootState"),
        (&["--http", "off", "--tcp", "127.0.0.1:0", "--udp", "0"], "--port tcp://127.0.0.1:"),
    ] {
        let _ = std::fs::remove_file(folder.path().join("dev.flash"));
        let device = Running::device(folder.path(), &[&factory[..], arguments].concat());
        let line = device.line_with("try: ota-sim call --port ");
        assert!(line.contains(words), "{line}");
        let command = line.split_once("try: ota-sim ").unwrap().1.split_once(';').unwrap().0;
        let command = command.replace("USER:PASSWORD", "admin:secret");
        let command: Vec<&str> = command.split(' ').collect();
        // A connection of before the first boot ends with it.
        let works = || run(folder.path(), &command).status.success();
        let mut tries = (0..50).inspect(|_| std::thread::sleep(Duration::from_millis(50)));
        assert!(tries.any(|_| works()), "{line}");
    }
}

#[test]
fn a_certificate_of_an_authority_is_warned_of() {
    let folder = folder();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    write("key.pem", key.serialize_pem());
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let tls = ["--factory", "fw.zip", "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--http"];
    let tls = [&tls[..], &["127.0.0.1:0"]].concat();
    for is_ca in [authority, rcgen::IsCa::ExplicitNoCa] {
        let _ = std::fs::remove_file(folder.path().join("dev.flash"));
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let is_authority = is_ca != rcgen::IsCa::ExplicitNoCa;
        params.is_ca = is_ca;
        write("cert.pem", params.self_signed(&key).unwrap().pem());
        let device = Running::device(folder.path(), &tls);
        if is_authority {
            device.warning_with("basicConstraints=critical,CA:FALSE");
            continue;
        }
        let line = device.line_with("try: ota-sim call --port https://");
        assert!(line.contains(" --ca cert.pem OTA.GetBootState"), "{line}");
    }
}
