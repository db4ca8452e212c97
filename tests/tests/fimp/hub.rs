//! A hub that listens, and judges what it hears of a device's updates.

use crate::decoder::{Message, decode};

/// A hub.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Everything that came.
    pub(crate) messages: Vec<Message>,
    /// Updates in the order in which they were heard of.
    pub(crate) updates: Vec<Update>,
    /// When the last progress came.
    last_progress_ms: Option<u64>,
}

/// What was heard of an update.
#[derive(Debug)]
pub(crate) struct Update {
    start: Vec<u8>,
    pub(crate) starts: usize,
    /// Percentages.
    pub(crate) progress: Vec<i64>,
    end: Vec<u8>,
    pub(crate) ends: usize,
    /// `error` of the end; none: it has not come.
    pub(crate) error: Option<String>,
}

impl Hub {
    /// Takes a message. What is wrong with it, or comes in the wrong order, is told.
    pub(crate) fn take(&mut self, topic: &str, payload: &[u8], now_ms: u64) -> Result<(), String> {
        let message = decode(topic, payload)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(payload)))?;
        let text = || String::from_utf8_lossy(payload).into_owned();
        match message.kind.as_str() {
            "evt.ota_start.report" => match self.updates.last_mut() {
                Some(last) if last.start == payload => {
                    last.starts += 1;
                    if !last.progress.is_empty() || last.ends > 0 {
                        return Err(format!("a start that comes again too late: {}", text()));
                    }
                }
                _ => {
                    self.last_progress_ms = None;
                    self.updates.push(Update {
                        start: payload.to_vec(),
                        starts: 1,
                        progress: Vec::new(),
                        end: Vec::new(),
                        ends: 0,
                        error: None,
                    });
                }
            },
            "evt.ota_progress.report" => {
                let last = self.updates.last_mut().ok_or("progress without a start")?;
                let percent = message.val["progress"].as_i64().unwrap_or_default();
                let pause_ms =
                    self.last_progress_ms.replace(now_ms).map(|last_ms| now_ms - last_ms);
                if last.ends > 0
                    || last.progress.last().is_some_and(|last| *last >= percent)
                    || pause_ms.is_some_and(|pause_ms| pause_ms < 1000)
                {
                    return Err(format!("{last:?} {pause_ms:?}, then {}", text()));
                }
                last.progress.push(percent);
            }
            "evt.ota_end.report" => {
                let last = self.updates.last_mut().ok_or("an end without a start")?;
                if last.ends > 0 && last.end != payload {
                    return Err(format!("another end: {} after {last:?}", text()));
                }
                last.end = payload.to_vec();
                last.ends += 1;
                last.error = message.val["error"].as_str().map(str::to_owned);
            }
            _ => {}
        }
        self.messages.push(message);
        Ok(())
    }

    /// Messages of a type.
    pub(crate) fn all<'h>(&'h self, kind: &'h str) -> impl Iterator<Item = &'h Message> {
        self.messages.iter().filter(move |message| message.kind == kind)
    }
}
