//! The `ota` service of FIMP, which smart-home hubs drive updates by over MQTT.
//!
//! It stands beside the RPC service and has no engine of its own: an update that one of them starts
//! is seen by the other. Like it, [`Fimp`] does no input or output:
//!
//! | owner | service |
//! |---|---|
//! | connected to the broker, and subscribed | [`Fimp::connected`] |
//! | a message came, not a retained one | [`Fimp::handle`]: a reply; perhaps a file to fetch |
//! | after each call of [`Service`] | [`Fimp::look`] |
//! | about every 10 ms | [`Fimp::poll`]: a report to publish |
//! | the broker has confirmed that report | [`Fimp::delivered`] |
//! | the connection is lost | [`Fimp::disconnected`] |
//! | [`crate::Action::Reboot`] | only when [`Fimp::may_reboot`] |
//!
//! Everything is QoS 1 and not retained. A file that is to be fetched is handed to
//! [`Service::feed`], as for `OTA.Update`.
//!
//! # What a hub sees
//! ```text
//! evt.ota_start.report
//! evt.ota_progress.report ...   growing, at most one a second
//! evt.ota_end.report            {"success":true,"error":""}: the new image runs and is committed
//!                               {"success":false,...}: it does not
//! ```
//! also when the device reboots in between, which it does. `evt.ota_status.report` is told when it
//! is asked for.
//!
//! # Power loss
//! What has to be told is in the record's note before it is published, and crossed off when the
//! broker has confirmed it. So start and end are each published at least once, and what comes twice
//! is the same, byte by byte. An update whose transfer was cut off ends with the error `other`; begun
//! again, it goes on where it was.
//!
//! The note holds one update. If the broker was away until the next one began, which only the RPC
//! service can begin then, the end of the last is kept in RAM. Of more than two, those in the middle
//! are not told of.
//!
//! # Wear
//! An update writes the record five times: when it begins, when all of it has come, when it has ended,
//! and when start and end were told. One that fails at once writes it three times. How many a hub may
//! start is limited.
//!
//! # Who may
//! FIMP has no credentials: whoever may publish to the broker may install.

mod address;
mod budget;
mod command;
mod envelope;
mod note;
mod progress;
mod report;
mod time;
mod track;

use heapless::String;

pub use address::{Address, AddressError, Subscription, Topic};
use address::{Face, event};
use budget::Budget;
use envelope::{Envelope, Uid, ValueType, spread};
use note::{NOTE_LEN, Stage, Update};
use progress::{Progress, Report};
use track::Phase;

use crate::limits::MAX_URL_BYTES;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Rate, Service};
use crate::writer::{NoRoom, Writer};

/// What the service needs of the engine beside [`Ota`].
pub trait Notes {
    /// The application's bytes in the boot record.
    fn note(&mut self) -> [u8; NOTE_LEN];

    /// Keeps them. False: not written.
    fn set_note(&mut self, note: [u8; NOTE_LEN]) -> bool;
}

/// Which wording of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Revision {
    /// `cmd.ota_update.install`, a status that can be asked for, error `invalid_file`.
    #[default]
    Draft,
    /// Of 2023: `cmd.ota_update.start`, error `invalid_image`. An update that a user has to start
    /// fails with `needs_user_action`.
    Current,
}

/// What the service is told at the start.
#[derive(Clone, Copy, Debug)]
pub struct Config<'d> {
    /// Where the device is.
    pub address: Address<'d>,
    /// What is advertised, and how errors are called. Commands of both are taken.
    pub revision: Revision,
    /// `power_source` of the inclusion report: `ac`, `dc` or `battery`.
    pub power_source: &'d str,
}

impl<'d> Config<'d> {
    /// The draft's wording, on mains.
    pub const fn new(address: Address<'d>) -> Self {
        Self { address, revision: Revision::Draft, power_source: "ac" }
    }
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Outcome {
    /// The new image runs, and is committed.
    Success = 0,
    /// The battery is too low.
    LowBattery = 1,
    /// The device takes no update now.
    NotUpgradable = 2,
    /// The file is no update for this device, is damaged, or is not there.
    InvalidFile = 3,
    /// Anything else: not fetched, flash failed, aborted, rolled back.
    Other = 4,
    /// A user has to start it. In the current revision only.
    NeedsUserAction = 5,
}

impl Outcome {
    fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Success,
            1 => Self::LowBattery,
            2 => Self::NotUpgradable,
            3 => Self::InvalidFile,
            4 => Self::Other,
            5 => Self::NeedsUserAction,
            _ => return None,
        })
    }

    /// `error` of the end report.
    pub const fn error(self, revision: Revision) -> &'static str {
        match (self, revision) {
            (Self::Success, _) => "",
            (Self::LowBattery, _) => "low_battery",
            (Self::NotUpgradable, _) => "not_upgradable",
            (Self::InvalidFile, Revision::Draft) => "invalid_file",
            (Self::InvalidFile, Revision::Current) => "invalid_image",
            (Self::Other, _) => "other",
            (Self::NeedsUserAction, _) => "needs_user_action",
        }
    }

    /// `substate` of the status report.
    const fn substate(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::LowBattery => "LOW BATTERY",
            Self::NotUpgradable => "NOT UPGRADABLE",
            Self::InvalidFile => "INVALID FILE",
            Self::Other | Self::NeedsUserAction => "ERROR",
        }
    }
}

/// The `ota` service of a device, from its start to the next reset.
#[derive(Debug)]
pub struct Fimp<'d> {
    config: Config<'d>,
    /// The last update that is known of.
    update: Option<Update>,
    /// One before, whose end was not told yet.
    previous: Option<Update>,
    phase: Phase,
    progress: Progress,
    /// What is to be fetched.
    path: String<MAX_URL_BYTES>,
    is_connected: bool,
    /// The report that the broker has not confirmed.
    in_flight: Option<Sent>,
    inclusion_due: bool,
    /// The last report was that one.
    was_inclusion: bool,
    /// Of commands; another broker's RPC is not to suffer from them.
    rate: Rate,
    /// Of updates that are started by commands.
    budget: Budget,
    /// Messages so far, for their ids.
    count: u32,
}

/// A report that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Inclusion,
    Start(Of),
    Progress,
    End(Of),
}

/// Which update a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Last,
    Previous,
}

impl Sent {
    /// The same, once another update has begun.
    fn of_previous(self) -> Self {
        match self {
            Self::Start(_) => Self::Start(Of::Previous),
            Self::End(_) => Self::End(Of::Previous),
            Self::Inclusion | Self::Progress => self,
        }
    }
}

/// A message to be published, with QoS 1 and not retained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where to.
    pub topic: Topic,
    /// Its length from the start of the buffer that was lent.
    pub len: usize,
}

/// What came of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The reply. It needs no [`Fimp::delivered`].
    pub reply: Option<Publication>,
    /// Fetch the file [`Fimp::path`], a URL or a full path, and hand it to [`Service::feed`].
    pub fetch: bool,
}

impl<'d> Fimp<'d> {
    /// The service after a start of the device. What it was about before is in the record; `ota` is
    /// the engine that the service gets.
    pub fn new<O: Ota + Notes, P: Platform>(
        config: Config<'d>,
        service: &Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> Self {
        let mut new = Self {
            config,
            update: Update::of_note(ota.note()),
            previous: None,
            phase: Phase::Idle,
            progress: Progress::default(),
            path: String::new(),
            is_connected: false,
            in_flight: None,
            inclusion_due: true,
            was_inclusion: false,
            rate: Rate::NEW,
            budget: Budget::default(),
            count: 0,
        };
        new.go_on(service.platform(), ota, now_ms);
        new
    }

    /// What it was told at the start.
    pub fn config(&self) -> &Config<'d> {
        &self.config
    }

    /// The device is connected to the broker, and its subscriptions are made.
    pub fn connected(&mut self) {
        self.is_connected = true;
    }

    /// The connection to the broker has ended: what was not confirmed is published again.
    pub fn disconnected(&mut self) {
        self.is_connected = false;
        if self.in_flight.take() == Some(Sent::Inclusion) {
            self.inclusion_due = true;
        }
    }

    /// The broker has confirmed the last report of [`Self::poll`].
    pub fn delivered<O: Notes>(&mut self, ota: &mut O) {
        let (of, is_start) = match self.in_flight.take() {
            Some(Sent::Start(of)) => (of, true),
            Some(Sent::End(of)) => (of, false),
            Some(Sent::Inclusion | Sent::Progress) | None => return,
        };
        let update = match of {
            Of::Last => &mut self.update,
            Of::Previous => &mut self.previous,
        };
        let Some(told) = update else { return };
        match told.stage {
            _ if is_start => told.start_due = false,
            Stage::EndDue(outcome) => told.stage = Stage::Ended(outcome),
            Stage::Begun | Stage::Whole | Stage::Ended(_) => {}
        }
        match of {
            Of::Last => self.remember(ota),
            Of::Previous if is_start => {}
            Of::Previous => self.previous = None,
        }
    }

    /// Whether a reboot that the service wants has nothing to wait for here. A hub shall see the
    /// transfer's end: that takes a second, and three at most.
    pub fn may_reboot(&self, now_ms: u64) -> bool {
        match self.phase {
            Phase::Rebooting { latest_ms } if self.is_connected && now_ms < latest_ms => {
                self.progress.is_told() && self.in_flight.is_none()
            }
            Phase::Idle
            | Phase::Waiting
            | Phase::Running { .. }
            | Phase::Rebooting { .. }
            | Phase::Rediscovery => true,
        }
    }

    /// An update waits for the user: [`Self::user_starts`].
    pub fn waits_for_user(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// What is to be fetched: of the last [`Handled::fetch`], or [`Self::user_starts`].
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Does as [`Self::look`], and writes the next report to `out`, if one is due: `out` should have
    /// 2 KiB. `now_ms` is the clock of [`Service::handle`].
    pub fn poll<O: Ota + Notes, P: Platform>(
        &mut self,
        service: &Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
        out: &mut [u8],
    ) -> Option<Publication> {
        self.look(service, ota, now_ms);
        if !self.is_connected || self.in_flight.is_some() {
            return None;
        }
        let sent = self.due(now_ms)?;
        // What does not fit is not tried again and again.
        self.in_flight = Some(sent);
        self.was_inclusion = sent == Sent::Inclusion;
        let written = self.write(sent, service.platform(), now_ms, out);
        let Ok(len) = written else {
            self.delivered(ota);
            return None;
        };
        let face = if sent == Sent::Inclusion { Face::Adapter } else { Face::Device };
        Some(Publication { topic: event(&self.config.address, face), len })
    }

    /// The next report.
    fn due(&mut self, now_ms: u64) -> Option<Sent> {
        let of_update = self.due_of_update(now_ms);
        // Whoever asks for it again and again does not silence the rest.
        let is_its_turn = !self.was_inclusion || of_update.is_none();
        if self.inclusion_due && is_its_turn {
            self.inclusion_due = false;
            return Some(Sent::Inclusion);
        }
        of_update
    }

    fn due_of_update(&self, now_ms: u64) -> Option<Sent> {
        let (update, of) = match &self.previous {
            Some(previous) => (previous, Of::Previous),
            None => (self.update.as_ref()?, Of::Last),
        };
        if update.start_due {
            return Some(Sent::Start(of));
        }
        match update.stage {
            Stage::Begun | Stage::Whole if self.phase.has_transfer() => {
                self.progress.due(now_ms).map(|_| Sent::Progress)
            }
            Stage::EndDue(_) => Some(Sent::End(of)),
            Stage::Begun | Stage::Whole | Stage::Ended(_) => None,
        }
    }

    fn write<P: Platform>(
        &mut self,
        sent: Sent,
        platform: &P,
        now_ms: u64,
        out: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let mut out = Writer::new(out);
        let src = self.config.address.resource;
        let (uid, unix_ms) = (self.uid(platform, now_ms), unix_ms(platform, now_ms));
        let envelope = |name, val_t| Envelope {
            serv: address::SERVICE,
            name,
            val_t,
            corid: None,
            src,
            unix_ms,
            uid,
        };
        match sent {
            Sent::Inclusion => {
                let envelope = envelope("evt.thing.inclusion_report", ValueType::Object);
                report::inclusion(&self.config, &platform.info(), envelope, &mut out);
            }
            Sent::Start(of) => {
                let envelope = envelope("evt.ota_start.report", ValueType::Null);
                report::start(self.told(of), envelope, &mut out);
            }
            Sent::Progress => {
                let envelope = envelope("evt.ota_progress.report", ValueType::IntMap);
                if let Some(due) = self.progress.due(now_ms) {
                    report::progress(due, &envelope, &mut out);
                    self.progress.reported(due, now_ms);
                }
            }
            Sent::End(of) => {
                let envelope = envelope("evt.ota_end.report", ValueType::Object);
                report::end(self.told(of), self.config.revision, envelope, &mut out);
            }
        }
        out.finish()
    }

    /// An end that is to be told was not even published. Another update would be remembered in its
    /// place.
    fn owes_an_end(&self) -> bool {
        let is_due = self.update.is_some_and(|update| matches!(update.stage, Stage::EndDue(_)));
        self.previous.is_some() || is_due && self.in_flight != Some(Sent::End(Of::Last))
    }

    fn told(&self, of: Of) -> Option<&Update> {
        match of {
            Of::Last => self.update.as_ref(),
            Of::Previous => self.previous.as_ref(),
        }
    }

    /// The id of the next message.
    fn uid<P: Platform>(&mut self, platform: &P, now_ms: u64) -> Uid {
        self.count = self.count.wrapping_add(1);
        let else_ = spread(unix_ms(platform, now_ms), self.count);
        else_.map(|word| platform.random().unwrap_or(word))
    }
}

/// Milliseconds since 1970; without a calendar, since the start.
fn unix_ms<P: Platform>(platform: &P, now_ms: u64) -> u64 {
    platform.unix_ms().unwrap_or(now_ms)
}
