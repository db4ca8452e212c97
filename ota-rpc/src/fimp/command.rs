//! What a hub asks for.

use core::fmt;

use ota_core::json::Text;

use super::address::{Target, reply};
use super::envelope::{Command, Envelope, ValueType};
use super::track::outcome_of;
use super::{Fimp, Handled, Notes, Outcome, Phase, Publication, Revision, unix_ms};
use crate::channel::ChannelKind;
use crate::error::{Doing, Explain};
use crate::limits::{MAX_ECHO_CHARS, MAX_REQUEST_BYTES, MAX_URL_BYTES};
use crate::ota::{Begin, Ota};
use crate::platform::Platform;
use crate::service::{Job, Receiving, Service, Source};
use crate::writer::Writer;

/// The two names of the one command.
pub(super) const INSTALL: &str = "cmd.ota_update.install";
pub(super) const START: &str = "cmd.ota_update.start";
const STATUS: &str = "cmd.ota_status.get_report";
const INCLUSION: &str = "cmd.thing.get_inclusion_report";

impl Fimp<'_> {
    /// Carries out a command that came on `topic`, and writes the reply to `out`, which should have
    /// 2 KiB. What is no command for this device is ignored; so is a reply that does not fit.
    ///
    /// Of the message nothing is trusted.
    pub fn handle<O: Ota + Notes, P: Platform>(
        &mut self,
        topic: &str,
        message: &[u8],
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
        out: &mut [u8],
    ) -> Handled {
        let Some(target) = self.config.address.target(topic) else { return Handled::default() };
        if message.len() > MAX_REQUEST_BYTES || !self.rate.admits(ChannelKind::Mqtt, now_ms) {
            return Handled::default();
        }
        let Some(command) = Command::parse(message) else { return Handled::default() };
        let mut out = Writer::new(out);
        let mut request =
            Request { command, topic, target, fimp: self, service, ota, now_ms, out: &mut out };
        match request.carry_out() {
            Done::Nothing => Handled::default(),
            Done::Fetch => Handled { reply: None, fetch: true },
            Done::Reply => {
                let topic = reply(topic, command.resp_to);
                let len = out.finish().ok().filter(|_| !topic.is_empty());
                Handled { reply: len.map(|len| Publication { topic, len }), fetch: false }
            }
        }
    }

    /// The user has started the update that waited for it. True: fetch [`Self::path`], as for
    /// [`Handled::fetch`]. False: none waits, or something else runs.
    pub fn user_starts<O: Ota + Notes, P: Platform>(
        &mut self,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> bool {
        self.phase == Phase::Waiting && !service.is_busy() && self.start(service, ota, now_ms)
    }

    /// Begins the update at [`Self::path`]. False: it has ended already.
    fn start<O: Ota + Notes, P: Platform>(
        &mut self,
        service: &mut Service<'_, P>,
        ota: &mut O,
        now_ms: u64,
    ) -> bool {
        if service.platform().battery_is_low() {
            self.fail_at_once(Outcome::LowBattery, service.platform(), ota, now_ms);
            return false;
        }
        if let Err(error) = ota.may_begin() {
            let outcome = outcome_of(Some(error.class()));
            service.fail_because(Doing::StartUpdate, &error, ota);
            self.fail_at_once(outcome, service.platform(), ota, now_ms);
            return false;
        }
        self.begin(service.platform(), ota, now_ms);
        let commit_timeout_s = service.config.commit_timeout_s;
        let begin = Begin { size: None, commit_timeout_s };
        let timeout_s = service.timeout_or_default(None);
        let receiving = Receiving::new(Source::Feed, begin, timeout_s, now_ms);
        service.start(Job::Receiving(receiving));
        true
    }
}

/// What came of a command.
enum Done {
    /// There is no reply.
    Nothing,
    /// The reply is written.
    Reply,
    /// The file is to be fetched.
    Fetch,
}

/// A command that is carried out.
struct Request<'r, 'b, 'd, 's, O, P> {
    command: Command<'r>,
    topic: &'r str,
    target: Target<'r>,
    fimp: &'r mut Fimp<'d>,
    service: &'r mut Service<'s, P>,
    ota: &'r mut O,
    now_ms: u64,
    out: &'r mut Writer<'b>,
}

impl<'r, O: Ota + Notes, P: Platform> Request<'r, '_, '_, '_, O, P> {
    fn carry_out(&mut self) -> Done {
        let name = self.command.name;
        match self.target {
            Target::Adapter if name == *INCLUSION => self.inclusion(),
            Target::Adapter => self.refuse(format_args!("no such command")),
            Target::Device { is_ours: false, .. } => {
                self.refuse(format_args!("there is no such device or service here"))
            }
            // Whoever leaves `serv` out means that of the topic.
            Target::Device { service, .. }
                if self.command.serv.is_some_and(|it| it != *service) =>
            {
                self.refuse(format_args!("serv is not the service of the topic"))
            }
            Target::Device { .. } if name == *INSTALL || name == *START => self.install(),
            Target::Device { .. } if name == *STATUS => self.status(),
            Target::Device { .. } => self.refuse(format_args!("no such command")),
        }
    }

    /// The report comes as if nobody had asked for it: that is how hubs expect it.
    fn inclusion(&mut self) -> Done {
        let (device, _) = self.fimp.config.address.device_and_group();
        match self.command.string() {
            Ok(thing) if thing == *device => {
                self.fimp.inclusion_due = true;
                Done::Nothing
            }
            Ok(_) => self.refuse(format_args!("there is no such device here")),
            Err(error) => self.refuse(format_args!("{error}")),
        }
    }

    fn status(&mut self) -> Done {
        if let Err(error) = self.command.null() {
            return self.refuse(format_args!("{error}"));
        }
        self.fimp.look(self.service, self.ota, self.now_ms);
        let envelope = self.envelope("evt.ota_status.report", ValueType::Object);
        self.fimp.status(&envelope, self.out);
        Done::Reply
    }

    fn install(&mut self) -> Done {
        self.fimp.look(self.service, self.ota, self.now_ms);
        let path = match self.command.string() {
            Ok(path) => path,
            Err(error) => return self.refuse_start(format_args!("{error}")),
        };
        if path.is_empty() {
            return self.refuse_start(format_args!("firmware path is empty"));
        }
        let Ok(path) = path.decode_into() else {
            let words = format_args!("firmware path is longer than {MAX_URL_BYTES} bytes");
            return self.refuse_start(words);
        };
        if path.chars().any(char::is_control) {
            return self.refuse_start(format_args!("firmware path has control characters"));
        }
        let percent = self.fimp.progress.percent();
        match self.fimp.phase {
            Phase::Running { .. } => {
                return self.refuse_start(format_args!("an update is in progress: {percent} %"));
            }
            Phase::Rebooting { .. } => {
                return self
                    .refuse_start(format_args!("an update is in place: the device reboots"));
            }
            Phase::Rediscovery => {
                return self.refuse_start(format_args!("the last update is not committed yet"));
            }
            Phase::Idle | Phase::Waiting if self.service.is_busy() => {
                return self.refuse_start(format_args!("a snapshot is being made"));
            }
            Phase::Idle | Phase::Waiting if self.fimp.owes_an_end() => {
                return self
                    .refuse_start(format_args!("the end of the last update is not told yet"));
            }
            // The user was told of that one.
            Phase::Waiting if self.fimp.path != path => {
                return self.refuse_start(format_args!("another update waits for its user"));
            }
            Phase::Idle | Phase::Waiting => {}
        }
        let needs_user = self.service.platform().needs_user();
        let is_for_later = needs_user && self.fimp.config.revision == Revision::Draft;
        if !is_for_later && let Err(wait_s) = self.fimp.budget.take(self.now_ms) {
            let words = format_args!("too many updates: the next one may start in {wait_s} s");
            return self.refuse_start(words);
        }
        self.fimp.path = path;
        match needs_user {
            true => self.wait_for_user(),
            false if self.fimp.start(self.service, self.ota, self.now_ms) => Done::Fetch,
            false => Done::Nothing,
        }
    }

    /// The draft knows a state for it, the current revision an error.
    fn wait_for_user(&mut self) -> Done {
        match self.fimp.config.revision {
            Revision::Draft => self.fimp.phase = Phase::Waiting,
            Revision::Current => {
                let platform = self.service.platform();
                let outcome = Outcome::NeedsUserAction;
                self.fimp.fail_at_once(outcome, platform, self.ota, self.now_ms);
            }
        }
        Done::Nothing
    }

    fn refuse_start(&mut self, words: fmt::Arguments<'_>) -> Done {
        self.refuse(format_args!("failed to start OTA update: {words}"))
    }

    /// `evt.error.report`, which a hub is not to keep.
    fn refuse(&mut self, words: fmt::Arguments<'_>) -> Done {
        let envelope = self.envelope("evt.error.report", ValueType::String);
        let out = &mut *self.out;
        envelope.open(out);
        out.string("failed to process incoming message").key("tags").null().key("props").object();
        out.key("cmd_service").string(envelope.serv).key("cmd_topic").string(self.topic);
        out.key("cmd_type").display(Cut(self.command.name));
        out.key("msg").arguments(words).end_object();
        out.key("storage").object().key("strategy").string("skip").end_object();
        envelope.end(out);
        Done::Reply
    }

    fn envelope<'a>(&mut self, name: &'a str, val_t: ValueType) -> Envelope<'a>
    where
        'r: 'a,
    {
        let platform = self.service.platform();
        let src = self.fimp.config.address.resource;
        Envelope {
            serv: match self.target {
                Target::Adapter => src,
                Target::Device { service, .. } => service,
            },
            name,
            val_t,
            corid: self.command.uid,
            src,
            unix_ms: unix_ms(platform, self.now_ms),
            uid: self.fimp.uid(platform, self.now_ms),
        }
    }
}

/// A text of a request: no more of it than makes sense in a message.
struct Cut<'a>(Text<'a>);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(MAX_ECHO_CHARS).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}
