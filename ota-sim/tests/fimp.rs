//! `ota-sim device --fimp` and `ota-sim fimp`, as a hub's operator and scripts see them, through a real
//! broker.

#[path = "support/broker.rs"]
mod broker;
#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Instant;

use broker::Mosquitto;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{PATIENCE, Running, folder_of_updates, run, text};

const ADDRESS: &str = "/rt:dev/rn:ota_sim/ad:1/sv:ota/ad:1";

/// A folder with updates, one of which is none.
fn folder() -> tempfile::TempDir {
    let folder = folder_of_updates();
    std::fs::write(folder.path().join("junk.zip"), [0xA5; 3000]).unwrap();
    folder
}

fn url(broker: &Mosquitto) -> String {
    format!("mqtt://127.0.0.1:{}", broker.port())
}

fn device_arguments<'a>(url: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["device", "--flash", "dev.flash", "--factory", "one.zip", "--http", "off"];
    [&fixed[..], &["--fimp", url], arguments].concat()
}

/// A device on the broker, and its line about that.
fn device(folder: &Path, url: &str, arguments: &[&str]) -> (Running, String) {
    let device = Running::start(folder, &device_arguments(url, arguments));
    let line = device.line_with("FIMP at ");
    (device, line)
}

fn install(folder: &Path, url: &str, path: &str, arguments: &[&str]) -> Output {
    let fixed = ["fimp", "install", path, "--broker", url, "--address", ADDRESS];
    run(folder, &[&fixed[..], arguments].concat())
}

/// Standard output of what has to succeed.
#[track_caller]
fn success(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of what has to fail with exit code 1.
#[track_caller]
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn press_ctrl_c(running: &Running) {
    kill_process(Pid::from_child(&running.process), Signal::INT).unwrap();
}

/// The exit code, once it has ended.
#[track_caller]
fn code(mut running: Running) -> Option<i32> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(status) = running.process.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it does not end");
}

#[test]
fn an_update_is_installed_and_watched() {
    let Some(broker) = Mosquitto::start("an_update_is_installed_and_watched") else { return };
    let (folder, url) = (folder(), url(&broker));
    let folder = folder.path();
    let watch = Running::start(folder, &["fimp", "watch", &url]);
    watch.line_with("listening at ");
    let scripts = Running::start(folder, &["fimp", "watch", &url, "--address", ADDRESS, "--json"]);
    let (device, line) = device(folder, &url, &[]);
    let words = format!("FIMP at {url}{ADDRESS}; try: ota-sim fimp watch {url}");
    assert_eq!(line, words);
    assert!(watch.line_with(" inclusion: ").contains(", 1.0.0"));

    let said = success(&install(folder, &url, "two.zip", &[]));
    assert!(said.contains("the update begins\n") && said.contains("100 %"), "{said}");
    assert!(said.ends_with("the device runs 2.0.0\n"), "{said}");
    device.line_with("version 2.0.0");
    let lines = ["start", "progress 100 %", "inclusion: ", "end: success"];
    for (words, place) in lines.into_iter().zip(["ota_sim/1 "; 4]) {
        let line = watch.line_with(words);
        assert!(line.contains(place) && line.contains("Z "), "{line}");
    }
    let line: Value =
        serde_json::from_str(&scripts.line_with(r#""type":"evt.ota_end.report""#)).unwrap();
    assert_eq!(line["topic"], format!("pt:j1/mt:evt{ADDRESS}"));
    assert_eq!(line["payload"]["val"], serde_json::json!({ "success": true, "error": "" }));

    let ask = ["fimp", "status", "--broker", &url, "--address", ADDRESS];
    let status: Value = serde_json::from_str(&success(&run(folder, &ask))).unwrap();
    assert_eq!((&status["state"], &status["substate"]), (&"FINISHED".into(), &"SUCCESS".into()));
    // The clock on the wall, not that of tests.
    assert!(status["last_update"].as_u64().unwrap() > 1_790_000_000, "{status}");
    press_ctrl_c(&watch);
    assert_eq!(code(watch), Some(0));
}

#[test]
fn updates_that_fail_say_why() {
    let Some(broker) = Mosquitto::start("updates_that_fail_say_why") else { return };
    let (folder, url) = (folder(), url(&broker));
    let folder = folder.path();
    let watch = Running::start(folder, &["fimp", "watch", &url]);
    watch.line_with("listening at ");
    let (running, _) = device(folder, &url, &["--fimp-root", folder.to_str().unwrap()]);
    for file in ["junk.zip", "missing.zip"] {
        let said = failure(&install(folder, &url, file, &[]));
        assert!(said.starts_with("error: the update failed: invalid_file ("), "{file}: {said}");
        watch.line_with("end: failed: invalid_file");
    }
    // A command that is refused: no update begins.
    let said = failure(&install(folder, &url, "", &[]));
    let words = "error: the device has refused: failed to start OTA update: firmware path is empty";
    assert!(said.starts_with(words), "{said}");
    drop(running);

    let (running, _) = device(folder, &url, &["--fimp-battery-low", "--fimp-revision", "current"]);
    let said = failure(&install(folder, &url, "two.zip", &["--revision", "current"]));
    assert!(said.starts_with("error: the update failed: low_battery (the battery"), "{said}");
    drop(running);

    let (_device, _) = device(folder, &url, &["--fimp-revision", "current"]);
    let said = failure(&install(folder, &url, "junk.zip", &["--revision", "current"]));
    assert!(said.starts_with("error: the update failed: invalid_image ("), "{said}");
}

#[test]
fn nobody_there_is_told() {
    let Some(broker) = Mosquitto::start("nobody_there_is_told") else { return };
    let (folder, url) = (tempfile::tempdir().unwrap(), url(&broker));
    let folder = folder.path();
    let ask = ["fimp", "status", "--broker", &url, "--address", ADDRESS];
    let asks = Running::start(folder, &ask);
    let said = failure(&install(folder, &url, "two.zip", &[]));
    let words = format!("error: nobody answers for {ADDRESS}: no start in 10 s; is the device on,");
    assert!(said.starts_with(&words), "{said}");
    asks.warning_with(&format!("error: nobody answers for {ADDRESS} in 10 s;"));
    assert_eq!(code(asks), Some(1));
    let said = failure(&install(folder, &url, "two.zip", &["--timeout", "1s"]));
    assert!(said.contains("no start in 1 s"), "{said}");
    // A broker that is not there is told at once.
    drop(broker);
    for arguments in [&["fimp", "watch", &url][..], &ask] {
        let said = failure(&run(folder, arguments));
        assert!(said.starts_with(&format!("error: {url}: ")), "{said}");
    }
}

#[test]
fn a_user_starts_an_update_that_waits() {
    let Some(broker) = Mosquitto::start("a_user_starts_an_update_that_waits") else { return };
    let (folder, url) = (folder(), url(&broker));
    let folder = folder.path();
    let arguments = device_arguments(&url, &["--fimp-user-starts"]);
    let mut device = Running::with_input(folder, &arguments, Stdio::piped());
    let mut keyboard = device.process.stdin.take().unwrap();
    device.line_with("FIMP at ");
    writeln!(keyboard, "start").unwrap();
    device.line_with("nothing was started");
    let command = ["fimp", "install", "two.zip", "--broker", &url, "--address", ADDRESS];
    let waits = Running::start(folder, &command);
    waits.line_with("waits for its user");
    device.line_with("type start, and Enter");
    // Ctrl-C ends the wait, and nothing else.
    press_ctrl_c(&waits);
    waits.warning_with("the update goes on");
    assert_eq!(code(waits), Some(1));
    let again = Running::start(folder, &command);
    again.line_with("waits for its user");
    writeln!(keyboard, "start").unwrap();
    device.line_with("the user has started the update");
    again.line_with("the device runs 2.0.0");
    assert_eq!(code(again), Some(0));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let here = "mqtt://127.0.0.1:1";
    for (url, arguments, words) in [
        ("mqtt://192.0.2.1", &[][..], "FIMP has no credentials: whoever may publish there could"),
        ("broker", &[], "--fimp broker: no URL; give mqtt://HOST"),
        ("mqtt://127.0.0.1/dev", &[], "leave the path out, and give --fimp-address"),
        (here, &["--fimp-root", "nowhere"], "--fimp-root nowhere: cannot be read"),
        (here, &["--fimp-root", "one.zip"], "--fimp-root one.zip: is no folder"),
        (here, &["--fimp-address", "/rt:dev/rn:x"], "an address is /rt:dev/rn:NAME"),
        (here, &["--fimp-address", "rt:dev/rn:a b/ad:1/sv:ota/ad:1"], "the name behind rn: has"),
        (here, &["--fimp-address", "rt:dev/rn:a/ad:1/sv:ota/ad:a:b"], "what is behind ad: has"),
        (here, &["--ca", "one.zip"], "--ca is for a broker with TLS"),
    ] {
        let refused = run(folder, &device_arguments(url, arguments));
        assert!(!refused.status.success());
        let said = text(&refused.stderr);
        assert!(said.contains(words), "{url} {arguments:?}: {said}");
    }
    let refused = run(folder, &["device", "--flash", "d.flash", "--fimp-battery-low"]);
    assert!(text(&refused.stderr).contains("--fimp <URL>"), "{}", text(&refused.stderr));
    assert!(!folder.join("dev.flash").exists());
}
