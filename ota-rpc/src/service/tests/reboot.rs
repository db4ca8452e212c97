use super::bench::{Bench, CHANNEL, request};
use crate::channel::ChannelId;
use crate::service::Reply;

impl Bench {
    /// The message of the error that every request gets just before a reboot.
    pub(super) fn status_while_shutting_down(&mut self) -> std::string::String {
        let error = self.call("OTA.Status", "");
        let error = error.strip_prefix(r#""error":{"code":418,"message":""#).expect(&error);
        error.strip_suffix("\"}").unwrap().into()
    }
}

#[test]
fn a_reboot_waits_for_its_reply() {
    let mut bench = Bench::new();
    assert_eq!(bench.call("SyS.Reboot", ""), r#""result":null"#);
    bench.now_ms += 1_000;
    assert!(bench.poll().action.is_none());
    bench.service.reply_flushed(ChannelId(99), bench.now_ms);
    bench.now_ms += 1_000;
    assert!(bench.poll().action.is_none());
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn a_reboot_comes_even_if_the_reply_never_gets_out() {
    let mut bench = Bench::new();
    bench.call("Sys.Reboot", "");
    assert_eq!(bench.reboots_after_ms(), Some(5_100));
    let mut bench = Bench::new();
    bench.call("Sys.Reboot", "");
    bench.service.channel_closed(CHANNEL, bench.now_ms);
    assert_eq!(bench.reboots_after_ms(), Some(100));
}

#[test]
fn a_reboot_by_notification_has_no_reply_to_wait_for() {
    let mut bench = Bench::new();
    let outcome = bench.handle(br#"{"method":"Sys.Reboot","params":{"delay_ms":250}}"#);
    assert_eq!(outcome.reply, Reply::None);
    assert_eq!(bench.reboots_after_ms(), Some(250));
}

#[test]
fn requests_in_the_last_100_ms_are_told_to_come_later() {
    let mut bench = Bench::new();
    bench.call("Sys.Reboot", r#"{"delay_ms":"500"}"#);
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    bench.now_ms += 399;
    assert_eq!(bench.status().0, 0);
    bench.now_ms += 1;
    assert_eq!(bench.status_while_shutting_down(), "shutting down in 100 ms");
    bench.now_ms += 70;
    assert_eq!(bench.status_while_shutting_down(), "shutting down in 30 ms");
    assert_eq!(bench.reboots_after_ms(), Some(30));
    // It comes until it is done.
    bench.now_ms += 1_000;
    assert_eq!(bench.reboots_after_ms(), Some(0));
}

#[test]
fn a_reboot_can_be_called_off() {
    let mut bench = Bench::new();
    bench.call("Sys.Reboot", r#"{"delay_ms":5000}"#);
    assert_eq!(bench.call("Sys.Reboot", r#"{"abort":true}"#), r#""result":null"#);
    assert_eq!(bench.reboots_after_ms(), None);
}

#[test]
fn delays_that_cannot_be_are_refused() {
    for delay in ["-1", "4294967296", "\"-0x1\""] {
        let mut bench = Bench::new();
        let params = std::format!("{{\"delay_ms\":{delay}}}");
        let error = r#""error":{"code":400,"message":"invalid delay value"}"#;
        assert_eq!(bench.call("Sys.Reboot", &params), error);
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn wake_up_times_are_those_of_the_reboot() {
    let mut bench = Bench::new();
    assert_eq!(bench.service.wake_at_ms(), None);
    let request = request("Sys.Reboot", r#"{"delay_ms":2000}"#);
    bench.handle(request.as_bytes());
    assert_eq!(bench.service.wake_at_ms(), Some(bench.now_ms + 5_000));
    bench.service.reply_flushed(CHANNEL, bench.now_ms);
    assert_eq!(bench.service.wake_at_ms(), Some(bench.now_ms + 2_000));
}
