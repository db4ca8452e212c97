//! Any order of challenges, answers and waiting, beside a model that never forgets: no login is
//! good twice.

use std::vec::Vec;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::auth::{answer, error, guarded, header, nonce};
use super::bench::{Bench, request};
use crate::auth::Algorithm;
use crate::channel::ChannelKind;
use crate::limits::NONCE_LIFETIME_MS;

const KINDS: [ChannelKind; 3] = [ChannelKind::Http, ChannelKind::Mqtt, ChannelKind::Uart];

#[derive(Clone, Debug)]
enum Step {
    Ask(ChannelKind),
    /// Answers any challenge there was, over any channel, in a frame or a header.
    Answer {
        of: Index,
        kind: ChannelKind,
        count: Option<u32>,
        password: &'static str,
    },
    /// Asks, and gives the right answer.
    LogIn(ChannelKind),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || select(&KINDS[..]);
    let password = prop_oneof![9 => Just("secret"), 1 => Just("wrong")];
    let count = prop::option::of(0..4u32);
    prop_oneof![
        3 => kind().prop_map(Step::Ask),
        6 => (any::<Index>(), kind(), count, password).prop_map(|(of, kind, count, password)| {
            Step::Answer { of, kind, count, password }
        }),
        2 => kind().prop_map(Step::LogIn),
        2 => (0..NONCE_LIFETIME_MS).prop_map(Step::Wait),
    ]
}

/// A challenge that was given.
struct Issued {
    nonce: u32,
    kind: ChannelKind,
    at_ms: u64,
    /// The highest count that a header had, if any was accepted.
    count: u32,
    /// A frame was accepted, or a password was wrong.
    is_used: bool,
}

/// What a device does, and what it should.
struct Pair {
    bench: Bench,
    issued: Vec<Issued>,
}

impl Pair {
    fn ask(&mut self, kind: ChannelKind) -> bool {
        let reply = self.bench.ask(kind, None, &request("OTA.Commit", ""));
        self.note_challenge(kind, &reply)
    }

    /// Whether there was one.
    fn note_challenge(&mut self, kind: ChannelKind, reply: &str) -> bool {
        let is_challenge = error(reply).0 == 401;
        if is_challenge {
            let (nonce, at_ms) = (nonce(reply), self.bench.now_ms);
            let before = self.issued.iter().any(|issued| issued.nonce == nonce);
            assert!(!before, "a nonce came again");
            self.issued.push(Issued { nonce, kind, at_ms, count: 0, is_used: false });
        }
        is_challenge
    }

    /// Whether the answer was accepted.
    fn answer(
        &mut self,
        index: usize,
        kind: ChannelKind,
        count: Option<u32>,
        password: &str,
    ) -> bool {
        let nonce = self.issued[index].nonce;
        let calls = self.bench.engine.calls.len();
        let reply = match count {
            Some(count) => {
                let header = header(password, nonce, count);
                self.bench.ask(kind, Some(&header), &request("OTA.Commit", ""))
            }
            None => self.bench.ask(kind, None, &answer(Algorithm::Sha256, password, nonce)),
        };
        let accepted = self.bench.engine.calls.len() > calls;
        assert_eq!(accepted, reply.contains(r#""result":null"#));
        let issued = &mut self.issued[index];
        if accepted {
            let age_ms = self.bench.now_ms - issued.at_ms;
            assert!(password == "secret" && kind == issued.kind && !issued.is_used, "{reply}");
            assert!(age_ms < NONCE_LIFETIME_MS, "{age_ms}");
            assert!(count.is_none_or(|count| count > issued.count), "{count:?}");
            issued.count = count.unwrap_or(0);
        }
        issued.is_used |= accepted && count.is_none();
        if !accepted {
            self.note_challenge(kind, &reply);
        }
        accepted
    }
}

proptest! {
    #[test]
    fn no_login_is_good_twice(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair { bench: guarded(Algorithm::Sha256, 1000), issued: Vec::new() };
        for step in steps {
            match step {
                Step::Ask(kind) => drop(pair.ask(kind)),
                Step::Answer { of, kind, count, password } => {
                    if !pair.issued.is_empty() {
                        pair.answer(of.index(pair.issued.len()), kind, count, password);
                    }
                }
                Step::LogIn(kind) => {
                    let index = pair.issued.len();
                    let is_asked = pair.ask(kind);
                    if is_asked && !pair.answer(index, kind, None, "secret") {
                        // Only guessing is in the way of a challenge that is answered at once.
                        let nonce = pair.issued[index].nonce;
                        let again = answer(Algorithm::Sha256, "secret", nonce);
                        prop_assert_eq!(error(&pair.bench.ask(kind, None, &again)).0, 429);
                    }
                }
                Step::Wait(ms) => pair.bench.now_ms += ms,
            }
        }
    }
}
