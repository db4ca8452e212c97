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
mod config;
mod envelope;
mod note;
mod progress;
mod publish;
mod report;
mod time;
mod track;

use heapless::String;

pub use address::{Address, AddressError, Subscription, Topic};
use budget::Budget;
pub use config::{Config, Outcome, Revision};
use envelope::{Uid, spread};
use note::{NOTE_LEN, Stage, Update};
use progress::Progress;
use publish::{Of, Sent};
use track::Phase;

use crate::limits::MAX_URL_BYTES;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{Rate, Service};

/// What the service needs of the engine beside [`Ota`].
pub trait Notes {
    /// The application's bytes in the boot record.
    fn note(&mut self) -> [u8; NOTE_LEN];

    /// Keeps them. False: not written.
    fn set_note(&mut self, note: [u8; NOTE_LEN]) -> bool;
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

    /// An end that is to be told was not even published. Another update would be remembered in its
    /// place.
    fn owes_an_end(&self) -> bool {
        let is_due = self.update.is_some_and(|update| matches!(update.stage, Stage::EndDue(_)));
        self.previous.is_some() || is_due && self.in_flight != Some(Sent::End(Of::Last))
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
