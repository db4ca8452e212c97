//! What `ota-sim device` refuses, warns of and hints at when it starts.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ota-sim");
const PATIENCE: Duration = Duration::from_secs(30);

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

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

/// A device in a process of its own, killed at the end.
struct Device(Child);

impl Device {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder).args(["device", "--flash", "dev.flash"]).args(arguments);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// The first line on the console that holds `words`.
    fn line_with(&mut self, words: &'static str) -> String {
        find(self.0.stdout.take().unwrap(), words)
    }

    /// The first line among the warnings that holds `words`.
    fn warning_with(&mut self, words: &'static str) -> String {
        find(self.0.stderr.take().unwrap(), words)
    }
}

fn find(stream: impl Read + Send + 'static, words: &'static str) -> String {
    let (sender, found) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains(words));
        let _ = sender.send(line);
        // Nobody writes into a pipe that is closed.
        lines.for_each(drop);
    });
    found.recv_timeout(PATIENCE).unwrap().unwrap_or_else(|| panic!("no {words:?}"))
}

impl Drop for Device {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_factory_bundle_beside_a_flash_file_is_said_to_be_of_no_use() {
    let folder = folder();
    let path = folder.path();
    assert!(run(path, &["bundle", "factory", "fw.zip", "-o", "dev.flash"]).status.success());
    let mut device = Device::start(path, &["--factory", "esp.zip", "--http", "127.0.0.1:0"]);
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
    let mut device = Device::start(folder.path(), &platform[3..]);
    device.line_with("version 1.0.0");
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

