//! Where a request comes from, and where its reply goes.

use crate::framing::http::Authorization;

/// A connection of a transport, as its owner numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ChannelId(pub u16);

/// The kind of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChannelKind {
    /// `POST /rpc`: one reply for each connection that waits.
    Http,
    /// WebSocket, accepted by the device.
    WebSocket,
    /// An MQTT broker.
    Mqtt,
    /// A serial line.
    Uart,
    /// Datagrams.
    Udp,
    /// TCP with the serial framing.
    Tcp,
    /// The device itself.
    Loopback,
}

impl ChannelKind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = 7;

    /// The name that access lists know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::WebSocket => "WS_in",
            Self::Mqtt => "MQTT",
            Self::Uart => "UART",
            Self::Udp => "UDP_in",
            Self::Tcp => "TCP_in",
            Self::Loopback => "loopback",
        }
    }
}

/// A channel that a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// Which one: replies that come later name it.
    pub id: ChannelId,
    /// Its kind.
    pub kind: ChannelKind,
    /// The peer, for `RPC.Ping`: `1.2.3.4:5678`, or empty.
    pub info: &'a str,
    /// Over HTTP: what the request says of who sends it.
    pub authorization: Option<Authorization<'a>>,
}

impl<'a> Channel<'a> {
    /// A channel whose requests bring their credentials in the frame, if any.
    pub const fn new(id: ChannelId, kind: ChannelKind, info: &'a str) -> Self {
        Self { id, kind, info, authorization: None }
    }
}
