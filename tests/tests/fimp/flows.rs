//! Whole updates through a real broker, message by message as the reference has them.

use std::process::Command;

use ota_rpc::fimp::Revision;
use ota_sim::app::Behaviour;
use ota_sim::device::Switches;
use serde_json::{Value, json};

use crate::decoder::Message;
use crate::rig::{REPLY, Rig};
use crate::world::{CMD, EVT, bundle, settings, with_world};

/// A report of the `ota` service, all but its time and id.
fn expect(message: &Message, kind: &str, val_t: &str, val: Value) {
    let found = (&message.topic[..], &message.kind[..], &message.val_t[..], &message.val);
    assert_eq!(found, (EVT, kind, val_t, &val));
    let rest = (&message.serv[..], &message.corid[..], &message.src[..], message.props.len());
    assert_eq!(rest, ("ota", "", "ref", 0));
}

fn expect_start(rig: &Rig) {
    expect(&rig.next(), "evt.ota_start.report", "null", json!(null));
}

fn expect_end(rig: &Rig, error: &str) {
    let val = json!({ "success": error.is_empty(), "error": error });
    expect(&rig.next(), "evt.ota_end.report", "object", val);
    assert!(rig.is_silent());
}

/// Progress up to the end of the transfer; the percentages.
fn progress(rig: &Rig) -> Vec<i64> {
    let mut found = Vec::new();
    while found.last() != Some(&100) {
        let message = rig.next();
        expect(&message, "evt.ota_progress.report", "int_map", message.val.clone());
        found.push(message.val["progress"].as_i64().unwrap());
    }
    found
}

fn expect_inclusion(rig: &Rig, version: &str, interfaces: &[(&str, &str, &str)]) {
    let message = rig.next();
    let found = (&message.topic[..], &message.kind[..], &message.serv[..], &message.corid[..]);
    assert_eq!(found, ("pt:j1/mt:evt/rt:ad/rn:ref/ad:1", "evt.thing.inclusion_report", "ref", ""));
    let interfaces: Vec<Value> = interfaces
        .iter()
        .map(|(intf_t, msg_t, val_t)| {
            json!({ "intf_t": intf_t, "msg_t": msg_t, "val_t": val_t, "ver": "1" })
        })
        .collect();
    let service = json!({
        "name": "ota", "alias": "", "address": "/rt:dev/rn:ref/ad:1/sv:ota/ad:7", "enabled": true,
        "groups": ["ch_0"], "props": null, "tags": null, "prop_set_ref": "",
        "interfaces": interfaces,
    });
    let val = json!({
        "address": "7", "groups": ["ch_0"], "services": [service], "product_name": "ota-sim",
        "product_hash": "ref_ota-sim_sim", "product_id": "", "manufacturer_id": "", "device_id": "",
        "hw_ver": "", "sw_ver": version, "comm_tech": "local_network", "power_source": "ac",
        "wakeup_interval": "-1", "security": "insecure", "tech_specific_props": null,
        "prop_set": null,
    });
    assert_eq!(message.val, val);
}

const DRAFT: [(&str, &str, &str); 7] = [
    ("in", "cmd.ota_update.install", "string"),
    ("in", "cmd.ota_status.get_report", "null"),
    ("out", "evt.ota_status.report", "object"),
    ("out", "evt.ota_start.report", "null"),
    ("out", "evt.ota_progress.report", "int_map"),
    ("out", "evt.ota_end.report", "object"),
    ("out", "evt.error.report", "string"),
];

#[test]
fn an_update_goes_well() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    assert_eq!(rig.status(), json!({ "state": "NOT STARTED" }));
    let path = rig.file("fw.zip", "2.0.0", "sim", Behaviour::Healthy);
    rig.install(&path);
    expect_start(&rig);
    progress(&rig);
    expect_inclusion(&rig, "2.0.0", &DRAFT);
    expect_end(&rig, "");
    let status = rig.status();
    assert_eq!((&status["state"], &status["substate"]), (&json!("FINISHED"), &json!("SUCCESS")));
    assert!(status["last_update"].as_u64().unwrap() > 1_763_000_000);
    let info = rig.client().call("Sys.GetInfo", None).unwrap();
    assert_eq!(info["fw_version"], "2.0.0");
}

/// The words of 2023, a URL, and an image that somebody has to commit.
#[test]
fn an_update_goes_well_in_the_current_revision() {
    let Some(mut rig) = Rig::new(Revision::Current, 60) else { return };
    let files = ota_sim::host::files::Files::new();
    files.put("fw.zip", bundle("2.0.0", "sim", Behaviour::Healthy));
    let server =
        ota_sim::host::server::Server::start(([127, 0, 0, 1], 0).into(), files.router()).unwrap();
    rig.command("cmd.ota_update.start", "string", json!(format!("{}/fw.zip", server.url())));
    expect_start(&rig);
    progress(&rig);
    let interfaces: Vec<_> = [("in", "cmd.ota_update.start", "string")]
        .into_iter()
        .chain(DRAFT[3..].iter().copied())
        .collect();
    expect_inclusion(&rig, "2.0.0", &interfaces);
    // It runs, and is not there to stay yet.
    let status = rig.status();
    assert_eq!(
        (&status["state"], &status["substate"]),
        (&json!("IN PROGRESS"), &json!("REDISCOVERY"))
    );
    rig.command("cmd.ota_update.start", "string", json!("/fw.zip"));
    expect_error(&rig, "cmd.ota_update.start", "the last update is not committed yet");
    rig.client().call("OTA.Commit", None).unwrap();
    expect_end(&rig, "");
}

fn expect_error(rig: &Rig, kind: &str, words: &str) {
    let message = rig.next();
    let found = (&message.topic[..], &message.kind[..], &message.val_t[..], &message.corid[..]);
    assert_eq!(found, (REPLY, "evt.error.report", "string", "U3"));
    assert_eq!(message.val, "failed to process incoming message");
    let props = &message.props;
    assert_eq!((&props["cmd_service"][..], &props["cmd_topic"][..]), ("ota", CMD));
    assert_eq!(props["cmd_type"], kind);
    assert_eq!(props["msg"], format!("failed to start OTA update: {words}"));
}

#[test]
fn files_that_are_no_updates_end_the_update() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    std::fs::write(rig.folder.path().join("junk.zip"), [7; 3000]).unwrap();
    std::fs::write(rig.folder.path().join("empty.zip"), []).unwrap();
    // Longer than any flash, but it takes no room.
    std::fs::File::create(rig.folder.path().join("huge.zip")).unwrap().set_len(5 << 30).unwrap();
    for (link, target) in [("link.zip", "/etc/passwd"), ("zero.zip", "/dev/zero"), ("up", "/etc")] {
        std::os::unix::fs::symlink(target, rig.folder.path().join(link)).unwrap();
    }
    let made = Command::new("mkfifo").arg(rig.folder.path().join("pipe.zip")).status();
    assert!(made.unwrap().success());
    let other = rig.file("other.zip", "2.0.0", "esp32", Behaviour::Healthy);
    for path in [
        "junk.zip",
        &other,
        "/no/such/file.zip",
        "/etc/passwd",
        "../../../../etc/passwd",
        "/",
        "empty.zip",
        "huge.zip",
        "link.zip",
        "zero.zip",
        "up/passwd",
        "pipe.zip",
        "/dev/zero",
    ] {
        rig.install(path);
        expect_start(&rig);
        let mut message = rig.next();
        if message.kind == "evt.ota_progress.report" {
            message = rig.next();
        }
        let val = json!({ "success": false, "error": "invalid_file" });
        expect(&message, "evt.ota_end.report", "object", val);
        let status = rig.status();
        assert_eq!(
            (&status["state"], &status["substate"]),
            (&json!("FINISHED"), &json!("INVALID FILE"))
        );
    }
}

#[test]
fn a_server_that_is_not_there_ends_the_update() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rig.install(&format!("http://{gone}/fw.zip"));
    expect_start(&rig);
    expect_end(&rig, "other");
    assert_eq!(rig.status()["substate"], "ERROR");
    // The other face tells more.
    let status = rig.client().call("OTA.Status", None).unwrap();
    assert!(status["message"].as_str().unwrap().contains("Failed to connect"), "{status}");
}

/// Others may ask the device why an update failed: that is no way to what its URL has of secrets.
#[test]
fn a_url_is_told_to_others_without_its_secrets() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    for url in [
        "ftp://user:secret@h/fw.zip?token=secret",
        "file://user:secret@h/fw.zip",
        "http://user:secret@/fw.zip?secret",
        "http://user:secret@h:99999999/fw.zip?secret",
        "http://user:secret@h/a b?secret",
        "http://user:secret@[::1/fw.zip?secret",
        "http://user:secret@127.0.0.1:1/fw.zip?secret#secret",
        "://user:secret@h/?secret",
    ] {
        rig.install(url);
        expect_start(&rig);
        expect_end(&rig, "other");
        let status = rig.client().call("OTA.Status", None).unwrap().to_string();
        assert!(status.contains("\"state\":2") && !status.contains("secret"), "{url}: {status}");
    }
}

#[test]
fn a_low_battery_ends_the_update() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    rig.host.switch(Switches { battery_is_low: true, ..Switches::default() });
    let path = rig.file("fw.zip", "2.0.0", "sim", Behaviour::Healthy);
    rig.install(&path);
    expect_start(&rig);
    expect_end(&rig, "low_battery");
    assert_eq!(rig.status()["substate"], "LOW BATTERY");
    rig.host.switch(Switches::default());
    rig.install(&path);
    expect_start(&rig);
    progress(&rig);
}

#[test]
fn a_device_on_trial_is_not_upgradable() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    // Put on trial by the other face, so that FIMP knows of no update.
    let change = json!({ "is_committed": false, "commit_timeout": 300 });
    rig.client().call("OTA.CreateSnapshot", None).unwrap();
    rig.client().call("OTA.SetBootState", Some(&change)).unwrap();
    rig.install("fw.zip");
    expect_start(&rig);
    expect_end(&rig, "not_upgradable");
    assert_eq!(rig.status()["substate"], "NOT UPGRADABLE");
}

#[test]
fn a_user_starts_the_update() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    rig.host.switch(Switches { needs_user: true, ..Switches::default() });
    assert!(!rig.host.user_starts());
    let path = rig.file("fw.zip", "2.0.0", "sim", Behaviour::Healthy);
    rig.install(&path);
    assert_eq!(
        rig.status(),
        json!({ "state": "IN PROGRESS", "substate": "NEEDS USER ACTION TO START" })
    );
    assert!(rig.host.user_starts());
    expect_start(&rig);
    progress(&rig);
    expect_inclusion(&rig, "2.0.0", &DRAFT);
    expect_end(&rig, "");
}

#[test]
fn the_current_revision_has_an_error_for_what_a_user_has_to_start() {
    let Some(mut rig) = Rig::new(Revision::Current, 0) else { return };
    rig.host.switch(Switches { needs_user: true, ..Switches::default() });
    rig.command("cmd.ota_update.start", "string", json!("/fw.zip"));
    expect_start(&rig);
    expect_end(&rig, "needs_user_action");
    rig.host.switch(Switches::default());
    rig.command("cmd.ota_update.start", "string", json!("/fw.zip"));
    expect_start(&rig);
    expect_end(&rig, "invalid_image");
}

#[test]
fn commands_that_are_refused_start_nothing() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    rig.install("");
    expect_error(&rig, "cmd.ota_update.install", "firmware path is empty");
    rig.command("cmd.ota_update.install", "int", json!(1));
    let words = "wrong value type. expected string, got int";
    expect_error(&rig, "cmd.ota_update.install", words);
    // Busy with a server that says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rig.install(&format!("http://{}/fw.zip", silent.local_addr().unwrap()));
    expect_start(&rig);
    let status = rig.status();
    assert_eq!((&status["state"], &status["substate"]), (&json!("IN PROGRESS"), &json!("STARTED")));
    rig.install("fw.zip");
    expect_error(&rig, "cmd.ota_update.install", "an update is in progress: 0 %");
    // The other face sees it, refuses a second one too, and ends it.
    let mut client = rig.client();
    assert_eq!(client.call("OTA.Status", None).unwrap()["state"], 1);
    let refused = client.call("OTA.Begin", Some(&json!({ "size": 10 }))).unwrap_err();
    assert!(refused.to_string().contains("already in progress"), "{refused}");
    client.call("OTA.Abort", None).unwrap();
    expect_end(&rig, "other");
}

/// An update that the other face starts is told like any.
#[test]
fn an_update_over_rpc_is_seen_by_the_hub() {
    let Some(rig) = Rig::new(Revision::Draft, 0) else { return };
    let bundle = bundle("2.0.0", "sim", Behaviour::Healthy);
    let options = ota_sim::host::client::PushOptions::default();
    let mut client = rig.client();
    let push = std::thread::spawn(move || {
        ota_sim::host::client::push(&mut client, &bundle, &options, &mut |_| ()).unwrap()
    });
    expect_start(&rig);
    progress(&rig);
    expect_inclusion(&rig, "2.0.0", &DRAFT);
    let pushed = push.join().unwrap();
    assert_eq!(pushed.version, "2.0.0");
    if !pushed.is_committed {
        rig.client().call("OTA.Commit", None).unwrap();
    }
    expect_end(&rig, "");
}

#[test]
fn an_image_that_is_rolled_back_is_an_error() {
    let Some(mut rig) = Rig::new(Revision::Draft, 1) else { return };
    for (name, behaviour) in
        [("never.zip", Behaviour::NeverCommits), ("crash.zip", Behaviour::Crashes)]
    {
        let path = rig.file(name, "2.0.0", "sim", behaviour);
        rig.install(&path);
        expect_start(&rig);
        progress(&rig);
        if behaviour == Behaviour::NeverCommits {
            expect_inclusion(&rig, "2.0.0", &DRAFT);
        }
        expect_inclusion(&rig, "1.0.0", &DRAFT);
        expect_end(&rig, "other");
    }
}

#[test]
fn the_inclusion_report_is_told_when_it_is_asked_for() {
    let Some(mut rig) = Rig::new(Revision::Draft, 0) else { return };
    let message = json!({
        "type": "cmd.thing.get_inclusion_report", "serv": "ref", "val_t": "string", "val": "7",
        "tags": null, "props": null, "ver": "1", "corid": "", "src": "app",
        "ctime": "2026-11-21T10:00:00Z", "uid": "U1",
    });
    rig.publish("pt:j1/mt:cmd/rt:ad/rn:ref/ad:1", &message);
    expect_inclusion(&rig, "1.0.0", &DRAFT);
    assert!(rig.is_silent());
}

/// The three messages in the document that requires the service, value for value.
#[test]
fn the_examples_of_the_document_are_reproduced() {
    const SIZE: usize = 53_400;
    let epoch_ms = 12_625_242_636_000 - 500;
    let settings = ota_sim::device::Settings { epoch_ms, ..settings() };
    with_world(settings, |world| {
        // At 20 bytes a second, 90 % of it take 40 minutes and 3 seconds.
        let app = |size: usize| {
            let spec = ota_sim::bundle::Spec::new("2.0.0", "sim");
            ota_sim::bundle::create(&spec.with_app(vec![7; size])).unwrap()
        };
        let file = app(30_000);
        let file = app(30_000 + SIZE - file.len());
        assert_eq!(file.len(), SIZE);
        world.file = Ok(file);
        world.rate = 1;
        world.install();
        world.run(300_000);
        let progress: Vec<&Value> =
            world.hub.all("evt.ota_progress.report").map(|report| &report.val).collect();
        let example = json!({ "progress": 10, "remaining_min": 40, "remaining_sec": 3 });
        assert!(progress.contains(&&example), "{progress:#?}");
        let ask = crate::world::command("cmd.ota_status.get_report", "null", json!(null));
        let reply = world.send(CMD, &ask).unwrap();
        let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
        let example = json!({
            "state": "IN PROGRESS", "substate": "TRANSFERING", "last_update": 12_625_242_636_u64,
        });
        let head = json!(["evt.ota_status.report", "ota", "object", example]);
        assert_eq!(json!([reply["type"], reply["serv"], reply["val_t"], reply["val"]]), head);
        world.rate = 60_000;
        world.run(10_000);
        let end = world.hub.all("evt.ota_end.report").next().unwrap();
        assert_eq!(end.val, json!({ "success": true, "error": "" }));
        world.judge().unwrap();
    });
}
