//! The one reply that comes later: of `OTA.Update`, `OTA.End` or `OTA.CreateSnapshot`.

use heapless::Vec;

use crate::channel::ChannelId;
use crate::frame::Frame;
use crate::limits::MAX_OUTSTANDING_BYTES;
use crate::writer::NoRoom;

/// A request whose reply comes later.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding {
    /// A frame with the id, src and tag of the request.
    address: Vec<u8, MAX_OUTSTANDING_BYTES>,
    pub(crate) channel: ChannelId,
    pub(crate) stage: Stage,
}

/// How far a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What it says is not known yet; at `latest_ms` it is [`Answer::InProgress`].
    Waiting { latest_ms: Option<u64> },
    /// To be sent.
    Settled(Answer),
    /// Sent. Kept, because the application may still name the request when the update ends.
    Sent,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `null`, and then the device reboots.
    Applied,
    /// The update goes on.
    InProgress,
    /// The slot that a snapshot was written to.
    Slot(u8),
    /// An error with this code, and the message of the last failure.
    Failed(i32),
}

impl Outstanding {
    /// Of `frame`, which has an id.
    pub(crate) fn new(
        frame: &Frame<'_>,
        channel: ChannelId,
        latest_ms: Option<u64>,
    ) -> Result<Self, NoRoom> {
        let mut address = Vec::new();
        // It fits: this is the capacity.
        let _ = address.resize(MAX_OUTSTANDING_BYTES, 0);
        let length = frame.write_address(&mut address)?;
        address.truncate(length);
        Ok(Self { address, channel, stage: Stage::Waiting { latest_ms } })
    }

    /// Of a form that is uploaded, which is no frame: the reply has the id 1.
    pub(crate) fn of_upload(channel: ChannelId) -> Result<Self, NoRoom> {
        let frame = Frame::parse(br#"{"id":1}"#).unwrap_or_default();
        Self::new(&frame, channel, None)
    }

    /// The request, as far as a reply needs it.
    pub(crate) fn frame(&self) -> Frame<'_> {
        // It was written by this crate; should that ever not parse, the reply has no id.
        Frame::parse(&self.address).unwrap_or_default()
    }

    /// Whether the request had this id and sender.
    pub(crate) fn is(&self, id: i64, src: &str) -> bool {
        let frame = self.frame();
        frame.id.is_some_and(|found| found.is_number(id))
            && frame.src.map_or(src.is_empty(), |found| found == src)
    }

    /// Notes what to reply, unless a reply was sent already.
    pub(crate) fn settle(&mut self, answer: Answer) {
        if matches!(self.stage, Stage::Waiting { .. }) {
            self.stage = Stage::Settled(answer);
        }
    }
}
