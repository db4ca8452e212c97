//! MQTT 3.1.1: which topics requests come on, and which the replies go to. Everything is QoS 1 and
//! not retained.
//!
//! ```text
//! subscribed   ID/rpc            {"src":"ID/rpc-resp/mos-1","dst":"ID","id":7,"method":"OTA.Commit"}
//!              ID/rpc/METHOD     {"src":"ID/rpc-resp/mos-1","dst":"ID","id":7}
//! published    ID/rpc-resp/mos-1/rpc        {"id":7,"src":"ID","dst":"ID/rpc-resp/mos-1",...}
//! ```
//! A reply goes to the request's `src` and `"/rpc"`, so a request that wants a reply and has no
//! `src` is dropped. So is one whose `src` makes no topic that may be published to: a broker
//! closes the connection of a device that tries.
//!
//! Two things are the owner's, who has the packets. A message that is marked as retained is dropped:
//! it comes again with each subscription, so a retained `Sys.Reboot` would reboot the device for
//! ever. And one that is longer than a request may be is dropped, but better not with the connection:
//! whoever may publish could keep the device from its broker.

#[cfg(test)]
mod tests;

use core::fmt;

use ota_core::json::Text;

use crate::frame::{Frame, Rejected, destination};
use crate::limits::MAX_REPLY_TOPIC_BYTES;
use crate::writer::{NoRoom, Writer};

/// Behind a device's or a client's name: the topic that frames for it are published to.
const SUFFIX: &str = "/rpc";

/// What a device subscribes to, with QoS 1.
pub fn subscriptions(device_id: &str) -> [Subscription<'_>; 2] {
    ["", "/#"].map(|wildcard| Subscription { device_id, wildcard })
}

/// A topic filter. Its text is what [`fmt::Display`] writes: `ID/rpc`, which is also where clients
/// publish requests, or `ID/rpc/#`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'d> {
    device_id: &'d str,
    wildcard: &'static str,
}

impl fmt::Display for Subscription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}{}", self.device_id, self.wildcard)
    }
}

/// What a topic says of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic<'t> {
    /// `ID/rpc`: the message is a frame.
    Frame,
    /// `ID/rpc/METHOD`: the message is a frame that calls this, whatever method it names.
    Method(&'t str),
}

impl<'t> Topic<'t> {
    /// Reads a topic. None if it is not for `device_id`.
    pub fn parse(device_id: &str, topic: &'t str) -> Option<Self> {
        let rest = topic.strip_prefix(device_id)?.strip_prefix(SUFFIX)?;
        match rest.strip_prefix('/') {
            Some("") => None,
            Some(method) => Some(Self::Method(method)),
            None => rest.is_empty().then_some(Self::Frame),
        }
    }
}

/// Why a message is dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ignored {
    /// The topic is not this device's.
    Topic,
    /// The message is no frame.
    Rejected(Rejected),
    /// It wants a reply, but does not say where.
    NoSource,
    /// No reply can be published there: wildcards, control characters, a `$` at the start, or longer
    /// than [`MAX_REPLY_TOPIC_BYTES`].
    BadSource,
    /// The frame with the method from the topic does not fit the buffer.
    NoRoom(NoRoom),
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic => f.write_str("the topic is not this device's"),
            Self::Rejected(why) => why.fmt(f),
            Self::NoSource => f.write_str("a request with an id needs a src to reply to"),
            Self::BadSource => f.write_str("src and /rpc make no topic to publish to"),
            Self::NoRoom(no_room) => write!(f, "the request {no_room}"),
        }
    }
}

impl core::error::Error for Ignored {}

/// The request in a message, for [`crate::Service::handle`]. `buffer` is needed for methods in
/// topics only: it then holds the request, which is little longer than `message` unless that has
/// many characters that are not ASCII.
///
/// # Errors
/// [`Ignored`]: the message is to be dropped.
pub fn request<'r>(
    device_id: &str,
    topic: &str,
    message: &'r [u8],
    buffer: &'r mut [u8],
) -> Result<&'r [u8], Ignored> {
    let topic = Topic::parse(device_id, topic).ok_or(Ignored::Topic)?;
    let frame = Frame::parse(message).map_err(Ignored::Rejected)?;
    let is_call = frame.method.is_some() || topic != Topic::Frame;
    if is_call && frame.id.is_some() {
        let src = frame.src.ok_or(Ignored::NoSource)?;
        ReplyTopic::to(src).ok_or(Ignored::BadSource)?;
    }
    let Topic::Method(method) = topic else { return Ok(message) };
    let no_room = NoRoom { capacity: buffer.len() };
    let mut out = Writer::new(buffer);
    frame.write_call(method, &mut out);
    let len = out.finish().map_err(Ignored::NoRoom)?;
    buffer.get(..len).ok_or(Ignored::NoRoom(no_room))
}

/// The topic that a reply is published to. Its text is what [`fmt::Display`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTopic<'a>(Text<'a>);

impl<'a> ReplyTopic<'a> {
    /// Of a frame that [`crate::Service`] has written, now or later: its `dst` says it. None if
    /// there is nowhere to publish it: drop it.
    pub fn of(reply: &'a [u8]) -> Option<Self> {
        Self::to(destination(reply)?)
    }

    fn to(src: Text<'a>) -> Option<Self> {
        let allowed = |c: char| !c.is_control() && !matches!(c, '+' | '#');
        let len = src.chars().fold(SUFFIX.len(), |len, c| len.saturating_add(c.len_utf8()));
        let is_topic = src.chars().all(allowed)
            && !matches!(src.chars().next(), None | Some('$'))
            && len <= MAX_REPLY_TOPIC_BYTES;
        is_topic.then_some(Self(src))
    }
}

impl fmt::Display for ReplyTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.0)
    }
}

/// What a client calls itself: `src` of its requests. [`fmt::Display`] writes it; with `/rpc` behind
/// it, it is the topic to subscribe to.
#[derive(Clone, Copy, Debug)]
pub struct ClientSource<'a> {
    /// The device it calls.
    pub device_id: &'a str,
    /// Its MQTT client id, such as `mos-1253149121`: no two clients may have the same.
    pub client_id: &'a str,
}

impl fmt::Display for ClientSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/rpc-resp/{}", self.device_id, self.client_id)
    }
}
