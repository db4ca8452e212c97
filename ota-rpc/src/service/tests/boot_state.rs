use std::format;

use super::bench::Bench;
use crate::error::Class;

#[test]
fn set_boot_state_changes_only_what_is_given() {
    for (params, call) in [
        (r#"{"revert_slot":1}"#, "set_boot_state (None, None, Some(1), None)"),
        (r#"{"revert_slot":"1"}"#, "set_boot_state (None, None, Some(1), None)"),
        (r#"{"is_committed":false}"#, "set_boot_state (None, Some(false), None, None)"),
        (r#"{"is_committed":true}"#, "set_boot_state (None, Some(true), None, None)"),
        (
            r#"{"active_slot":1,"revert_slot":0,"commit_timeout":"0x10","x":1}"#,
            "set_boot_state (Some(1), None, Some(0), Some(16))",
        ),
        // A negative timeout is not written, but is a key that is known.
        (r#"{"commit_timeout":-1}"#, "set_boot_state (None, None, None, None)"),
        (
            r#"{"active_slot":null,"revert_slot":null,"is_committed":null,"commit_timeout":5}"#,
            "set_boot_state (None, None, None, Some(5))",
        ),
    ] {
        let mut bench = Bench::new();
        assert_eq!(bench.call("OTA.SetBootState", params), r#""result":null"#);
        assert_eq!(bench.engine.calls, [call]);
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn set_boot_state_without_a_known_key_is_an_error() {
    for params in ["", "{}", "null", r#"{"slot":1}"#, r#"{"active_slot":null}"#] {
        let mut bench = Bench::new();
        let error = r#""error":{"code":-2,"message":"give active_slot, is_committed, revert_slot or commit_timeout"}"#;
        assert_eq!(bench.call("OTA.SetBootState", params), error);
        assert!(bench.engine.calls.is_empty());
    }
}

/// Mongoose OS takes them for absent, or for false: a timeout that is a typing error away from a commit.
#[test]
fn arguments_of_another_type_are_an_error_and_change_nothing() {
    for (method, key, value) in [
        ("OTA.SetBootState", "active_slot", r#""1x""#),
        ("OTA.SetBootState", "revert_slot", "1.5"),
        ("OTA.SetBootState", "commit_timeout", "true"),
        ("OTA.SetBootState", "is_committed", r#""true""#),
        ("OTA.SetBootState", "is_committed", "1"),
        ("OTA.CreateSnapshot", "set_as_revert", r#""yes""#),
        ("OTA.CreateSnapshot", "commit_timeout", r#""5m""#),
        ("OTA.Begin", "commit_timeout", r#""5m""#),
        ("OTA.Begin", "size", "[]"),
        ("OTA.Update", "commit_timeout", r#""300s""#),
        ("OTA.Update", "timeout", "{}"),
        ("Sys.Reboot", "delay_ms", r#""soon""#),
        ("Sys.Reboot", "abort", "0"),
    ] {
        let mut bench = Bench::new();
        let params = format!(r#"{{"url":"http://h/fw.zip","{key}":{value}}}"#);
        let reply = bench.call(method, &params);
        let wanted = format!(r#""error":{{"code":400,"message":"{key} must be "#);
        assert!(reply.starts_with(&wanted), "{method} {params}: {reply}");
        assert!(bench.engine.calls.is_empty() && !bench.service.is_busy(), "{method} {params}");
        assert_eq!(bench.reboots_after_ms(), None, "{method} {params}");
    }
}

/// 4294967297 is 1 in 32 bits, and whatever counts as none is a timeout of 0.
#[test]
fn numbers_that_do_not_fit_are_an_error_and_change_nothing() {
    let too_large = ["4294967296", "4294967297", "99999999999", r#""0x100000000""#];
    let negative = ["-1", "-3", r#""-300""#];
    for (method, key, values) in [
        ("OTA.Update", "commit_timeout", &[&too_large[..], &negative].concat()),
        ("OTA.Update", "timeout", &[&too_large[..], &negative].concat()),
        ("OTA.Update", "size", &[&too_large[..], &negative].concat()),
        ("OTA.Begin", "commit_timeout", &[&too_large[..], &negative].concat()),
        ("OTA.Begin", "timeout", &[&too_large[..], &negative].concat()),
        ("OTA.Begin", "size", &[&too_large[..], &negative].concat()),
        // Mongoose OS takes a negative one here for none.
        ("OTA.CreateSnapshot", "commit_timeout", &too_large.to_vec()),
        ("OTA.SetBootState", "commit_timeout", &too_large.to_vec()),
    ] {
        for value in values {
            let mut bench = Bench::new();
            let params = format!(r#"{{"url":"http://h/fw.zip","{key}":{value}}}"#);
            let reply = bench.call(method, &params);
            let wanted = format!(
                r#""error":{{"code":400,"message":"{key} must be a whole number from 0 to 4294967295"}}"#
            );
            assert_eq!(reply, wanted, "{method} {params}");
            assert!(bench.engine.calls.is_empty() && !bench.service.is_busy(), "{method} {params}");
        }
    }
}

#[test]
fn a_method_whose_params_are_no_object_is_not_carried_out() {
    for method in ["OTA.Commit", "OTA.Revert", "OTA.GetBootState", "OTA.SetBootState", "Sys.Reboot"]
    {
        for params in ["[]", "[1]", "5", "true", r#""{}""#] {
            let mut bench = Bench::new();
            let error = r#""error":{"code":400,"message":"params must be an object"}"#;
            assert_eq!(bench.call(method, params), error, "{method} {params}");
            assert!(bench.engine.calls.is_empty(), "{method} {params}");
            assert_eq!(bench.reboots_after_ms(), None, "{method} {params}");
        }
    }
}

#[test]
fn a_method_without_a_name_is_shown_as_such() {
    let error = r#""error":{"code":404,"message":"No handler for \"\""}"#;
    assert_eq!(Bench::new().call("", ""), error);
}

#[test]
fn errors_have_the_codes_of_mongoose_and_always_a_message() {
    for (method, params, fails, class, error) in [
        ("OTA.Commit", "", "commit", Class::Refused, r#"{"code":-1,"message":"why"}"#),
        ("OTA.Revert", "", "revert", Class::Refused, r#"{"code":-1,"message":"why"}"#),
        (
            "OTA.GetBootState",
            "",
            "boot_state",
            Class::RecordUnreadable,
            r#"{"code":-1,"message":"why"}"#,
        ),
        (
            "OTA.SetBootState",
            r#"{"active_slot":1}"#,
            "set_boot_state",
            Class::Refused,
            r#"{"code":-3,"message":"Failed to set boot state: why"}"#,
        ),
        (
            "OTA.SetBootState",
            r#"{"active_slot":1}"#,
            "set_boot_state",
            Class::RecordUnreadable,
            r#"{"code":-1,"message":"Failed to get boot state: why"}"#,
        ),
        (
            "OTA.CreateSnapshot",
            "",
            "start_snapshot",
            Class::Uncommitted,
            r#"{"code":-1,"message":"Cannot create snapshots in uncommitted state: why"}"#,
        ),
        (
            "OTA.CreateSnapshot",
            "",
            "start_snapshot",
            Class::Flash,
            r#"{"code":-1,"message":"Failed to create snapshot: why"}"#,
        ),
        (
            "OTA.CreateSnapshot",
            "",
            "start_snapshot",
            Class::RecordUnreadable,
            r#"{"code":-2,"message":"Failed to get boot state: why"}"#,
        ),
        (
            "OTA.Begin",
            "",
            "begin",
            Class::Uncommitted,
            r#"{"code":-1,"message":"Failed to init updater: why"}"#,
        ),
        (
            "OTA.Update",
            r#"{"url":"x"}"#,
            "may_begin",
            Class::Uncommitted,
            r#"{"code":-1,"message":"Failed to init updater: why"}"#,
        ),
    ] {
        let mut bench = Bench::new();
        bench.fail(fails, class, "why");
        assert_eq!(bench.call(method, params), std::format!("\"error\":{error}"));
        assert_eq!(bench.reboots_after_ms(), None);
        assert!(!bench.service.is_busy());
    }
}

#[test]
fn slots_that_cannot_be_are_refused_without_asking_the_engine() {
    for slot in ["-1", "256", "\"0x100\""] {
        let mut bench = Bench::new();
        let error = bench.call("OTA.SetBootState", &std::format!("{{\"revert_slot\":{slot}}}"));
        assert!(error.starts_with(r#""error":{"code":-3,"message":"Failed to set boot state: "#));
        assert!(bench.engine.calls.is_empty());
    }
}

#[test]
fn a_snapshot_is_answered_at_its_end_with_its_slot() {
    for (params, call) in [
        ("", "start_snapshot (false, None)"),
        (r#"{"set_as_revert":true,"commit_timeout":"300"}"#, "start_snapshot (true, Some(300))"),
    ] {
        let mut bench = Bench::new();
        bench.call_later("OTA.CreateSnapshot", params);
        assert_eq!(bench.status().0, 1);
        assert_eq!(bench.service.wake_at_ms(), Some(0));
        assert_eq!(bench.later(), r#""result":{"slot":1}"#);
        assert_eq!(bench.engine.calls, [call, "step", "step", "step"]);
        assert_eq!(bench.status(), (0, "idle".into()));
        assert_eq!(bench.reboots_after_ms(), None);
    }
}

#[test]
fn a_snapshot_that_fails_is_answered_with_the_reason() {
    let mut bench = Bench::new();
    bench.call_later("OTA.CreateSnapshot", "");
    bench.fail("step", Class::RecordNotWritten, "flash is worn");
    let error = r#""error":{"code":-3,"message":"Failed to set boot state: flash is worn"}"#;
    assert_eq!(bench.later(), error);
    assert!(!bench.service.is_busy());
}

#[test]
fn nothing_else_starts_while_a_snapshot_runs() {
    let mut bench = Bench::new();
    bench.call_later("OTA.CreateSnapshot", "");
    for (method, params, words) in [
        ("OTA.CreateSnapshot", "", "Failed to create snapshot: a snapshot"),
        ("OTA.Begin", "", "Failed to init updater: a snapshot"),
        ("OTA.Update", r#"{"url":"x"}"#, "Failed to init updater: a snapshot"),
        ("OTA.Write", "", "a snapshot"),
        ("OTA.End", "", "a snapshot"),
    ] {
        let error = bench.call(method, params);
        assert!(error.starts_with(&std::format!("\"error\":{{\"code\":-1,\"message\":\"{words}")));
    }
    assert_eq!(bench.call("OTA.Abort", ""), r#""result":null"#);
    assert_eq!(bench.later(), r#""error":{"code":-1,"message":"Update aborted by OTA.Abort"}"#);
}
