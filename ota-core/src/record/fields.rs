//! The fields of a record, as the bytes that lie in flash.
//!
//! ```text
//!  0 loader_format    8 commit_timeout_s:u32  27 security_counter:u32
//!  1 slot_count      12 reason                31 key_epoch
//!  2 active          13 stage_slot            32 swap_progress:u16 (reserved)
//!  3 revert          14 stage_part            34 note[16]
//!  4 booted          15 stage_source:u32      50 slot_count x { state, descriptor CRC-32 }
//!  5 flags           19 stage_stream:u32
//!  6 trials_left     23 stage_offset:u32
//!  7 trials_max
//! ```
//! All numbers are little-endian. These are the bytes postcard gives for a flat structure of `u8`
//! and `[u8; n]` fields ([`super::RecordV1`]); the boot path reads them in place.

use crate::bytes::{array_at, put, u8_at, u32_at};
use crate::flash::MAX_SLOTS;

/// In `booted` and `stage_slot`: no slot.
pub const NO_SLOT: u8 = 0xFF;
/// Length of the application's own bytes in the record.
pub const NOTE_LEN: usize = 16;

const LOADER_FORMAT: usize = 0;
const SLOT_COUNT: usize = 1;
const ACTIVE: usize = 2;
const REVERT: usize = 3;
const BOOTED: usize = 4;
const FLAGS: usize = 5;
const TRIALS_LEFT: usize = 6;
const TRIALS_MAX: usize = 7;
const COMMIT_TIMEOUT: usize = 8;
const REASON: usize = 12;
const STAGE_SLOT: usize = 13;
const STAGE_PART: usize = 14;
const STAGE_SOURCE: usize = 15;
const STAGE_STREAM: usize = 19;
const STAGE_OFFSET: usize = 23;
const SECURITY_COUNTER: usize = 27;
const NOTE: usize = 34;
const SLOTS: usize = 50;
const SLOT_LEN: usize = 5;

/// In the state byte of a slot: an interrupted job has entered it.
const ENTERED: u8 = 0x80;
/// In the state byte of a slot: its image came by an update and was never confirmed.
const UNPROVEN: u8 = 0x40;

/// What is left of it says what the slot holds.
const STATE: u8 = !(ENTERED | UNPROVEN);

const COMMITTED: u8 = 1;
const NEW_IMAGE: u8 = 2;

/// The most bytes of fields: 8 slots.
pub(crate) const MAX_FIELDS: usize = SLOTS + SLOT_LEN * MAX_SLOTS;

/// Bytes of fields for `slots` slots: 60 for two.
pub(crate) const fn fields_len(slots: u8) -> usize {
    SLOTS.saturating_add(SLOT_LEN.saturating_mul(slots as usize))
}

/// What a slot holds, as far as the record knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum SlotState {
    /// Nothing that could be booted. No interrupted job has written here.
    Empty = 0,
    /// A job writes here, or was interrupted while it did: nothing in the slot is to be trusted, not
    /// even what looks blank.
    Staging = 1,
    /// A whole image with a descriptor, both read back.
    Bootable = 2,
}

impl SlotState {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Empty),
            1 => Some(Self::Staging),
            2 => Some(Self::Bootable),
            _ => None,
        }
    }
}

/// Why the running image runs: the reason of the last switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Reason {
    /// The first boot of the device.
    Factory = 0,
    /// A new image was installed.
    Update = 1,
    /// Reverted by request.
    RevertRequested = 2,
    /// Reverted: not committed within `commit_timeout_s`.
    CommitTimeout = 3,
    /// Reverted: rebooted without a commit, and no trial was left.
    Unconfirmed = 4,
    /// Reverted: the application reported a failed start.
    BadStart = 5,
    /// Fell back: the wanted image did not verify.
    VerifyFailed = 6,
    /// Chosen by `SetBootState`.
    SetBootState = 7,
    /// The record was lost; found again by descriptors.
    RecordLost = 8,
}

impl Reason {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Factory),
            1 => Some(Self::Update),
            2 => Some(Self::RevertRequested),
            3 => Some(Self::CommitTimeout),
            4 => Some(Self::Unconfirmed),
            5 => Some(Self::BadStart),
            6 => Some(Self::VerifyFailed),
            7 => Some(Self::SetBootState),
            8 => Some(Self::RecordLost),
            _ => None,
        }
    }

    /// One word for logs and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Factory => "factory",
            Self::Update => "update",
            Self::RevertRequested => "revert requested",
            Self::CommitTimeout => "commit timeout",
            Self::Unconfirmed => "rebooted without commit",
            Self::BadStart => "start reported bad",
            Self::VerifyFailed => "verification failed",
            Self::SetBootState => "set by SetBootState",
            Self::RecordLost => "record lost",
        }
    }
}

/// A CRC-valid body whose values make no sense: forged, or from another layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Invalid;

/// The state that a cell holds. Every value of this type is valid: slots within range, known
/// states and reasons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    bytes: [u8; MAX_FIELDS],
}

impl Record {
    /// Says nothing: to be loaded or filled in, and where no record could be understood.
    pub(crate) fn empty() -> Self {
        Self { bytes: [0; MAX_FIELDS] }
    }

    /// The state of a fresh device of `slots` slots that runs slot `active`, committed.
    pub fn new(slots: u8, active: u8, trials_max: u8, reason: Reason) -> Self {
        let mut record = Self::empty();
        record.set(LOADER_FORMAT, super::FORMAT);
        record.set(SLOT_COUNT, slots);
        record.set(ACTIVE, active);
        record.set(REVERT, active);
        record.set(BOOTED, active);
        record.set(FLAGS, COMMITTED);
        record.set(TRIALS_MAX, trials_max.max(1));
        record.set(REASON, reason as u8);
        record.set(STAGE_SLOT, NO_SLOT);
        record
    }

    /// Reads the fields of a cell whose CRC is right, for a device of `slots` slots.
    ///
    /// # Errors
    /// [`Invalid`] if a value is out of range.
    pub fn parse(fields: &[u8], slots: u8) -> Result<Self, Invalid> {
        let mut record = Self::empty();
        if record.load(fields, slots) { Ok(record) } else { Err(Invalid) }
    }

    /// [`Self::parse`] in place, into an empty record. False: not valid, and not to be used.
    pub(crate) fn load(&mut self, fields: &[u8], slots: u8) -> bool {
        let Some(known) = fields.get(..fields_len(slots)) else { return false };
        put(&mut self.bytes, 0, known);
        self.is_valid(slots)
    }

    fn is_valid(&self, slots: u8) -> bool {
        // One more than a slot is at most `slots`, and one more than `NO_SLOT` is 0.
        let slot_or_none = |at| self.get(at).wrapping_add(1) <= slots;
        self.get(SLOT_COUNT) == slots
            && self.active() < slots
            && self.revert() < slots
            && slot_or_none(BOOTED)
            && slot_or_none(STAGE_SLOT)
            && Reason::from_byte(self.get(REASON)).is_some()
            && self.states().all(|state| SlotState::from_byte(state).is_some())
    }

    /// The states of all slots that a device may have: behind its last, all bytes are 0, as of an
    /// empty slot.
    fn states(&self) -> impl Iterator<Item = u8> {
        let (_, slots) = self.bytes.split_at(SLOTS);
        let (slots, _) = slots.as_chunks::<SLOT_LEN>();
        slots.iter().map(|[state, ..]| state & STATE)
    }

    /// The bytes of the fields: 50 and 5 for each slot.
    pub fn as_bytes(&self) -> &[u8] {
        crate::bytes::head(&self.bytes, fields_len(self.slot_count()))
    }

    /// The highest record format that the loader of this device understands. The application
    /// writes none above it.
    pub fn loader_format(&self) -> u8 {
        self.get(LOADER_FORMAT)
    }

    /// How many slots the device has.
    pub fn slot_count(&self) -> u8 {
        self.get(SLOT_COUNT)
    }

    /// The slot that is chosen.
    pub fn active(&self) -> u8 {
        self.get(ACTIVE)
    }

    /// The slot to roll back to; equal to [`Self::active`] where there is no other.
    pub fn revert(&self) -> u8 {
        self.get(REVERT)
    }

    /// The slot that runs, or [`NO_SLOT`]. Kept true by the loader.
    pub fn booted(&self) -> u8 {
        self.get(BOOTED)
    }

    /// Whether the active image was confirmed.
    pub fn committed(&self) -> bool {
        self.get(FLAGS) & COMMITTED != 0
    }

    /// Whether the active image came by an update and was never committed.
    pub fn new_image(&self) -> bool {
        self.get(FLAGS) & NEW_IMAGE != 0
    }

    /// How many more times the uncommitted image may be booted.
    pub fn trials_left(&self) -> u8 {
        self.get(TRIALS_LEFT)
    }

    /// How many boots a new image gets to be committed in; at least 1.
    pub fn trials_max(&self) -> u8 {
        self.get(TRIALS_MAX).max(1)
    }

    /// Seconds that the application has for the commit; 0: it commits itself by a good start.
    pub fn commit_timeout_s(&self) -> u32 {
        u32_at(&self.bytes, COMMIT_TIMEOUT)
    }

    /// Why the active slot is active.
    pub fn reason(&self) -> Reason {
        Reason::from_byte(self.get(REASON)).unwrap_or(Reason::RecordLost)
    }

    /// The slot that a job writes, or wrote when it was interrupted.
    pub fn stage_slot(&self) -> Option<u8> {
        Some(self.get(STAGE_SLOT)).filter(|slot| *slot != NO_SLOT)
    }

    /// The staging checkpoint: part (its low bits: 0 app, 1 data; bit 4: the other part is done),
    /// identity of the source, offset in the stream, offset in the part. All zero: none.
    pub fn checkpoint(&self) -> (u8, u32, u32, u32) {
        (
            self.get(STAGE_PART),
            u32_at(&self.bytes, STAGE_SOURCE),
            u32_at(&self.bytes, STAGE_STREAM),
            u32_at(&self.bytes, STAGE_OFFSET),
        )
    }

    /// Images with a lower counter are not booted. Raised by a commit only.
    pub fn security_counter(&self) -> u32 {
        u32_at(&self.bytes, SECURITY_COUNTER)
    }

    /// Bytes of the application's own, kept across updates and rollbacks.
    pub fn note(&self) -> [u8; NOTE_LEN] {
        array_at(&self.bytes, NOTE).unwrap_or([0; NOTE_LEN])
    }

    /// What `slot` holds; a slot that the device does not have is empty.
    pub fn slot_state(&self, slot: u8) -> SlotState {
        SlotState::from_byte(self.state_bits(slot)).unwrap_or(SlotState::Empty)
    }

    fn state_bits(&self, slot: u8) -> u8 {
        self.get(slot_at(slot)) & STATE
    }

    /// Whether `slot` holds an image that may be booted.
    pub fn bootable(&self, slot: u8) -> bool {
        self.slot_state(slot) == SlotState::Bootable
    }

    /// Whether an interrupted job has entered `slot`: somewhere in it there may be what reads blank
    /// now and not tomorrow, also behind the end of a whole image. It stays so.
    #[cfg(feature = "stage")]
    pub fn entered(&self, slot: u8) -> bool {
        self.slot_state(slot) == SlotState::Staging || self.get(slot_at(slot)) & ENTERED != 0
    }

    /// Whether the image in `slot` came by an update and was never confirmed. It runs on trial only:
    /// it is never rolled back to, nor fallen through to.
    pub fn unproven(&self, slot: u8) -> bool {
        self.get(slot_at(slot)) & UNPROVEN != 0
    }

    /// CRC-32 of the descriptor of a bootable slot.
    pub fn descriptor_crc(&self, slot: u8) -> u32 {
        u32_at(&self.bytes, slot_at(slot).saturating_add(1))
    }

    pub(crate) fn set_active(&mut self, slot: u8) {
        self.set(ACTIVE, slot);
    }

    pub(crate) fn set_revert(&mut self, slot: u8) {
        self.set(REVERT, slot);
    }

    pub(crate) fn set_booted(&mut self, slot: u8) {
        self.set(BOOTED, slot);
    }

    /// Committed: no trials, no longer new.
    pub(crate) fn set_committed(&mut self) {
        self.set(FLAGS, COMMITTED);
        self.set(TRIALS_LEFT, 0);
    }

    pub(crate) fn set_trials_left(&mut self, trials: u8) {
        self.set(TRIALS_LEFT, trials);
    }

    pub(crate) fn set_reason(&mut self, reason: Reason) {
        self.set(REASON, reason as u8);
    }

    pub(crate) fn set_security_counter(&mut self, counter: u32) {
        put(&mut self.bytes, SECURITY_COUNTER, &counter.to_le_bytes());
    }

    pub(crate) fn set_slot(&mut self, slot: u8, state: SlotState, descriptor_crc: u32) {
        if slot < self.slot_count() {
            let at = slot_at(slot);
            self.set(at, state as u8);
            put(&mut self.bytes, at.saturating_add(1), &descriptor_crc.to_le_bytes());
        }
    }

    pub(crate) fn set_entered(&mut self, slot: u8) {
        if slot < self.slot_count() {
            self.set(slot_at(slot), self.get(slot_at(slot)) | ENTERED);
        }
    }

    fn get(&self, at: usize) -> u8 {
        u8_at(&self.bytes, at)
    }

    fn set(&mut self, at: usize, value: u8) {
        if let Some(place) = self.bytes.get_mut(at) {
            *place = value;
        }
    }
}

/// What only the application changes.
#[cfg(feature = "stage")]
impl Record {
    /// Not committed, with all its trials before it.
    pub(crate) fn set_uncommitted(&mut self, new_image: bool) {
        self.set(FLAGS, if new_image { NEW_IMAGE } else { 0 });
        self.set(TRIALS_LEFT, self.trials_max());
    }

    pub(crate) fn set_trials_max(&mut self, trials: u8) {
        self.set(TRIALS_MAX, trials.max(1));
    }

    pub(crate) fn set_commit_timeout_s(&mut self, seconds: u32) {
        put(&mut self.bytes, COMMIT_TIMEOUT, &seconds.to_le_bytes());
    }

    pub(crate) fn set_stage_slot(&mut self, slot: u8) {
        self.set(STAGE_SLOT, slot);
    }

    pub(crate) fn set_checkpoint(&mut self, part: u8, source: u32, stream: u32, offset: u32) {
        self.set(STAGE_PART, part);
        put(&mut self.bytes, STAGE_SOURCE, &source.to_le_bytes());
        put(&mut self.bytes, STAGE_STREAM, &stream.to_le_bytes());
        put(&mut self.bytes, STAGE_OFFSET, &offset.to_le_bytes());
    }

    /// Whether the image in `slot` waits for its first confirmation.
    pub(crate) fn set_unproven(&mut self, slot: u8, unproven: bool) {
        if slot < self.slot_count() {
            let state = self.get(slot_at(slot)) & !UNPROVEN;
            self.set(slot_at(slot), if unproven { state | UNPROVEN } else { state });
        }
    }

    pub(crate) fn set_note(&mut self, note: &[u8; NOTE_LEN]) {
        put(&mut self.bytes, NOTE, note);
    }
}

impl core::fmt::Debug for Record {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Record")
            .field("active", &self.active())
            .field("revert", &self.revert())
            .field("booted", &self.booted())
            .field("committed", &self.committed())
            .field("trials_left", &self.trials_left())
            .field("reason", &self.reason())
            .field("stage_slot", &self.stage_slot())
            .field("checkpoint", &self.checkpoint())
            .finish_non_exhaustive()
    }
}

const fn slot_at(slot: u8) -> usize {
    SLOTS.saturating_add(SLOT_LEN.saturating_mul(slot as usize))
}
