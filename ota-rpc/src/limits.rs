//! Every limit of this crate, in one place. Each has a test that meets it.
//!
//! The depth of JSON is limited by [`ota_core::json::MAX_DEPTH`].

/// The longest request that [`crate::Service::handle`] reads, in bytes. Longer ones are rejected
/// unread. Mongoose OS takes 4,096 on a serial line; there is room for 8 KiB chunks in `OTA.Write`.
pub const MAX_REQUEST_BYTES: usize = 12 * 1024;

/// Requests over one kind of channel that may come at once; more are answered by error 429. `mos ota`
/// sends 2,048 for 1 MiB, one after the other.
pub const MAX_REQUEST_BURST: u32 = 4_096;

/// After that many, one more each so many ms.
pub const REQUEST_MS: u32 = 1;

/// Behind `id`, `src`, `dst` and `tag` a reply has room for at least so many bytes, or its method is
/// not carried out. It is room for the result of any method that changes something, and for the
/// error that says that another one does not fit.
pub const MIN_REPLY_BYTES: usize = 96;

/// Room for who is to get a reply that comes later (`id`, `src` and `tag` of the request as JSON).
/// `mos` needs about 70 over MQTT.
pub const MAX_OUTSTANDING_BYTES: usize = 256;

/// The longest message of an error that is kept for later, in bytes; the rest is cut off.
pub const MAX_MESSAGE_BYTES: usize = 192;

/// The longest `url` of `OTA.Update`, in bytes, so that callers can size their buffer.
pub const MAX_URL_BYTES: usize = 512;

/// How much of a method's unknown name an error repeats, in characters.
pub const MAX_ECHO_CHARS: usize = 64;

/// `OTA.Write` hands data to the engine in pieces of at most this many bytes: whole groups of
/// base64, and whole write units of all flash.
pub const WRITE_PIECE_BYTES: usize = 192;

/// `OTA.Update` answers after this time at the latest, in ms: `mos call` gives up at 20 s.
pub const UPDATE_REPLY_MS: u64 = 15_000;

/// An update without progress for this long is aborted, in s, unless the request says otherwise.
pub const DEFAULT_UPDATE_TIMEOUT_S: u32 = 600;

/// Between a reply that announces a reboot and the reboot, in ms. Requests that come in this time
/// get error 418.
pub const REBOOT_DELAY_MS: u32 = 100;

/// When nobody says that a reply was flushed, it is taken as flushed after this time, in ms: a peer
/// that is gone must not keep the device from booting its new firmware.
pub const FLUSH_WAIT_MS: u64 = 5_000;

/// Users that may have a password.
pub const MAX_USERS: usize = 32;

/// Rules of `rpc.acl`.
pub const MAX_RULES: usize = 32;

/// The longest name of a user or a realm, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Nonces that wait to be used, over all channels. `mos` needs one at a time.
pub const MAX_NONCES: usize = 8;

/// How long a nonce may be used, in ms: long enough for the slowest line to carry the longest
/// request.
pub const NONCE_LIFETIME_MS: u64 = 60_000;

/// Wrong passwords over one kind of channel that have no consequence.
pub const FREE_FAILURES: u32 = 3;

/// After the next one, no password is looked at for this time, in ms, and twice as long after each
/// further one.
pub const FAILURE_DELAY_MS: u32 = 1_000;

/// That time is never longer than this, in ms.
pub const MAX_FAILURE_DELAY_MS: u32 = 32_000;

/// Without a wrong password for this long, in ms, they are forgotten.
pub const FAILURE_MEMORY_MS: u32 = 10 * 60_000;

/// Challenges over one kind of channel that nobody has answered well, at once.
pub const MAX_CHALLENGES: u32 = 32;

/// After that many, one more each so many ms.
pub const CHALLENGE_MS: u32 = 100;

/// The longest line of the head of a part of a form, in bytes: the name of the uploaded file is in
/// it.
pub const MAX_PART_LINE_BYTES: usize = 256;

/// Lines in the head of a part of a form.
pub const MAX_PART_LINES: usize = 8;

/// Parts of a form.
pub const MAX_PARTS: usize = 8;

/// The longest value of a form's field that is not a file, in bytes.
pub const MAX_FIELD_BYTES: usize = 64;

/// The longest boundary between parts, in bytes: that of RFC 2046.
pub const MAX_BOUNDARY_BYTES: usize = 70;

/// The longest name or value in a query, in bytes once decoded: a `url` in quotes, some of it
/// escaped.
pub const MAX_QUERY_BYTES: usize = 640;

/// What the adapter of a serial line or TCP connection reads at once, in bytes.
pub const PORT_READ_BYTES: usize = 64;

/// What it writes at once, in bytes: so many may still come when a peer has asked to stop.
pub const PORT_WRITE_BYTES: usize = 64;

/// A peer that has asked to stop (XOFF) is sent to again after this time, in ms: noise looks like
/// XOFF, and the XON may be lost.
pub const MAX_XOFF_MS: u64 = 5_000;

/// A frame in which nothing comes for this long, in ms, is given up: the next one may not begin with
/// a delimiter.
pub const MAX_FRAME_PAUSE_MS: u64 = 10_000;

/// The longest reply in a datagram, in bytes: what fits one packet of Ethernet beside the headers of
/// IPv4 and UDP.
pub const MAX_DATAGRAM_BYTES: usize = 1_472;

/// The longest topic that an MQTT reply is published to, in bytes.
pub const MAX_REPLY_TOPIC_BYTES: usize = 256;

/// Updates that FIMP may start at once; more are refused. Each writes the boot record, even one that
/// fails at once.
pub const MAX_FIMP_STARTS: u64 = 16;

/// After that many, one more each so many ms.
pub const FIMP_START_MS: u64 = 300_000;
