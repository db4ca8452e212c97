//! The rules of `rpc.acl`.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::bench::{Bench, DEVICE};
use crate::auth::{Access, AccessError, Algorithm, Digest, EVERY_USER, Rule, User};
use crate::channel::ChannelKind;
use crate::limits::{MAX_NAME_BYTES, MAX_RULES, MAX_USERS};
use crate::service::Config;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    User(&'static str),
}

fn user(name: &'static str) -> User<'static> {
    User { name, ha1: Digest::of_password(Algorithm::Md5, name, "RPC", "pw") }
}

/// The code that a call ends with, 0 if it is carried out.
fn call(rules: &[Rule<'static>], kind: ChannelKind, who: Who, method: &str) -> i64 {
    let users = ["admin", "bob", "guest"].map(user).to_vec().leak();
    let rules = rules.to_vec().leak();
    let access = Access::new("RPC", Algorithm::Md5, users, rules).unwrap();
    let mut bench = Bench::with(Config { access: Some(access), ..Config::new(DEVICE) });
    let mut request = format!(r#"{{"id":1,"method":"{method}"}}"#);
    let code = |reply: String| {
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        reply["error"]["code"].as_i64().unwrap_or(0)
    };
    if let Who::User(name) = who
        && code(bench.ask(kind, None, &request)) == 401
    {
        let (nonce, ha1) = (1, user(name).ha1);
        let ha2 = Digest::of(Algorithm::Md5, format_args!("dummy_method:dummy_uri"));
        let response = Digest::of(Algorithm::Md5, format_args!("{ha1}:{nonce}:1:2:auth:{ha2}"));
        request = format!(
            r#"{{"id":1,"method":"{method}","auth":{{"realm":"RPC","username":"{name}","nonce":{nonce},"cnonce":2,"response":"{response}"}}}}"#
        );
    }
    code(bench.ask(kind, None, &request))
}

const fn rule(method: &'static str, ch_type: &'static str, acl: &'static str) -> Rule<'static> {
    Rule { method, ch_type, acl }
}

#[test]
fn the_first_rule_that_fits_decides() {
    use ChannelKind::{Mqtt, Uart, WebSocket};
    use Who::{Nobody, User};
    let rules = [
        rule("rpc.ping", "*", "*"),
        rule("*", "UART", "*"),
        rule("OTA.Get*|RPC.*", "ws_*|mqtt", "-guest, +*"),
        rule("OTA.*", "", "+admin,+bob,-*"),
        rule("Sys.Reboot", "*", "-*"),
        rule("Sys.*", "mqtt", "+admin"),
    ];
    for (kind, who, method, code) in [
        (WebSocket, Nobody, "RPC.Ping", 0),
        (WebSocket, Nobody, "rPC.pING", 0),
        (WebSocket, User("guest"), "RPC.Ping", 0),
        (Uart, Nobody, "Sys.Reboot", 0),
        (WebSocket, Nobody, "RPC.List", 401),
        (WebSocket, User("guest"), "RPC.List", 403),
        (WebSocket, User("bob"), "RPC.List", 0),
        (Mqtt, User("bob"), "OTA.GETBootState", 0),
        (Mqtt, User("guest"), "OTA.GetBootState", 403),
        (ChannelKind::Udp, User("guest"), "OTA.GetBootState", 403),
        (ChannelKind::Udp, User("bob"), "OTA.GetBootState", 0),
        (WebSocket, User("guest"), "OTA.Commit", 403),
        (WebSocket, User("admin"), "OTA.Commit", 0),
        (WebSocket, Nobody, "OTA.NoSuch", 401),
        (WebSocket, User("admin"), "OTA.NoSuch", 404),
        // Nobody is asked for a password that would be of no use.
        (WebSocket, Nobody, "Sys.Reboot", 403),
        (WebSocket, User("admin"), "Sys.Reboot", 403),
        // No rule fits.
        (WebSocket, Nobody, "Sys.GetInfo", 403),
        (WebSocket, User("admin"), "Sys.GetInfo", 403),
        (Mqtt, User("admin"), "Sys.GetInfo", 0),
        (Mqtt, User("bob"), "Sys.GetInfo", 403),
    ] {
        assert_eq!(call(&rules, kind, who, method), code, "{kind:?} {who:?} {method}");
    }
}

#[test]
fn without_rules_nobody_may() {
    assert_eq!(call(&[], ChannelKind::Loopback, Who::User("admin"), "RPC.Ping"), 403);
    assert_eq!(call(EVERY_USER, ChannelKind::Loopback, Who::Nobody, "RPC.Ping"), 401);
    assert_eq!(call(EVERY_USER, ChannelKind::Loopback, Who::User("bob"), "RPC.Ping"), 0);
}

#[test]
fn channels_are_known_by_the_names_of_mongoose() {
    for (kind, name) in [
        (ChannelKind::Http, "HTTP"),
        (ChannelKind::WebSocket, "WS_in"),
        (ChannelKind::Mqtt, "MQTT"),
        (ChannelKind::Uart, "UART"),
        (ChannelKind::Udp, "UDP_in"),
        (ChannelKind::Tcp, "TCP_in"),
        (ChannelKind::Loopback, "loopback"),
    ] {
        let rules = [rule("*", name, "*")];
        assert_eq!(call(&rules, kind, Who::Nobody, "RPC.Ping"), 0);
        let other = if kind == ChannelKind::Http { ChannelKind::Uart } else { ChannelKind::Http };
        assert_eq!(call(&rules, other, Who::Nobody, "RPC.Ping"), 403);
    }
}

#[test]
fn a_host_can_ask_what_is_open() {
    let kinds = [ChannelKind::Http, ChannelKind::Mqtt];
    let open = |rules: &[Rule<'_>]| {
        let access = Access::new("RPC", Algorithm::Md5, &[], rules).unwrap();
        let config = Config { access: Some(access), ..Config::new(DEVICE) };
        kinds.map(|kind| config.is_open(kind))
    };
    assert_eq!(kinds.map(|kind| Config::new(DEVICE).is_open(kind)), [true, true]);
    assert_eq!(open(EVERY_USER), [false, false]);
    assert_eq!(open(&[]), [false, false]);
    assert_eq!(open(&[rule("*", "HTTP", "*"), rule("*", "*", "+admin")]), [true, false]);
    // Whoever only looks does no harm.
    let telling = "*.Get*|RPC.*|OTA.Status";
    assert_eq!(open(&[rule(telling, "*", "*"), rule("*", "*", "+*")]), [false, false]);
    assert_eq!(open(&[rule("ota.end", "*", "*")]), [true, true]);
}

#[test]
fn users_and_rules_that_could_never_work_are_refused() {
    let admin = [user("admin")];
    let made = |realm, algorithm, users: &[User<'_>], acl| {
        Access::new(realm, algorithm, users, &[rule("*", "*", acl)]).map(drop)
    };
    let (md5, all) = (Algorithm::Md5, "+*");
    assert_eq!(made("RPC", md5, &admin, all), Ok(()));
    for realm in ["", "a\"b", "a\\b", "a:b", "é", "a\nb"] {
        assert_eq!(made(realm, md5, &admin, all), Err(AccessError::BadRealm));
        let users = [admin[0], User { name: realm, ..admin[0] }];
        assert_eq!(made("RPC", md5, &users, all), Err(AccessError::BadUser { index: 1 }));
    }
    let error = AccessError::OtherAlgorithm { index: 0 };
    assert_eq!(made("RPC", Algorithm::Sha256, &admin, all), Err(error));
    for acl in ["", "admin", "+", "-", "+admin,", "+admin,bob", "++*,x", "+a:b"] {
        assert_eq!(made("RPC", md5, &admin, acl), Err(AccessError::BadAcl { index: 0 }), "{acl}");
    }
    for acl in ["*", "-*", "+*", " +admin , -* ", "-guest,*"] {
        assert_eq!(made("RPC", md5, &admin, acl), Ok(()), "{acl}");
    }
}

#[test]
fn max_users_rules_and_name_bytes() {
    let users = |len| Vec::from_iter(core::iter::repeat_n(user("admin"), len));
    let rules = |len| Vec::from_iter(core::iter::repeat_n(EVERY_USER[0], len));
    let made = |users: &[User<'_>], rules: &[Rule<'_>]| {
        Access::new("RPC", Algorithm::Md5, users, rules).map(drop)
    };
    assert_eq!(made(&users(MAX_USERS), &rules(MAX_RULES)), Ok(()));
    assert_eq!(made(&users(MAX_USERS + 1), &[]), Err(AccessError::TooManyUsers));
    assert_eq!(made(&[], &rules(MAX_RULES + 1)), Err(AccessError::TooManyRules));
    let realm = "r".repeat(MAX_NAME_BYTES + 1);
    let made = |realm| Access::new(realm, Algorithm::Md5, &[], &[]).map(drop);
    assert_eq!(made(&realm[1..]), Ok(()));
    assert_eq!(made(&realm), Err(AccessError::BadRealm));
}
