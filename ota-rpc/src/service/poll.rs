//! What happens without a request: replies that come later, timeouts, jobs, the reboot.

use super::{Action, GONE, Job, Service, Source};
use crate::channel::ChannelId;
use crate::error::{Doing, code};
use crate::limits::REBOOT_DELAY_MS;
use crate::ota::{Ota, Progress};
use crate::outstanding::{Answer, Outstanding, Stage};
use crate::platform::Platform;
use crate::reboot::Reboot;
use crate::writer::{NoRoom, Writer};

/// What came of [`Service::poll`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Polled {
    /// A reply to send.
    pub reply: Option<Deferred>,
    /// What the owner has to do.
    pub action: Option<Action<'static>>,
}

/// A reply that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// Where to.
    pub channel: ChannelId,
    /// Its length from the start of the buffer that was lent; or it does not fit that, and is lost.
    pub frame: Result<usize, NoRoom>,
}

impl<P: Platform> Service<'_, P> {
    /// Does what is due: sends one reply that comes later, or advances a job by one flash
    /// operation, or ends an update that has timed out.
    ///
    /// [`Action::Reboot`] comes again at each call until the device does it.
    pub fn poll<O: Ota>(&mut self, now_ms: u64, ota: &mut O, out: &mut [u8]) -> Polled {
        if let Some(reply) = self.deliver(now_ms, out) {
            return Polled { reply: Some(reply), action: None };
        }
        let action = match self.advance(now_ms, ota) {
            Some(action) => Some(action),
            None => self.reboot.is_due(now_ms).then_some(Action::Reboot),
        };
        Polled { reply: None, action }
    }

    /// The time at which [`Self::poll`] has something to do if nothing comes before; 0 is at once.
    pub fn wake_at_ms(&self) -> Option<u64> {
        let job_ms = match &self.job {
            Job::Idle => None,
            Job::Receiving(receiving) => Some(receiving.deadline_ms),
            Job::Finishing | Job::Snapshot(_) => Some(0),
        };
        let reply_ms = match self.outstanding.as_ref().map(|outstanding| outstanding.stage) {
            Some(Stage::Waiting { latest_ms }) => latest_ms,
            Some(Stage::Settled(_)) => Some(0),
            Some(Stage::Sent) | None => None,
        };
        earliest(earliest(job_ms, reply_ms), self.reboot.deadline_ms())
    }

    /// Writes the reply that comes later, if it is time.
    fn deliver(&mut self, now_ms: u64, out: &mut [u8]) -> Option<Deferred> {
        let outstanding = self.outstanding.as_mut()?;
        let answer = match outstanding.stage {
            Stage::Settled(answer) => answer,
            Stage::Waiting { latest_ms: Some(latest_ms) } if now_ms >= latest_ms => {
                Answer::InProgress
            }
            Stage::Waiting { .. } | Stage::Sent => return None,
        };
        outstanding.stage = Stage::Sent;
        let channel = outstanding.channel;
        let frame = write(self.config.device_id, outstanding, answer, &self.message, out);
        if answer == Answer::Applied {
            self.reboot = match frame {
                Ok(_) => Reboot::after_reply(channel, REBOOT_DELAY_MS, now_ms),
                Err(_) => Reboot::soon(REBOOT_DELAY_MS, now_ms),
            };
        }
        Some(Deferred { channel, frame })
    }

    fn advance<O: Ota>(&mut self, now_ms: u64, ota: &mut O) -> Option<Action<'static>> {
        match self.job {
            Job::Idle => {}
            Job::Receiving(receiving) if now_ms >= receiving.deadline_ms => {
                let timeout_s = receiving.timeout_s;
                let message = match receiving.deadline_ms {
                    GONE => format_args!("Update aborted: the connection has ended"),
                    _ => format_args!("Update timed out: no data for {timeout_s} s"),
                };
                self.fail(code::FAILED, message, ota);
                return (receiving.source == Source::Feed).then_some(Action::AbortDownload);
            }
            Job::Receiving(_) => {}
            Job::Finishing => match ota.step() {
                Ok(Progress::Running) => {}
                Ok(Progress::Done) => self.applied(now_ms),
                Err(error) => self.fail_because(Doing::Update, &error, ota),
            },
            Job::Snapshot(slot) => match ota.step() {
                Ok(Progress::Running) => {}
                Ok(Progress::Done) => {
                    self.job = Job::Idle;
                    self.settle(Answer::Slot(slot));
                }
                Err(error) => self.fail_because(Doing::Snapshot, &error, ota),
            },
        }
        None
    }
}

fn earliest(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn write(
    device: &str,
    outstanding: &Outstanding,
    answer: Answer,
    message: &str,
    out: &mut [u8],
) -> Result<usize, NoRoom> {
    let mut out = Writer::new(out);
    outstanding.frame().open_reply(device, &mut out);
    match answer {
        Answer::Applied => out.key("result").null(),
        Answer::InProgress => {
            out.key("result").object().key("state").int(1);
            out.key("message").string("in progress, see OTA.Status").end_object()
        }
        Answer::Slot(slot) => out.key("result").object().key("slot").int(slot).end_object(),
        Answer::Failed(code) => {
            out.key("error").object().key("code").int(code);
            out.key("message").string(message).end_object()
        }
    };
    out.end_object();
    out.finish()
}
