//! `POST /update`: a form with a firmware in it, straight into flash.

use core::fmt;

use super::multipart::{Multipart, MultipartError, Part};
use crate::channel::ChannelId;
use crate::error::code;
use crate::ota::Ota;
use crate::platform::Platform;
use crate::service::{FeedError, Permit, Service, SourceError};

/// An upload on its way.
///
/// ```text
/// Service::permit_upload -> Upload::new -> feed, feed, ... -> end
///                                 |            |               |
///                             Refusal      Ended::Refused: respond; stop reading
///                                          Ended::Later: the reply comes from Service::poll, for
///                                                        this channel and in Form::Update
/// ```
/// The form may have a field `commit_timeout`, in s, before or behind the file. One that is no
/// number ends the upload: with none in its place, the image would commit itself. Other fields do
/// not matter.
///
/// Whatever happens to the connection, end with [`Self::end`] or [`Service::channel_closed`]: until
/// then, or until nothing came for long, all other updates are refused.
#[derive(Debug)]
pub struct Upload {
    form: Multipart,
    channel: ChannelId,
    commit_timeout_s: Option<u32>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No file has begun.
    Before,
    /// The service has begun to receive one.
    Begun,
    /// It has come whole.
    Whole,
    /// Nothing more is taken.
    Over,
}

/// How an upload has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "somebody waits for the response"]
pub enum Ended {
    /// It never began: respond with [`super::Response::to_refusal`].
    Refused(Refusal),
    /// The reply comes from [`Service::poll`].
    Later,
}

/// Why an upload did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// The form is malformed.
    Form(MultipartError),
    /// The form has no file.
    NoFile,
    /// The field `commit_timeout` is no number of seconds.
    CommitTimeout,
    /// Another update is in progress.
    Busy,
    /// The engine does not want one now; [`Service::message`] says why.
    Engine,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => error.fmt(f),
            Self::NoFile => f.write_str("the form has no file"),
            Self::CommitTimeout => f.write_str(COMMIT_TIMEOUT),
            Self::Busy => f.write_str("Another update is in progress."),
            Self::Engine => f.write_str("no update can begin now"),
        }
    }
}

impl core::error::Error for Refusal {}

/// What the field `commit_timeout` must be.
const COMMIT_TIMEOUT: &str =
    "Malformed request: commit_timeout must be a whole number of seconds from 0 to 4294967295";

impl Upload {
    /// An upload over `channel`, whose request has this header `Content-Type`. The permit is from
    /// [`Service::permit_upload`].
    ///
    /// # Errors
    /// [`Refusal::Form`]: the body is no form.
    pub fn new(permit: Permit, content_type: &str, channel: ChannelId) -> Result<Self, Refusal> {
        // It is used up: one permit, one upload.
        let _ = permit;
        let form = Multipart::new(content_type).map_err(Refusal::Form)?;
        Ok(Self { form, channel, commit_timeout_s: None, stage: Stage::Before })
    }

    /// The next bytes of the body, any number.
    ///
    /// # Errors
    /// [`Ended`]: it is over, so neither this nor [`Self::end`] is called again. Clients that do not look at a response before they have
    /// sent all want the rest to be read all the same.
    pub fn feed<O: Ota, P: Platform>(
        &mut self,
        mut body: &[u8],
        service: &mut Service<'_, P>,
        now_ms: u64,
        ota: &mut O,
    ) -> Result<(), Ended> {
        if self.stage == Stage::Over {
            return Err(Ended::Later);
        }
        let (channel, stage) = (self.channel, &mut self.stage);
        loop {
            let part = match self.form.next(&mut body) {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let message = "Update aborted: the form is malformed";
                    let ended = stop(stage, Refusal::Form(error), message, channel, service, ota);
                    return Err(ended);
                }
            };
            match part {
                Part::FileStart => {
                    let begun = service.begin_form(channel, self.commit_timeout_s, now_ms, ota);
                    begun.map_err(|error| {
                        *stage = Stage::Over;
                        Ended::Refused(refusal(error))
                    })?;
                    *stage = Stage::Begun;
                }
                Part::File(data) => {
                    service.feed_form(channel, data, now_ms, ota).map_err(|_| {
                        *stage = Stage::Over;
                        Ended::Later
                    })?
                }
                Part::FileEnd => *stage = Stage::Whole,
                Part::Field { name: "commit_timeout", value } => {
                    let Ok(commit_timeout_s) = value.trim_ascii().parse() else {
                        let refusal = Refusal::CommitTimeout;
                        return Err(stop(stage, refusal, COMMIT_TIMEOUT, channel, service, ota));
                    };
                    self.commit_timeout_s = Some(commit_timeout_s);
                    service.set_form_timeout(channel, commit_timeout_s, ota);
                }
                Part::Field { .. } | Part::End => {}
            }
        }
    }

    /// The body has ended, or the connection. A file that has not come whole, with the end of the
    /// form behind it, is given up; it may go on with the next upload of the same file.
    pub fn end<O: Ota, P: Platform>(self, service: &mut Service<'_, P>, ota: &mut O) -> Ended {
        match self.stage {
            Stage::Before => return Ended::Refused(Refusal::NoFile),
            Stage::Whole if self.form.has_ended() => service.end_form(self.channel, Ok(()), ota),
            Stage::Begun | Stage::Whole => {
                let message = "Update aborted: the form is not complete";
                let error = SourceError { code: code::FAILED, message };
                service.end_form(self.channel, Err(error), ota);
            }
            Stage::Over => {}
        }
        Ended::Later
    }
}

/// Ends an upload because of what came: by a refusal if no file has begun, else by a message.
fn stop<O: Ota, P: Platform>(
    stage: &mut Stage,
    refusal: Refusal,
    message: &str,
    channel: ChannelId,
    service: &mut Service<'_, P>,
    ota: &mut O,
) -> Ended {
    match core::mem::replace(stage, Stage::Over) {
        Stage::Before => Ended::Refused(refusal),
        Stage::Begun | Stage::Whole | Stage::Over => {
            service.end_form(channel, Err(SourceError { code: code::FAILED, message }), ota);
            Ended::Later
        }
    }
}

fn refusal(error: FeedError) -> Refusal {
    match error {
        FeedError::Busy | FeedError::NotReceiving => Refusal::Busy,
        FeedError::Failed => Refusal::Engine,
    }
}
