//! The nonces that were issued and may still be used.
//!
//! A nonce is good for one login in a frame, or over HTTP for any number that count upwards, within
//! [`NONCE_LIFETIME_MS`] and over the kind of channel that it was issued for. All others (made up by
//! a client, used, forgotten, of before a restart) are refused: so no captured login can be sent
//! again.

use crate::channel::ChannelKind;
use crate::limits::{MAX_NONCES, NONCE_LIFETIME_MS};

/// How often a random number is drawn that is not in use.
const DRAWS: usize = 4;

#[derive(Debug)]
pub(super) struct Nonces {
    issued: [Option<Nonce>; MAX_NONCES],
    /// The last random number: a source that is stuck is noticed.
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Nonce {
    value: u32,
    kind: ChannelKind,
    issued_ms: u64,
    /// The highest count that it was used with.
    count: u32,
}

/// The source of random numbers is missing, or stuck.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotRandom;

impl Nonces {
    pub(super) const fn new() -> Self {
        Self { issued: [None; MAX_NONCES], last: None }
    }

    /// A fresh nonce. When there is no room for it, the oldest one goes of that kind of channel which
    /// has most of them: a flood over one transport does not push out those of another.
    pub(super) fn issue(
        &mut self,
        kind: ChannelKind,
        now_ms: u64,
        random: impl Fn() -> Option<u32>,
    ) -> Result<u32, NotRandom> {
        let value = self.draw(random).ok_or(NotRandom)?;
        self.forget_old(now_ms);
        if self.issued.iter().all(Option::is_some) {
            self.forget_one();
        }
        if let Some(place) = self.issued.iter_mut().find(|place| place.is_none()) {
            *place = Some(Nonce { value, kind, issued_ms: now_ms, count: 0 });
        }
        Ok(value)
    }

    /// Uses a nonce for the only time: whether it may be used.
    pub(super) fn take(&mut self, value: u32, kind: ChannelKind, now_ms: u64) -> bool {
        self.forget_old(now_ms);
        match self.place(value, kind) {
            Some(place) => place.take().is_some(),
            None => false,
        }
    }

    /// Whether a nonce may be used with this count. The use is to be noted with [`Self::count`].
    pub(super) fn may_count(
        &mut self,
        value: u32,
        kind: ChannelKind,
        count: u32,
        now_ms: u64,
    ) -> bool {
        self.forget_old(now_ms);
        let nonce = self.place(value, kind).and_then(|place| *place);
        nonce.is_some_and(|nonce| count > nonce.count)
    }

    /// Notes that a nonce was used with this count.
    pub(super) fn count(&mut self, value: u32, kind: ChannelKind, count: u32) {
        if let Some(Some(nonce)) = self.place(value, kind) {
            nonce.count = count;
        }
    }

    fn draw(&mut self, random: impl Fn() -> Option<u32>) -> Option<u32> {
        for _ in 0..DRAWS {
            let value = random()?;
            let is_stuck = self.last.replace(value) == Some(value);
            let is_used = self.issued.iter().flatten().any(|nonce| nonce.value == value);
            if !is_stuck && !is_used {
                return Some(value);
            }
        }
        None
    }

    fn place(&mut self, value: u32, kind: ChannelKind) -> Option<&mut Option<Nonce>> {
        let is_it = |place: &&mut Option<Nonce>| {
            place.is_some_and(|nonce| nonce.value == value && nonce.kind == kind)
        };
        self.issued.iter_mut().find(is_it)
    }

    fn forget_old(&mut self, now_ms: u64) {
        for place in &mut self.issued {
            let age_ms = |nonce: Nonce| now_ms.saturating_sub(nonce.issued_ms);
            if place.is_some_and(|nonce| age_ms(nonce) >= NONCE_LIFETIME_MS) {
                *place = None;
            }
        }
    }

    fn forget_one(&mut self) {
        let number_of = |kind: ChannelKind| {
            self.issued.iter().flatten().filter(|nonce| nonce.kind == kind).count()
        };
        let kinds = self.issued.iter().flatten().map(|nonce| nonce.kind);
        let Some(kind) = kinds.max_by_key(|kind| number_of(*kind)) else { return };
        let of_kind = self.issued.iter().flatten().filter(|nonce| nonce.kind == kind);
        let oldest = of_kind.min_by_key(|nonce| nonce.issued_ms).map(|nonce| nonce.value);
        for place in &mut self.issued {
            if place.map(|nonce| nonce.value) == oldest {
                *place = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    const WS: ChannelKind = ChannelKind::WebSocket;
    const HTTP: ChannelKind = ChannelKind::Http;

    /// Issues at a time `now_ms`; the random numbers are 1, 2, 3...
    fn issue(nonces: &mut Nonces, kind: ChannelKind, now_ms: u64) -> u32 {
        let next = nonces.last.unwrap_or(0) + 1;
        nonces.issue(kind, now_ms, || Some(next)).unwrap()
    }

    #[test]
    fn a_nonce_is_used_once() {
        let mut nonces = Nonces::new();
        let nonce = issue(&mut nonces, WS, 0);
        assert!(!nonces.take(nonce + 1, WS, 0), "self-made");
        assert!(!nonces.take(nonce, HTTP, 0), "of another transport");
        assert!(nonces.take(nonce, WS, 0));
        assert!(!nonces.take(nonce, WS, 0), "used");
    }

    #[test]
    fn counts_only_go_up() {
        let mut nonces = Nonces::new();
        let nonce = issue(&mut nonces, HTTP, 0);
        assert!(!nonces.may_count(nonce, HTTP, 0, 0), "counts start at 1");
        for count in [1, 2, 7, u32::MAX] {
            assert!(nonces.may_count(nonce, HTTP, count, 0));
            nonces.count(nonce, HTTP, count);
            assert!(!nonces.may_count(nonce, HTTP, count, 0), "again");
            assert!(!nonces.may_count(nonce, HTTP, count - 1, 0));
        }
    }

    #[test]
    fn nonces_grow_old() {
        let mut nonces = Nonces::new();
        let nonce = issue(&mut nonces, HTTP, 5);
        assert!(nonces.may_count(nonce, HTTP, 1, 4 + NONCE_LIFETIME_MS));
        assert!(!nonces.may_count(nonce, HTTP, 1, 5 + NONCE_LIFETIME_MS));
        let nonce = issue(&mut nonces, WS, 5);
        assert!(!nonces.take(nonce, WS, 5 + NONCE_LIFETIME_MS));
    }

    #[test]
    fn the_oldest_of_the_busiest_transport_makes_room() {
        let mut nonces = Nonces::new();
        let quiet = issue(&mut nonces, WS, 0);
        let flood: std::vec::Vec<_> =
            (1..100).map(|now_ms| issue(&mut nonces, HTTP, now_ms)).collect();
        assert_eq!(nonces.issued.iter().flatten().count(), MAX_NONCES);
        let (gone, kept) = flood.split_at(flood.len() - (MAX_NONCES - 1));
        assert!(gone.iter().all(|nonce| !nonces.may_count(*nonce, HTTP, 1, 100)));
        assert!(kept.iter().all(|nonce| nonces.may_count(*nonce, HTTP, 1, 100)));
        assert!(nonces.take(quiet, WS, 100));
    }

    #[test]
    fn a_source_of_random_numbers_that_fails_is_noticed() {
        let mut nonces = Nonces::new();
        assert_eq!(nonces.issue(WS, 0, || None), Err(NotRandom));
        assert_eq!(nonces.issue(WS, 0, || Some(9)), Ok(9));
        assert!(nonces.take(9, WS, 0));
        assert_eq!(nonces.issue(WS, 0, || Some(9)), Err(NotRandom), "stuck");
        // The same number by chance is just drawn again.
        let numbers = Cell::new(4);
        let random = || Some(numbers.replace(numbers.get() + 1) / 2);
        let drawn = [(); 3].map(|()| nonces.issue(WS, 0, random).unwrap());
        assert_eq!(drawn, [2, 3, 4]);
    }
}
