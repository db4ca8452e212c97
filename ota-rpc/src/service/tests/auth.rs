//! Who is let in: the exchange with `mos` byte for byte, and everything that is not quite it.

use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;
use serde_json::Value;

use super::bench::{Bench, CHANNEL, DEVICE};
use crate::auth::{Access, Algorithm, Digest, EVERY_USER, User};
use crate::channel::{Channel, ChannelKind};
use crate::framing::http::Authorization;
use crate::limits::{
    CHALLENGE_MS, FAILURE_DELAY_MS, FREE_FAILURES, MAX_CHALLENGES, NONCE_LIFETIME_MS,
};
use crate::service::{Config, Reply};

/// The nonce of the recording in frames.
const FRAME_NONCE: u32 = 1_789_000_000;
/// The nonce of the recording over HTTP.
const HTTP_NONCE: u32 = 0x6aa1_b2c3;

const COMMIT: &str = r#"{"src":"mos","id":1555100477529,"method":"OTA.Commit"}"#;
const ANSWER: &str = r#"{"src":"mos","id":1555100477529,"method":"OTA.Commit","auth":{"realm":"RPC","username":"admin","nonce":1789000000,"cnonce":3194290232,"algorithm":"SHA-256","response":"5a95232197aa8d196e518e5ac937cafa5c01662a56173a144466ca416aa78ea9"}}"#;
const HEADER: &str = r#"Digest username="admin", realm="RPC", uri="/rpc", algorithm=SHA-256, nonce="6aa1b2c3", nc=00000001, cnonce="1279876419", qop=auth, response="886c9672118257ca6747dc6b8775182188f9294cb4442d11813b30156d9fac4a""#;

/// A device with a user `admin`, password `secret`, that issues this nonce next.
pub(super) fn guarded(algorithm: Algorithm, nonce: u32) -> Bench {
    let ha1 = Digest::of_password(algorithm, "admin", "RPC", "secret");
    let users = std::vec![User { name: "admin", ha1 }].leak();
    let access = Access::new("RPC", algorithm, users, EVERY_USER).unwrap();
    let bench = Bench::with(Config { access: Some(access), ..Config::new(DEVICE) });
    bench.service.platform().random.set(Some(nonce));
    bench
}

impl Bench {
    /// The reply to a request over a channel of this kind, with a header or not.
    pub(super) fn ask(&mut self, kind: ChannelKind, header: Option<&str>, request: &str) -> String {
        let authorization = header.map(|header| {
            let (method, target) = ("POST", "/rpc");
            Authorization { method, target, header }
        });
        let from = Channel { authorization, ..Channel::new(CHANNEL, kind, "") };
        let bytes = request.as_bytes();
        let handled =
            self.service.handle(bytes, from, self.now_ms, &mut self.engine, &mut self.out);
        match handled.reply {
            Reply::Frame(len) => String::from_utf8(self.out[..len].to_vec()).unwrap(),
            other => panic!("{request}: {other:?}"),
        }
    }

    fn ws(&mut self, request: &str) -> String {
        self.ask(ChannelKind::WebSocket, None, request)
    }

    fn http(&mut self, header: &str) -> String {
        self.ask(ChannelKind::Http, Some(header), COMMIT)
    }
}

/// Code and message of an error.
pub(super) fn error(reply: &str) -> (i64, String) {
    let reply: Value = serde_json::from_str(reply).unwrap();
    let error = &reply["error"];
    let code = error["code"].as_i64().unwrap_or_else(|| panic!("{reply}"));
    (code, error["message"].as_str().unwrap().to_string())
}

/// The nonce of a challenge.
pub(super) fn nonce(reply: &str) -> u32 {
    let (code, message) = error(reply);
    assert_eq!(code, 401, "{reply}");
    let challenge: Value = serde_json::from_str(&message).unwrap();
    u32::try_from(challenge["nonce"].as_u64().unwrap()).unwrap()
}

/// What `mos` answers to a challenge.
pub(super) fn answer(algorithm: Algorithm, password: &str, nonce: u32) -> String {
    let ha1 = Digest::of_password(algorithm, "admin", "RPC", password);
    let ha2 = Digest::of(algorithm, format_args!("dummy_method:dummy_uri"));
    let response = Digest::of(algorithm, format_args!("{ha1}:{nonce}:1:5:auth:{ha2}"));
    let algorithm = algorithm.name();
    let auth = format!(
        r#"{{"realm":"RPC","username":"admin","nonce":{nonce},"cnonce":5,"algorithm":"{algorithm}","response":"{response}"}}"#
    );
    format!(r#"{{"src":"mos","id":1,"method":"OTA.Commit","auth":{auth}}}"#)
}

/// What `mos` answers over HTTP.
pub(super) fn header(password: &str, nonce: u32, count: u32) -> String {
    let algorithm = Algorithm::Sha256;
    let ha1 = Digest::of_password(algorithm, "admin", "RPC", password);
    let ha2 = Digest::of(algorithm, format_args!("POST:/rpc"));
    let of = format_args!("{ha1}:{nonce:08x}:{count:08x}:5:auth:{ha2}");
    let response = Digest::of(algorithm, of);
    format!(
        r#"Digest username="admin", realm="RPC", uri="/rpc", algorithm=SHA-256, nonce="{nonce:08x}", nc={count:08x}, cnonce="5", qop=auth, response="{response}""#
    )
}

#[test]
fn the_recorded_exchange_in_frames_is_reproduced() {
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
    assert_eq!(
        bench.ws(COMMIT),
        r#"{"id":1555100477529,"src":"esp_stub","dst":"mos","error":{"code":401,"message":"{\"auth_type\": \"digest\", \"nonce\": 1789000000, \"nc\": 1, \"realm\": \"RPC\", \"algorithm\": \"SHA-256\"}"}}"#
    );
    assert!(bench.engine.calls.is_empty());
    assert_eq!(
        bench.ws(ANSWER),
        r#"{"id":1555100477529,"src":"esp_stub","dst":"mos","result":null}"#
    );
    assert_eq!(bench.engine.calls, ["commit"]);
}

#[test]
fn the_recorded_exchange_with_md5_is_reproduced() {
    let mut bench = guarded(Algorithm::Md5, FRAME_NONCE);
    let request = r#"{"src":"mos","id":1642123444989,"method":"OTA.Commit"}"#;
    assert_eq!(
        bench.ask(ChannelKind::Udp, None, request),
        r#"{"id":1642123444989,"src":"esp_stub","dst":"mos","error":{"code":401,"message":"{\"auth_type\": \"digest\", \"nonce\": 1789000000, \"nc\": 1, \"realm\": \"RPC\", \"algorithm\": \"MD5\"}"}}"#
    );
    let auth = r#""realm":"RPC","username":"admin","nonce":1789000000,"cnonce":2492586418,"response":"f0a2e5c1ad14671a5e852578417f2b7d""#;
    for algorithm in [r#","algorithm":"MD5""#, ""] {
        // Without a name, the algorithm is MD5.
        let mut bench = guarded(Algorithm::Md5, FRAME_NONCE);
        bench.ask(ChannelKind::Udp, None, request);
        let answer = request.replace(r#"}"#, &format!(r#","auth":{{{auth}{algorithm}}}}}"#));
        assert_eq!(
            bench.ask(ChannelKind::Udp, None, &answer),
            r#"{"id":1642123444989,"src":"esp_stub","dst":"mos","result":null}"#
        );
    }
}

#[test]
fn the_recorded_exchange_over_http_is_reproduced() {
    let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
    assert_eq!(nonce(&bench.ask(ChannelKind::Http, None, COMMIT)), HTTP_NONCE);
    assert!(bench.http(HEADER).ends_with(r#""result":null}"#));
    let md5 = r#"Digest username="admin", realm="RPC", uri="/rpc", algorithm=MD5, nonce="6aa1b2c3", nc=00000001, cnonce="4212969350", qop=auth, response="24dae2082b8b67164aa509acf9002e03""#;
    let mut bench = guarded(Algorithm::Md5, HTTP_NONCE);
    bench.ask(ChannelKind::Http, None, COMMIT);
    assert!(bench.http(md5).ends_with(r#""result":null}"#));
    // The recording has a wrong password too.
    let wrong = HEADER.replace("1279876419", "3287543238").replace(
        "886c9672118257ca6747dc6b8775182188f9294cb4442d11813b30156d9fac4a",
        "89f179be35762bde16dc96f3f0a6bf9edb9841027a8182a524b936fb27b2f2e4",
    );
    let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
    bench.ask(ChannelKind::Http, None, COMMIT);
    assert_eq!(nonce(&bench.http(&wrong)), HTTP_NONCE + 1);
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn a_wrong_password_gets_another_challenge_that_can_be_answered_at_once() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    let first = nonce(&bench.ws(COMMIT));
    let second = nonce(&bench.ws(&answer(Algorithm::Sha256, "wrong", first)));
    assert_ne!(first, second);
    // One try for each nonce.
    let third = nonce(&bench.ws(&answer(Algorithm::Sha256, "secret", first)));
    assert!(bench.engine.calls.is_empty());
    for nonce in [second, third] {
        let reply = bench.ws(&answer(Algorithm::Sha256, "secret", nonce));
        assert!(reply.ends_with(r#""result":null}"#), "{reply}");
    }
}

#[test]
fn a_frame_that_was_heard_cannot_be_sent_again() {
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
    bench.ws(COMMIT);
    bench.ws(ANSWER);
    for now_ms in [0, 1, NONCE_LIFETIME_MS] {
        bench.now_ms += now_ms;
        nonce(&bench.ws(ANSWER));
    }
    // Nor after a restart, if random numbers go on.
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE + 1);
    bench.ws(COMMIT);
    nonce(&bench.ws(ANSWER));
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn nonces_made_by_a_client_are_refused() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    // Mongoose OS takes any that is not older than an hour.
    let reply = bench.ws(ANSWER);
    assert_eq!(nonce(&reply), 7);
    assert_eq!(nonce(&bench.http(HEADER)), 8);
    // No password was looked at, so nothing was failed.
    for _ in 0..=FREE_FAILURES {
        nonce(&bench.ws(ANSWER));
    }
    assert_eq!(error(&bench.ws(ANSWER)).0, 401);
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn a_nonce_that_has_become_stale_is_refused() {
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
    bench.ws(COMMIT);
    bench.now_ms += NONCE_LIFETIME_MS;
    assert_eq!(nonce(&bench.ws(ANSWER)), FRAME_NONCE + 1);
    let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
    bench.ask(ChannelKind::Http, None, COMMIT);
    bench.now_ms += NONCE_LIFETIME_MS - 1;
    assert!(bench.http(HEADER).ends_with(r#""result":null}"#));
    bench.now_ms += 1;
    let (code, message) = error(&bench.http(HEADER));
    assert_eq!(code, 401);
    // A browser tries again with the password that it has.
    assert!(message.ends_with(r#""algorithm": "SHA-256", "stale": true}"#), "{message}");
}

#[test]
fn nonces_are_good_on_the_transport_that_they_were_issued_for() {
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
    bench.ask(ChannelKind::Mqtt, None, COMMIT);
    nonce(&bench.ws(ANSWER));
    assert!(bench.ask(ChannelKind::Mqtt, None, ANSWER).ends_with(r#""result":null}"#));
}

#[test]
fn other_algorithms_and_realms_are_bad_requests() {
    for (from, to) in [
        (r#""algorithm":"SHA-256""#, r#""algorithm":"MD5""#),
        (r#""algorithm":"SHA-256","#, ""),
        (r#""algorithm":"SHA-256""#, r#""algorithm":null"#),
        (r#""algorithm":"SHA-256""#, r#""algorithm":"SHA-256,""#),
        (r#""realm":"RPC""#, r#""realm":"rpc""#),
        (r#""realm":"RPC","#, ""),
        (r#""username":"admin","#, ""),
        (r#""username":"admin""#, r#""username":1"#),
        ("1789000000", "-1"),
        ("1789000000", "1789000000.0"),
        ("1789000000", "4294967296"),
        ("1789000000", r#""1789000000""#),
        (r#""nonce":1789000000,"#, ""),
        ("3194290232", "[]"),
        (r#","response":"5a95232197aa8d196e518e5ac937cafa5c01662a56173a144466ca416aa78ea9""#, ""),
        (r#""auth":{"#, r#""auth":[{"#),
    ] {
        let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
        bench.ws(COMMIT);
        let mut bad = ANSWER.replace(from, to);
        assert_ne!(bad, ANSWER);
        if to.ends_with("[{") {
            bad = bad.replace("}}", "}]}");
        }
        assert_eq!(error(&bench.ws(&bad)), (400, "bad request".to_string()), "{bad}");
        // The nonce is still there for the right answer.
        assert!(bench.ws(ANSWER).ends_with(r#""result":null}"#));
    }
}

#[test]
fn md5_is_no_way_around_sha256() {
    // Neither with a password that is right, nor in the header.
    let mut bench = guarded(Algorithm::Sha256, 7);
    let nonce = nonce(&bench.ws(COMMIT));
    assert_eq!(error(&bench.ws(&answer(Algorithm::Md5, "secret", nonce))).0, 400);
    for algorithm in ["algorithm=MD5, ", "", "algorithm=SHA-256-sess, "] {
        let header = HEADER.replace("algorithm=SHA-256, ", algorithm);
        assert_eq!(error(&bench.http(&header)), (400, "bad request".to_string()));
    }
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn wrong_credentials_are_refused() {
    for (from, to) in [
        ("\"admin\"", "\"Admin\""),
        ("\"admin\"", "\"\""),
        ("\"admin\"", "\"nobody\""),
        ("3194290232", "3194290233"),
        ("5a95", "5a96"),
        ("5a95", ""),
        ("5a95", "5a95ff"),
        ("5a95", "5a9x"),
        ("5a95", "\\u00e9\\u00e9"),
    ] {
        let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
        bench.ws(COMMIT);
        let bad = ANSWER.replace(from, to);
        assert_ne!(bad, ANSWER);
        assert_eq!(nonce(&bench.ws(&bad)), FRAME_NONCE + 1, "{bad}");
        assert!(bench.engine.calls.is_empty());
    }
}

#[test]
fn a_user_that_does_not_exist_cannot_log_in_with_a_digest_of_nothing() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    let nonce_ = nonce(&bench.ws(COMMIT));
    let zero = Digest::zero(Algorithm::Sha256);
    let ha2 = Digest::of(Algorithm::Sha256, format_args!("dummy_method:dummy_uri"));
    let response = Digest::of(Algorithm::Sha256, format_args!("{zero}:{nonce_}:1:5:auth:{ha2}"));
    let auth = format!(
        r#"{{"realm":"RPC","username":"nobody","nonce":{nonce_},"cnonce":5,"algorithm":"SHA-256","response":"{response}"}}"#
    );
    nonce(&bench.ws(&format!(r#"{{"id":1,"method":"OTA.Commit","auth":{auth}}}"#)));
    assert!(bench.engine.calls.is_empty());
}

#[test]
fn credentials_may_be_written_in_any_way_that_json_has() {
    let escaped = ANSWER
        .replace("\"admin\"", r#""\u0061dmin""#)
        .replace("3194290232", r#""3194290232""#)
        .replace("5a95", r"5\u00619\u0035");
    let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
    bench.ws(COMMIT);
    assert!(bench.ws(&escaped).ends_with(r#""result":null}"#));
}

#[test]
fn over_http_a_nonce_may_be_counted_up_but_not_down() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    bench.ask(ChannelKind::Http, None, COMMIT);
    for (count, good) in [(1, true), (1, false), (2, true), (9, true), (3, false), (10, true)] {
        let reply = bench.http(&header("secret", 7, count));
        assert_eq!(reply.ends_with(r#""result":null}"#), good, "{count}: {reply}");
    }
    // A wrong password ends it.
    nonce(&bench.http(&header("wrong", 7, 11)));
    nonce(&bench.http(&header("secret", 7, 12)));
}

#[test]
fn headers_are_bound_to_method_and_target() {
    for (method, target, refused) in [
        ("POST", "/rpc", None),
        ("GET", "/rpc", Some(401)),
        ("POST", "/rpc/OTA.Revert", Some(400)),
        ("POST", "/rpc?", Some(400)),
    ] {
        let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
        bench.ask(ChannelKind::Http, None, COMMIT);
        let authorization = Some(Authorization { method, target, header: HEADER });
        let from = Channel { authorization, ..Channel::new(CHANNEL, ChannelKind::Http, "") };
        let Bench { service, engine, now_ms, out } = &mut bench;
        let handled = service.handle(COMMIT.as_bytes(), from, *now_ms, engine, out);
        let Reply::Frame(len) = handled.reply else { panic!("{handled:?}") };
        let reply = core::str::from_utf8(&out[..len]).unwrap();
        let code = reply.contains("error").then(|| error(reply).0);
        assert_eq!(code, refused, "{method} {target}");
    }
}

#[test]
fn headers_that_lack_something_are_bad_requests() {
    let parts: std::vec::Vec<_> = HEADER.strip_prefix("Digest ").unwrap().split(", ").collect();
    let mut refused = 0;
    for left_out in &parts {
        let rest = parts.iter().filter(|part| part != &left_out);
        let rest: std::vec::Vec<_> = rest.copied().collect();
        let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
        bench.ask(ChannelKind::Http, None, COMMIT);
        let (code, _) = error(&bench.http(&format!("Digest {}", rest.join(", "))));
        // Without a response there is one that is wrong.
        assert_eq!(code, if left_out.starts_with("response") { 401 } else { 400 }, "{left_out}");
        refused += 1;
    }
    assert_eq!(refused, 9);
    for (from, to) in [
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=+0000001"),
        ("\"6aa1b2c3\"", "\"6AA1B2C3\""),
        ("\"6aa1b2c3\"", "\"1789000000\""),
        ("qop=auth", "qop=auth-int"),
        ("Digest ", "Digest nonce=x, "),
    ] {
        let mut bench = guarded(Algorithm::Sha256, HTTP_NONCE);
        bench.ask(ChannelKind::Http, None, COMMIT);
        assert_eq!(error(&bench.http(&HEADER.replace(from, to))).0, 400, "{to}");
    }
    // What is no digest at all counts as nothing.
    let mut bench = guarded(Algorithm::Sha256, 7);
    assert_eq!(nonce(&bench.http("Basic YWRtaW46c2VjcmV0")), 7);
}

#[test]
fn guessing_passwords_becomes_slow_and_nobody_waits_for_it() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    for _ in 0..=FREE_FAILURES {
        let nonce_ = nonce(&bench.ws(COMMIT));
        nonce(&bench.ws(&answer(Algorithm::Sha256, "wrong", nonce_)));
    }
    // Challenges are still given, but no password is looked at, right or wrong.
    let fresh = nonce(&bench.ws(COMMIT));
    for password in ["wrong", "secret"] {
        let closed = error(&bench.ws(&answer(Algorithm::Sha256, password, fresh)));
        let message = "too many wrong passwords: try again in 1000 ms".to_string();
        assert_eq!(closed, (429, message));
    }
    // Other transports are not concerned, and when the time is over it goes on with the same nonce.
    let other = nonce(&bench.ask(ChannelKind::Uart, None, COMMIT));
    let reply = bench.ask(ChannelKind::Uart, None, &answer(Algorithm::Sha256, "secret", other));
    assert!(reply.ends_with(r#""result":null}"#));
    bench.now_ms += u64::from(FAILURE_DELAY_MS) - 1;
    assert_eq!(error(&bench.ws(&answer(Algorithm::Sha256, "secret", fresh))).0, 429);
    bench.now_ms += 1;
    assert!(bench.ws(&answer(Algorithm::Sha256, "secret", fresh)).ends_with("null}"));
    // A success does not make guessing free again.
    let fresh = nonce(&bench.ws(COMMIT));
    let after = nonce(&bench.ws(&answer(Algorithm::Sha256, "wrong", fresh)));
    let (code, message) = error(&bench.ws(&answer(Algorithm::Sha256, "wrong", after)));
    assert_eq!((code, message.contains("2000 ms")), (429, true));
}

#[test]
fn challenges_are_limited_but_not_those_that_are_answered() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    for _ in 0..10 * MAX_CHALLENGES {
        let nonce = nonce(&bench.ws(COMMIT));
        assert!(bench.ws(&answer(Algorithm::Sha256, "secret", nonce)).ends_with("null}"));
    }
    for _ in 0..MAX_CHALLENGES {
        nonce(&bench.ws(COMMIT));
    }
    let message = "too many challenges without an answer: try again in 100 ms".to_string();
    assert_eq!(error(&bench.ws(COMMIT)), (429, message));
    bench.now_ms += u64::from(CHALLENGE_MS);
    nonce(&bench.ws(COMMIT));
    assert_eq!(error(&bench.ws(COMMIT)).0, 429);
}

#[test]
fn without_random_numbers_nobody_is_let_in() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    bench.service.platform().random.set(None);
    let (code, message) = error(&bench.ws(COMMIT));
    assert_eq!(code, 500);
    assert!(message.contains("random numbers"));
    assert_eq!(error(&bench.ws(ANSWER)).0, 500);
}

#[test]
fn whoever_is_not_let_in_learns_nothing_and_does_nothing() {
    let mut bench = guarded(Algorithm::Sha256, 7);
    for method in ["OTA.Commit", "No.Such", "RPC.List", "Sys.GetInfo", ""] {
        nonce(&bench.ws(&format!(r#"{{"id":1,"method":"{method}","params":{{}}}}"#)));
    }
    // A notification gets no reply, so neither does it get a nonce.
    let before = bench.service.platform().random.get();
    let silent = bench.handle(br#"{"method":"OTA.Commit"}"#);
    assert_eq!(silent.reply, Reply::None);
    assert_eq!(bench.service.platform().random.get(), before);
    assert!(bench.engine.calls.is_empty());
    // With credentials it is carried out.
    let nonce = nonce(&bench.ask(ChannelKind::Tcp, None, COMMIT));
    let notification = answer(Algorithm::Sha256, "secret", nonce).replace(r#""id":1,"#, "");
    assert_eq!(bench.handle(notification.as_bytes()).reply, Reply::None);
    assert_eq!(bench.engine.calls, ["commit"]);
}

proptest! {
    #[test]
    fn no_header_panics_and_none_gets_in(header in "Digest [ -~]{0,100}", nonce in any::<u32>()) {
        let mut bench = guarded(Algorithm::Sha256, nonce.min(u32::MAX - 9));
        bench.ask(ChannelKind::Http, None, COMMIT);
        prop_assert!(matches!(error(&bench.http(&header)).0, 400 | 401));
    }

    #[test]
    fn no_part_of_an_answer_may_be_changed(at in 0..ANSWER.len(), byte in b' '..=b'~') {
        let mut changed = ANSWER.as_bytes().to_vec();
        changed[at] = byte;
        let (changed, auth) = (String::from_utf8(changed).unwrap(), ANSWER.find("auth").unwrap());
        let reads_the_same = || {
            let [ours, theirs] = [&changed, ANSWER].map(serde_json::from_str::<Value>);
            ours.is_ok_and(|ours| {
                let hex = |value: &Value| value["auth"]["response"].to_string().to_lowercase();
                let [mut ours, mut theirs] = [ours, theirs.unwrap()];
                let same_response = hex(&ours) == hex(&theirs);
                (ours["auth"]["response"], theirs["auth"]["response"]) = (Value::Null, Value::Null);
                same_response && ours["auth"] == theirs["auth"]
            })
        };
        let mut bench = guarded(Algorithm::Sha256, FRAME_NONCE);
        bench.ws(COMMIT);
        bench.handle_quietly(&changed);
        if at >= auth && !reads_the_same() {
            prop_assert!(bench.engine.calls.is_empty(), "{}", changed);
        }
    }
}

impl Bench {
    /// A request over the WebSocket that may be none.
    fn handle_quietly(&mut self, request: &str) {
        let from = Channel::new(CHANNEL, ChannelKind::WebSocket, "");
        let bytes = request.as_bytes();
        self.service.handle(bytes, from, self.now_ms, &mut self.engine, &mut self.out);
    }
}
