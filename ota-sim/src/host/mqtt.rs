//! Frames over MQTT 3.1.1, by rumqttc: the device is a client of a broker.
//!
//! The connection is lost with the device's RAM at a reset, and made again; a broker that is gone is
//! tried again and again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{convert::Infallible, io};

use ota_rpc::ChannelKind;
use ota_rpc::framing::mqtt::{self, ReplyTopic};
use ota_rpc::limits::MAX_REQUEST_BYTES;
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet,
    Publish, QoS,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::broker::{network, subscribe};
use super::handle::{Answer, DeviceHandle, Exchange, Peer, Pending};

/// Requests that wait for their replies, or those for the broker; more are dropped.
pub const MAX_REQUESTS: usize = 256;
/// Replies on their way to the broker.
const MAX_REPLIES: usize = 16;
/// Between two attempts to reach the broker.
const RETRY: Duration = Duration::from_secs(1);
/// Packets on their way to the broker: replies, and what subscribes.
const QUEUE: usize = 2 * MAX_REPLIES;

/// Serves the broker of `options`, whose client id is the device's, until the runtime ends.
/// `on_state` is told when the subscriptions are made, and why a connection ended.
///
/// # Errors
/// Never: it tries again.
pub async fn serve(
    options: MqttOptions,
    device: DeviceHandle,
    mut on_state: impl FnMut(Result<(), &ConnectionError>),
) -> io::Result<()> {
    let mut resets = device.resets();
    loop {
        resets.borrow_and_update();
        let (client, mut events) = AsyncClient::new(options.clone(), QUEUE);
        events.set_network_options(network());
        let mut connection = Connection {
            device_id: options.client_id(),
            client,
            device: device.clone(),
            requests: JoinSet::new(),
            room: Arc::new(Semaphore::new(MAX_REPLIES)),
            replies: Arc::default(),
        };
        tokio::select! {
            Err(error) = connection.run(events, &mut on_state) => {
                tracing::debug!("MQTT: {error}");
                on_state(Err(&error));
                tokio::time::sleep(RETRY).await;
            }
            // Connections are in RAM.
            Ok(()) = resets.changed() => {}
        }
    }
}

/// A connection to the broker.
struct Connection {
    device_id: String,
    client: AsyncClient,
    device: DeviceHandle,
    requests: JoinSet<()>,
    room: Arc<Semaphore>,
    replies: Arc<Mutex<Replies>>,
}

/// Replies that the broker has not confirmed. With an exchange goes the device's wait for it.
#[derive(Default)]
struct Replies {
    /// Given to the client, in this order.
    queued: VecDeque<(Exchange, OwnedSemaphorePermit)>,
    /// Sent, by the number of the packet.
    sent: HashMap<u16, Exchange>,
}

impl Connection {
    async fn run(
        &mut self,
        mut events: EventLoop,
        on_state: &mut impl FnMut(Result<(), &ConnectionError>),
    ) -> Result<Infallible, ConnectionError> {
        loop {
            match events.poll().await? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let _ = subscribe(&self.client, mqtt::subscriptions(&self.device_id));
                }
                Event::Incoming(Packet::SubAck(_)) => on_state(Ok(())),
                Event::Incoming(Packet::Publish(publish)) => self.take(&publish).await,
                Event::Outgoing(Outgoing::Publish(number)) => self.replies().on_sent(number),
                Event::Incoming(Packet::PubAck(ack)) => {
                    self.replies().sent.remove(&ack.pkid);
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    fn replies(&self) -> std::sync::MutexGuard<'_, Replies> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message on one of the device's topics.
    async fn take(&mut self, publish: &Publish) {
        if publish.retain {
            // It comes with each subscription: a reboot would be asked for after each reboot.
            return tracing::debug!("MQTT: retained message on {} dropped", publish.topic);
        }
        let mut buffer = vec![0; MAX_REQUEST_BYTES];
        let topic = &publish.topic;
        let frame = match mqtt::request(&self.device_id, topic, &publish.payload, &mut buffer) {
            Ok(frame) => frame.to_vec(),
            Err(why) => return tracing::debug!("MQTT: message on {topic} dropped: {why}"),
        };
        while self.requests.try_join_next().is_some() {}
        if self.requests.len() >= MAX_REQUESTS {
            return tracing::warn!("MQTT: more than {MAX_REQUESTS} requests wait: one is dropped");
        }
        // In the order in which they came. No task of the device waits for what happens here.
        let peer = Peer::new(ChannelKind::Mqtt, "");
        let pending = self.device.send(peer, frame).await;
        let (client, room, replies) =
            (self.client.clone(), Arc::clone(&self.room), Arc::clone(&self.replies));
        self.requests.spawn(async move {
            if let Err(error) = answer(pending, client, room, replies).await {
                tracing::debug!("MQTT reply: {error}");
            }
        });
    }
}

async fn answer(
    pending: Pending,
    client: AsyncClient,
    room: Arc<Semaphore>,
    replies: Arc<Mutex<Replies>>,
) -> Result<(), ClientError> {
    let (answer, exchange) = pending.answer().await;
    let (Answer::Frame(reply) | Answer::Rejected(reply)) = answer else { return Ok(()) };
    let Some(topic) = ReplyTopic::of(&reply).map(|topic| topic.to_string()) else { return Ok(()) };
    // It is never closed.
    let Ok(permit) = room.acquire_owned().await else { return Ok(()) };
    // The client sends in the order in which it was asked to.
    let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
    client.try_publish(topic, QoS::AtLeastOnce, false, reply)?;
    replies.queued.push_back((exchange, permit));
    Ok(())
}

impl Replies {
    fn on_sent(&mut self, number: u16) {
        if let Some((exchange, _permit)) = self.queued.pop_front() {
            self.sent.insert(number, exchange);
        }
    }
}
