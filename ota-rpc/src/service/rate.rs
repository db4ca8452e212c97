//! How many requests are carried out: a flood over one kind of channel leaves the device time for the
//! others, and for its own work.

use crate::channel::ChannelKind;
use crate::limits::{MAX_REQUEST_BURST, REQUEST_MS};

/// Requests that were not forgotten yet, for each kind of channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    kinds: [Count; ChannelKind::COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Count {
    requests: u32,
    /// In 32 bits: to be silent for 50 days makes a device forget no less than to be so for a while.
    seen_ms: u32,
}

impl Rate {
    pub(super) const NEW: Self =
        Self { kinds: [Count { requests: 0, seen_ms: 0 }; ChannelKind::COUNT] };

    /// Counts a request. False: there were too many.
    pub(super) fn admits(&mut self, kind: ChannelKind, now_ms: u64) -> bool {
        // The low half.
        let now_ms = u32::try_from(now_ms & u64::from(u32::MAX)).unwrap_or(0);
        let Some(count) = self.kinds.get_mut(kind as usize) else { return true };
        let forgotten = now_ms.wrapping_sub(count.seen_ms).checked_div(REQUEST_MS).unwrap_or(0);
        count.requests = count.requests.saturating_sub(forgotten);
        count.seen_ms = now_ms;
        let admits = count.requests < MAX_REQUEST_BURST;
        if admits {
            count.requests = count.requests.saturating_add(1);
        }
        admits
    }
}
