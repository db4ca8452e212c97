//! FIMP over MQTT 3.1.1, by rumqttc: the device is a client of a hub's broker.
//!
//! The connection is lost with the device's RAM at a reset, and made again; a broker that is gone is
//! tried again and again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ota_rpc::fimp::Address;
use ota_rpc::limits::MAX_REQUEST_BYTES;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::broker::{network, subscribe};
use super::handle::DeviceHandle;
use crate::device::FimpMessage;

/// Between two attempts to reach the broker.
const RETRY: Duration = Duration::from_secs(1);
/// Packets on their way to the broker.
const QUEUE: usize = 16;
/// Messages that wait for the broker to take others; more replies are dropped.
const MAX_WAITING: usize = 64;

/// What the connection has to say to the device.
pub(super) enum FimpCommand {
    /// The subscriptions are made. Messages go there.
    Connected(FimpOut),
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    /// The broker has confirmed the last report.
    Delivered,
    Lost,
}

/// The device's end of the connection.
pub(super) struct FimpOut(mpsc::Sender<Message>);

struct Message {
    message: FimpMessage,
    is_report: bool,
}

impl FimpOut {
    /// There is room: the next one comes when this one is confirmed.
    pub(super) fn report(&self, message: FimpMessage) {
        self.send(Message { message, is_report: true });
    }

    /// The last place is a report's, which would not come again as long as the connection lasts.
    pub(super) fn reply(&self, message: FimpMessage) {
        if self.0.capacity() < 2 && !self.0.is_closed() {
            return tracing::warn!("FIMP: the broker is too slow: a reply is dropped");
        }
        self.send(Message { message, is_report: false });
    }

    fn send(&self, message: Message) {
        // A connection that has ended says so by `FimpCommand::Lost`.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.try_send(message) {
            tracing::warn!("FIMP: the broker is too slow: a message is dropped");
        }
    }
}

/// Serves the broker of `options` for the device at `address`, until the runtime ends. `on_state` is
/// told when the subscriptions are made, and why a connection ended.
///
/// # Errors
/// Never: it tries again.
pub async fn serve(
    options: MqttOptions,
    address: Address<'static>,
    device: DeviceHandle,
    mut on_state: impl FnMut(Result<(), &ConnectionError>),
) -> io::Result<()> {
    let mut resets = device.resets();
    loop {
        resets.borrow_and_update();
        let (client, mut events) = AsyncClient::new(options.clone(), QUEUE);
        events.set_network_options(network());
        let mut connection = Connection {
            address,
            client,
            device: device.clone(),
            sent: Arc::default(),
            report: None,
            tasks: JoinSet::new(),
        };
        let failed = tokio::select! {
            Err(error) = connection.run(events, &mut on_state) => Some(error),
            // Connections are in RAM.
            Ok(()) = resets.changed() => None,
        };
        device.fimp(FimpCommand::Lost).await;
        if let Some(error) = failed {
            tracing::debug!("FIMP: {error}");
            on_state(Err(&error));
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// A connection to the broker.
struct Connection {
    address: Address<'static>,
    client: AsyncClient,
    device: DeviceHandle,
    /// Messages given to the client and not sent yet, in this order: whether each is a report.
    sent: Arc<Mutex<VecDeque<bool>>>,
    /// The number of the packet with a report that is not confirmed.
    report: Option<u16>,
    tasks: JoinSet<()>,
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
                    let _ = subscribe(&self.client, self.address.subscriptions());
                }
                Event::Incoming(Packet::SubAck(_)) => {
                    self.connect().await;
                    on_state(Ok(()));
                }
                Event::Incoming(Packet::Publish(publish)) => self.take(publish).await,
                Event::Outgoing(Outgoing::Publish(number)) => {
                    if lock(&self.sent).pop_front() == Some(true) {
                        self.report = Some(number);
                    }
                }
                Event::Incoming(Packet::PubAck(ack)) if self.report == Some(ack.pkid) => {
                    self.report = None;
                    self.device.fimp(FimpCommand::Delivered).await;
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    /// From now on the device publishes.
    async fn connect(&mut self) {
        let (out, mut messages) = mpsc::channel::<Message>(MAX_WAITING);
        let (client, sent) = (self.client.clone(), Arc::clone(&self.sent));
        self.tasks.spawn(async move {
            while let Some(Message { message, is_report }) = messages.recv().await {
                // The client sends in the order in which it was asked to.
                lock(&sent).push_back(is_report);
                let FimpMessage { topic, payload } = message;
                if client.publish(topic, QoS::AtLeastOnce, false, payload).await.is_err() {
                    // The connection has ended.
                    return;
                }
            }
        });
        self.device.fimp(FimpCommand::Connected(FimpOut(out))).await;
    }

    /// A message on one of the device's topics.
    async fn take(&self, publish: Publish) {
        let Publish { topic, payload, retain, .. } = publish;
        if retain {
            // It comes with each subscription: an update would be begun after each reboot.
            return tracing::debug!("FIMP: retained message on {topic} dropped");
        }
        if payload.len() > MAX_REQUEST_BYTES {
            return tracing::debug!("FIMP: message of {} bytes dropped", payload.len());
        }
        self.device.fimp(FimpCommand::Message { topic, payload: payload.to_vec() }).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
