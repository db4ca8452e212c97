//! How many requests are carried out: a flood over one kind of channel leaves the device time for the
//! others, and for its own work.

use crate::channel::ChannelKind;
use crate::limits::{MAX_REQUEST_BURST, REQUEST_MS};

/// How far requests are ahead of their time at most, in ms.
const MAX_AHEAD_MS: u32 = MAX_REQUEST_BURST.saturating_mul(REQUEST_MS);

/// For each kind of channel until when the requests that came would have taken, had there been one
/// each [`REQUEST_MS`]; the low 32 bits of the time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    until_ms: [u32; ChannelKind::COUNT],
}

impl Rate {
    pub(crate) const NEW: Self = Self { until_ms: [0; ChannelKind::COUNT] };

    /// Counts a request. False: there were too many.
    pub(crate) fn admits(&mut self, kind: ChannelKind, now_ms: u64) -> bool {
        let now_ms = u32::try_from(now_ms & u64::from(u32::MAX)).unwrap_or(0);
        let Some(until_ms) = self.until_ms.get_mut(kind as usize) else { return true };
        // A time further ahead than any can be is one of the past.
        let ahead_ms = match until_ms.wrapping_sub(now_ms) {
            ahead_ms @ 0..=MAX_AHEAD_MS => ahead_ms,
            _ => 0,
        };
        let admits = ahead_ms < MAX_AHEAD_MS;
        if admits {
            *until_ms = now_ms.wrapping_add(ahead_ms).wrapping_add(REQUEST_MS);
        }
        admits
    }
}
