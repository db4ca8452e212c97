//! Messages to a device's topic.

use std::time::Instant;

use ota_rpc::framing::mqtt::ClientSource;

use super::broker::Subscribed;
use super::{CallError, Link, Options, is_repeatable};
use crate::host::broker::Broker;

pub(super) struct Session {
    broker: Subscribed,
    topic: String,
}

/// What the client calls itself in frames.
pub(super) fn source(device_id: &str, client_id: &str) -> String {
    ClientSource { device_id, client_id }.to_string()
}

impl Session {
    /// Connects, and subscribes to the replies.
    pub(super) fn connect(
        broker: &Broker,
        client_id: &str,
        options: &Options,
        deadline: Instant,
    ) -> Result<Self, CallError> {
        let device = &broker.path;
        let replies = [format!("{}/rpc", source(device, client_id))];
        let authorities = options.authorities.as_deref();
        let topic = format!("{device}/rpc");
        let broker = Subscribed::connect(broker, client_id, &replies, authorities, deadline)?;
        Ok(Self { broker, topic })
    }
}

impl Link for Session {
    /// The frame leaves with the next [`Self::receive`].
    fn send(&mut self, frame: &[u8], _: Instant) -> Result<(), CallError> {
        self.broker.publish(&self.topic, frame)
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError> {
        let message = self.broker.receive(deadline)?;
        Ok(message.map(|message| message.payload.to_vec()))
    }

    /// A broker drops what comes for a device that is away.
    fn may_repeat(&self, method: &str) -> bool {
        is_repeatable(method)
    }
}
