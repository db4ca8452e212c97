//! The same update on the same counted flash: this engine beside embassy-boot.
//!
//! The placements differ. This engine runs an image where it lies (*Direct*); embassy-boot swaps it
//! into one execution slot, page by page, which costs what the table shows, and needs images for
//! one address only.

mod embassy;
mod ours;

use crate::nor::{Counters, Part, Random};

/// The flash that the figures are for.
pub const PARTS: [Part; 3] = [Part::NRF52840, Part::STM32L4, Part::RP2040];
/// Image sizes in bytes.
pub const SIZES: [u32; 2] = [256 * 1024, 512 * 1024];

/// One phase of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The running application receives the image and makes it the next to boot.
    Stage,
    /// The boot that installs it.
    Install,
    /// The new image is confirmed.
    Confirm,
    /// A boot after that, when nothing is going on any more.
    Idle,
    /// The boot that rolls another update back, unconfirmed.
    Rollback,
}

/// What a phase did to flash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Bytes read.
    pub read_bytes: u64,
    /// Read calls.
    pub reads: u64,
    /// Program operations: at most a page each.
    pub programs: u64,
    /// Bytes programmed.
    pub programmed_bytes: u64,
    /// Sectors erased.
    pub erases: u64,
    /// Time that flash is busy, by the part's data sheet, in nanoseconds.
    pub time_ns: u64,
    /// Write units programmed more than once between erases.
    pub reprogrammed_units: u64,
}

impl Cost {
    fn of(counters: &Counters) -> Self {
        Self {
            read_bytes: counters.read_bytes,
            reads: counters.reads,
            programs: counters.programs,
            programmed_bytes: counters.programmed_bytes,
            erases: counters.erases,
            time_ns: counters.time_ns,
            reprogrammed_units: counters.reprogrammed_units,
        }
    }

    fn add(&mut self, other: &Self) {
        self.read_bytes += other.read_bytes;
        self.reads += other.reads;
        self.programs += other.programs;
        self.programmed_bytes += other.programmed_bytes;
        self.erases += other.erases;
        self.time_ns += other.time_ns;
        self.reprogrammed_units += other.reprogrammed_units;
    }
}

/// One row: a phase, here and there.
#[derive(Clone, Debug)]
pub struct Row {
    /// The part's name.
    pub part: &'static str,
    /// Image size in bytes.
    pub size: u32,
    /// The phase.
    pub phase: Phase,
    /// This engine.
    pub ours: Cost,
    /// embassy-boot.
    pub embassy: Cost,
}

/// Measures everything.
///
/// # Errors
/// A text, if an update does not do what it should: then no figure means anything.
pub fn measure() -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for part in &PARTS {
        for size in SIZES {
            let images = [image(1, size), image(2, size), image(3, size)];
            let ours = ours::measure(part, &images)?;
            let embassy = embassy::measure(part, &images)?;
            for ((phase, ours), (other, embassy)) in ours.into_iter().zip(embassy) {
                if phase != other {
                    return Err(format!("{phase:?} beside {other:?}"));
                }
                rows.push(Row { part: part.name, size, phase, ours, embassy });
            }
        }
    }
    Ok(rows)
}

fn image(seed: u64, size: u32) -> Vec<u8> {
    let mut random = Random::new(seed);
    std::iter::repeat_with(|| random.next_word().to_le_bytes())
        .flatten()
        .take(size as usize)
        .collect()
}
