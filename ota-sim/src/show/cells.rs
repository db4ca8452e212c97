//! The record log, cell by cell.

use ota_core::flash::Extent;
use ota_core::record::{Cell, Content, NO_SLOT, Newest, Record, RecordTooSmall, inspect};
use serde::Serialize;

use super::slots::state_word;
use crate::flash::SimFlash;

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Where the record region lies.
    pub address: u32,
    /// Its length in bytes.
    pub size: u32,
    /// Erase sectors that are used.
    pub sectors: u32,
    /// Cells in each of them.
    pub cells: u32,
    /// Position of the record in force; none: there is no record.
    pub in_force: Option<u32>,
    /// Every cell that is not blank, in the order in which they lie in flash.
    pub used: Vec<CellReport>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellReport {
    /// Its sector.
    pub sector: u32,
    /// Its place in the sector.
    pub index: u32,
    /// Its first byte.
    pub address: u32,
    /// Its position in the log, if its header says.
    pub position: Option<u32>,
    /// `sealed`, `unsealed`, `damaged`, `garbage` or `unreadable`.
    pub state: &'static str,
    /// Its format, if it is whole.
    pub format: Option<u8>,
    /// What it says, if it is whole.
    pub fields: Option<Fields>,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are described in docs/format/boot-record.md")]
pub struct Fields {
    pub loader_format: u8,
    pub active: u8,
    pub revert: u8,
    pub booted: Option<u8>,
    pub committed: bool,
    pub new_image: bool,
    pub trials_left: u8,
    pub trials_max: u8,
    pub commit_timeout_s: u32,
    pub reason: &'static str,
    pub security_counter: u32,
    pub staging_slot: Option<u8>,
    /// Bytes of the stream at the last checkpoint; 0: none.
    pub checkpoint: u32,
    pub note: String,
    pub slots: Vec<&'static str>,
}

impl LogReport {
    pub(super) fn new(
        flash: &mut SimFlash<'_>,
        newest: Option<&Newest>,
        region: Extent,
    ) -> Result<Self, RecordTooSmall> {
        let mut used = Vec::new();
        let shape = inspect(flash, |cell| used.extend(CellReport::new(&cell, region.address)))?;
        Ok(Self {
            address: region.address,
            size: region.size,
            sectors: shape.sectors,
            cells: shape.cells,
            in_force: newest.map(|newest| newest.position),
            used,
        })
    }
}

impl CellReport {
    /// None if it is blank.
    fn new(cell: &Cell, region: u32) -> Option<Self> {
        let (state, position, whole) = match cell.content {
            Content::Blank => return None,
            Content::Garbage => ("garbage", None, None),
            Content::Unreadable => ("unreadable", None, None),
            Content::Damaged { position } => ("damaged", Some(position), None),
            Content::Whole { position, format, sealed, record } => {
                let state = if sealed { "sealed" } else { "unsealed" };
                (state, Some(position), Some((format, record)))
            }
        };
        Some(Self {
            sector: cell.sector,
            index: cell.index,
            address: region + cell.offset,
            position,
            state,
            format: whole.map(|(format, _)| format),
            fields: whole.map(|(_, record)| Fields::new(&record)),
        })
    }
}

impl Fields {
    fn new(record: &Record) -> Self {
        let (_, _, checkpoint, _) = record.checkpoint();
        Self {
            loader_format: record.loader_format(),
            active: record.active(),
            revert: record.revert(),
            booted: Some(record.booted()).filter(|slot| *slot != NO_SLOT),
            committed: record.committed(),
            new_image: record.new_image(),
            trials_left: record.trials_left(),
            trials_max: record.trials_max(),
            commit_timeout_s: record.commit_timeout_s(),
            reason: record.reason().name(),
            security_counter: record.security_counter(),
            staging_slot: record.stage_slot(),
            checkpoint,
            note: record.note().iter().map(|byte| format!("{byte:02x}")).collect(),
            slots: (0..record.slot_count())
                .map(|slot| state_word(record.slot_state(slot)))
                .collect(),
        }
    }
}
