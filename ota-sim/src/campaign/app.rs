//! The application's engine, whatever flash lies under it.

use ota_core::flash::FlashMap;
use ota_core::{BootState, BootStateChange, JobState, StageError, Updater};

/// What the campaign does with the application's engine. Errors are texts: the oracle only asks
/// whether there was one.
pub trait App {
    /// The boot state.
    fn state(&self) -> BootState;
    /// Confirms.
    fn commit(&mut self) -> Result<(), String>;
    /// Reports a start.
    fn report_start(&mut self, good: bool) -> Result<(), String>;
    /// Lets the time for the commit run out.
    fn overdue(&mut self) -> Result<bool, String>;
    /// Goes back.
    fn revert(&mut self) -> Result<(), String>;
    /// Changes fields.
    fn set(&mut self, change: BootStateChange) -> Result<(), String>;
    /// Keeps bytes.
    fn note(&mut self, note: [u8; 16]) -> Result<(), String>;
    /// Installs a bundle in pieces; `limit` bytes of it, then it stops as if the line was cut.
    fn install(
        &mut self,
        bundle: &[u8],
        timeout_s: u32,
        limit: Option<usize>,
    ) -> Result<(), String>;
    /// Begins to install, takes `limit` bytes, aborts.
    fn abandon(&mut self, bundle: &[u8], limit: usize) -> Result<(), String>;
    /// Installs a bundle step by step; after `steps` of them `ask` is put, between two calls of
    /// `asking`.
    fn interrupt(
        &mut self,
        bundle: &[u8],
        steps: usize,
        ask: Ask,
        asking: &dyn Fn(bool),
    ) -> Result<Ended, String>;
    /// Copies what runs.
    fn snapshot(&mut self, on_trial: bool, timeout_s: Option<u32>) -> Result<(), String>;
}

/// What is asked for while a job is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To end the job.
    Abort,
    /// What must be refused now, then to keep this byte.
    Note(u8),
}

/// How an interrupted job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The job was over after so many steps, before anything was asked for.
    Before(usize),
    /// What was asked for was done, and the job ended without an image.
    Aborted,
    /// What was asked for was done, and the image was installed.
    Installed,
    /// What was asked for came too late, and the image was installed.
    TooLate,
}

/// How much a push brings: not a divisor of anything.
const PIECE: usize = 3001;
/// Seconds for the commit of an interrupted job.
pub(super) const INTERRUPTED_TIMEOUT_S: u32 = 300;

impl<F: FlashMap> App for Updater<'_, F> {
    fn state(&self) -> BootState {
        self.boot_state()
    }

    fn commit(&mut self) -> Result<(), String> {
        Updater::commit(self).map_err(text)
    }

    fn report_start(&mut self, good: bool) -> Result<(), String> {
        Updater::report_start(self, good).map(|_| ()).map_err(text)
    }

    fn overdue(&mut self) -> Result<bool, String> {
        self.tick(u64::MAX).map_err(text)
    }

    fn revert(&mut self) -> Result<(), String> {
        Updater::revert(self).map_err(text)
    }

    fn set(&mut self, change: BootStateChange) -> Result<(), String> {
        self.set_boot_state(change).map_err(text)
    }

    fn note(&mut self, note: [u8; 16]) -> Result<(), String> {
        self.set_note(note).map_err(text)
    }

    fn install(
        &mut self,
        bundle: &[u8],
        timeout_s: u32,
        limit: Option<usize>,
    ) -> Result<(), String> {
        self.begin(timeout_s, Some(bundle.len() as u32)).map_err(text)?;
        push(self, bundle, limit.unwrap_or(bundle.len())).map_err(text)?;
        if limit.is_some() {
            let _ = self.suspend();
            return Ok(());
        }
        self.finish().map_err(text)
    }

    fn abandon(&mut self, bundle: &[u8], limit: usize) -> Result<(), String> {
        self.begin(0, Some(bundle.len() as u32)).map_err(text)?;
        push(self, bundle, limit).map_err(text)?;
        self.abort().map_err(text)
    }

    fn interrupt(
        &mut self,
        bundle: &[u8],
        steps: usize,
        ask: Ask,
        asking: &dyn Fn(bool),
    ) -> Result<Ended, String> {
        self.begin(INTERRUPTED_TIMEOUT_S, Some(bundle.len() as u32)).map_err(text)?;
        let mut rest = bundle;
        for made in 0..steps {
            if !step(self, &mut rest)? {
                return Ok(Ended::Before(made));
            }
        }
        if self.progress().is_none() && !self.is_changing() {
            // The job is over; it was not told yet.
            return Ok(Ended::Before(steps));
        }
        asking(true);
        let asked = match ask {
            Ask::Abort => self.abort().map_err(text),
            Ask::Note(byte) => {
                if self.progress().is_some() {
                    refused_while_busy(self)?;
                }
                self.set_note([byte; 16]).map_err(text)
            }
        };
        asking(false);
        match (ask, asked) {
            (Ask::Abort, Ok(())) => return Ok(Ended::Aborted),
            (Ask::Note(_), Err(message)) => return Err(format!("a note was refused: {message}")),
            (Ask::Abort, Err(_)) | (Ask::Note(_), Ok(())) => {}
        }
        while step(self, &mut rest)? {}
        Ok(if ask == Ask::Abort { Ended::TooLate } else { Ended::Installed })
    }

    fn snapshot(&mut self, on_trial: bool, timeout_s: Option<u32>) -> Result<(), String> {
        self.begin_snapshot(on_trial, timeout_s).map_err(text)?;
        self.run().map(|_| ()).map_err(text)
    }
}

/// One step of a job that installs `rest`. False: it has ended.
fn step<F: FlashMap>(updater: &mut Updater<'_, F>, rest: &mut &[u8]) -> Result<bool, String> {
    match updater.step().map_err(text)? {
        JobState::Working => Ok(true),
        JobState::Idle => Ok(false),
        JobState::WantsInput if rest.is_empty() => {
            updater.end_of_input().map_err(text)?;
            Ok(true)
        }
        JobState::WantsInput => {
            let piece = &rest[..rest.len().min(PIECE)];
            let taken = updater.push(piece).map_err(text)?;
            *rest = &rest[taken..];
            Ok(true)
        }
    }
}

/// What nobody may do on a device of the factory's while a job is running.
fn refused_while_busy<F: FlashMap>(updater: &mut Updater<'_, F>) -> Result<(), String> {
    let switch = BootStateChange { active: Some(0), ..BootStateChange::default() };
    let asked = [
        ("revert", Updater::revert(updater).is_err()),
        ("commit", Updater::commit(updater).is_err()),
        ("SetBootState", updater.set_boot_state(switch).is_err()),
        ("a second update", updater.begin(0, None).is_err()),
        ("a snapshot", updater.begin_snapshot(false, None).is_err()),
    ];
    match asked.iter().find(|(_, refused)| !refused) {
        Some((what, _)) => Err(format!("{what} was not refused while a job was running")),
        None => Ok(()),
    }
}

/// Pushes the first `limit` bytes of a bundle, and seeks where a resumed job says it may.
fn push<F: FlashMap>(
    updater: &mut Updater<'_, F>,
    bundle: &[u8],
    limit: usize,
) -> Result<(), StageError> {
    let mut at = 0;
    while at < limit {
        let end = (at + PIECE).min(limit);
        updater.write(&bundle[at..end])?;
        at = end;
        let wanted = updater.progress().map_or(at, |progress| progress.wanted_offset as usize);
        if wanted > at && wanted <= limit && updater.seek(wanted as u32) {
            at = wanted;
        }
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
