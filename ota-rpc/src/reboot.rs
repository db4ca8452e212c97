//! When the device reboots: never before the reply that announces it is out.
//!
//! ```text
//! Off -> AfterFlush (the reply was handed out) -> At (it was flushed, or nobody said so for long)
//! Off -> At (there is no reply to wait for)
//! ```

use crate::channel::ChannelId;
use crate::limits::{FLUSH_WAIT_MS, REBOOT_DELAY_MS};

/// A planned reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reboot {
    /// None.
    Off,
    /// `delay_ms` after the reply to `channel` was flushed, which is taken for granted at
    /// `assume_ms`.
    AfterFlush { channel: ChannelId, delay_ms: u32, assume_ms: u64 },
    /// At this time.
    At(u64),
}

impl Reboot {
    /// `delay_ms` after the reply that is about to go to `channel`.
    pub(crate) fn after_reply(channel: ChannelId, delay_ms: u32, now_ms: u64) -> Self {
        Self::AfterFlush { channel, delay_ms, assume_ms: now_ms.saturating_add(FLUSH_WAIT_MS) }
    }

    /// `delay_ms` from now, with no reply to wait for.
    pub(crate) fn soon(delay_ms: u32, now_ms: u64) -> Self {
        Self::At(now_ms.saturating_add(u64::from(delay_ms)))
    }

    /// A reply to `flushed` is out, or never will be.
    pub(crate) fn flushed(&mut self, flushed: ChannelId, now_ms: u64) {
        if let Self::AfterFlush { channel, delay_ms, .. } = *self
            && channel == flushed
        {
            *self = Self::soon(delay_ms, now_ms);
        }
    }

    /// Whether it is time.
    pub(crate) fn is_due(&mut self, now_ms: u64) -> bool {
        if let Self::AfterFlush { delay_ms, assume_ms, .. } = *self
            && now_ms >= assume_ms
        {
            *self = Self::soon(delay_ms, assume_ms);
        }
        matches!(*self, Self::At(at_ms) if now_ms >= at_ms)
    }

    /// The ms left, when so few are left that requests are answered no more.
    pub(crate) fn shutting_down(&self, now_ms: u64) -> Option<u32> {
        let left_ms = match *self {
            Self::Off => return None,
            Self::AfterFlush { delay_ms, .. } => delay_ms,
            Self::At(at_ms) => u32::try_from(at_ms.saturating_sub(now_ms)).ok()?,
        };
        (left_ms <= REBOOT_DELAY_MS).then_some(left_ms)
    }

    /// When something is to be done about it.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        match *self {
            Self::Off => None,
            Self::AfterFlush { assume_ms, .. } => Some(assume_ms),
            Self::At(at_ms) => Some(at_ms),
        }
    }
}
