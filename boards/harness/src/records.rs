//! Boot records, changed on this computer: docs/format/boot-record.md, sections 1, 2 and 4, for two
//! slots and small write units.

use anyhow::{Context, Result};
use ota_core::crc::crc32;

use crate::board::Board;

/// Bytes from cell to cell.
const STRIDE: usize = 92;

/// The part of the flash that holds the records, and the bytes of its sectors.
fn region<'f>(board: &Board, flash: &'f mut [u8]) -> (&'f mut [u8], usize) {
    let places = board.places();
    let record = places.layout().record;
    let region = &mut flash[record.address as usize..][..record.size as usize];
    (region, places.part().shape.sector_size as usize)
}

fn is_written(cell: &[u8]) -> bool {
    cell[0] == b'O'
}

/// Puts the checksum right.
fn seal(cell: &mut [u8]) {
    let end = 4 + usize::from(cell[3]);
    let crc = crc32(&cell[..end]);
    cell[end..end + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Makes each record one of the next format, which has the same fields.
pub(crate) fn make_newer(board: &Board, flash: &mut [u8]) {
    let (region, sector) = region(board, flash);
    for sector in region.chunks_mut(sector) {
        for cell in sector.chunks_exact_mut(STRIDE).filter(|cell| is_written(cell)) {
            cell[2] = 2;
            seal(cell);
        }
    }
}

/// Appends copies of the record in force, as the engine would, until its sector has room for two
/// more.
pub(crate) fn fill(board: &Board, flash: &mut [u8]) -> Result<()> {
    let (region, sector) = region(board, flash);
    let (cells, sectors) = ((sector / STRIDE).min(64), region.len() / sector);
    let place = |position: usize| {
        let at = position % (cells * sectors);
        at / cells * sector + at % cells * STRIDE
    };
    let position = |at: usize| {
        let cell = &region[place(at)..][..STRIDE];
        let word = cell[4..8].try_into().map(u32::from_le_bytes).unwrap_or_default();
        is_written(cell).then_some(word as usize)
    };
    let mut newest = (0..cells * sectors).filter_map(position).max().context("no record")?;
    while newest % cells < cells - 3 {
        let mut cell = region[place(newest)..][..STRIDE].to_vec();
        newest += 1;
        let word = u32::try_from(newest)?;
        cell[1] = 64 + word.count_zeros() as u8;
        cell[4..8].copy_from_slice(&word.to_le_bytes());
        seal(&mut cell);
        region[place(newest)..][..STRIDE].copy_from_slice(&cell);
    }
    Ok(())
}
