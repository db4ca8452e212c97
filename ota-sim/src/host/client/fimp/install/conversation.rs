//! What is said, and heard, from the command of an update to its end.
//!
//! Reports are not kept by the broker, so what is missed is made up for: while nothing is heard, the
//! device is asked for its status once a second. Devices of the current revision may have none.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ota_rpc::fimp::{Address, Revision};
use serde_json::{Value, json};

use super::{InstallError, InstallEvent, InstallOptions, Installed};
use crate::host::client::CallError;
use crate::host::client::fimp::report::{Message, Report, Status, What};
use crate::host::client::fimp::status::STATUS;
use crate::host::client::fimp::{Hub, Listener, reports_of};

/// After how long in silence the device is asked, and how long a lost broker is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at [`InstallOptions::stop`].
const LOOK: Duration = Duration::from_millis(100);
/// How long the device has to tell its new version.
const VERSION_WAIT: Duration = Duration::from_secs(3);

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

pub(super) struct Conversation<'c> {
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
    /// It has to be over by then.
    deadline: Instant,
}

impl<'c> Conversation<'c> {
    /// Sends the command.
    pub(super) fn start(
        hub: &'c Hub,
        address: &'c Address<'c>,
        path: &str,
        options: &'c InstallOptions,
        tell: &'c mut dyn FnMut(InstallEvent),
    ) -> Result<Self, InstallError> {
        let listener = hub.listen_to(address)?;
        let name = match options.revision {
            Revision::Draft => "cmd.ota_update.install",
            Revision::Current => "cmd.ota_update.start",
        };
        let command = listener.command(hub, address, name, &json!(path))?;
        let now = Instant::now();
        Ok(Self {
            hub,
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
            deadline: now + options.timeout,
        })
    }

    /// Waits for the end.
    pub(super) fn run(mut self) -> Result<Installed, InstallError> {
        loop {
            let now = Instant::now();
            if self.options.stop.load(Ordering::Relaxed) {
                return Err(match self.phase {
                    Phase::Asked { .. } => InstallError::StoppedEarly,
                    Phase::Waiting | Phase::Begun => InstallError::Stopped,
                });
            }
            if now >= self.deadline {
                if let Phase::Asked { .. } = self.phase {
                    let wait = self.options.timeout;
                    return Err(self.not_begun(wait));
                }
                return Err(InstallError::Timeout { wait: self.options.timeout });
            }
            if matches!(self.phase, Phase::Asked { until } if now >= until) {
                let wait = self.options.begin;
                return Err(self.not_begun(wait));
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
                    self.ask_at = Instant::now() + PAUSE;
                    // Once, however many attempts it takes.
                    if self.listener.take().is_some() {
                        self.tell_once(InstallEvent::BrokerLost { reason: error.to_string() });
                    }
                }
            }
        }
    }

    fn not_begun(self, wait: Duration) -> InstallError {
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

#[cfg(test)]
mod tests;
