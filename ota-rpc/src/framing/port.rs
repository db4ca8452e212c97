//! A serial line or a TCP connection as a transport, over the traits of `embedded_io`.
//!
//! ```text
//! loop {
//!     let step = port.step(&mut uart, &mut service, &mut updater, now_ms())?;
//!     // do step.action; sleep if step.is_idle
//! }
//! ```
//! A step reads what is there, at most [`PORT_READ_BYTES`], hands at most one frame to the service,
//! and writes at most one piece of a reply. It waits for nothing to come. Writing waits only as long
//! as the driver does: [`embedded_io::Write`] takes at least one byte.
//!
//! # Flow control
//! Flash holds a processor up for up to 100 ms at a time, 1,000 bytes at 115,200 baud, which few
//! receive buffers have room for. So with [`FlowControl::XonXoff`] the peer is sent XOFF before the
//! service works on a request while an update or a snapshot runs, and before each step of those, and
//! XON afterwards, never inside a frame. What the peer still sends until it obeys must fit the
//! driver's buffer.
//!
//! In the other direction, XOFF holds back what is not yet handed to the driver, for at most
//! [`MAX_XOFF_MS`].

mod outbox;
#[cfg(test)]
mod tests;

use core::fmt;

use embedded_io::{Read, ReadReady, Write};

use super::serial::{Dropped, EMPTY_LINE, Envelope, HANDSHAKE, Received, Receiver, XOFF, XON};
use crate::channel::{Channel, ChannelId, ChannelKind};
#[cfg(doc)]
use crate::limits::MAX_XOFF_MS;
use crate::limits::{MAX_FRAME_PAUSE_MS, PORT_READ_BYTES, PORT_WRITE_BYTES};
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Action, Deferred, Reply, Service};
use outbox::{Outbox, Sent};

/// How a serial line keeps its ends from being overrun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlowControl {
    /// Not by the bytes that travel: by wires, or not at all.
    None,
    /// By the bytes XON and XOFF. `mos` does this unless it is told `--hw-flow-control`.
    XonXoff,
}

/// What came of a step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What the owner has to do.
    pub action: Option<Action<'a>>,
    /// There is nothing to do until something comes in or time passes: at
    /// [`Service::wake_at_ms`], and every 10 ms. Else step again at once.
    pub is_idle: bool,
}

/// A step could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError<E> {
    /// The driver's error. Of a serial line it may be noise: just go on. What has come of a frame
    /// is dropped.
    Io(E),
    /// The other side has closed the connection.
    Closed,
}

impl<E: fmt::Display> fmt::Display for PortError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Closed => f.write_str("the connection was closed"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for PortError<E> {}

/// A serial line or a TCP connection.
#[derive(Debug)]
pub struct Port<'b> {
    channel: Channel<'b>,
    flow_control: FlowControl,
    receiver: Receiver<'b>,
    outbox: Outbox<'b>,
    /// What was around the last frame, and is around its reply.
    envelope: Envelope,
    /// The same of the frame whose reply comes later.
    later: Envelope,
    input: Input,
    /// What is to be answered as soon as the last answer is out.
    waiting: Option<Received>,
    dropped: Option<Dropped>,
    /// The peer was asked to stop.
    peer_stopped: bool,
    /// When something came last.
    heard_ms: u64,
}

/// Bytes that were read but not looked at.
#[derive(Debug, Default)]
struct Input {
    bytes: heapless::Vec<u8, PORT_READ_BYTES>,
    used: usize,
}

impl<'b> Port<'b> {
    /// A serial line. `receive` limits the requests; `send` the replies, which should have 1 KiB and
    /// the 16 bytes around a frame.
    pub fn serial(
        id: ChannelId,
        flow_control: FlowControl,
        receive: &'b mut [u8],
        send: &'b mut [u8],
    ) -> Self {
        let channel = Channel::new(id, ChannelKind::Uart, "");
        Self::new(channel, flow_control, Receiver::serial(receive), send)
    }

    /// A TCP connection of `peer`, `1.2.3.4:5678`. The buffers are as for [`Self::serial`].
    pub fn tcp(id: ChannelId, peer: &'b str, receive: &'b mut [u8], send: &'b mut [u8]) -> Self {
        let channel = Channel::new(id, ChannelKind::Tcp, peer);
        Self::new(channel, FlowControl::None, Receiver::tcp(receive), send)
    }

    fn new(
        channel: Channel<'b>,
        flow_control: FlowControl,
        receiver: Receiver<'b>,
        send: &'b mut [u8],
    ) -> Self {
        Self {
            channel,
            flow_control,
            receiver,
            outbox: Outbox::new(send),
            envelope: Envelope::default(),
            later: Envelope::default(),
            input: Input::default(),
            waiting: None,
            dropped: None,
            peer_stopped: false,
            heard_ms: 0,
        }
    }

    /// Gives the buffers back, that for requests first: what has come or is to be sent is forgotten,
    /// as at a reset.
    pub fn into_buffers(self) -> (&'b mut [u8], &'b mut [u8]) {
        (self.receiver.into_buffer(), self.outbox.into_buffer())
    }

    /// Why a frame was dropped without an answer since this was last called, for a log: of several
    /// the last.
    pub fn take_dropped(&mut self) -> Option<Dropped> {
        self.dropped.take()
    }

    /// Whether a reply, or a part of one, is still to be written.
    pub fn is_sending(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// All that there is to do, for a device that has no other transport: [`Service::poll`] and
    /// [`Self::exchange`]. A reply of another channel would be lost.
    ///
    /// # Errors
    /// [`PortError`]. After [`PortError::Closed`], and when a connection is dropped for another
    /// reason, call [`Service::channel_closed`].
    pub fn step<T: Read + ReadReady + Write, O: Ota, P: Platform>(
        &mut self,
        io: &mut T,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<Step<'_>, PortError<T::Error>> {
        self.send(io, service, now_ms)?;
        if self.outbox.is_empty() {
            let action = self.poll(io, service, ota, now_ms)?;
            if action.is_some() {
                return Ok(Step { action, is_idle: false });
            }
        }
        self.work(io, service, ota, now_ms)
    }

    /// Writes what is to be written, reads what is there, and hands a frame to the service: for a
    /// device that calls [`Service::poll`] itself, and [`Self::reply`] for this port's replies. The
    /// peer is not stopped during [`Service::poll`].
    ///
    /// # Errors
    /// See [`Self::step`].
    pub fn exchange<T: Read + ReadReady + Write, O: Ota, P: Platform>(
        &mut self,
        io: &mut T,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<Step<'_>, PortError<T::Error>> {
        self.send(io, service, now_ms)?;
        self.work(io, service, ota, now_ms)
    }

    /// Takes a reply that [`Service::poll`] has made for this port's channel. False if it cannot:
    /// one [`Self::is_sending`], or the buffer is too small.
    pub fn reply(&mut self, frame: &[u8]) -> bool {
        if !self.outbox.is_empty() {
            return false;
        }
        let Some(place) = self.outbox.inside().get_mut(..frame.len()) else { return false };
        place.copy_from_slice(frame);
        self.outbox.close(self.later, frame.len());
        true
    }

    /// Reads what is there, and hands a frame to the service.
    fn work<T: Read + ReadReady + Write, O: Ota, P: Platform>(
        &mut self,
        io: &mut T,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<Step<'_>, PortError<T::Error>> {
        self.read(io, now_ms)?;
        let unread = self.input.rest().len();
        if !self.next_frame(now_ms) {
            // Behind what was looked at there may be more.
            let has_looked = unread != self.input.rest().len();
            let is_idle = !has_looked && self.is_idle() && service.wake_at_ms() != Some(0);
            return Ok(Step { action: None, is_idle });
        }
        if service.is_busy() {
            self.stop_peer(io)?;
        }
        let out = self.outbox.inside();
        let outcome = service.handle(self.receiver.frame(), self.channel, now_ms, ota, out);
        match outcome.reply {
            Reply::Frame(len) | Reply::Rejected { len: len @ 1.., .. } => {
                self.outbox.close(self.envelope, len);
            }
            Reply::Later => self.later = self.envelope,
            Reply::Rejected { .. } | Reply::None | Reply::NoRoom(_) => {}
        }
        Ok(Step { action: outcome.action, is_idle: false })
    }

    fn poll<T: Write, O: Ota, P: Platform>(
        &mut self,
        io: &mut T,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Result<Option<Action<'static>>, PortError<T::Error>> {
        if service.wake_at_ms() == Some(0) {
            self.stop_peer(io)?;
        }
        let polled = service.poll(now_ms, ota, self.outbox.inside());
        if let Some(Deferred { channel, frame: Ok(len) }) = polled.reply
            && channel == self.channel.id
        {
            self.outbox.close(self.later, len);
        }
        Ok(polled.action)
    }

    /// Writes a piece; when it was the last one, the peer may go on.
    fn send<T: Write, P: Platform>(
        &mut self,
        io: &mut T,
        service: &mut Service<'_, P>,
        now_ms: u64,
    ) -> Result<(), PortError<T::Error>> {
        if self.outbox.send(io, self.piece_len(), now_ms)? == Sent::Reply {
            service.reply_flushed(self.channel.id, now_ms);
        }
        if self.peer_stopped && self.outbox.is_empty() {
            outbox::write(io, &[XON])?;
            self.peer_stopped = false;
        }
        Ok(())
    }

    fn stop_peer<T: Write>(&mut self, io: &mut T) -> Result<(), PortError<T::Error>> {
        if self.flow_control == FlowControl::XonXoff && !self.peer_stopped {
            outbox::write(io, &[XOFF])?;
            io.flush().map_err(PortError::Io)?;
            self.peer_stopped = true;
        }
        Ok(())
    }

    /// Looks at what came, up to a frame that can be answered. False if there is none.
    fn next_frame(&mut self, now_ms: u64) -> bool {
        while let Some(received) = self.waiting.take().or_else(|| self.receive()) {
            match received {
                Received::Xon => self.outbox.release(),
                Received::Xoff if self.flow_control == FlowControl::XonXoff => {
                    self.outbox.hold(now_ms);
                }
                Received::Xoff => {}
                Received::Dropped(why) => self.dropped = Some(why),
                // Only on a serial line is there a question whether anybody listens.
                Received::Handshake | Received::EmptyLine
                    if self.channel.kind != ChannelKind::Uart => {}
                Received::Frame { .. } | Received::Handshake | Received::EmptyLine
                    if !self.outbox.is_empty() =>
                {
                    self.waiting = Some(received);
                    return false;
                }
                Received::Frame { quotes, crc } => {
                    let is_serial = self.channel.kind == ChannelKind::Uart;
                    self.envelope = Envelope { quotes, crc: crc && is_serial };
                    return true;
                }
                Received::Handshake => self.outbox.put(HANDSHAKE),
                Received::EmptyLine => self.outbox.put(EMPTY_LINE),
            }
        }
        false
    }

    fn receive(&mut self) -> Option<Received> {
        let mut rest = self.input.rest();
        let before = rest.len();
        let received = self.receiver.receive(&mut rest);
        let read = before.saturating_sub(rest.len());
        self.input.used = self.input.used.saturating_add(read);
        received
    }

    /// Reads what is there, unless there is still something to look at.
    fn read<T: Read + ReadReady>(
        &mut self,
        io: &mut T,
        now_ms: u64,
    ) -> Result<(), PortError<T::Error>> {
        let has_room = self.waiting.is_none() && self.input.rest().is_empty();
        if !has_room || !io.read_ready().map_err(PortError::Io)? {
            return Ok(());
        }
        let paused = now_ms.saturating_sub(self.heard_ms) > MAX_FRAME_PAUSE_MS;
        let read = self.input.read(io);
        if self.receiver.is_in_frame() && (paused || read.is_err()) {
            self.receiver.give_up();
        }
        self.heard_ms = now_ms;
        read
    }

    /// How much may be written before the next look at what the peer wants.
    fn piece_len(&self) -> usize {
        match self.flow_control {
            FlowControl::None => usize::MAX,
            FlowControl::XonXoff => PORT_WRITE_BYTES,
        }
    }

    /// Whether another step has nothing to do as long as nothing comes.
    fn is_idle(&self) -> bool {
        match self.outbox.is_empty() {
            true => self.waiting.is_none() && self.input.rest().is_empty(),
            false => self.outbox.is_held(),
        }
    }
}

impl Input {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Reads what is there, in place of what was there before.
    fn read<T: Read>(&mut self, io: &mut T) -> Result<(), PortError<T::Error>> {
        self.used = 0;
        // Never more than the capacity.
        let _ = self.bytes.resize(PORT_READ_BYTES, 0);
        let read = io.read(&mut self.bytes);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(PortError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(PortError::Io(error)),
        }
    }
}
