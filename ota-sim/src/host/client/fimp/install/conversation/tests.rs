use super::*;
use crate::host::client::fimp::Transfer;

const ADDRESS: Address<'static> = Address { resource: "x", adapter: "1", thing: "7_0" };

/// Hands messages to a conversation whose command is out: its end, and what was told.
fn hear(messages: &[(&str, &str)]) -> (Result<Option<Ended>, InstallError>, Vec<InstallEvent>) {
    let hub = Hub::new("mqtt://localhost".parse().unwrap(), None);
    let (options, mut told) = (InstallOptions::default(), Vec::new());
    let mut tell = |event| told.push(event);
    let now = Instant::now();
    let mut conversation = Conversation {
        hub: &hub,
        address: &ADDRESS,
        options: &options,
        tell: &mut tell,
        listener: None,
        command: "install".to_owned(),
        question: Some("status".to_owned()),
        phase: Phase::Asked { until: now },
        status: None,
        last_told: None,
        ask_at: now,
        version: None,
        deadline: now,
    };
    let mut ended = Ok(None);
    for (name, rest) in messages {
        assert_eq!(ended, Ok(None), "something comes after the end: {name}");
        let (name, corid) = name.split_once(" to ").unwrap_or((name, ""));
        let payload = format!(r#"{{"type":"{name}","corid":"{corid}","val":{rest}}}"#);
        let message = Message { topic: reports_of(&ADDRESS), payload: payload.into_bytes() };
        ended = conversation.take(&message);
    }
    (ended, told)
}

const START: (&str, &str) = ("evt.ota_start.report", "null");
const GOOD: (&str, &str) = ("evt.ota_end.report", r#"{"success":true,"error":""}"#);
const BAD: (&str, &str) = ("evt.ota_end.report", r#"{"success":false,"error":"other"}"#);
const STATUS_REPLY: &str = "evt.ota_status.report to status";

#[test]
fn an_update_ends_as_it_is_reported() {
    let progress = |percent| InstallEvent::Progress(Transfer { percent, remaining_s: None });
    let half = ("evt.ota_progress.report", r#"{"progress":50}"#);
    assert_eq!(
        hear(&[START, half, GOOD]),
        (Ok(Some(Ok(()))), vec![InstallEvent::Begun, progress(50)])
    );
    assert_eq!(hear(&[START, BAD]).0, Ok(Some(Err("other".to_owned()))));
    // The start was missed.
    assert_eq!(hear(&[half, GOOD]).0, Ok(Some(Ok(()))));
    // An end that is of the update before; a status that was somebody else's question.
    assert_eq!(hear(&[BAD, GOOD]), (Ok(None), vec![]));
    let other = ("evt.ota_status.report to x", r#"{"state":"IN PROGRESS","substate":"STARTED"}"#);
    assert_eq!(
        hear(&[other, GOOD, ("junk", "{"), ("evt.ota_end.report", "7")]),
        (Ok(None), vec![])
    );
}

#[test]
fn only_what_refuses_this_command_ends_it() {
    let refusal = |of: &'static str| (of, r#""busy","props":{"msg":"an update is in progress"}"#);
    assert_eq!(hear(&[refusal("evt.error.report to status")]).0, Ok(None));
    let Err(InstallError::Refused(failure)) = hear(&[refusal("evt.error.report to install")]).0
    else {
        panic!("it was not refused")
    };
    assert_eq!(failure.to_string(), "an update is in progress");
}

/// Reports may be missed while the broker is away.
#[test]
fn replies_tell_what_reports_did_not() {
    let status = |json| (STATUS_REPLY, json);
    let finished = status(r#"{"state":"FINISHED","substate":"INVALID FILE","last_update":9}"#);
    let success = status(r#"{"state":"FINISHED","substate":"SUCCESS","last_update":9}"#);
    let waits = status(r#"{"state":"IN PROGRESS","substate":"NEEDS USER ACTION TO START"}"#);
    let reboots = status(r#"{"state":"IN PROGRESS","substate":"DEVICE REBOOTING"}"#);
    // Of the update before.
    assert_eq!(hear(&[success, success, waits, success, success]).0, Ok(None));
    // The first may be ahead of the report, which says more.
    assert_eq!(hear(&[START, success]).0, Ok(None));
    assert_eq!(hear(&[waits, reboots, success, success]).0, Ok(Some(Ok(()))));
    let (ended, told) = hear(&[waits, waits, reboots, reboots, finished, finished]);
    assert_eq!(ended, Ok(Some(Err("invalid_file".to_owned()))));
    let all = [InstallEvent::WaitsForUser, InstallEvent::Begun, InstallEvent::Rebooting];
    assert_eq!(told, all);
}
