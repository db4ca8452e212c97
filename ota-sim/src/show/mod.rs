//! What a flash holds: slots, descriptors, and the record log cell by cell.
//!
//! Nothing is changed: what a boot would do is tried on a copy.

mod cells;
mod draw;
mod slots;

use ota_core::descriptor::Descriptor;
use ota_core::flash::LayoutError;
use ota_core::record::{Log, RecordTooSmall};
use ota_core::{BootOptions, RecoverReason};
use serde::Serialize;

pub use cells::{CellReport, Fields, LogReport};
pub use slots::{DescriptorReport, ExtentReport, SlotReport};

use crate::flash::SimFlash;
use crate::layout::Board;
use crate::nor::Nor;

/// Why a flash cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The layout does not fit the flash.
    #[error("the layout of the board does not fit: {0}")]
    Layout(LayoutError),
    /// There is no room for a log.
    #[error(transparent)]
    Record(#[from] RecordTooSmall),
}

/// All of it. `Display` draws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlashReport {
    /// Name of the board.
    pub board: String,
    /// Size of the flash in bytes.
    pub capacity: u32,
    /// Erase unit in bytes.
    pub sector_size: u32,
    /// Write unit in bytes.
    pub write_size: u32,
    /// The record log.
    pub log: LogReport,
    /// Every slot.
    pub slots: Vec<SlotReport>,
    /// What a boot would do now.
    pub next_boot: NextBoot,
}

/// What a boot would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NextBoot {
    /// Jump to an image.
    Boots {
        /// The slot.
        slot: u8,
        /// Version of the image.
        version: String,
        /// Whether it is confirmed.
        committed: bool,
        /// Why this slot is active then.
        reason: &'static str,
    },
    /// Find nothing to boot.
    Recovers {
        /// Why.
        reason: &'static str,
    },
}

impl FlashReport {
    /// Looks at `nor`, which must be the part of `board`.
    ///
    /// # Errors
    /// [`ShowError`]. Whatever the flash holds, damage is shown and no error.
    pub fn new(nor: &Nor, board: &Board) -> Result<Self, ShowError> {
        let mut copy = nor.clone();
        let mut flash = SimFlash::new(&mut copy, board).map_err(ShowError::Layout)?;
        let newest = Log::open(&mut flash)?.newest;
        let record = newest.as_ref().map(|newest| newest.record);
        let log = LogReport::new(&mut flash, newest.as_ref(), board.layout().record)?;
        let slots = (0u8..)
            .zip(board.layout().slots)
            .map(|(slot, layout)| SlotReport::new(&mut flash, slot, layout, record.as_ref()))
            .collect();
        let shape = nor.shape();
        Ok(Self {
            board: board.name().to_owned(),
            capacity: shape.capacity,
            sector_size: shape.sector_size,
            write_size: shape.write_size,
            log,
            slots,
            // Last, because it writes.
            next_boot: NextBoot::find(&mut flash),
        })
    }
}

impl NextBoot {
    fn find(flash: &mut SimFlash<'_>) -> Self {
        match ota_core::boot(flash, &BootOptions::default(), &mut [0; 256]) {
            Ok(plan) => Self::Boots {
                slot: plan.slot,
                version: Descriptor::read(flash, plan.slot)
                    .map(|found| found.version().to_owned())
                    .unwrap_or_default(),
                committed: plan.record.committed(),
                reason: plan.record.reason().name(),
            },
            Err(reason) => Self::Recovers {
                reason: match reason {
                    RecoverReason::NoBootableImage => "no slot holds a whole image",
                    RecoverReason::CrashLoop => "crash loop",
                    RecoverReason::RecordTooSmall => "no room for the boot record",
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::{self, Image};

    fn factory() -> (Board, Nor) {
        let board: Board = "4k4:data=8K".parse().unwrap();
        let image = Image {
            app: vec![0xA5; 30_000],
            data: Some(vec![1; 5000]),
            ..Image::new("1.0.0", "sim")
        };
        let nor = Nor::with_image(board.part(), &factory::flash(&board, &image).unwrap());
        (board, nor)
    }

    fn boot(nor: &mut Nor, board: &Board) {
        let mut flash = SimFlash::new(nor, board).unwrap();
        ota_core::boot(&mut flash, &BootOptions::default(), &mut [0; 256]).unwrap();
    }

    #[test]
    fn a_factory_flash_has_an_image_and_no_record() {
        let (board, nor) = factory();
        let report = FlashReport::new(&nor, &board).unwrap();
        assert_eq!(report.log.in_force, None);
        assert!(report.log.used.is_empty());
        assert_eq!(report.slots[0].image, "whole");
        assert_eq!(report.slots[0].state, None);
        let descriptor = report.slots[0].descriptor.as_ref().unwrap();
        assert_eq!(descriptor.version, "1.0.0");
        assert_eq!(descriptor.data_matches, Some(true));
        assert_eq!(report.slots[1].descriptor, None);
        let NextBoot::Boots { slot: 0, reason: "factory", .. } = report.next_boot else {
            panic!("{:?}", report.next_boot);
        };
    }

    #[test]
    fn showing_changes_nothing() {
        let (board, mut nor) = factory();
        boot(&mut nor, &board);
        let before = nor.clone();
        FlashReport::new(&nor, &board).unwrap();
        assert_eq!(nor.bytes(), before.bytes());
        assert_eq!(nor.ops(), before.ops());
    }

    #[test]
    fn the_log_is_shown_cell_by_cell() {
        let (board, mut nor) = factory();
        boot(&mut nor, &board);
        let report = FlashReport::new(&nor, &board).unwrap();
        assert_eq!(report.log.in_force, Some(1));
        assert_eq!(report.log.used.len(), 2);
        let fields = report.log.used[1].fields.as_ref().unwrap();
        assert_eq!((fields.active, fields.committed, fields.booted), (0, true, Some(0)));
        assert_eq!(fields.slots, ["bootable", "empty"]);
        let drawing = report.to_string();
        for words in ["slot 0", "1.0.0", "in force", "a boot now", "sealed", "0x000000"] {
            assert!(drawing.contains(words), "{words} in\n{drawing}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["log"]["in_force"], 1);
    }

    #[test]
    fn damage_is_shown_as_damage() {
        let (board, mut nor) = factory();
        boot(&mut nor, &board);
        let slot = board.layout().slots[0];
        nor.flip(slot.app.address + 77, 3);
        nor.flip(slot.data.unwrap().address, 0);
        let report = FlashReport::new(&nor, &board).unwrap();
        assert_eq!(report.slots[0].image, "damaged: its bytes are not those of the descriptor");
        assert_eq!(report.slots[0].descriptor.as_ref().unwrap().data_matches, Some(false));
        assert!(matches!(report.next_boot, NextBoot::Recovers { .. }));
        nor.corrupt(0..4096, 1);
        let report = FlashReport::new(&nor, &board).unwrap();
        assert_eq!(report.log.in_force, None);
        assert!(report.log.used.iter().all(|cell| cell.state == "garbage"));
    }
}
