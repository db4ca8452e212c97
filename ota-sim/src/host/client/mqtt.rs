//! Messages to a device's topic, by rumqttc.

use std::time::Instant;

use ota_rpc::framing::mqtt::ClientSource;
use rumqttc::{Client, Connection, ConnectionError, Event, Packet, QoS, RecvTimeoutError};

use super::{CallError, Link, Options, is_repeatable};
use crate::host::broker::{Broker, network};

/// Packets on their way to the broker.
const QUEUE: usize = 16;

pub(super) struct Session {
    client: Client,
    connection: Connection,
    topic: String,
    url: String,
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
        let url = broker.to_string();
        let unreachable = |reason: String| CallError::Unreachable { url: url.clone(), reason };
        let mqtt = broker
            .options(client_id, options.authorities.as_deref())
            .map_err(|error| unreachable(error.to_string()))?;
        let (client, mut connection) = Client::new(mqtt, QUEUE);
        connection.eventloop.set_network_options(network());
        let device = &broker.path;
        let mut session =
            Self { client, connection, topic: format!("{device}/rpc"), url: url.clone() };
        let replies = format!("{}/rpc", source(device, client_id));
        session
            .client
            .subscribe(replies, QoS::AtLeastOnce)
            .map_err(|error| unreachable(error.to_string()))?;
        loop {
            match session.next(deadline) {
                Ok(Some(Event::Incoming(Packet::SubAck(_)))) => return Ok(session),
                Ok(Some(_)) if Instant::now() < deadline => {}
                Ok(_) => return Err(unreachable("the broker does not answer".to_owned())),
                Err(error) => match *error {
                    ConnectionError::Tls(error) => {
                        return Err(CallError::Untrusted { url, reason: error.to_string() });
                    }
                    error => return Err(unreachable(error.to_string())),
                },
            }
        }
    }

    fn next(&mut self, deadline: Instant) -> Result<Option<Event>, Box<ConnectionError>> {
        let time = deadline.saturating_duration_since(Instant::now());
        match self.connection.recv_timeout(time) {
            Ok(event) => Ok(Some(event?)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ConnectionError::RequestsDone.into()),
        }
    }

    fn lost(&self, reason: impl ToString) -> CallError {
        CallError::Lost { url: self.url.clone(), reason: reason.to_string() }
    }
}

impl Link for Session {
    /// The frame leaves with the next [`Self::receive`].
    fn send(&mut self, frame: &[u8], _: Instant) -> Result<(), CallError> {
        let sent = self.client.publish(&self.topic, QoS::AtLeastOnce, false, frame);
        sent.map_err(|error| self.lost(error))
    }

    fn receive(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            match self.next(deadline) {
                Ok(Some(Event::Incoming(Packet::Publish(publish)))) => {
                    return Ok(Some(publish.payload.to_vec()));
                }
                Ok(Some(_)) if Instant::now() < deadline => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// A broker drops what comes for a device that is away.
    fn may_repeat(&self, method: &str) -> bool {
        is_repeatable(method)
    }
}
