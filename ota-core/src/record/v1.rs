//! Format 1 as a serde structure, for tools and applications: postcard's bytes of it are the bytes in
//! flash, which a test ties to the raw view.

use serde::{Deserialize, Serialize};

/// The frozen fields of format 1. Numbers are little-endian byte arrays, so that every field has a
/// fixed offset. The slots follow, [`SlotV1`] each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described in docs/format/boot-record.md")]
pub struct RecordV1 {
    pub loader_format: u8,
    pub slot_count: u8,
    pub active: u8,
    pub revert: u8,
    pub booted: u8,
    pub flags: u8,
    pub trials_left: u8,
    pub trials_max: u8,
    pub commit_timeout_s: [u8; 4],
    pub reason: u8,
    pub stage_slot: u8,
    pub stage_part: u8,
    pub stage_source: [u8; 4],
    pub stage_stream: [u8; 4],
    pub stage_offset: [u8; 4],
    pub security_counter: [u8; 4],
    pub key_epoch: u8,
    pub swap_progress: [u8; 2],
    pub note: [u8; 16],
}

/// One slot of format 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are described in docs/format/boot-record.md")]
pub struct SlotV1 {
    pub state: u8,
    pub descriptor_crc: [u8; 4],
}
