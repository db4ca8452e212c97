//! Devices that misbehave: each test is one way.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;
use crate::host::client::Options;

/// A reply is given up after this time.
const SHORT: Duration = Duration::from_millis(600);
const SIZE: usize = 20_000;

/// A device on TCP, of which each test says what it answers.
struct Fake {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `answer` gets method and parameters, and says `result` or `error` in an object; none: no reply.
    fn new(mut answer: impl FnMut(&str, &Value) -> Option<Value> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let Ok(line) = line else { break };
                    let line = line.trim_matches('"');
                    if line.is_empty() {
                        continue;
                    }
                    let request: Value = serde_json::from_str(line).unwrap();
                    let method = request["method"].as_str().unwrap();
                    log.lock().unwrap().push(method.to_owned());
                    let Some(mut reply) = answer(method, &request["params"]) else { continue };
                    reply["id"] = request["id"].clone();
                    // The client may have gone.
                    let _ = write!(stream, "\n{reply}\n");
                }
            }
        });
        Self { url, calls }
    }

    /// Two attempts with everything.
    fn push(&self) -> Result<Pushed, PushError> {
        self.push_and_tell(&mut |_| {})
    }

    fn push_and_tell(&self, tell: &mut dyn FnMut(PushEvent)) -> Result<Pushed, PushError> {
        let mut client = Client::new(&self.url, Options::with_timeout(SHORT)).unwrap();
        let options =
            PushOptions { attempts: 2, reboot: Duration::from_secs(5), ..PushOptions::default() };
        push(&mut client, &vec![7; SIZE], &options, tell)
    }

    fn count(&self, method: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == method).count()
    }
}

fn result(value: Value) -> Option<Value> {
    Some(json!({ "result": value }))
}

fn error(code: i64, message: &str) -> Option<Value> {
    Some(json!({ "error": { "code": code, "message": message } }))
}

/// What a device says that does nothing.
fn idle(method: &str) -> Option<Value> {
    result(match method {
        "OTA.Status" => json!({ "state": 0, "message": "idle" }),
        "OTA.GetBootState" => json!({ "active_slot": 0, "is_committed": true }),
        "Sys.GetInfo" => json!({ "fw_version": "1.0.0" }),
        _ => Value::Null,
    })
}

/// What a device says that has installed the update.
fn updated(method: &str) -> Option<Value> {
    match method {
        "OTA.GetBootState" => result(json!({ "active_slot": 1, "is_committed": true })),
        "Sys.GetInfo" => result(json!({ "fw_version": "2.0.0" })),
        other => idle(other),
    }
}

fn receiving(received: usize) -> Option<Value> {
    result(json!({ "state": 1, "message": "progress", "received": received, "size": SIZE }))
}

fn pushed() -> Result<Pushed, PushError> {
    Ok(Pushed { version: "2.0.0".to_owned(), is_committed: true })
}

#[test]
fn an_update_of_somebody_else_is_left_alone() {
    // It began between OTA.Status and OTA.Begin.
    let mut asked = 0;
    let fake = Fake::new(move |method, _| match method {
        "OTA.Status" if asked > 0 => receiving(0),
        "OTA.Status" => {
            asked += 1;
            idle(method)
        }
        "OTA.Begin" => error(-1, "Failed to init updater: update already in progress"),
        _ => idle(method),
    });
    assert!(matches!(fake.push(), Err(PushError::Call { method: "OTA.Begin", .. })));
    assert_eq!((fake.count("OTA.End"), fake.count("OTA.Abort")), (0, 0));
}

#[test]
fn a_download_that_took_the_place_of_a_lost_session_is_left_alone() {
    let mut asked = 0;
    let fake = Fake::new(move |method, _| match method {
        "OTA.Status" if asked > 0 => result(json!({ "state": 1, "received": 4096 })),
        "OTA.Status" => {
            asked += 1;
            idle(method)
        }
        "OTA.Write" => error(-1, "the update in progress is a download: see OTA.Status"),
        _ => idle(method),
    });
    assert!(matches!(fake.push(), Err(PushError::Call { method: "OTA.Write", .. })));
    assert_eq!((fake.count("OTA.End"), fake.count("OTA.Abort")), (0, 0));
}

#[test]
fn what_cannot_be_begun_again_is_not_ended_either() {
    let mut begun = 0;
    let fake = Fake::new(move |method, _| match method {
        "OTA.Begin" => {
            begun += 1;
            if begun == 1 { idle(method) } else { error(-1, "update already in progress") }
        }
        "OTA.Status" if begun == 2 => receiving(0),
        "OTA.Write" => error(-1, "no update in progress: call OTA.Begin"),
        _ => idle(method),
    });
    assert!(matches!(fake.push(), Err(PushError::Call { method: "OTA.Begin", .. })));
    assert_eq!((fake.count("OTA.End"), fake.count("OTA.Abort")), (0, 0));
}

#[test]
fn an_update_that_was_begun_is_given_up() {
    // Whatever the device knows: this engine's, and one that ends an update before its end by OTA.End.
    for (status, abort, calls) in [
        (receiving(0), idle("OTA.Abort"), (1, 0)),
        (receiving(0), error(404, "No handler for OTA.Abort"), (1, 1)),
        (result(json!({ "state": 1 })), error(404, "No handler for OTA.Abort"), (0, 1)),
    ] {
        let mut has_begun = false;
        let fake = Fake::new(move |method, _| match method {
            "OTA.Begin" => {
                has_begun = true;
                idle(method)
            }
            "OTA.Status" if has_begun => status.clone(),
            "OTA.Write" => None,
            "OTA.Abort" => abort.clone(),
            _ => idle(method),
        });
        assert!(matches!(fake.push(), Err(PushError::Call { method: "OTA.Write", .. })));
        assert_eq!((fake.count("OTA.Abort"), fake.count("OTA.End")), calls);
    }
}

/// Loses all replies to the last piece.
fn without_last_reply(status: impl Fn() -> Option<Value> + Send + 'static) -> Fake {
    let (mut is_there, mut is_ended) = (false, false);
    Fake::new(move |method, params| match method {
        "OTA.Write" if params["offset"].as_u64() > Some(16_000) => {
            is_there = true;
            None
        }
        "OTA.Status" if is_there && !is_ended => status(),
        "OTA.End" => {
            is_ended = true;
            idle(method)
        }
        _ if is_ended => updated(method),
        _ => idle(method),
    })
}

#[test]
fn replies_lost_to_the_last_piece_do_not_make_an_update_fail_that_is_there() {
    let fake = without_last_reply(|| receiving(SIZE));
    assert_eq!(fake.push(), pushed());
    assert_eq!(fake.count("OTA.End"), 1);
}

#[test]
fn what_may_be_complete_is_not_ended_to_give_it_up() {
    // It does not say how much it has, or nothing at all.
    for status in [result(json!({ "state": 1 })), None] {
        let fake = without_last_reply(move || status.clone());
        assert!(matches!(fake.push(), Err(PushError::Call { method: "OTA.Write", .. })));
        assert_eq!(fake.count("OTA.End"), 0);
    }
}

#[test]
fn a_check_that_takes_long_is_waited_for() {
    // No reply to OTA.End; the device checks for 2 s and reboots.
    let mut ended = None::<Instant>;
    let fake = Fake::new(move |method, _| match (method, ended) {
        ("OTA.End", None) => {
            ended = Some(Instant::now());
            None
        }
        ("OTA.End", Some(_)) => error(-1, "the update is being checked: see OTA.Status"),
        (_, None) => idle(method),
        (_, Some(ended)) => match ended.elapsed().as_millis() {
            0..1500 if method == "OTA.Status" => result(json!({ "state": 1 })),
            0..1500 => idle(method),
            1500..2000 => error(418, "shutting down in 100 ms"),
            2000..2500 => None,
            _ => updated(method),
        },
    });
    assert_eq!(fake.push(), pushed());
    assert_eq!(fake.count("OTA.End"), 1);
}

#[test]
fn a_reboot_behind_a_lost_reply_is_waited_for() {
    let mut ended = None::<Instant>;
    let fake = Fake::new(move |method, _| match (method, ended) {
        ("OTA.End", _) => {
            ended = Some(Instant::now());
            None
        }
        ("OTA.GetBootState", Some(ended)) if ended.elapsed() < SHORT * 2 => idle(method),
        (_, Some(ended)) if ended.elapsed() < SHORT * 3 => None,
        (_, Some(_)) => updated(method),
        (_, None) => idle(method),
    });
    assert_eq!(fake.push(), pushed());
}

#[test]
fn a_device_that_stays_away_is_told_of() {
    let mut has_ended = false;
    let fake = Fake::new(move |method, _| {
        let answer = (!has_ended).then(|| idle(method)).flatten();
        has_ended |= method == "OTA.End";
        answer
    });
    let error = fake.push().unwrap_err();
    assert!(matches!(error, PushError::Away { method: "Sys.GetInfo", .. }), "{error}");
    assert!(error.to_string().contains("was sent, but the device has not come back"), "{error}");
}

#[test]
fn the_end_is_said_again_to_a_device_that_has_not_heard_it() {
    let mut ends = 0;
    let fake = Fake::new(move |method, _| match (method, ends) {
        ("OTA.End", _) => {
            ends += 1;
            if ends == 1 { None } else { idle(method) }
        }
        ("OTA.Status", 1) => receiving(SIZE),
        (_, 2) => updated(method),
        _ => idle(method),
    });
    assert_eq!(fake.push(), pushed());
}

#[test]
fn the_end_is_said_again_to_a_device_that_is_busy() {
    let (mut ends, mut looks) = (0, 0);
    let fake = Fake::new(move |method, _| match (method, ends) {
        ("OTA.End", _) => {
            ends += 1;
            match ends {
                1 | 2 => error(429, "another reply is still to be sent: try again"),
                _ => idle(method),
            }
        }
        ("OTA.Status", 1 | 2) => {
            looks += 1;
            if looks == 1 { error(429, "too many requests") } else { receiving(SIZE) }
        }
        (_, 3) => updated(method),
        _ => idle(method),
    });
    assert_eq!(fake.push(), pushed());
    assert_eq!(fake.count("OTA.End"), 3);
}

#[test]
fn without_an_active_slot_nobody_can_say_that_it_was_installed() {
    for installed in [false, true] {
        let mut is_ended = false;
        let fake = Fake::new(move |method, _| match method {
            "OTA.End" => {
                is_ended = true;
                idle(method)
            }
            "OTA.GetBootState" if is_ended || !installed => result(json!({ "active_slot": null })),
            _ => idle(method),
        });
        assert_eq!(fake.push(), Err(PushError::NoActiveSlot));
        assert_eq!(fake.count("OTA.Begin"), usize::from(installed), "the first one is looked at");
    }
}

#[test]
fn a_device_that_asks_for_the_same_piece_for_ever_is_given_up() {
    let fake = Fake::new(|method, params| match method {
        "OTA.Write" => result(json!({ "offset": params["offset"] })),
        _ => idle(method),
    });
    assert_eq!(fake.push(), Err(PushError::NoProgress { offset: 0 }));
    // From one to the next and back.
    let fake = Fake::new(|method, params| match method {
        "OTA.Write" if params["offset"] == 0 => result(json!({ "offset": 8192 })),
        "OTA.Write" => result(json!({ "offset": 0 })),
        _ => idle(method),
    });
    assert_eq!(fake.push(), Err(PushError::NoProgress { offset: 0 }));
}

#[test]
fn a_device_may_go_back_once() {
    let mut times = 0;
    let fake = Fake::new(move |method, params| match method {
        "OTA.Write" => {
            times += 1;
            let offset = params["offset"].as_u64().unwrap();
            let size = params["data"].as_str().unwrap().trim_end_matches('=').len() as u64 * 3 / 4;
            result(json!({ "offset": if times == 2 { 0 } else { offset + size } }))
        }
        "OTA.End" => {
            times = 100;
            idle(method)
        }
        _ if times == 100 => updated(method),
        _ => idle(method),
    });
    assert_eq!(fake.push(), pushed());
}

#[test]
fn the_first_refusal_is_told() {
    let mut writes = 0;
    let fake = Fake::new(move |method, _| match method {
        "OTA.Write" => {
            writes += 1;
            let reasons = ["Wrong platform", "the update has failed: see OTA.Status"];
            error(-1, reasons[usize::from(writes > 1)])
        }
        "OTA.Status" if writes > 0 => result(json!({ "state": 2, "message": "Wrong platform" })),
        _ => idle(method),
    });
    let mut events = Vec::new();
    let refused = fake.push_and_tell(&mut |event| events.push(event)).unwrap_err().to_string();
    assert!(refused.contains("Wrong platform"), "{refused}");
    // It is not sent again, so nobody says so.
    assert_eq!(events, []);
}

#[test]
fn a_device_with_little_room_is_sent_little() {
    let (mut is_begun, mut is_ended) = (false, false);
    let fake = Fake::new(move |method, params| match method {
        "OTA.Write" if params["data"].as_str().unwrap().len() > 1000 => error(400, "too long"),
        "OTA.Begin" => {
            is_begun = true;
            idle(method)
        }
        "OTA.End" => {
            is_ended = true;
            idle(method)
        }
        "OTA.Status" if is_begun && !is_ended => receiving(0),
        _ if is_ended => updated(method),
        _ => idle(method),
    });
    assert_eq!(fake.push(), pushed());
}

#[test]
fn what_goes_over_a_serial_line_fits_the_smallest_device() {
    let chunk = |url: &str| chunk_bytes(&Target::parse(url).unwrap());
    assert_eq!(chunk("/dev/ttyACM0"), 512);
    assert_eq!(chunk("udp://dev.example:5000"), 900);
    assert_eq!(chunk("http://dev.example"), 8192);
}
