//! Reports: which one is due, and what becomes of it.

use super::address::{self, Face, event};
use super::envelope::{Envelope, ValueType};
use super::note::{Stage, Update};
use super::{Fimp, Notes, Publication, report, unix_ms};
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::Service;
use crate::writer::{NoRoom, Writer};

/// A report that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Inclusion,
    Start(Of),
    Progress,
    End(Of),
}

/// Which update a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Last,
    Previous,
}

impl Sent {
    /// The same, once another update has begun.
    pub(super) fn of_previous(self) -> Self {
        match self {
            Self::Start(_) => Self::Start(Of::Previous),
            Self::End(_) => Self::End(Of::Previous),
            Self::Inclusion | Self::Progress => self,
        }
    }
}

impl Fimp<'_> {
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

    fn told(&self, of: Of) -> Option<&Update> {
        match of {
            Of::Last => self.update.as_ref(),
            Of::Previous => self.previous.as_ref(),
        }
    }
}
