use super::*;

/// A message of this type with this value, as Go's library writes it.
fn message(name: &str, value: &str) -> Vec<u8> {
    format!(
        r#"{{"type":"{name}","serv":"ota","val_t":"object","val":{value},"tags":null,"props":null,
        "ver":"1","corid":"","src":"X","ctime":"2026-11-20T10:00:00.17Z","uid":"U"}}"#
    )
    .into_bytes()
}

fn line(name: &str, value: &str) -> String {
    match Report::read(&message(name, value)) {
        Ok(report) => report.what.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reports_are_told_in_words() {
    for (name, value, words) in [
        ("ota_start", "null", "start"),
        (
            "ota_progress",
            r#"{"progress":42,"remaining_min":1,"remaining_sec":3}"#,
            "progress 42 %, 1 min 3 s left",
        ),
        ("ota_progress", r#"{"progress":0,"remaining_sec":50}"#, "progress 0 %, 50 s left"),
        ("ota_progress", r#"{"progress":9,"remaining_min":2}"#, "progress 9 %, 2 min 0 s left"),
        ("ota_progress", r#"{"progress":7,"remaining_sec":75}"#, "progress 7 %, 1 min 15 s left"),
        (
            "ota_progress",
            r#"{"progress":100,"remaining_min":0,"remaining_sec":0}"#,
            "progress 100 %",
        ),
        ("ota_progress", r#"{"progress":5}"#, "progress 5 %"),
        ("ota_end", r#"{"success":true,"error":""}"#, "end: success"),
        ("ota_end", r#"{"success":true}"#, "end: success"),
        ("ota_end", r#"{"success":false,"error":"invalid_file"}"#, "end: failed: invalid_file"),
        ("ota_status", r#"{"state":"NOT STARTED"}"#, "status: NOT STARTED"),
        (
            "ota_status",
            r#"{"state":"IN PROGRESS","substate":"TRANSFERING","last_update":1795210560}"#,
            "status: IN PROGRESS, TRANSFERING, last update 2026-11-20T21:36:00Z",
        ),
        (
            "ota_status",
            r#"{"state":"FINISHED","substate":"ERROR","last_update":18446744073709551615}"#,
            "status: FINISHED, ERROR, last update 18446744073709551615 s after 1970",
        ),
        ("sensor", "21.5", "evt.sensor.report"),
    ] {
        assert_eq!(line(&format!("evt.{name}.report"), value), words);
    }
    let value = r#"{"address":"7","product_name":"Ref","sw_ver":"1.0.0","services":[]}"#;
    assert_eq!(line("evt.thing.inclusion_report", value), "inclusion: Ref, 1.0.0");
}

#[test]
fn refusals_name_reason_and_command() {
    let read = |text: &str| Report::read(text.as_bytes()).unwrap();
    let report = read(
        r#"{"type":"evt.error.report","serv":"ota","val_t":"string","corid":"U3",
        "val":"failed to process incoming message","props":{"cmd_service":"ota",
        "cmd_type":"cmd.ota_update.start","msg":"firmware path is empty"}}"#,
    );
    assert_eq!(report.corid, "U3");
    let words = "error: firmware path is empty (of cmd.ota_update.start)";
    assert_eq!(report.what.to_string(), words);
    for (text, words) in [
        (r#"{"type":"evt.error.report","val":"busy","props":null}"#, "error: busy"),
        (r#"{"type":"evt.error.report","val":"busy","corid":null}"#, "error: busy"),
        (r#"{"type":"evt.error.report","val":7,"props":{"msg":9}}"#, "error: 7"),
    ] {
        assert_eq!(read(text).what.to_string(), words);
    }
}

#[test]
fn what_is_no_report_is_told() {
    for text in ["", "x", "7", "[]", "{}", r#"{"type":7}"#, "{\"type\":\"\u{1b}", "\u{feff}{}"] {
        let error = Report::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("no FIMP message: "), "{text}: {error}");
    }
    for (name, value) in [
        ("progress", "null"),
        ("progress", r#"{"progress":101}"#),
        ("progress", r#"{"progress":-1}"#),
        ("progress", r#"{"progress":10.5}"#),
        ("progress", r#"{"remaining_sec":1}"#),
        ("progress", r#"{"progress":1,"remaining_min":18446744073709551615}"#),
        ("end", r#"{"success":"yes"}"#),
        ("end", "null"),
        ("status", "[]"),
        ("status", r#"{"state":1}"#),
    ] {
        let said = line(&format!("evt.ota_{name}.report"), value);
        let words = format!("evt.ota_{name}.report with a wrong value: ");
        assert!(said.starts_with(&words), "{value}: {said}");
    }
}

#[test]
fn nothing_controls_the_terminal() {
    let evil = r"\u001b[2J\u009b\n";
    for (name, value) in [
        ("evt.ota_end.report", format!(r#"{{"success":false,"error":"{evil}"}}"#)),
        ("evt.ota_status.report", format!(r#"{{"state":"{evil}","substate":"{evil}"}}"#)),
        ("evt.ota_status.report", format!(r#""{evil}""#)),
        ("evt.error.report", format!(r#""{evil}""#)),
        ("evt.thing.inclusion_report", format!(r#"{{"address":"1","sw_ver":"{evil}"}}"#)),
        (evil, "null".to_owned()),
    ] {
        let said = line(name, &value);
        assert!(!said.contains(char::is_control), "{said:?}");
    }
    let topic = "pt:j1/mt:evt/rt:dev/rn:\u{1b}x/ad:1/sv:ota/ad:\u{7}".to_owned();
    let place = Message { topic, payload: Vec::new() }.place().unwrap().to_string();
    assert!(!place.contains(char::is_control), "{place:?}");
}

#[test]
fn topics_name_who_reports() {
    for (topic, place) in [
        ("pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:ota/ad:7_0", Some("x/7_0")),
        ("pt:j1/mt:evt/rt:ad/rn:zw/ad:1", Some("zw")),
        ("site/pt:j1/mt:evt/rt:dev/rn:x/ad:1/sv:sensor/ad:2", Some("x/2")),
        ("pt:j1/mt:evt/rt:discovery", None),
        ("", None),
    ] {
        let message = Message { topic: topic.to_owned(), payload: Vec::new() };
        assert_eq!(message.place().map(|place| place.to_string()).as_deref(), place);
    }
}
