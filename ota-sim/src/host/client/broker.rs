//! A client of a broker, by rumqttc, which blocks.

use std::path::Path;
use std::time::Instant;

use rumqttc::{
    Client, Connection, ConnectionError, Event, Packet, Publish, QoS, RecvTimeoutError,
    SubscribeFilter, SubscribeReasonCode,
};

use super::CallError;
use crate::host::broker::{Broker, network};

/// Packets on their way to the broker.
const QUEUE: usize = 16;

pub(super) struct Subscribed {
    client: Client,
    connection: Connection,
    url: String,
}

impl Subscribed {
    /// Connects, and subscribes to all of `filters`. `authorities`: as [`Broker::options`].
    pub(super) fn connect(
        broker: &Broker,
        client_id: &str,
        filters: &[String],
        authorities: Option<&Path>,
        deadline: Instant,
    ) -> Result<Self, CallError> {
        let url = broker.to_string();
        let unreachable = |reason: String| CallError::Unreachable { url: url.clone(), reason };
        let mqtt = broker
            .options(client_id, authorities)
            .map_err(|error| unreachable(error.to_string()))?;
        let (client, mut connection) = Client::new(mqtt, QUEUE);
        connection.eventloop.set_network_options(network());
        let mut subscribed = Self { client, connection, url: url.clone() };
        let filter = |filter: &String| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce);
        subscribed
            .client
            .try_subscribe_many(filters.iter().map(filter))
            .map_err(|error| unreachable(error.to_string()))?;
        loop {
            match subscribed.next(deadline) {
                Ok(Some(Event::Incoming(Packet::SubAck(ack)))) => {
                    return match ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        true => Err(unreachable(
                            "the broker does not let this client subscribe".to_owned(),
                        )),
                        false => Ok(subscribed),
                    };
                }
                Ok(Some(_)) if Instant::now() < deadline => {}
                Ok(_) => return Err(unreachable("the broker does not answer".to_owned())),
                Err(error) => match *error {
                    ConnectionError::Tls(error) => {
                        return Err(CallError::Untrusted { url, reason: error.to_string() });
                    }
                    error => return Err(unreachable(broker.explain(&error, client_id))),
                },
            }
        }
    }

    /// The message leaves with the next [`Self::receive`].
    pub(super) fn publish(&self, topic: &str, payload: &[u8]) -> Result<(), CallError> {
        let sent = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload);
        sent.map_err(|error| self.lost(error))
    }

    /// The next message; none until the deadline.
    pub(super) fn receive(&mut self, deadline: Instant) -> Result<Option<Publish>, CallError> {
        loop {
            match self.next(deadline) {
                Ok(Some(Event::Incoming(Packet::Publish(publish)))) => return Ok(Some(publish)),
                Ok(Some(_)) if Instant::now() < deadline => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err(self.lost(error)),
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
