//! The thread that owns a device.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ota_core::flash::LayoutError;
use ota_rpc::ChannelId;
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use super::fetch::{Fetch, Fetched, Source};
use super::fimp::{FimpCommand, FimpOut};
use super::handle::{Answer, Command, DeviceHandle, UploadStep};
use super::line::{self, Line};
use super::queue::{Commands, Numbers, queue};
use super::serial::SerialLine;
use crate::clock::Clock;
use crate::device::{
    Action, Event, FetchError, Outcome, Progress, Reply, Settings, SimDevice, Switches, Uploaded,
};
use crate::flash::{SimFlash, Storage};
use crate::layout::Board;
use crate::nor::Tear;

/// How often the device looks at the clock when nothing else happens.
const TICK: Duration = Duration::from_millis(5);
/// How many steps of a job are made between two looks at the commands.
const STEPS: usize = 64;

/// Why a device cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The flash is not that of the board.
    #[error("the layout of the board does not fit the flash: {0}")]
    Layout(LayoutError),
    /// The system gives no thread or no timer.
    #[error("cannot start the device: {0}")]
    System(#[from] std::io::Error),
}

/// Something that an observer may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of the device.
    Event(Event),
    /// An update comes in.
    Progress(Progress),
    /// An interrupted update goes on at this byte of the bundle; what lies before is not fetched
    /// again.
    Resumed {
        /// Offset in the bundle in bytes.
        offset: u32,
    },
    /// An update has come by FIMP that a user has to start: [`DeviceHandle::user_starts`].
    WaitsForUser,
    /// An update or a snapshot has ended, well or not.
    Ended {
        /// How, in the device's words.
        message: String,
    },
}

/// A running device. It is stopped when this is dropped, as if its power were cut.
pub struct DeviceHost {
    handle: DeviceHandle,
    thread: Option<JoinHandle<()>>,
}

impl DeviceHost {
    /// Switches a device on. `observer` is called in the device's thread.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn start<S, C>(
        board: Board,
        settings: Settings<'static>,
        mut storage: S,
        clock: C,
        observer: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, HostError>
    where
        S: Storage + Send + 'static,
        C: Clock + Send + 'static,
    {
        SimFlash::new(&mut storage, &board).map_err(HostError::Layout)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (count_resets, resets) = watch::channel(0);
        let (queue, mut commands) = queue();
        let numbers = Arc::new(Numbers::new(line::CHANNEL));
        let handle = DeviceHandle::new(queue, Arc::clone(&numbers), resets);
        let thread = std::thread::Builder::new().name("device".to_owned()).spawn(move || {
            let mut ram = vec![0; board.buffer_size()];
            let device = SimDevice::new(&board, settings, storage, &mut ram)
                .expect("the layout was tried before the thread was started");
            let observer = Box::new(observer);
            let mut buffers = line::Buffers::new();
            let mut owner = Owner {
                device,
                clock,
                observer,
                waiting: HashMap::new(),
                numbers,
                line: Line::new(&mut buffers),
                fimp: None,
                resets: count_resets,
                fetch: None,
                was_busy: false,
                did_wait: false,
                received: None,
            };
            owner.start(0);
            runtime.block_on(owner.run(&mut commands));
        })?;
        Ok(Self { handle, thread: Some(thread) })
    }

    /// A way to talk to it.
    pub fn handle(&self) -> DeviceHandle {
        self.handle.clone()
    }

    /// Switches power on, or off and on; `seed` picks how torn flash reads from then on.
    pub fn power_on(&self, seed: u64) {
        self.handle.order(Command::PowerOn { seed });
    }

    /// Switches power off between two flash operations.
    pub fn power_off(&self) {
        self.handle.order(Command::PowerOff);
    }

    /// Cuts power inside the flash operation that comes after `operations` more.
    pub fn cut_power_after(&self, operations: u64, tear: Tear) {
        self.handle.order(Command::CutPowerAfter { operations, tear });
    }

    /// Connects the device to a serial line, in place of the one it had.
    pub fn attach(&self, line: SerialLine) {
        self.handle.order(Command::Attach(line));
    }

    /// Sets the device's switches.
    pub fn switch(&self, switches: Switches) {
        self.handle.order(Command::Switch(switches));
    }

    /// A user starts the update that waits for that. False: none waits.
    pub fn user_starts(&self) -> bool {
        self.handle.user_starts()
    }
}

impl Drop for DeviceHost {
    fn drop(&mut self) {
        self.handle.order(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by its thread.
            let _ = thread.join();
        }
    }
}

/// What the thread works on.
struct Owner<'m, S, C> {
    device: SimDevice<'m, S>,
    clock: C,
    observer: Box<dyn FnMut(Notice) + Send>,
    /// Who waits for a reply that comes later, by the number of the channel.
    waiting: HashMap<u16, oneshot::Sender<Answer>>,
    numbers: Arc<Numbers>,
    line: Line<'m>,
    /// The connection to the broker of FIMP.
    fimp: Option<FimpOut>,
    /// How often RAM was lost.
    resets: watch::Sender<u64>,
    fetch: Option<Fetch>,
    /// An update or a snapshot was running at the last look.
    was_busy: bool,
    /// An update waited for a user.
    did_wait: bool,
    /// How many bytes of an update had come then.
    received: Option<u32>,
}

impl<'m, S: Storage + 'm, C: Clock> Owner<'m, S, C> {
    async fn run(&mut self, commands: &mut Commands<Command>) {
        loop {
            self.let_device_run();
            let at_once = self.device.wants_to_run() || self.line.wants_to_run;
            let pause = if at_once { Duration::ZERO } else { TICK };
            tokio::select! {
                biased;
                command = commands.next() => match command {
                    None | Some(Command::Stop) => break,
                    Some(command) => self.obey(command),
                },
                fetched = next(&mut self.fetch) => self.fetched(fetched),
                () = self.line.readable() => self.line.wants_to_run = true,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn let_device_run(&mut self) {
        for _ in 0..STEPS {
            let polled = self.device.poll(self.clock.now_ms());
            match polled.reply {
                Some((line::CHANNEL, frame)) => self.line.reply(frame),
                Some((channel, frame)) => {
                    if let Some(answer) = self.waiting.remove(&channel.0) {
                        // Whoever has gone meanwhile says so by `Command::Closed`.
                        let _ = answer.send(Answer::Frame(frame));
                    }
                }
                None => {}
            }
            self.act(polled.action);
            self.tell_events();
            if !self.device.wants_to_run() {
                break;
            }
        }
        let action = self.line.run(&mut self.device, self.clock.now_ms());
        self.act(action);
        if let Some(out) = &self.fimp
            && let Some(report) = self.device.fimp_report(self.clock.now_ms())
        {
            out.report(report);
        }
        self.tell_events();
    }

    fn obey_fimp(&mut self, command: FimpCommand) {
        match command {
            FimpCommand::Connected(out) => {
                self.device.fimp_connected(true);
                self.fimp = Some(out);
            }
            FimpCommand::Lost => {
                self.device.fimp_connected(false);
                self.fimp = None;
            }
            FimpCommand::Message { topic, payload } => {
                let (reply, action) = self.device.fimp(&topic, &payload, self.clock.now_ms());
                tracing::debug!(topic, message = %payload.escape_ascii(), ?action, "FIMP");
                if let (Some(out), Some(reply)) = (&self.fimp, reply) {
                    out.reply(reply);
                }
                self.act(action);
            }
            FimpCommand::Delivered => self.device.fimp_delivered(),
        }
    }

    fn obey(&mut self, command: Command) {
        let now_ms = self.clock.now_ms();
        match command {
            Command::Rpc { channel, peer, frame, answer } => {
                let from = peer.channel(channel);
                let Outcome { reply, action } = self.device.rpc(from, &frame, now_ms);
                tracing::debug!(peer = peer.address, request = %frame.escape_ascii(), ?action, "rpc");
                let reply = match reply {
                    Reply::Frame(frame) => Answer::Frame(frame),
                    Reply::None => Answer::None,
                    Reply::Rejected(frame) => Answer::Rejected(frame),
                    Reply::NoAnswer => Answer::NoAnswer,
                    Reply::Later => {
                        self.waiting.insert(channel.0, answer);
                        return self.act(action);
                    }
                };
                let _ = answer.send(reply);
                self.act(action);
            }
            Command::Upload { channel, step, done } => {
                let made = self.upload(channel, step, now_ms);
                let _ = done.send(made);
            }
            Command::Flushed(channel) => {
                self.device.reply_flushed(channel, now_ms);
                self.numbers.free(channel);
            }
            Command::Closed(channel) => {
                self.waiting.remove(&channel.0);
                self.device.channel_closed(channel, now_ms);
                self.numbers.free(channel);
            }
            Command::PowerOn { seed } => self.power_on(seed),
            Command::PowerOff => self.device.power_off(),
            Command::CutPowerAfter { operations, tear } => {
                self.device.cut_power_after(operations, tear);
            }
            Command::Attach(tty) => {
                if let Err(error) = self.line.attach(tty) {
                    tracing::error!("serial line: {error}");
                }
            }
            Command::Switch(switches) => self.device.switch(switches),
            Command::UserStarts(answer) => {
                let action = self.device.user_starts(now_ms);
                let _ = answer.send(action.is_some());
                self.act(action);
            }
            Command::Fimp(command) => self.obey_fimp(command),
            Command::Stop => {}
        }
        self.tell_events();
    }

    fn upload(
        &mut self,
        channel: ChannelId,
        step: UploadStep,
        now_ms: u64,
    ) -> Result<(), Uploaded> {
        match step {
            UploadStep::Begin { peer, content_type, answer } => {
                let from = peer.channel(channel);
                self.device.begin_upload(from, &content_type, now_ms)?;
                self.waiting.insert(channel.0, answer);
            }
            UploadStep::Feed(bytes) => {
                self.device.feed_upload(channel, &bytes, now_ms)?;
            }
            UploadStep::End => return Err(self.device.end_upload(channel)),
        }
        Ok(())
    }

    fn power_on(&mut self, seed: u64) {
        self.lose_ram();
        self.start(seed);
    }

    /// For the first time there is no RAM to lose: whoever has connected already stays so.
    fn start(&mut self, seed: u64) {
        if let Err(error) = self.device.power_on(seed, self.clock.now_ms()) {
            // The device stays off, as one does whose flash is gone.
            tracing::error!("power on: {error}");
        }
        self.tell_events();
    }

    fn act(&mut self, action: Option<Action>) {
        match action {
            None => {}
            Some(Action::Download(download)) => {
                self.fetch = Some(Fetch::start(Source::Http(download)));
            }
            Some(Action::Read(file)) => self.fetch = Some(Fetch::start(Source::File(file))),
            // The download ends when nobody takes its chunks any more.
            Some(Action::AbortDownload) => self.fetch = None,
        }
    }

    fn fetched(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::Size(size) => self.device.feed_size(size),
            Fetched::Bytes(bytes) => self.feed(&bytes),
            Fetched::Turn(turn) => drop(turn),
            Fetched::Seek(offset) => {
                if self.device.feed_seek(offset) {
                    (self.observer)(Notice::Resumed { offset });
                } else {
                    let message = format!("the update cannot go on at byte {offset}");
                    self.end_fetch(Err(FetchError { code: -1, message }));
                }
            }
            Fetched::End(ended) => self.end_fetch(ended),
        }
        self.tell_events();
    }

    fn feed(&mut self, bytes: &[u8]) {
        match self.device.feed(bytes, self.clock.now_ms()) {
            Ok(wanted) => {
                if let (Some(fetch), Some(offset)) = (&self.fetch, wanted) {
                    fetch.skip_to(offset);
                }
            }
            // The device has refused, and answers by itself.
            Err(_) => self.fetch = None,
        }
    }

    fn end_fetch(&mut self, ended: Result<(), FetchError>) {
        self.fetch = None;
        self.device.end_feed(ended);
    }

    /// Hands events on, and loses what a reset loses.
    fn tell_events(&mut self) {
        self.tell_progress();
        let busy = self.device.is_busy();
        if std::mem::replace(&mut self.was_busy, busy)
            && !busy
            && let Some(message) = self.device.message()
        {
            (self.observer)(Notice::Ended { message: message.to_owned() });
        }
        let waits = self.device.waits_for_user();
        if !std::mem::replace(&mut self.did_wait, waits) && waits {
            (self.observer)(Notice::WaitsForUser);
        }
        while let Some(event) = self.device.take_event() {
            if matches!(event, Event::Reset(_) | Event::PowerLost) {
                self.lose_ram();
            }
            (self.observer)(Notice::Event(event));
        }
    }

    /// Tells how far an update has come whose manifest is known, wherever its bytes come from.
    fn tell_progress(&mut self) {
        let progress = self.device.progress();
        let received = progress.as_ref().map(|progress| progress.received);
        if std::mem::replace(&mut self.received, received) != received
            && let Some(progress) = progress.filter(|progress| !progress.version.is_empty())
        {
            (self.observer)(Notice::Progress(progress));
        }
    }

    fn lose_ram(&mut self) {
        self.waiting.clear();
        self.line.reset();
        self.fimp = None;
        self.resets.send_modify(|count| *count += 1);
        self.fetch = None;
    }
}

/// The next chunk of the download; never, if there is none.
async fn next(fetch: &mut Option<Fetch>) -> Fetched {
    match fetch {
        Some(fetch) => fetch.next().await,
        None => std::future::pending().await,
    }
}
