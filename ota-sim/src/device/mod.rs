//! A simulated device: flash, the loader's code, an application, a watchdog, and a power switch.
//!
//! ```text
//! power on -> ota_core::boot -> application: Updater + ota_rpc::Service -> reset -> boot ...
//!   off  <------------------------ power cut inside any flash operation
//! ```
//! The code that runs is the one that boards link; simulated are only the flash ([`crate::nor`]),
//! what the image does ([`crate::app`]) and time, which is handed in. There are no threads, sockets
//! or clocks in here: requests and time go in, replies and wishes come out.
//!
//! # Power loss
//! What is in RAM goes: the engine, replies that were to come later, downloads. Flash keeps what
//! [`crate::nor`] says. A reset (crash, watchdog, reboot) is the same but for the flash, which is
//! not disturbed, and for the count of crashes, which a board keeps in RAM that survives resets.

mod event;
mod platform;
mod session;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use embedded_io::{Read, ReadReady, Write};
use ota_core::flash::LayoutError;
use ota_core::{BootOptions, BootPlan, BootState, Config, RecoverReason, Updater};
use ota_rpc::auth::Access;
use ota_rpc::fimp;
use ota_rpc::framing::port::{Port, PortError};
use ota_rpc::service::FeedError;
use ota_rpc::{Channel, ChannelId};

pub use event::{BootReport, Event, ResetCause};
pub use session::{
    Action, Download, Exchanged, FetchError, FimpMessage, MAX_REPLY_BYTES, Outcome, Polled,
    Progress, Reply, UpdateFile, Uploaded,
};

use crate::app::Behaviour;
use crate::flash::{SimFlash, Storage};
use crate::layout::Board;
use crate::nor::{FileNorError, Tear};
use session::Session;

/// How long a crashing application runs.
const CRASH_AFTER_MS: u64 = 50;
/// An application that has run for so long does not count as crashing.
const STABLE_AFTER_MS: u64 = 10_000;

/// What a device is set to.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'m> {
    /// Its name in RPC frames.
    pub id: &'m str,
    /// MAC address, 12 hexadecimal digits.
    pub mac: &'m str,
    /// The engine's configuration: platform, trials, golden slot.
    pub engine: Config,
    /// `commit_timeout` of updates that give none, in s.
    pub commit_timeout_s: u32,
    /// After how long without a sign of life the watchdog resets, in ms. Only trial boots have one.
    pub watchdog_ms: u64,
    /// After so many crashes in a row the loader stays in recovery; 0: never.
    pub crash_limit: u8,
    /// Who may call what; none: everybody everything.
    pub access: Option<Access<'m>>,
    /// What its calendar says when its clock is 0, in ms since 1970.
    pub epoch_ms: u64,
    /// The `ota` service of FIMP, if it has that.
    pub fimp: Option<FimpSettings<'m>>,
}

/// The `ota` service of FIMP.
#[derive(Clone, Copy, Debug)]
pub struct FimpSettings<'m> {
    /// Where the device is, and in which words it speaks.
    pub config: fimp::Config<'m>,
    /// The folder that update files are in.
    pub root: &'m Path,
}

/// What a device has around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// The battery has not enough left for an update.
    pub battery_is_low: bool,
    /// A user has to start updates that FIMP wants.
    pub needs_user: bool,
}

/// 2025-11-20, 12:00: a calendar for tests.
const EPOCH_MS: u64 = 1_763_640_000_000;

impl<'m> Settings<'m> {
    /// The defaults: images commit themselves, a watchdog of 8 s, recovery after 5 crashes.
    pub const fn new(id: &'m str, platform: &'static str) -> Self {
        Self {
            id,
            mac: "020000000001",
            engine: Config::new(platform),
            commit_timeout_s: 0,
            watchdog_ms: 8_000,
            crash_limit: 5,
            access: None,
            epoch_ms: EPOCH_MS,
            fimp: None,
        }
    }
}

/// A device. It borrows its board and the RAM that the engine works in.
pub struct SimDevice<'m, S> {
    board: &'m Board,
    settings: Settings<'m>,
    switches: Switches,
    storage: Rc<RefCell<S>>,
    /// The engine's RAM, while no application has it.
    ram: Option<&'m mut [u8]>,
    state: State<'m>,
    /// Crashes in a row: what a board keeps in RAM that survives resets.
    crashes: u8,
    events: VecDeque<Event>,
}

enum State<'m> {
    /// No power.
    Off,
    /// The loader found nothing to boot.
    Recovery(RecoverReason),
    /// The application does not answer; it may be reset at a time.
    Silent { reset: Option<(u64, ResetCause)> },
    /// The application answers.
    Running(Box<Session<'m>>),
}

impl<'m, S: Storage + 'm> SimDevice<'m, S> {
    /// A device without power. `ram` should have [`Board::buffer_size`] bytes.
    ///
    /// # Errors
    /// [`LayoutError`]: `storage` is not the board's part.
    pub fn new(
        board: &'m Board,
        settings: Settings<'m>,
        storage: S,
        ram: &'m mut [u8],
    ) -> Result<Self, LayoutError> {
        let storage = Rc::new(RefCell::new(storage));
        SimFlash::new(Rc::clone(&storage), board)?;
        Ok(Self {
            board,
            settings,
            switches: Switches::default(),
            storage,
            ram: Some(ram),
            state: State::Off,
            crashes: 0,
            events: VecDeque::new(),
        })
    }

    /// Switches power on, after switching it off if it was on; `seed` picks how torn flash reads
    /// from now on.
    ///
    /// # Errors
    /// The file behind the flash cannot be written.
    pub fn power_on(&mut self, seed: u64, now_ms: u64) -> Result<(), FileNorError> {
        self.stop_application();
        self.storage.borrow_mut().power_on(seed)?;
        self.crashes = 0;
        self.boot(now_ms);
        Ok(())
    }

    /// Switches power off between two flash operations.
    pub fn power_off(&mut self) {
        self.storage.borrow_mut().nor_mut().power_off();
        self.look_for_power();
    }

    /// Cuts power inside the flash operation that comes after `operations` more, which is left as
    /// `tear` says.
    pub fn cut_power_after(&mut self, operations: u64, tear: Tear) {
        self.storage.borrow_mut().nor_mut().cut_after(operations, tear);
    }

    /// Whether there is power.
    pub fn is_on(&self) -> bool {
        !matches!(self.state, State::Off)
    }

    /// Whether an application runs that answers.
    pub fn answers(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Why the loader has nothing to boot, if that is so.
    pub fn recovery(&self) -> Option<RecoverReason> {
        match self.state {
            State::Recovery(reason) => Some(reason),
            State::Off | State::Silent { .. } | State::Running(_) => None,
        }
    }

    /// The oldest event that was not taken yet.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where the flash is.
    pub fn storage(&self) -> &RefCell<S> {
        &self.storage
    }

    /// The board.
    pub fn board(&self) -> &'m Board {
        self.board
    }

    /// The boot state as the application sees it.
    pub fn boot_state(&self) -> Option<BootState> {
        Some(self.session()?.boot_state())
    }

    /// How far the update or snapshot that runs has come.
    pub fn progress(&self) -> Option<Progress> {
        self.session()?.progress()
    }

    /// Whether an update or a snapshot runs.
    pub fn is_busy(&self) -> bool {
        self.session().is_some_and(|session| session.service.is_busy())
    }

    /// How the update that runs is doing, or how the last one ended: `message` of `OTA.Status`.
    pub fn message(&self) -> Option<&str> {
        Some(self.session()?.service.message())
    }

    /// A request, as a transport received it.
    pub fn rpc(&mut self, from: Channel<'_>, frame: &[u8], now_ms: u64) -> Outcome {
        let Some(session) = self.session_mut() else { return Outcome::no_answer() };
        let outcome = session.rpc(from, frame, now_ms);
        self.look_for_power();
        if self.is_on() { outcome } else { Outcome::no_answer() }
    }

    /// Begins to take a form with a firmware in it, whose request has this header `Content-Type`:
    /// [`ota_rpc::framing::http::Upload`].
    ///
    /// # Errors
    /// [`Uploaded`]: it is over already.
    pub fn begin_upload(
        &mut self,
        from: Channel<'_>,
        content_type: &str,
        now_ms: u64,
    ) -> Result<(), Uploaded> {
        let session = self.session_mut().ok_or(Uploaded::NoAnswer)?;
        session.begin_upload(from, content_type, now_ms)
    }

    /// The next bytes of the form that comes over `channel`.
    ///
    /// # Errors
    /// [`Uploaded`]: no more are taken.
    pub fn feed_upload(
        &mut self,
        channel: ChannelId,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<(), Uploaded> {
        let session = self.session_mut().ok_or(Uploaded::NoAnswer)?;
        let fed = session.feed_upload(channel, bytes, now_ms);
        self.look_for_power();
        if self.is_on() { fed } else { Err(Uploaded::NoAnswer) }
    }

    /// The form has ended.
    pub fn end_upload(&mut self, channel: ChannelId) -> Uploaded {
        let Some(session) = self.session_mut() else { return Uploaded::NoAnswer };
        let ended = session.end_upload(channel);
        self.look_for_power();
        if self.is_on() { ended } else { Uploaded::NoAnswer }
    }

    /// A step of a serial line, as [`Port::exchange`]. Without an application that answers, what
    /// comes is lost, as on a board.
    ///
    /// # Errors
    /// As [`Port::exchange`].
    pub fn exchange<T: Read + ReadReady + Write>(
        &mut self,
        port: &mut Port<'_>,
        io: &mut T,
        now_ms: u64,
    ) -> Result<Exchanged, PortError<T::Error>> {
        let Some(session) = self.session_mut() else { return ignore(io) };
        let exchanged = session.exchange(port, io, now_ms);
        self.look_for_power();
        exchanged
    }

    /// The last reply to `channel` has left the device.
    pub fn reply_flushed(&mut self, channel: ChannelId, now_ms: u64) {
        if let Some(session) = self.session_mut() {
            session.service.reply_flushed(channel, now_ms);
        }
    }

    /// `channel` has ended.
    pub fn channel_closed(&mut self, channel: ChannelId, now_ms: u64) {
        if let Some(session) = self.session_mut() {
            session.channel_closed(channel, now_ms);
        }
    }

    /// Lets the device run: to be called about every 10 ms, and at once while
    /// [`Self::wants_to_run`].
    pub fn poll(&mut self, now_ms: u64) -> Polled {
        let reset = match &mut self.state {
            State::Off | State::Recovery(_) => return Polled::default(),
            State::Silent { reset } => {
                let due = reset.filter(|(at_ms, _)| now_ms >= *at_ms);
                due.map(|(_, cause)| cause)
            }
            State::Running(session) => {
                if session.has_run_for(STABLE_AFTER_MS, now_ms) {
                    self.crashes = 0;
                }
                let (polled, reset) = session.poll(now_ms);
                self.look_for_power();
                match reset.filter(|_| self.is_on()) {
                    Some(cause) => Some(cause),
                    None if self.is_on() => return polled,
                    None => return Polled::default(),
                }
            }
        };
        if let Some(cause) = reset {
            self.reset(cause, now_ms);
        }
        Polled::default()
    }

    /// Whether there is something to do at once, whatever time it is.
    pub fn wants_to_run(&self) -> bool {
        self.session().is_some_and(|session| session.service.wake_at_ms() == Some(0))
    }

    /// The length of the download, in bytes.
    pub fn feed_size(&mut self, size: u32) {
        if let Some(session) = self.session_mut() {
            session.service.feed_size(size);
        }
    }

    /// The next bytes of the download. Returns the offset at which it may go on, if a part of what
    /// comes next is in flash already.
    ///
    /// # Errors
    /// [`FeedError`]: stop fetching. The device sees to the rest.
    pub fn feed(&mut self, bytes: &[u8], now_ms: u64) -> Result<Option<u32>, FeedError> {
        let Some(session) = self.session_mut() else { return Err(FeedError::NotReceiving) };
        let result = session.feed(bytes, now_ms);
        self.look_for_power();
        if self.is_on() { result } else { Err(FeedError::NotReceiving) }
    }

    /// The bytes that are fed next start at `offset`. False: go on where the download was.
    pub fn feed_seek(&mut self, offset: u32) -> bool {
        self.session_mut().is_some_and(|session| session.feed_seek(offset))
    }

    /// The download has ended.
    pub fn end_feed(&mut self, ended: Result<(), FetchError>) {
        if let Some(session) = self.session_mut() {
            session.end_feed(ended);
        }
        self.look_for_power();
    }

    /// Sets the switches, until they are set again.
    pub fn switch(&mut self, switches: Switches) {
        self.switches = switches;
        if let Some(session) = self.session_mut() {
            session.service.platform_mut().switches = switches;
        }
    }

    /// A message of FIMP: the reply, and what is to be done.
    pub fn fimp(
        &mut self,
        topic: &str,
        message: &[u8],
        now_ms: u64,
    ) -> (Option<FimpMessage>, Option<Action>) {
        let Some(session) = self.session_mut() else { return (None, None) };
        let handled = session.fimp(topic, message, now_ms);
        self.look_for_power();
        if self.is_on() { handled } else { (None, None) }
    }

    /// The next report of FIMP, if one is due. No other one comes before [`Self::fimp_delivered`].
    pub fn fimp_report(&mut self, now_ms: u64) -> Option<FimpMessage> {
        let report = self.session_mut()?.fimp_report(now_ms);
        self.look_for_power();
        report.filter(|_| self.is_on())
    }

    /// The broker of FIMP has confirmed the last report.
    pub fn fimp_delivered(&mut self) {
        if let Some(session) = self.session_mut() {
            session.fimp_delivered();
        }
        self.look_for_power();
    }

    /// The device is connected to the broker of FIMP, or not any more.
    pub fn fimp_connected(&mut self, is_connected: bool) {
        if let Some(session) = self.session_mut() {
            session.fimp_connected(is_connected);
        }
    }

    /// A user has started the update that waits for that. None: none waits.
    pub fn user_starts(&mut self, now_ms: u64) -> Option<Action> {
        let action = self.session_mut()?.user_starts(now_ms);
        self.look_for_power();
        action.filter(|_| self.is_on())
    }

    /// Whether an update waits for a user to start it.
    pub fn waits_for_user(&self) -> bool {
        self.session().is_some_and(Session::waits_for_user)
    }

    fn session(&self) -> Option<&Session<'m>> {
        match &self.state {
            State::Running(session) => Some(session),
            State::Off | State::Recovery(_) | State::Silent { .. } => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session<'m>> {
        match &mut self.state {
            State::Running(session) => Some(session),
            State::Off | State::Recovery(_) | State::Silent { .. } => None,
        }
    }

    /// What loader and application each open on the same chip.
    fn map(&self) -> SimFlash<'m> {
        SimFlash::new(Rc::clone(&self.storage), self.board).expect("checked when it was made")
    }

    /// The loader, and the application's start.
    fn boot(&mut self, now_ms: u64) {
        let options = BootOptions {
            trials: self.settings.engine.trials,
            crashes: self.crashes,
            crash_limit: self.settings.crash_limit,
            ..BootOptions::default()
        };
        let booted = ota_core::boot(&mut self.map(), &options, &mut [0; 256]);
        if self.lost_power() {
            return;
        }
        match booted {
            Ok(plan) => self.start(&plan, now_ms),
            Err(reason) => {
                self.events.push_back(Event::Recovery(reason));
                self.state = State::Recovery(reason);
            }
        }
    }

    /// The jump: from here on the image decides what happens.
    fn start(&mut self, plan: &BootPlan, now_ms: u64) {
        let mut flash = self.map();
        let behaviour = Behaviour::in_slot(&mut flash, plan.slot);
        self.events.push_back(Event::Booted(BootReport::new(&mut flash, plan, behaviour)));
        let watchdog = now_ms.saturating_add(self.settings.watchdog_ms);
        let reset = match behaviour {
            Behaviour::Crashes => Some((now_ms.saturating_add(CRASH_AFTER_MS), ResetCause::Crash)),
            Behaviour::Hangs => plan.needs_watchdog.then_some((watchdog, ResetCause::Watchdog)),
            Behaviour::Healthy | Behaviour::NeverCommits | Behaviour::BadStart => {
                return self.run(flash, plan.slot, behaviour, now_ms);
            }
        };
        self.state = State::Silent { reset };
    }

    /// The application that gets as far as its engine.
    fn run(&mut self, flash: SimFlash<'m>, slot: u8, behaviour: Behaviour, now_ms: u64) {
        // An engine that did not open keeps the buffer that it was lent.
        let ram = self.ram.take().unwrap_or_else(|| vec![0; self.board.buffer_size()].leak());
        let config = ota_core::Config { running: Some(slot), ..self.settings.engine };
        let updater = match Updater::open(flash, config, ram, now_ms) {
            Ok(updater) => updater,
            Err(error) => {
                self.events.push_back(Event::NoEngine(error));
                self.state = State::Silent { reset: None };
                return;
            }
        };
        let mut session = Session::new(updater, self.settings, self.switches, self.board, now_ms);
        let reset = session.report_start(behaviour, &mut self.events);
        self.state = State::Running(Box::new(session));
        self.look_for_power();
        if let Some(cause) = reset.filter(|_| self.is_on()) {
            self.reset(cause, now_ms);
        }
    }

    fn reset(&mut self, cause: ResetCause, now_ms: u64) {
        if matches!(cause, ResetCause::Crash | ResetCause::Watchdog) {
            self.crashes = self.crashes.saturating_add(1);
        }
        self.events.push_back(Event::Reset(cause));
        self.stop_application();
        self.boot(now_ms);
    }

    /// Everything in RAM goes, and the engine's buffer comes back.
    fn stop_application(&mut self) {
        if let State::Running(session) = std::mem::replace(&mut self.state, State::Off) {
            self.ram = Some(session.into_ram());
        }
    }

    /// Notices that power was cut inside what was just done.
    fn look_for_power(&mut self) {
        if self.is_on() {
            self.lost_power();
        }
    }

    fn lost_power(&mut self) -> bool {
        if self.storage.borrow().nor().is_powered() {
            return false;
        }
        self.stop_application();
        self.events.push_back(Event::PowerLost);
        true
    }
}

/// Reads what is there, for nobody.
fn ignore<T: Read + ReadReady>(io: &mut T) -> Result<Exchanged, PortError<T::Error>> {
    while io.read_ready().map_err(PortError::Io)? {
        if io.read(&mut [0; 256]).map_err(PortError::Io)? == 0 {
            return Err(PortError::Closed);
        }
    }
    Ok(Exchanged { action: None, is_idle: true })
}
