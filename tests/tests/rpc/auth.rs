//! Section 2.2 of the reference on every transport: who has no password, the wrong one, an old
//! answer or another algorithm is refused; who has it is let in. The digests are made here, not by
//! the code under test.

use std::io::{Read, Write};

use md5::Md5;
use ota_rpc::auth::{Access, Algorithm, Digest, EVERY_USER, User};
use ota_sim::device::Settings;
use ota_sim::host::client::{CallError, Client, Credentials, Options};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::raw::{Raw, read_head, tcp};
use crate::rig::{DEVICE, PATIENCE, Rig, Wire};

/// A device that knows `admin:secret`.
fn guarded(wire: Wire, algorithm: Algorithm) -> Option<Rig> {
    let ha1 = Digest::of_password(algorithm, "admin", "RPC", "secret");
    let users = vec![User { name: "admin", ha1 }].leak();
    let access = Access::new("RPC", algorithm, users, EVERY_USER).unwrap();
    Rig::new(wire, Settings { access: Some(access), ..Settings::new(DEVICE, "sim") })
}

fn hash(algorithm: &str, text: &str) -> String {
    let bytes = match algorithm {
        "MD5" => Md5::digest(text).to_vec(),
        "SHA-256" => Sha256::digest(text).to_vec(),
        other => panic!("{other}"),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The member `auth` of a frame.
fn auth(algorithm: &str, password: &str, nonce: u64, cnonce: u64) -> Value {
    let ha1 = hash(algorithm, &format!("admin:RPC:{password}"));
    let ha2 = hash(algorithm, "dummy_method:dummy_uri");
    let response = hash(algorithm, &format!("{ha1}:{nonce}:1:{cnonce}:auth:{ha2}"));
    json!({
        "realm": "RPC", "username": "admin", "nonce": nonce, "cnonce": cnonce,
        "algorithm": algorithm, "response": response,
    })
}

/// Calls `OTA.GetBootState`, and reads the reply.
fn call(raw: &mut Raw, id: u64, auth: Option<&Value>) -> Value {
    let mut frame = json!({ "src": raw.source(), "id": id, "method": "OTA.GetBootState" });
    if let Some(auth) = auth {
        frame["auth"] = auth.clone();
    }
    let reply: Value = serde_json::from_str(&raw.exchange(&frame.to_string())).unwrap();
    assert_eq!(reply["id"], id);
    reply
}

/// The challenge in a reply.
fn challenge(reply: &Value) -> Value {
    assert_eq!(reply["error"]["code"], 401, "{reply}");
    let challenge: Value =
        serde_json::from_str(reply["error"]["message"].as_str().unwrap()).unwrap();
    assert_eq!(challenge["auth_type"], "digest");
    assert_eq!(challenge["nc"], 1);
    assert_eq!(challenge["realm"], "RPC");
    challenge
}

fn frames(wire: Wire) {
    let Some(rig) = guarded(wire, Algorithm::Sha256) else { return };
    let mut raw = Raw::connect(&rig, wire);
    // Missing: a challenge. Answered: let in.
    let first = challenge(&call(&mut raw, 1, None));
    assert_eq!(first["algorithm"], "SHA-256");
    let nonce = first["nonce"].as_u64().unwrap();
    let good = auth("SHA-256", "secret", nonce, 56_924_495);
    assert_eq!(call(&mut raw, 1, Some(&good))["result"]["is_committed"], true);
    // The same once more, as somebody does who has listened.
    challenge(&call(&mut raw, 2, Some(&good)));
    // A nonce that the device has not made; the recorded one.
    for nonce in [1_789_000_000, nonce ^ 1, 0] {
        challenge(&call(&mut raw, 3, Some(&auth("SHA-256", "secret", nonce, 1))));
    }
    // The weaker algorithm, and none, which means the same: not even looked at.
    let nonce = challenge(&call(&mut raw, 4, None))["nonce"].as_u64().unwrap();
    let weak = auth("MD5", "secret", nonce, 1);
    let mut unnamed = weak.clone();
    unnamed.as_object_mut().unwrap().remove("algorithm");
    for auth in [weak, unnamed] {
        assert_eq!(call(&mut raw, 5, Some(&auth))["error"]["code"], 400);
    }
    // The wrong password.
    let wrong = auth("SHA-256", "wrong", nonce, 1);
    let next = challenge(&call(&mut raw, 6, Some(&wrong)))["nonce"].as_u64().unwrap();
    // And that has used the nonce up.
    challenge(&call(&mut raw, 7, Some(&auth("SHA-256", "secret", nonce, 1))));
    let good = auth("SHA-256", "secret", next, 2);
    assert_eq!(call(&mut raw, 8, Some(&good))["result"]["is_committed"], true);
}

/// The product's client: right and wrong passwords.
fn clients(wire: Wire) {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let Some(rig) = guarded(wire, algorithm) else { return };
        let client = |password: Option<&str>, only_sha256| {
            let credentials = password.map(|password| Credentials {
                user: "admin".to_owned(),
                password: password.to_owned(),
                only_sha256,
            });
            let options = Options { credentials, ..Options::with_timeout(PATIENCE) };
            Client::new(&rig.url(wire), options).unwrap()
        };
        let mut right = client(Some("secret"), false);
        for _ in 0..3 {
            assert_eq!(right.call("OTA.GetBootState", None).unwrap()["is_committed"], true);
        }
        drop(right);
        let error = client(None, false).call("OTA.Commit", None).unwrap_err();
        assert_eq!(error, CallError::NoCredentials);
        let error = client(Some("wrong"), false).call("OTA.Commit", None).unwrap_err();
        assert_eq!(error, CallError::WrongPassword);
        if algorithm == Algorithm::Md5 {
            let error = client(Some("secret"), true).call("OTA.Commit", None).unwrap_err();
            assert!(error.to_string().contains("only SHA-256"), "{error}");
        }
    }
}

macro_rules! on_every_wire {
    ($($wire:ident: $client:ident $($frames:ident)?;)*) => {
        $(
            #[test]
            fn $client() {
                clients(Wire::$wire);
            }

            $(#[test]
            fn $frames() {
                frames(Wire::$wire);
            })?
        )*
    };
}

on_every_wire! {
    Http: clients_log_in_over_http;
    WebSocket: clients_log_in_over_websocket who_may_not_is_refused_over_websocket;
    Tcp: clients_log_in_over_tcp who_may_not_is_refused_over_tcp;
    Udp: clients_log_in_over_udp who_may_not_is_refused_over_udp;
    Serial: clients_log_in_over_serial who_may_not_is_refused_over_serial;
    Mqtt: clients_log_in_over_mqtt who_may_not_is_refused_over_mqtt;
}

/// `POST /rpc` with a header: status, head and body.
fn post(rig: &Rig, authorization: Option<&str>) -> (u16, String, String) {
    let frame = r#"{"src":"mos","id":1,"method":"OTA.GetBootState"}"#;
    let mut stream = tcp(rig.http);
    let header = authorization.map(|value| format!("Authorization: {value}\r\n"));
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n{frame}",
        frame.len(),
        header.unwrap_or_default()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let head = read_head(&mut stream);
    let mut body = String::new();
    stream.read_to_string(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
}

/// As `mos` writes it.
fn header(algorithm: &str, password: &str, nonce: &str, count: u32) -> String {
    let ha1 = hash(algorithm, &format!("admin:RPC:{password}"));
    let ha2 = hash(algorithm, "POST:/rpc");
    let response = hash(algorithm, &format!("{ha1}:{nonce}:{count:08x}:2365596883:auth:{ha2}"));
    format!(
        "Digest username=\"admin\", realm=\"RPC\", uri=\"/rpc\", algorithm={algorithm}, \
         nonce=\"{nonce}\", nc={count:08x}, cnonce=\"2365596883\", qop=auth, response=\"{response}\""
    )
}

fn nonce_of(head: &str) -> String {
    let header = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("www-authenticate: digest "))
        .unwrap();
    // `mos` takes a comma behind the algorithm for a part of its name.
    assert!(header.ends_with("algorithm=SHA-256"), "{header}");
    assert!(header.contains("qop=\"auth\", realm=\"RPC\""), "{header}");
    header.split("nonce=\"").nth(1).unwrap()[..8].to_owned()
}

#[test]
fn who_may_not_is_refused_over_http() {
    let rig = guarded(Wire::Http, Algorithm::Sha256).unwrap();
    let (status, head, body) = post(&rig, None);
    assert!(status == 401 && body.starts_with("401 user and password"), "{status} {body}");
    assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
    let nonce = nonce_of(&head);
    let good = header("SHA-256", "secret", &nonce, 1);
    let (status, _, body) = post(&rig, Some(&good));
    assert!(status == 200 && body.contains(r#""is_committed":true"#), "{status} {body}");
    // Replayed; then counted on, as the client may that knows the password.
    assert_eq!(post(&rig, Some(&good)).0, 401);
    assert_eq!(post(&rig, Some(&header("SHA-256", "secret", &nonce, 2))).0, 200);
    // Made up, downgraded, wrong.
    assert_eq!(post(&rig, Some(&header("SHA-256", "secret", "6aa1b2c3", 1))).0, 401);
    let nonce = nonce_of(&post(&rig, None).1);
    let (status, _, body) = post(&rig, Some(&header("MD5", "secret", &nonce, 1)));
    assert!(status == 200 && body.contains(r#""code":400"#), "{status} {body}");
    assert_eq!(post(&rig, Some(&header("SHA-256", "wrong", &nonce, 1))).0, 401);
    assert_eq!(post(&rig, Some("Basic YWRtaW46c2VjcmV0")).0, 401);
}

#[test]
fn the_recorded_answers_are_those_of_the_password() {
    let recording = include_str!("../../vectors/mos-wire.txt");
    let (mut in_frames, mut in_headers) = (0, 0);
    for line in recording.lines().filter(|line| line.contains(" < ")) {
        if let Some((_, rest)) = line.split_once("\"auth\":") {
            let end = rest.find('}').unwrap() + 1;
            let recorded: Value = serde_json::from_str(&rest[..end]).unwrap();
            let algorithm = recorded["algorithm"].as_str().unwrap();
            let (nonce, cnonce) = (&recorded["nonce"], &recorded["cnonce"]);
            let made = auth(algorithm, "secret", nonce.as_u64().unwrap(), cnonce.as_u64().unwrap());
            assert_eq!(made, recorded);
            in_frames += 1;
        }
        if let Some((_, rest)) = line.split_once("Authorization: ") {
            let recorded = &rest[..rest.find("\\r\\n").unwrap()];
            let part = |name: &str| {
                let rest = recorded.split(&format!("{name}=")).nth(1).unwrap();
                rest.trim_start_matches('"').split(['"', ',']).next().unwrap().to_owned()
            };
            let algorithm = part("algorithm");
            let ha2 = hash(&algorithm, "POST:/rpc");
            let (nonce, cnonce) = (part(" nonce"), part("cnonce"));
            let response = |password: &str| {
                let ha1 = hash(&algorithm, &format!("admin:RPC:{password}"));
                hash(&algorithm, &format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"))
            };
            // One of the sessions is with the password `wrong`.
            assert!([response("secret"), response("wrong")].contains(&part("response")));
            in_headers += 1;
        }
    }
    assert_eq!((in_frames, in_headers), (2, 3));
}
