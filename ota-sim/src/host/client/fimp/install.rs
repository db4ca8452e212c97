//! An update, from its command to its end.
//!
//! Reports are not kept by the broker, so what is missed is made up for: while nothing is heard, the
//! device is asked for its status once a second. Devices of the current revision may have none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ota_rpc::fimp::{Address, Revision};
use serde_json::{Value, json};

use super::report::{Failure, Message, Report, Status, Transfer, What, printable_error};
use super::status::{CHECK, STATUS};
use super::{CallError, Hub, Listener, reports_of};

/// After how long in silence the device is asked, and how long a lost broker is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at [`InstallOptions::stop`].
const LOOK: Duration = Duration::from_millis(100);
/// How long the device has to tell its new version.
const VERSION_WAIT: Duration = Duration::from_secs(3);

/// How to install.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// Which name the command has.
    pub revision: Revision,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How long the device has to begin, unless it waits for a user.
    pub begin: Duration,
    /// Whoever sets it ends the wait; the update goes on.
    pub stop: Arc<AtomicBool>,
}

impl Default for InstallOptions {
    /// The draft, 10 minutes, 10 s to begin.
    fn default() -> Self {
        let (timeout, begin) = (Duration::from_secs(600), Duration::from_secs(10));
        Self { revision: Revision::Draft, timeout, begin, stop: Arc::default() }
    }
}

/// Something that happens on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEvent {
    /// A user has to start it at the device.
    WaitsForUser,
    /// The device has begun.
    Begun,
    /// It comes in.
    Progress(Transfer),
    /// It is in place.
    Rebooting,
    /// The new image runs, and is not committed yet.
    OnTrial,
    /// The connection to the broker is lost, and will be made again.
    BrokerLost {
        /// Why.
        reason: String,
    },
}

/// What it led to: the new image runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its version, if the device tells it.
    pub version: Option<String>,
}

/// Why an update failed, or why nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The broker cannot be reached.
    #[error(transparent)]
    Broker(#[from] CallError),
    /// The device did not take the command.
    #[error("the device has refused: {0}")]
    Refused(Failure),
    /// The end report says so: its error.
    #[error("the update failed: {}", printable_error(.0))]
    Failed(String),
    /// Nobody has begun anything, and nobody answers.
    #[error("nobody answers for {address}: no start in {} s; {CHECK}", wait.as_secs())]
    Silence {
        /// Who was told.
        address: String,
        /// For how long.
        wait: Duration,
    },
    /// The device answers, and begins nothing.
    #[error("the device does not begin the update in {} s; its status: {status}", wait.as_secs())]
    NotBegun {
        /// What it says.
        status: Status,
        /// For how long.
        wait: Duration,
    },
    /// Its end was not heard of in time.
    #[error(
        "the update has not ended in {} s, and may go on; ask with `ota-sim fimp status`",
        wait.as_secs()
    )]
    Timeout {
        /// For how long.
        wait: Duration,
    },
    /// As was asked for.
    #[error("stopped waiting; the update goes on; ask with `ota-sim fimp status`")]
    Stopped,
}

impl Hub {
    /// Has a device install what is at `path`, a URL or a full path as the device sees it, and waits
    /// until it runs.
    ///
    /// # Errors
    /// [`InstallError`].
    pub fn install(
        &self,
        address: &Address<'_>,
        path: &str,
        options: &InstallOptions,
        tell: &mut dyn FnMut(InstallEvent),
    ) -> Result<Installed, InstallError> {
        let listener = self.listen_to(address)?;
        let name = match options.revision {
            Revision::Draft => "cmd.ota_update.install",
            Revision::Current => "cmd.ota_update.start",
        };
        let command = listener.command(self, address, name, &json!(path))?;
        let now = Instant::now();
        let conversation = Conversation {
            hub: self,
            address,
            options,
            tell,
            listener: Some(listener),
            command,
            question: None,
            phase: Phase::Asked { until: now + options.begin },
            status: None,
            last_told: None,
            ask_at: now + PAUSE,
            version: None,
        };
        conversation.run(now + options.timeout)
    }
}

/// What the update is doing, as far as it was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The command is out; the device has to begin until then.
    Asked { until: Instant },
    /// For a user.
    Waiting,
    /// It is under way.
    Begun,
}

/// `Err`: the error of the end report.
type Ended = Result<(), String>;

struct Conversation<'c> {
    hub: &'c Hub,
    address: &'c Address<'c>,
    options: &'c InstallOptions,
    tell: &'c mut dyn FnMut(InstallEvent),
    /// None while the broker is lost.
    listener: Option<Listener>,
    /// Ids of the command, and of the last question for the status.
    command: String,
    question: Option<String>,
    phase: Phase,
    /// The last that was heard.
    status: Option<Status>,
    last_told: Option<InstallEvent>,
    /// When to ask for the status, or to connect again.
    ask_at: Instant,
    version: Option<String>,
}

impl Conversation<'_> {
    fn run(mut self, deadline: Instant) -> Result<Installed, InstallError> {
        loop {
            let now = Instant::now();
            if self.options.stop.load(Ordering::Relaxed) {
                return Err(InstallError::Stopped);
            }
            if now >= deadline {
                return Err(InstallError::Timeout { wait: self.options.timeout });
            }
            if matches!(self.phase, Phase::Asked { until } if now >= until) {
                return Err(self.not_begun());
            }
            match self.step(now) {
                Ok(None) => {}
                Ok(Some(message)) => match self.take(&message)? {
                    None => {}
                    Some(Err(error)) => return Err(InstallError::Failed(error)),
                    Some(Ok(())) => return Ok(Installed { version: self.version() }),
                },
                // Nobody knows whether the command has got through.
                Err(error) if matches!(self.phase, Phase::Asked { .. }) => return Err(error.into()),
                Err(error) => {
                    self.listener = None;
                    self.ask_at = Instant::now() + PAUSE;
                    self.tell_once(InstallEvent::BrokerLost { reason: error.to_string() });
                }
            }
        }
    }

    fn not_begun(self) -> InstallError {
        let wait = self.options.begin;
        match self.status {
            Some(status) => InstallError::NotBegun { status, wait },
            None => InstallError::Silence { address: self.address.to_string(), wait },
        }
    }

    /// Asks, or connects, when it is time for that; then the next message.
    fn step(&mut self, now: Instant) -> Result<Option<Message>, CallError> {
        let is_due = now >= self.ask_at;
        let Some(listener) = &mut self.listener else {
            match is_due {
                true => self.listener = Some(self.hub.listen_to(self.address)?),
                false => std::thread::sleep(LOOK),
            }
            return Ok(None);
        };
        if is_due {
            self.ask_at = now + PAUSE;
            let question = listener.command(self.hub, self.address, STATUS, &Value::Null)?;
            self.question = Some(question);
        }
        listener.next(now + LOOK)
    }

    /// A message. Some: the update has ended.
    fn take(&mut self, message: &Message) -> Result<Option<Ended>, InstallError> {
        // What cannot be read is not for this.
        let Ok(report) = Report::read(&message.payload) else { return Ok(None) };
        let is_own = message.topic == reports_of(self.address);
        match report.what {
            What::Refused(failure) if report.corid == self.command => {
                return Err(InstallError::Refused(failure));
            }
            What::Status(status) if self.question.as_ref() == Some(&report.corid) => {
                return Ok(self.take_status(status));
            }
            What::Inclusion { thing, version, .. } if self.is_thing(&thing) => {
                self.version = Some(version);
            }
            What::Start if is_own => self.begin(),
            What::Progress(transfer) if is_own => {
                self.begin();
                self.tell_once(InstallEvent::Progress(transfer));
            }
            // Of an update before, whose end was not told yet.
            What::End(_) if self.phase != Phase::Begun => {}
            What::End(ended) if is_own => return Ok(Some(ended)),
            What::Refused(_)
            | What::Status(_)
            | What::Inclusion { .. }
            | What::Start
            | What::Progress(_)
            | What::End(_)
            | What::Other(_) => return Ok(None),
        }
        // As long as it talks, it need not be asked.
        self.ask_at = Instant::now() + PAUSE;
        Ok(None)
    }

    /// The same of a reply. An end that was told twice, a second apart, is one whose report was
    /// missed: the report says more.
    fn take_status(&mut self, status: Status) -> Option<Ended> {
        let is_same = self.status.as_ref() == Some(&status);
        match (status.state.as_str(), status.substate.as_str()) {
            ("IN PROGRESS", "NEEDS USER ACTION TO START") => {
                self.phase = Phase::Waiting;
                self.tell_once(InstallEvent::WaitsForUser);
            }
            ("IN PROGRESS", substate) => {
                self.begin();
                match substate {
                    "DEVICE REBOOTING" => self.tell_once(InstallEvent::Rebooting),
                    "REDISCOVERY" => self.tell_once(InstallEvent::OnTrial),
                    _ => {}
                }
            }
            ("FINISHED", substate) if self.phase == Phase::Begun && is_same => {
                return Some(match substate {
                    "SUCCESS" => Ok(()),
                    other => Err(other.to_lowercase().replace(' ', "_")),
                });
            }
            // It does not wait any more, and has not begun either: after a reset, for example.
            _ if self.phase == Phase::Waiting => {
                self.phase = Phase::Asked { until: Instant::now() + self.options.begin };
            }
            _ => {}
        }
        self.status = Some(status);
        None
    }

    fn begin(&mut self) {
        if self.phase != Phase::Begun {
            self.phase = Phase::Begun;
            self.tell_once(InstallEvent::Begun);
        }
    }

    fn tell_once(&mut self, event: InstallEvent) {
        if self.last_told.as_ref() != Some(&event) {
            self.last_told = Some(event.clone());
            (self.tell)(event);
        }
    }

    /// Inclusion reports name the thing without a group.
    fn is_thing(&self, thing: &str) -> bool {
        self.address.thing.split('_').next() == Some(thing)
    }

    /// What runs now: asked for, because what was told on the way may have been of the old image.
    fn version(mut self) -> Option<String> {
        let deadline = Instant::now() + VERSION_WAIT;
        let mut listener = self.listener.take()?;
        listener.ask_inclusion(self.hub, self.address).ok()?;
        while let Ok(Some(message)) = listener.next(deadline) {
            match Report::read(&message.payload).map(|report| report.what) {
                Ok(What::Inclusion { thing, version, .. }) if self.is_thing(&thing) => {
                    return Some(version);
                }
                _ => {}
            }
        }
        self.version
    }
}
