//! The methods, by name, and what they have in common.

mod boot_state;
mod push;
mod rpc;
mod sys;
mod update;

use core::fmt;

use ota_core::json::{Kind, Text, Value};

use crate::channel::Channel;
use crate::error::{Doing, Explain, classify, code};
use crate::frame::Frame;
use crate::limits::{MAX_ECHO_CHARS, MAX_OUTSTANDING_BYTES, MIN_REPLY_BYTES, REBOOT_DELAY_MS};
use crate::ota::Ota;
use crate::outstanding::{Outstanding, Stage};
use crate::platform::Platform;
use crate::reboot::Reboot;
use crate::service::{Action, Job, Receiving, Service, Source};
use crate::writer::{Mark, Words, Writer};

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    RpcList,
    RpcDescribe,
    RpcPing,
    SysReboot,
    SysGetInfo,
    OtaUpdate,
    OtaCommit,
    OtaRevert,
    OtaCreateSnapshot,
    OtaGetBootState,
    OtaSetBootState,
    OtaStatus,
    OtaBegin,
    OtaWrite,
    OtaEnd,
    OtaAbort,
}

/// What is known of a method.
pub(crate) struct Entry {
    method: Method,
    name: &'static str,
    /// Its arguments, in the notation of Mongoose OS: `%d` integer, `%B` boolean, `%Q` and `%T`
    /// string.
    args_fmt: &'static str,
}

#[cfg(test)]
impl Entry {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

const fn entry(method: Method, name: &'static str, args_fmt: &'static str) -> Entry {
    Entry { method, name, args_fmt }
}

/// All methods, in the order in which they are registered.
pub(crate) static METHODS: [Entry; 16] = [
    entry(Method::RpcList, "RPC.List", ""),
    entry(Method::RpcDescribe, "RPC.Describe", "{name: %T}"),
    entry(Method::RpcPing, "RPC.Ping", ""),
    entry(Method::SysReboot, "Sys.Reboot", "{abort: %B, delay_ms: %d}"),
    entry(Method::SysGetInfo, "Sys.GetInfo", ""),
    entry(Method::OtaUpdate, "OTA.Update", "{url: %T, commit_timeout: %d, timeout: %d}"),
    entry(Method::OtaCommit, "OTA.Commit", ""),
    entry(Method::OtaRevert, "OTA.Revert", ""),
    entry(
        Method::OtaCreateSnapshot,
        "OTA.CreateSnapshot",
        "{set_as_revert: %B, commit_timeout: %d}",
    ),
    entry(Method::OtaGetBootState, "OTA.GetBootState", ""),
    entry(
        Method::OtaSetBootState,
        "OTA.SetBootState",
        "{active_slot: %d, is_committed: %B, revert_slot: %d, commit_timeout: %d}",
    ),
    entry(Method::OtaStatus, "OTA.Status", ""),
    entry(Method::OtaBegin, "OTA.Begin", "{timeout: %d, commit_timeout: %d, size: %d}"),
    entry(Method::OtaWrite, "OTA.Write", "{offset: %d, data: %T}"),
    entry(Method::OtaEnd, "OTA.End", ""),
    entry(Method::OtaAbort, "OTA.Abort", ""),
];

impl Method {
    /// Whether it does anything but tell.
    const fn changes_something(self) -> bool {
        match self {
            Self::RpcList
            | Self::RpcDescribe
            | Self::RpcPing
            | Self::SysGetInfo
            | Self::OtaGetBootState
            | Self::OtaStatus => false,
            Self::SysReboot
            | Self::OtaUpdate
            | Self::OtaCommit
            | Self::OtaRevert
            | Self::OtaCreateSnapshot
            | Self::OtaSetBootState
            | Self::OtaBegin
            | Self::OtaWrite
            | Self::OtaEnd
            | Self::OtaAbort => true,
        }
    }
}

/// The names of the methods that do anything but tell.
pub(crate) fn changing() -> impl Iterator<Item = &'static str> {
    METHODS.iter().filter(|entry| entry.method.changes_something()).map(|entry| entry.name)
}

/// Looks a method up. Upper and lower case are the same: tools in the field send `SyS.Reboot`.
pub(crate) fn find(name: Text<'_>) -> Option<&'static Entry> {
    METHODS.iter().find(|entry| name.eq_ignore_ascii_case(entry.name))
}

/// The reply has its error. Proof that somebody wrote one, so that no method ends without an
/// answer.
#[derive(Debug)]
pub(crate) struct Answered(());

/// What methods return.
pub(crate) type Done = Result<(), Answered>;

/// Carries out the method `name`.
pub(crate) fn run<O: Ota, P: Platform>(name: Text<'_>, call: &mut Call<'_, '_, '_, O, P>) -> Done {
    call.need_room()?;
    if !call.service.rate.admits(call.from.kind, call.now_ms) {
        return Err(call.error(code::BUSY, format_args!("too many requests: try again later")));
    }
    if let Some(left_ms) = call.service.reboot.shutting_down(call.now_ms) {
        let message = format_args!("shutting down in {left_ms} ms");
        return Err(call.error(code::SHUTTING_DOWN, message));
    }
    permitted(name, call)?;
    let Some(entry) = find(name) else {
        return Err(call.error(code::NOT_FOUND, format_args!("No handler for {}", Echo(name))));
    };
    // What has no names has no arguments in it: whoever sent them is to know that.
    let kind = call.frame.params.map(Value::kind);
    if !matches!(kind, None | Some(Kind::Object | Kind::Null)) {
        return Err(call.mistyped("params", "an object"));
    }
    // None of the large ones is inlined: a call takes the stack of its own method, not of all.
    match entry.method {
        Method::RpcList => rpc::list(call),
        Method::RpcDescribe => rpc::describe(call),
        Method::RpcPing => rpc::ping(call),
        Method::SysReboot => sys::reboot(call),
        Method::SysGetInfo => sys::get_info(call),
        Method::OtaUpdate => update::update(call),
        Method::OtaStatus => update::status(call),
        Method::OtaAbort => update::abort(call),
        Method::OtaCommit => boot_state::commit(call),
        Method::OtaRevert => boot_state::revert(call),
        Method::OtaCreateSnapshot => boot_state::create_snapshot(call),
        Method::OtaGetBootState => boot_state::get(call),
        Method::OtaSetBootState => boot_state::set(call),
        Method::OtaBegin => push::begin(call),
        Method::OtaWrite => push::write(call),
        Method::OtaEnd => push::end(call),
    }
}

/// Refuses what the access rules do not allow. They come before all else, so that whoever is not
/// let in does not even learn which methods there are.
#[cfg(feature = "auth")]
fn permitted<O, P: Platform>(name: Text<'_>, call: &mut Call<'_, '_, '_, O, P>) -> Done {
    let request = crate::auth::Request {
        method: name.chars(),
        from: call.from,
        auth: call.frame.auth,
        has_reply: call.frame.id.is_some(),
        now_ms: call.now_ms,
    };
    let denied = call.service.check(&request);
    denied.map_err(|denied| call.error(denied.code(), format_args!("{denied}")))
}

#[cfg(not(feature = "auth"))]
fn permitted<O, P: Platform>(_: Text<'_>, _: &mut Call<'_, '_, '_, O, P>) -> Done {
    Ok(())
}

/// A method that is being carried out.
pub(crate) struct Call<'c, 'd, 'r, O, P> {
    pub(crate) service: &'c mut Service<'d, P>,
    pub(crate) ota: &'c mut O,
    pub(crate) frame: Frame<'r>,
    pub(crate) from: Channel<'c>,
    pub(crate) now_ms: u64,
    pub(crate) out: Writer<'c>,
    /// Where `result` or `error` starts.
    start: Mark,
    /// The reply comes later.
    pub(crate) later: bool,
    pub(crate) action: Option<Action<'r>>,
}

impl<'c, 'd, 'r, O, P> Call<'c, 'd, 'r, O, P> {
    pub(crate) fn new(
        service: &'c mut Service<'d, P>,
        ota: &'c mut O,
        frame: Frame<'r>,
        from: Channel<'c>,
        now_ms: u64,
        out: Writer<'c>,
    ) -> Self {
        let start = Mark::START;
        let mut call =
            Self { service, ota, frame, from, now_ms, out, start, later: false, action: None };
        call.open();
        call
    }

    /// Starts the reply.
    #[inline(never)]
    fn open(&mut self) {
        self.out.rewind(Mark::START);
        self.frame.open_reply(self.service.config.device_id, &mut self.out);
        self.start = self.out.mark();
    }

    /// Refuses what leaves no room for a reply: what could not be told is not done. The error leaves
    /// the tag out.
    #[inline(never)]
    fn need_room(&mut self) -> Done {
        if self.frame.id.is_none() || self.out.room() >= MIN_REPLY_BYTES {
            return Ok(());
        }
        self.frame.tag = None;
        self.open();
        Err(self.does_not_fit())
    }

    /// Writes the error that says that what was written has no room.
    #[inline(never)]
    pub(crate) fn does_not_fit(&mut self) -> Answered {
        let capacity = self.out.capacity();
        let message = format_args!("the reply does not fit the buffer of {capacity} bytes");
        self.error(code::INTERNAL, message)
    }

    /// The writer, where the result is to be written.
    pub(crate) fn result(&mut self) -> &mut Writer<'c> {
        self.out.key("result")
    }

    /// The result of most methods.
    #[inline(never)]
    pub(crate) fn null(&mut self) -> Done {
        self.result().null();
        Ok(())
    }

    /// Writes an error, instead of whatever was written.
    pub(crate) fn error(&mut self, code: i32, message: fmt::Arguments<'_>) -> Answered {
        self.out.rewind(self.start);
        self.out.key("error").object().key("code").int(code);
        self.out.key("message").arguments(message).end_object();
        Answered(())
    }

    /// Writes an error of the engine.
    pub(crate) fn engine_error(&mut self, doing: Doing, error: &impl Explain) -> Answered {
        let (code, prefix) = classify(doing, error.class());
        self.error(code, format_args!("{}{error}", Words(prefix)))
    }

    /// An integer argument: a number, or a string that C's `strtol` reads to its end, as in Mongoose
    /// OS. There anything else is as good as absent; here it is an error, for a mistyped
    /// `commit_timeout` would let an image commit itself.
    #[inline(never)]
    pub(crate) fn int(&mut self, key: &str) -> Result<Option<i64>, Answered> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let Some(number) = value.lenient_i64() else {
            return Err(self.mistyped(key, "a whole number"));
        };
        Ok(Some(number))
    }

    /// An integer argument that is neither negative nor too large.
    #[inline(never)]
    pub(crate) fn uint(&mut self, key: &str) -> Result<Option<u32>, Answered> {
        let Some(number) = self.int(key)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.mistyped(key, "a whole number from 0 to 4294967295")),
        }
    }

    /// A boolean argument. Where Mongoose OS takes whatever is not `true` for false, this is an error.
    #[inline(never)]
    pub(crate) fn bool(&mut self, key: &str) -> Result<Option<bool>, Answered> {
        let Some(value) = self.given(key) else { return Ok(None) };
        match value.as_bool() {
            Some(value) => Ok(Some(value)),
            None => Err(self.mistyped(key, "true or false, without quotes")),
        }
    }

    /// An argument that is there and not null.
    fn given(&self, key: &str) -> Option<Value<'r>> {
        self.frame.argument(key).filter(|value| value.kind() != Kind::Null)
    }

    #[inline(never)]
    fn mistyped(&mut self, key: &str, wanted: &str) -> Answered {
        let message = format_args!("{} must be {}", Words(key), Words(wanted));
        self.error(code::BAD_REQUEST, message)
    }

    /// Reboots `delay_ms` after the reply is out.
    #[inline(never)]
    pub(crate) fn reboot_after(&mut self, delay_ms: u32) {
        self.service.reboot = match self.frame.id {
            Some(_) => Reboot::after_reply(self.from.id, delay_ms, self.now_ms),
            None => Reboot::soon(delay_ms, self.now_ms),
        };
    }

    /// Refuses while an update or a snapshot runs; `words` come first in the message.
    pub(crate) fn need_idle(&mut self, words: &str) -> Done {
        let runs = match self.service.job {
            Job::Idle => return Ok(()),
            Job::Receiving(_) => "update already in progress: see OTA.Status, or call OTA.Abort",
            Job::Finishing => "the last update is being checked: see OTA.Status",
            Job::Snapshot(_) => "a snapshot is being made: see OTA.Status, or call OTA.Abort",
        };
        Err(self.error(code::FAILED, format_args!("{}{}", Words(words), Words(runs))))
    }

    /// Makes sure that the reply can come later, at `latest_ms` at the latest. None if there is to
    /// be no reply.
    pub(crate) fn defer(
        &mut self,
        latest_ms: Option<u64>,
    ) -> Result<Option<Outstanding>, Answered> {
        if self.frame.id.is_none() {
            return Ok(None);
        }
        let in_the_way =
            self.service.outstanding.as_ref().is_some_and(|last| last.stage != Stage::Sent);
        if in_the_way {
            let message = format_args!("another reply is still to be sent: try again");
            return Err(self.error(code::BUSY, message));
        }
        match Outstanding::new(&self.frame, self.from.id, latest_ms) {
            Ok(outstanding) => Ok(Some(outstanding)),
            Err(_) => Err(self.error(
                code::BAD_REQUEST,
                format_args!("id, src and tag are longer than {MAX_OUTSTANDING_BYTES} bytes"),
            )),
        }
    }

    /// The reply comes later, to what [`Self::defer`] returned.
    pub(crate) fn reply_later(&mut self, outstanding: Option<Outstanding>) -> Done {
        // A notification must not take the place of a reply that is still to be sent.
        if outstanding.is_some() {
            self.service.outstanding = outstanding;
        }
        self.later = true;
        Ok(())
    }
}

impl<O: Ota, P: Platform> Call<'_, '_, '_, O, P> {
    /// Ends what runs, on request of a peer; unless it is too late, then it goes on to its end.
    pub(crate) fn abort_job(&mut self, message: fmt::Arguments<'_>) -> Result<(), O::Error> {
        self.ota.abort()?;
        self.stop_download();
        self.service.failed(code::FAILED, message);
        Ok(())
    }

    /// Ends an update that is not complete, so that it can go on later.
    pub(crate) fn suspend_job(&mut self, message: fmt::Arguments<'_>) {
        self.stop_download();
        self.service.fail(code::FAILED, message, self.ota);
    }

    fn stop_download(&mut self) {
        if let Job::Receiving(Receiving { source: Source::Feed, .. }) = self.service.job {
            self.action = Some(Action::AbortDownload);
        }
    }

    /// Reboots as soon as the reply is out.
    pub(crate) fn reboot(&mut self) -> Done {
        self.reboot_after(REBOOT_DELAY_MS);
        self.null()
    }
}

/// The start of a peer's text, for a message.
struct Echo<'a>(Text<'a>);

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        if self.0.is_empty() {
            return f.write_str("\"\"");
        }
        self.0.chars().take(MAX_ECHO_CHARS).try_for_each(|c| f.write_char(c))?;
        match self.0.chars().nth(MAX_ECHO_CHARS) {
            Some(_) => f.write_str("..."),
            None => Ok(()),
        }
    }
}
