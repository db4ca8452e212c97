//! The program, as its users and their scripts see it.

#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use ota_sim::bundle;
use ota_sim::host::files::Files;
use ota_sim::host::server::Server;
use serde_json::Value;
use support::{PROGRAM, Running, text};

fn ota_sim(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    assert_cmd::Command::new(PROGRAM).current_dir(folder).args(arguments).assert()
}

/// Standard output of a command that has to succeed.
fn out(folder: &Path, arguments: &[&str]) -> String {
    text(&ota_sim(folder, arguments).success().get_output().stdout)
}

/// Standard error of a command that has to fail with exit code 1.
fn err(folder: &Path, arguments: &[&str]) -> String {
    text(&ota_sim(folder, arguments).failure().code(1).get_output().stderr)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.bin"), [0x5A; 40_000]).unwrap();
    std::fs::write(folder.path().join("fs.bin"), [7; 5000]).unwrap();
    folder
}

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name)
}

fn create(folder: &Path, version: &str) {
    let arguments =
        ["bundle", "create", "--app", "app.bin", "--fs", "fs.bin", "-o", "fw.zip", "--fw-version"];
    out(folder, &[&arguments[..], &[version]].concat());
}

/// A device that serves HTTP.
struct Device {
    running: Running,
    url: String,
}

impl Device {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let http = ["--http", "127.0.0.1:0"];
        let running = Running::device(folder, &[&http[..], arguments].concat());
        let line = running.line_with("RPC at ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        let url = url.trim_end_matches(';').to_owned();
        Self { running, url }
    }

    /// The next line of the console that holds `words`.
    fn line_with(&self, words: &str) -> String {
        self.running.line_with(words)
    }

    fn call(&self, method: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["call", "--port", &self.url, method]).args(arguments).output().unwrap()
    }

    fn result(&self, method: &str, arguments: &[&str]) -> Value {
        let output = self.call(method, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn the_demo_keeps_what_it_promises() {
    let folder = folder();
    let firmware: Vec<u8> = (0u32..300 * 1024).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    std::fs::write(folder.path().join("firmware.bin"), firmware).unwrap();
    let arguments = ["demo", "--firmware", "firmware.bin", "--flash", "demo.flash", "--keep"];
    let story = out(folder.path(), &arguments);
    for words in [
        "factory",
        "commit timeout",
        "rebooted without commit",
        "Invalid CRC",
        "Incomplete update package",
        "Image too big",
        "Wrong platform",
        "Failed to connect",
        "power lost",
        "goes on there",
        "all went as it should",
    ] {
        assert!(story.contains(words), "{words:?} in\n{story}");
    }
    let report: Value =
        serde_json::from_str(&out(folder.path(), &["flash", "show", "demo.flash", "--json"]))
            .unwrap();
    assert_eq!(report["slots"][0]["image"], "whole");
    assert_eq!(report["slots"][1]["image"], "whole");
    let bundles = folder.path().join("demo.flash.bundles");
    assert!(bundles.join("fw-1.1.0.zip").is_file());
    // The bundle holds the very firmware.
    let shown = out(&bundles, &["bundle", "show", "fw-1.1.0.zip", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["manifest"]["parts"]["app"]["size"], 300 * 1024);
}

#[test]
fn the_demo_does_not_overwrite_what_is_not_its_own() {
    let folder = folder();
    let words = err(folder.path(), &["demo", "--flash", "app.bin"]);
    assert!(words.contains("choose another name"), "{words}");
    assert_eq!(std::fs::read(folder.path().join("app.bin")).unwrap(), [0x5A; 40_000]);
    let words = err(folder.path(), &["demo", "--firmware", "app.bin", "--flash", "x.flash"]);
    assert!(words.contains("40000 bytes"), "{words}");
}

#[test]
fn the_demo_replaces_a_flash_file_only_if_told_to_and_never_one_in_use() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let device = Device::start(folder.path(), &["--factory", "fw.zip"]);
    // It has booted, and writes no more.
    device.result("OTA.GetBootState", &[]);
    let before = std::fs::read(folder.path().join("dev.flash")).unwrap();
    let words = err(folder.path(), &["demo", "--flash", "dev.flash"]);
    assert!(words.contains("--force"), "{words}");
    let words = err(folder.path(), &["demo", "--flash", "dev.flash", "--force"]);
    assert!(words.contains("another simulated device is using it"), "{words}");
    assert_eq!(std::fs::read(folder.path().join("dev.flash")).unwrap(), before);
    drop(device);
}

#[test]
fn a_device_that_cannot_listen_does_not_boot() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    out(folder.path(), &["bundle", "factory", "fw.zip", "-o", "dev.flash"]);
    let before = std::fs::read(folder.path().join("dev.flash")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let address = format!("localhost:{port}");
    let words = err(folder.path(), &["device", "--flash", "dev.flash", "--http", &address]);
    assert!(words.contains("cannot listen on 127.0.0.1") && words.contains("--http"), "{words}");
    // The first boot would have written its record.
    assert_eq!(std::fs::read(folder.path().join("dev.flash")).unwrap(), before);
    let arguments = ["device", "--flash", "none", "--factory", "fw.zip", "--http", &address];
    err(folder.path(), &arguments);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn help_for_the_campaign_names_scenarios_and_parts() {
    let folder = folder();
    let help = out(folder.path(), &["cuts", "--help"]);
    for words in ["revert-committed", "two-chips", "stm32l0", "record-3x1"] {
        assert!(help.contains(words), "{words:?} in\n{help}");
    }
}

#[test]
fn bundles_are_made_and_shown() {
    let folder = folder();
    create(folder.path(), "1.2.3");
    let shown = out(folder.path(), &["bundle", "show", "fw.zip"]);
    for words in ["1.2.3", "platform         sim", "app.bin, 40000 bytes: sound", "fs.bin"] {
        assert!(shown.contains(words), "{words:?} in\n{shown}");
    }
    let json = out(folder.path(), &["bundle", "show", "fw.zip", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["parts"][0]["problems"], Value::Array(vec![]));

    let again = ["bundle", "create", "--app", "app.bin", "--fw-version", "2", "-o", "fw.zip"];
    let words = err(folder.path(), &again);
    assert!(words.contains("there already"), "{words}");
    let real = vector("mos-1.0.0.zip");
    out(folder.path(), &["bundle", "show", real.to_str().unwrap()]);
}

#[test]
fn damage_to_a_bundle_is_shown_and_exit_code_1() {
    let folder = folder();
    create(folder.path(), "1.2.3");
    let mut bytes = std::fs::read(folder.path().join("fw.zip")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(folder.path().join("bad.zip"), &bytes).unwrap();
    let output = ota_sim(folder.path(), &["bundle", "show", "bad.zip"]).code(1);
    assert!(text(&output.get_output().stdout).contains("CRC-32 differs"));
    assert!(text(&output.get_output().stderr).contains("1 of 2 parts"));
    std::fs::write(folder.path().join("none.zip"), &bytes[..100]).unwrap();
    let words = err(folder.path(), &["bundle", "show", "none.zip"]);
    assert!(words.contains("none.zip") && words.contains("not a bundle"), "{words}");
    let factory = ["bundle", "factory", "bad.zip", "-o", "x.flash"];
    let words = err(folder.path(), &factory);
    assert!(words.contains("missing, compressed or damaged"), "{words}");
}

#[test]
fn factory_flash_is_made_and_shown() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let factory = ["bundle", "factory", "fw.zip", "-o", "dev.flash"];
    out(folder.path(), &factory);
    let shown = out(folder.path(), &["flash", "show", "dev.flash"]);
    for words in ["slot 0", "1.0.0", "whole", "blank: never booted", "a boot now: slot 0"] {
        assert!(shown.contains(words), "{words:?} in\n{shown}");
    }
    // Another board, by its length alone.
    let l4 = ["bundle", "factory", "fw.zip", "-o", "l4.flash", "--board", "stm32l4:data=16K"];
    out(folder.path(), &l4);
    let json =
        out(folder.path(), &["flash", "show", "l4.flash", "--board", "stm32l4:data=16K", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["write_size"], 8);
    assert_eq!(json["slots"][0]["descriptor"]["version"], "1.0.0");
}

#[test]
fn factory_flash_may_have_places_of_its_own() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let board = "nrf52840:record=0xFE000+8K,slot=0x8000+256K/0xE0000+16K,slot=0x48000+256K";
    out(folder.path(), &["bundle", "factory", "fw.zip", "-o", "own.flash", "--board", board]);
    let flash = std::fs::read(folder.path().join("own.flash")).unwrap();
    assert_eq!(flash[0x8000..0x8000 + 40_000], [0x5A; 40_000]);
    assert_eq!(flash[0xE_0000..0xE_0000 + 5000], [7; 5000]);
    let shown = out(folder.path(), &["flash", "show", "own.flash", "--board", board]);
    assert!(shown.contains("a boot now: slot 0"), "{shown}");
}

#[test]
fn what_is_no_flash_file_is_said_to_be_none() {
    let folder = folder();
    let show = |arguments: &[&str]| err(folder.path(), &[&["flash", "show"], arguments].concat());
    let words = show(&["missing.flash"]);
    assert!(words.contains("cannot read missing.flash"), "{words}");
    let words = show(&["app.bin"]);
    assert!(words.contains("40000 bytes") && words.contains("--board"), "{words}");
    let words = show(&["app.bin", "--board", "sim"]);
    assert!(words.contains("app.bin: 40000 bytes, but a sim has"), "{words}");
    let usage = ota_sim(folder.path(), &["flash", "show", "app.bin", "--board", "pdp11"]).code(2);
    assert!(text(&usage.get_output().stderr).contains("there are: sim, nrf52840"));
}

#[test]
fn calls_print_results_and_remote_errors_as_mos_does() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let device = Device::start(folder.path(), &["--factory", "fw.zip", "--id", "bench"]);
    let output = device.call("OTA.GetBootState", &[]);
    assert!(output.status.success());
    let expected = "{\n  \"active_slot\": 0,\n  \"is_committed\": true,\n  \"revert_slot\": 0,\n  \
                    \"commit_timeout\": 0\n}\n";
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(device.result("Sys.GetInfo", &[])["id"], "bench");

    let output = device.call("OTA.Commit", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let words = text(&output.stderr);
    assert!(words.starts_with("remote error -1: ") && words.contains("committed"), "{words}");
    let output = device.call("Foo.Bar", &[]);
    assert_eq!(text(&output.stderr), "remote error 404: No handler for Foo.Bar\n");

    assert_eq!(device.result("Sys.Reboot", &["{\"delay_ms\": 100}"]), Value::Null);
    assert!(device.line_with("loader: ").contains("version 1.0.0"));
}

#[test]
fn calls_that_reach_nobody_say_why() {
    let folder = folder();
    let words = err(folder.path(), &["call", "--port", "ftp://host/dev", "RPC.List"]);
    assert!(words.contains("mqtt://HOST/DEVICE"), "{words}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let words = err(folder.path(), &["call", "--port", &url, "RPC.List"]);
    assert!(words.contains(&url) && words.contains("refused"), "{words}");
    let words = err(folder.path(), &["call", "--port", &url, "OTA.Update", "{url: x}"]);
    assert!(words.contains("not JSON"), "{words}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let words = err(folder.path(), &["call", "--port", &url, "--timeout", "200ms", "RPC.List"]);
    assert!(words.contains("no reply within 0.2 s") && words.contains("--timeout"), "{words}");
    ota_sim(folder.path(), &["call", "--port", &url, "--timeout", "soon", "RPC.List"]).code(2);
}

#[test]
fn a_device_wants_a_flash_file_and_a_private_address() {
    let folder = folder();
    let any_port = ["--http", "127.0.0.1:0"];
    let words = err(folder.path(), &[&["device", "--flash", "dev.flash"], &any_port[..]].concat());
    assert!(words.contains("--factory"), "{words}");
    let arguments = ["device", "--flash", "dev.flash", "--http", "0.0.0.0:0"];
    let words = err(folder.path(), &arguments);
    assert!(words.contains("--insecure"), "{words}");
    create(folder.path(), "1.0.0");
    let device = Device::start(folder.path(), &["--factory", "fw.zip"]);
    let words = err(folder.path(), &["device", "--flash", "dev.flash", "--http", "127.0.0.1:0"]);
    assert!(words.contains("another simulated device is using it"), "{words}");
    drop(device);
}

#[test]
fn a_killed_device_goes_on_from_its_flash_file() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let device = Device::start(folder.path(), &["--factory", "fw.zip"]);
    // Something durable that a fresh device does not say.
    device.result("OTA.SetBootState", &["{\"commit_timeout\": 77}"]);
    drop(device);
    let device = Device::start(folder.path(), &[]);
    assert_eq!(device.result("OTA.GetBootState", &[])["commit_timeout"], 77);
}

/// A server that sends three quarters of a bundle and then says nothing more, until `end` is
/// dropped.
fn stalling_server(bundle: Vec<u8>, end: mpsc::Receiver<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fw.zip", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = BufReader::new(stream.try_clone().unwrap()).lines();
        request.map(Result::unwrap).take_while(|line| !line.is_empty()).for_each(drop);
        let length = bundle.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
        stream.write_all(&bundle[..length / 4 * 3]).unwrap();
        end.recv().unwrap_err();
    });
    url
}

/// `1.1.0: 160768 of 300616 bytes, 53 %`
fn assert_percent(line: &str) {
    let numbers: Vec<u64> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    let [received, total, percent] = numbers[..] else { panic!("{line}") };
    assert_eq!(percent, received * 100 / total, "{line}");
}

#[test]
fn a_device_killed_inside_a_download_goes_on_at_its_last_checkpoint() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let app: Vec<u8> = (0u32..300_000).map(|i| (i.wrapping_mul(i) >> 9) as u8).collect();
    let bundle = bundle::create(&bundle::Spec::new("1.1.0", "sim").with_app(app)).unwrap();
    let (keep, end) = mpsc::channel();
    let url = stalling_server(bundle.clone(), end);

    let device = Device::start(folder.path(), &["--factory", "fw.zip"]);
    let arguments = format!("{{\"url\": \"{url}\", \"commit_timeout\": 300}}");
    let mut call = Command::new(PROGRAM)
        .args(["call", "--port", &device.url, "OTA.Update", &arguments])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_percent(&device.line_with(" bytes, 5"));
    // Kills it: for the flash file, a power cut.
    drop(device);
    assert_eq!(call.wait().unwrap().code(), Some(1));
    drop(keep);

    let files = Files::new();
    files.put("fw.zip", bundle);
    let server = Server::start(([127, 0, 0, 1], 0).into(), files.router()).unwrap();
    let device = Device::start(folder.path(), &[]);
    let arguments = format!("{{\"url\": \"{}/fw.zip\", \"commit_timeout\": 300}}", server.url());
    assert_eq!(device.result("OTA.Update", &[&arguments]), Value::Null);
    device.line_with("update goes on at byte");
    assert_percent(&device.line_with(" %"));
    assert!(device.line_with("loader: ").contains("version 1.1.0"));
    assert!(files.requests()[1].1 >= 64 * 1024, "{:?}", files.requests());
}

#[test]
fn a_broker_that_is_none_is_told_without_its_password() {
    let folder = folder();
    let failed = ota_sim(folder.path(), &["device", "--mqtt", "mqtt://u:hunter2@host:x"]).code(2);
    let told = text(&failed.get_output().stderr);
    assert!(told.contains("mqtt://u:***@host:x: the port is no number"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_device_cleanly() {
    let folder = folder();
    create(folder.path(), "1.0.0");
    let mut device = Device::start(folder.path(), &["--factory", "fw.zip"]);
    let pid = device.running.process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    device.line_with("switched off");
    assert!(device.running.process.wait().unwrap().success());
}
