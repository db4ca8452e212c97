//! An update in pieces, as `mos ota` sends it: `OTA.Status`, `OTA.Begin`, `OTA.Write` ...,
//! `OTA.End`.
//!
//! A lost reply, a lost connection and a reboot of the device in the midst are got over: the same
//! piece is sent again, or the update is begun again, and the device says from where on it needs the
//! rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{CallError, Client, Target, printable};

/// The largest piece that devices of this engine take with room to spare, in bytes.
const CHUNK_BYTES: usize = 8 * 1024;
/// A piece that fits a packet of Ethernet with all around it.
const DATAGRAM_CHUNK_BYTES: usize = 900;
/// What `mos` sends: every device takes it.
const SMALL_CHUNK_BYTES: usize = 512;
/// Between two looks at a device that is away.
const LOOK: Duration = Duration::from_millis(500);

/// How to send an update.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Bytes of a piece; none: what the transport and the device can take.
    pub chunk_bytes: Option<usize>,
    /// After how many s without progress the device gives up.
    pub update_timeout_s: u32,
    /// How many s the new image has to be committed in; 0: it commits itself.
    pub commit_timeout_s: u32,
    /// How often a piece is sent before it is given up.
    pub attempts: u32,
    /// How long the device may be away for a reboot.
    pub reboot: Duration,
    /// Whoever sets it has the update given up before the next piece.
    pub stop: Arc<AtomicBool>,
}

impl Default for PushOptions {
    /// Those of `mos`: 600 s, 300 s. 5 attempts, a minute for a reboot.
    fn default() -> Self {
        Self {
            chunk_bytes: None,
            update_timeout_s: 600,
            commit_timeout_s: 300,
            attempts: 5,
            reboot: Duration::from_secs(60),
            stop: Arc::default(),
        }
    }
}

/// Something that happens on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// So many bytes are there; some may have been there before.
    Sent {
        /// Offset in the bundle in bytes.
        offset: usize,
    },
    /// The last piece is sent again.
    Again {
        /// Why.
        reason: String,
    },
    /// The device lost the session: it is begun again.
    BegunAgain,
}

/// What an update led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Version of the image that runs now.
    pub version: String,
    /// It is committed.
    pub is_committed: bool,
}

/// Why an update failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The device does something else.
    #[error(
        "the device is busy with an update (state {state}, {}); wait for its end, or end it: \
        ota-sim call --port ... OTA.Abort",
        printable(message)
    )]
    Busy {
        /// Of `OTA.Status`.
        state: i64,
        /// What the device says of it.
        message: String,
    },
    /// From the device nobody can know whether an update is installed.
    #[error("OTA.GetBootState does not say which slot is active: is this a device with updates?")]
    NoActiveSlot,
    /// The file cannot be an update.
    #[error("the file is empty")]
    Empty,
    /// As was asked for.
    #[error("the update was given up; the device keeps what it runs")]
    Stopped,
    /// A call failed for good.
    #[error("{method}: {error}")]
    Call {
        /// Which.
        method: &'static str,
        /// Why.
        error: CallError,
    },
    /// The device takes pieces, and then wants them again.
    #[error("OTA.Write: the device asks for offset {offset} again and again")]
    NoProgress {
        /// In the bundle, in bytes.
        offset: usize,
    },
    /// All of it was sent, but nobody answers since.
    #[error(
        "the update was sent, but the device has not come back ({method}: {error}); \
        if it cannot run the new image, its next start goes back to the one before"
    )]
    Away {
        /// What was asked.
        method: &'static str,
        /// Why there is no answer.
        error: CallError,
    },
    /// All of it was sent, but the device still runs what it ran.
    #[error(
        "the update was sent, but the device still runs {}: it was rolled back or refused ({})",
        printable(version),
        printable(message)
    )]
    NotInstalled {
        /// What it runs.
        version: String,
        /// What `OTA.Status` says.
        message: String,
    },
}

/// Sends a bundle and waits until the device has booted it.
///
/// # Errors
/// [`PushError`]. An update that was begun is given up.
pub fn push(
    client: &mut Client,
    bundle: &[u8],
    options: &PushOptions,
    tell: &mut dyn FnMut(PushEvent),
) -> Result<Pushed, PushError> {
    if bundle.is_empty() {
        return Err(PushError::Empty);
    }
    let mut session = Session { client, bundle, options, tell, has_begun: false, sent: 0 };
    let before = session.active_slot()?;
    session.need_idle()?;
    if let Err(error) = session.send().and_then(|()| session.end(before)) {
        session.give_up();
        return Err(error);
    }
    session.wait_for_boot(before)
}

struct Session<'s> {
    client: &'s mut Client,
    bundle: &'s [u8],
    options: &'s PushOptions,
    tell: &'s mut dyn FnMut(PushEvent),
    /// `OTA.Begin` was not refused.
    has_begun: bool,
    /// Where the last of the pieces ends that were sent since then, whether they have arrived or not.
    sent: usize,
}

/// Where a session is.
struct Position {
    /// Bytes of a piece.
    chunk: usize,
    /// Of the next piece, in bytes.
    offset: usize,
    /// How far it has come since it was begun: only more than that is progress.
    furthest: usize,
    /// At the next piece.
    attempt: u32,
    /// How often it was begun.
    begun: u32,
}

impl Session<'_> {
    fn call(&mut self, method: &'static str, params: Option<&Value>) -> Result<Value, PushError> {
        self.client.call(method, params).map_err(|error| PushError::Call { method, error })
    }

    fn active_slot(&mut self) -> Result<i64, PushError> {
        let state = self.call("OTA.GetBootState", None)?;
        state["active_slot"].as_i64().ok_or(PushError::NoActiveSlot)
    }

    fn need_idle(&mut self) -> Result<(), PushError> {
        let status = self.call("OTA.Status", None)?;
        match status["state"].as_i64().unwrap_or(-1) {
            0 | 2 => Ok(()),
            state => Err(PushError::Busy { state, message: text(&status["message"]) }),
        }
    }

    fn begin(&mut self) -> Result<(), PushError> {
        let begin = json!({
            "timeout": self.options.update_timeout_s,
            "commit_timeout": self.options.commit_timeout_s,
            "size": self.bundle.len(),
        });
        (self.has_begun, self.sent) = (false, 0);
        let begun = self.client.call("OTA.Begin", Some(&begin));
        // Of a lost reply nobody knows what was in it.
        self.has_begun = begun.as_ref().err().is_none_or(is_lost);
        begun.map(drop).map_err(|error| PushError::Call { method: "OTA.Begin", error })
    }

    /// Ends what this session has begun, and nothing else: the device may do something for somebody
    /// else by now, or install what it got.
    fn give_up(&mut self) {
        if !self.has_begun {
            return;
        }
        // There may be nobody to hear it.
        let Ok(status) = self.client.call("OTA.Status", None) else { return };
        if status["state"] != 1 {
            return;
        }
        let is_told = !status["received"].is_null();
        if is_told && !self.is_own(&status) {
            return;
        }
        // Who does not tell how much it has got knows no OTA.Abort, or receives nothing: then
        // OTA.End does no harm.
        let is_known = is_told
            && !matches!(
                self.client.call("OTA.Abort", None),
                Err(CallError::Remote { code: 404, .. })
            );
        // An end before the end is an abort.
        if !is_known && self.sent < self.bundle.len() {
            let _ = self.client.call("OTA.End", None);
        }
    }

    /// Whether an `OTA.Status` is of this session.
    fn is_own(&self, status: &Value) -> bool {
        status["state"] == 1
            && status["size"] == self.bundle.len()
            && status["received"].as_u64().is_some_and(|received| received <= self.sent as u64)
    }

    /// Whether the device has got all of it, as far as it can be asked.
    fn is_complete(&mut self) -> bool {
        self.sent == self.bundle.len()
            && self
                .client
                .call("OTA.Status", None)
                .is_ok_and(|status| self.is_own(&status) && status["received"] == self.bundle.len())
    }

    /// Sends all of it.
    fn send(&mut self) -> Result<(), PushError> {
        self.begin()?;
        let chunk = self.options.chunk_bytes.unwrap_or(chunk_bytes(&self.client.target));
        let mut at = Position { chunk, offset: 0, furthest: 0, attempt: 1, begun: 1 };
        while at.offset < self.bundle.len() {
            if self.options.stop.load(Ordering::Relaxed) {
                return Err(PushError::Stopped);
            }
            let end = self.bundle.len().min(at.offset.saturating_add(at.chunk));
            let data = STANDARD.encode(&self.bundle[at.offset..end]);
            let write = json!({ "offset": at.offset, "data": data });
            self.sent = self.sent.max(end);
            match self.client.call("OTA.Write", Some(&write)) {
                Ok(result) => self.taken(&mut at, self.next_offset(&result, end))?,
                Err(error) => self.not_taken(&mut at, error)?,
            }
        }
        Ok(())
    }

    /// The device has taken a piece and wants the one at `next`.
    fn taken(&mut self, at: &mut Position, next: usize) -> Result<(), PushError> {
        let from = std::mem::replace(&mut at.offset, next);
        if next > at.furthest {
            (at.furthest, at.attempt) = (next, 1);
            (self.tell)(PushEvent::Sent { offset: next });
        } else if next <= from {
            at.attempt += 1;
            if at.attempt > self.options.attempts {
                return Err(PushError::NoProgress { offset: next });
            }
            let reason = format!("the device asks for offset {next}");
            (self.tell)(PushEvent::Again { reason });
        }
        Ok(())
    }

    /// Finds out where to go on after a piece that was not taken, or whose reply is lost.
    fn not_taken(&mut self, at: &mut Position, error: CallError) -> Result<(), PushError> {
        if self.is_too_much(at, &error) {
            at.chunk = SMALL_CHUNK_BYTES;
            return Ok(());
        }
        at.attempt += 1;
        if at.attempt > self.options.attempts {
            if is_lost(&error) && self.is_complete() {
                at.offset = self.bundle.len();
                return Ok(());
            }
            return Err(PushError::Call { method: "OTA.Write", error });
        }
        match &error {
            // Too many requests.
            CallError::Remote { code: 429, .. } => {
                self.again(&error);
                std::thread::sleep(LOOK);
            }
            CallError::Remote { message, .. } => match expected_offset(message) {
                Some(expected) if expected < self.bundle.len() => {
                    self.again(&error);
                    at.offset = expected;
                }
                // The session is gone, or the device has refused what it got.
                _ => match self.wait_for("OTA.Status")?["state"].as_i64() {
                    Some(1 | 2) => return Err(PushError::Call { method: "OTA.Write", error }),
                    _ if at.begun >= self.options.attempts => {
                        return Err(PushError::Call { method: "OTA.Write", error });
                    }
                    _ => {
                        self.again(&error);
                        at.begun += 1;
                        (at.offset, at.furthest) = (0, 0);
                        (self.tell)(PushEvent::BegunAgain);
                        self.begin()?;
                    }
                },
            },
            _ if is_lost(&error) => {
                self.again(&error);
                self.client.disconnect();
                // A device that is rebooting refuses connections at once.
                std::thread::sleep(LOOK * (1 << at.attempt.saturating_sub(2).min(3)));
            }
            _ => return Err(PushError::Call { method: "OTA.Write", error }),
        }
        Ok(())
    }

    fn again(&mut self, error: &CallError) {
        (self.tell)(PushEvent::Again { reason: error.to_string() });
    }

    /// Whether a piece was refused because not every device has room for so much: then the update
    /// is not refused with it.
    fn is_too_much(&mut self, at: &Position, error: &CallError) -> bool {
        let is_first = at.offset == 0 && self.options.chunk_bytes.is_none();
        is_first
            && at.chunk > SMALL_CHUNK_BYTES
            && !is_away(error)
            && self.client.call("OTA.Status", None).is_ok_and(|status| {
                status["state"] == 1 && (status["received"].is_null() || self.is_own(&status))
            })
    }

    /// Where to go on.
    fn next_offset(&self, result: &Value, end: usize) -> usize {
        let offset = |key: &str| {
            let offset = result.get(key).and_then(Value::as_u64)?;
            usize::try_from(offset).ok().filter(|offset| *offset <= self.bundle.len())
        };
        offset("wanted_offset").or_else(|| offset("offset")).unwrap_or(end)
    }

    /// Says that all is sent. If the reply is lost, the device's state tells what became of it.
    fn end(&mut self, before: i64) -> Result<(), PushError> {
        // After so long without progress a device gives up by itself.
        let patience = Duration::from_secs(self.options.update_timeout_s.into());
        let deadline = Instant::now() + patience;
        let mut lost = 0;
        loop {
            let error = match self.client.call("OTA.End", None) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if !is_away(&error) {
                return Err(PushError::Call { method: "OTA.End", error });
            }
            lost += u32::from(is_lost(&error));
            self.again(&error);
            if self.has_heard_the_end(before, deadline)? {
                return Ok(());
            }
            if lost >= self.options.attempts || Instant::now() >= deadline {
                return Err(PushError::Call { method: "OTA.End", error });
            }
        }
    }

    /// Waits while the device checks what it got. False: it still receives.
    fn has_heard_the_end(&mut self, before: i64, deadline: Instant) -> Result<bool, PushError> {
        loop {
            let status = self.wait_for("OTA.Status")?;
            let state = self.wait_for("OTA.GetBootState")?;
            if status["state"] != 1 || state["active_slot"] != before {
                return Ok(true);
            }
            let is_told = !status["received"].is_null();
            if is_told && !self.is_own(&status) {
                // It is busy with another one by now.
                return Ok(true);
            }
            std::thread::sleep(LOOK);
            if is_told {
                return Ok(false);
            }
            if Instant::now() >= deadline {
                return Err(PushError::Busy { state: 1, message: text(&status["message"]) });
            }
        }
    }

    fn wait_for_boot(&mut self, before: i64) -> Result<Pushed, PushError> {
        let info = self.wait_for("Sys.GetInfo").map_err(|error| match error {
            PushError::Call { method, error } if is_away(&error) => {
                PushError::Away { method, error }
            }
            other => other,
        })?;
        let version = text(&info["fw_version"]);
        let state = self.wait_for("OTA.GetBootState")?;
        let active = state["active_slot"].as_i64().ok_or(PushError::NoActiveSlot)?;
        if active == before {
            let status = self.wait_for("OTA.Status")?;
            return Err(PushError::NotInstalled { version, message: text(&status["message"]) });
        }
        Ok(Pushed { version, is_committed: state["is_committed"] == true })
    }

    /// Calls until the device is back.
    fn wait_for(&mut self, method: &'static str) -> Result<Value, PushError> {
        let deadline = Instant::now() + self.options.reboot;
        loop {
            let error = match self.client.call(method, None) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            if !is_away(&error) || Instant::now() >= deadline {
                return Err(PushError::Call { method, error });
            }
            if is_lost(&error) {
                self.client.disconnect();
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// How large a piece may be that goes to a device of which nothing else is known.
fn chunk_bytes(target: &Target) -> usize {
    match target {
        Target::Udp { .. } => DATAGRAM_CHUNK_BYTES,
        // A device drops a frame that its buffer is too small for without a word, so that nothing
        // would be learnt from trying; and behind such lines are those with the least memory.
        Target::Serial { .. } => SMALL_CHUNK_BYTES,
        Target::Http { .. }
        | Target::WebSocket { .. }
        | Target::Tcp { .. }
        | Target::Mqtt { .. } => CHUNK_BYTES,
    }
}

/// Whether nobody knows what became of a call.
fn is_lost(error: &CallError) -> bool {
    use CallError::{Late, Lost, NoAnswer, Unreachable};
    matches!(error, Late { .. } | Lost { .. } | NoAnswer | Unreachable { .. })
}

/// Whether a call may be made later on: besides, 418 is a device that is about to reboot, 429 one
/// that is busy.
fn is_away(error: &CallError) -> bool {
    is_lost(error) || matches!(error, CallError::Remote { code: 418 | 429, .. })
}

/// Out of the error of a piece that is not the next: `... expected offset 1024`.
fn expected_offset(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("expected offset ")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
