//! The ways to talk to the thread that owns a device: commands in, answers out.

use std::sync::Arc;

use ota_rpc::framing::http::Authorization;
use ota_rpc::{Channel, ChannelId, ChannelKind};
use tokio::sync::{oneshot, watch};

use super::fimp::FimpCommand;
use super::queue::{Numbers, Queue};
use super::serial::SerialLine;
use crate::device::{Switches, Uploaded};
use crate::nor::Tear;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This frame.
    Frame(Vec<u8>),
    /// Nothing: the request was a notification.
    None,
    /// It is not one for this device. With the error frame to send, which may be empty.
    Rejected(Vec<u8>),
    /// The device is off or hangs, or it was reset before it could answer.
    NoAnswer,
}

/// Who sends a request, and how.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The kind of transport.
    pub kind: ChannelKind,
    /// Its address, for `RPC.Ping`; may be empty.
    pub address: String,
    /// What an HTTP request says of who sends it.
    pub login: Option<Login>,
}

/// [`Authorization`] with texts of its own.
#[derive(Clone, Debug)]
pub struct Login {
    /// The method: `POST`.
    pub method: String,
    /// The target as in the first line.
    pub target: String,
    /// The header `Authorization`.
    pub header: String,
}

impl Peer {
    /// A peer whose frames bring their credentials.
    pub fn new(kind: ChannelKind, address: impl ToString) -> Self {
        Self { kind, address: address.to_string(), login: None }
    }

    pub(super) fn channel(&self, id: ChannelId) -> Channel<'_> {
        let authorization = self.login.as_ref().map(|login| Authorization {
            method: &login.method,
            target: &login.target,
            header: &login.header,
        });
        Channel { authorization, ..Channel::new(id, self.kind, &self.address) }
    }
}

/// What is wanted of the device.
pub(super) enum Command {
    Rpc { channel: ChannelId, peer: Peer, frame: Vec<u8>, answer: oneshot::Sender<Answer> },
    Upload { channel: ChannelId, step: UploadStep, done: oneshot::Sender<Result<(), Uploaded>> },
    Flushed(ChannelId),
    Closed(ChannelId),
    PowerOn { seed: u64 },
    PowerOff,
    CutPowerAfter { operations: u64, tear: Tear },
    Attach(SerialLine),
    Switch(Switches),
    UserStarts(oneshot::Sender<bool>),
    Fimp(FimpCommand),
    Stop,
}

/// A part of an upload.
pub(super) enum UploadStep {
    /// With what gets the reply that comes from the device's poll.
    Begin {
        peer: Peer,
        content_type: String,
        answer: oneshot::Sender<Answer>,
    },
    Feed(Vec<u8>),
    End,
}

/// A way to talk to a running device.
#[derive(Clone)]
pub struct DeviceHandle {
    queue: Queue<Command>,
    numbers: Arc<Numbers>,
    resets: watch::Receiver<u64>,
}

/// A request and its reply. When it is dropped, the device learns that the reply is out, or that
/// nobody waits for it any more.
pub struct Exchange {
    queue: Queue<Command>,
    numbers: Arc<Numbers>,
    channel: ChannelId,
    is_answered: bool,
}

/// A request that was sent. When it is dropped, nobody waits for the reply any more.
pub struct Pending {
    exchange: Exchange,
    answered: oneshot::Receiver<Answer>,
}

impl DeviceHandle {
    /// Whose commands go into `queue`.
    pub(super) fn new(
        queue: Queue<Command>,
        numbers: Arc<Numbers>,
        resets: watch::Receiver<u64>,
    ) -> Self {
        Self { queue, numbers, resets }
    }

    /// Hands a command over that nobody waits for.
    pub(super) fn order(&self, command: Command) {
        // A device that has stopped needs no more orders.
        let _ = self.queue.send_at_once(command);
    }

    /// Sends a request frame and waits for what becomes of it. The exchange is to be dropped when
    /// the reply is out of the device.
    pub async fn rpc(&self, peer: Peer, frame: Vec<u8>) -> (Answer, Exchange) {
        self.send(peer, frame).await.answer().await
    }

    /// Sends a request frame: whatever is sent later comes later.
    pub async fn send(&self, peer: Peer, frame: Vec<u8>) -> Pending {
        let exchange = self.exchange().await;
        let (answer, answered) = oneshot::channel();
        let command = Command::Rpc { channel: exchange.channel, peer, frame, answer };
        // A device that has stopped drops the other end.
        self.queue.send(command).await;
        Pending { exchange, answered }
    }

    /// A user starts the update that waits for that. False: none waits. It blocks.
    pub fn user_starts(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        // A device that has stopped drops the answer.
        self.order(Command::UserStarts(answer));
        answered.blocking_recv().unwrap_or(false)
    }

    /// What the connection to the broker of FIMP has to say.
    pub(super) async fn fimp(&self, command: FimpCommand) {
        self.queue.send(Command::Fimp(command)).await;
    }

    /// Counts how often the device has lost what is in RAM: connections are in RAM.
    pub(super) fn resets(&self) -> watch::Receiver<u64> {
        self.resets.clone()
    }

    /// One with a number of its own.
    async fn exchange(&self) -> Exchange {
        let Self { queue, numbers, .. } = self.clone();
        let channel = numbers.take().await;
        Exchange { queue, numbers, channel, is_answered: false }
    }
}

/// A form with a firmware that a device is taking.
pub struct Uploading {
    pending: Pending,
}

impl DeviceHandle {
    /// Sends the head of a form with a firmware in it.
    ///
    /// # Errors
    /// [`Uploaded`]: the device does not want it.
    pub async fn upload(&self, peer: Peer, content_type: String) -> Result<Uploading, Uploaded> {
        let exchange = self.exchange().await;
        let (answer, answered) = oneshot::channel();
        let uploading = Uploading { pending: Pending { exchange, answered } };
        uploading.step(UploadStep::Begin { peer, content_type, answer }).await?;
        Ok(uploading)
    }
}

impl Uploading {
    /// The next bytes. It returns when the device has taken them.
    ///
    /// # Errors
    /// [`Uploaded`]: the device takes no more. If the answer comes later, [`Self::answer`] has it.
    pub async fn feed(&self, bytes: Vec<u8>) -> Result<(), Uploaded> {
        self.step(UploadStep::Feed(bytes)).await
    }

    /// The form has ended.
    pub async fn end(&self) -> Uploaded {
        self.step(UploadStep::End).await.err().unwrap_or(Uploaded::NoAnswer)
    }

    /// The answer that comes later.
    pub async fn answer(self) -> (Answer, Exchange) {
        self.pending.answer().await
    }

    async fn step(&self, step: UploadStep) -> Result<(), Uploaded> {
        let (done, made) = oneshot::channel();
        let Exchange { queue, channel, .. } = &self.pending.exchange;
        // A device that has stopped drops the other end.
        queue.send(Command::Upload { channel: *channel, step, done }).await;
        made.await.unwrap_or(Err(Uploaded::NoAnswer))
    }
}

impl Pending {
    /// What becomes of the request. The exchange is to be dropped when the reply is out of the
    /// device.
    pub async fn answer(self) -> (Answer, Exchange) {
        let Self { mut exchange, answered } = self;
        let answer = answered.await.unwrap_or(Answer::NoAnswer);
        exchange.is_answered = true;
        (answer, exchange)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let command = match self.is_answered {
            true => Command::Flushed(self.channel),
            false => Command::Closed(self.channel),
        };
        // The device frees the number when it hears of it.
        if !self.queue.send_at_once(command) {
            self.numbers.free(self.channel);
        }
    }
}
