//! The log as it lies in flash, cell by cell: for tools that show it to people.
//!
//! Nothing here decides anything. What is in force is [`super::Log`]'s to say.

use super::cell::{CellShape, Header};
use super::{Record, RecordTooSmall};
use crate::flash::{FlashRead, Region};

/// How the log divides its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Erase sectors that are used.
    pub sectors: u32,
    /// Cells in each of them.
    pub cells: u32,
}

/// One cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The sector that it lies in, from 0.
    pub sector: u32,
    /// Its place in the sector, from 0.
    pub index: u32,
    /// Where it starts in the region, in bytes.
    pub offset: u32,
    /// What it holds.
    pub content: Content,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Its header reads as erased.
    Blank,
    /// Its header is none that belongs there: torn, damaged, or another program's.
    Garbage,
    /// Its header cannot be read.
    Unreadable,
    /// Its header is whole and its body is not.
    Damaged {
        /// The position that the header claims.
        position: u32,
    },
    /// A whole record.
    Whole {
        /// Its position in the log.
        position: u32,
        /// The format of the cell.
        format: u8,
        /// Whether its seal reads whole.
        sealed: bool,
        /// The fields, as far as this code knows the format.
        record: Record,
    },
}

/// Shows every cell to `visit`, in the order in which they lie in flash.
///
/// # Errors
/// [`RecordTooSmall`]: the region cannot hold a log.
pub fn inspect<F: FlashRead>(
    flash: &mut F,
    mut visit: impl FnMut(Cell),
) -> Result<Shape, RecordTooSmall> {
    let geometry = flash.geometry(Region::Record).ok_or(RecordTooSmall)?;
    let shape = CellShape::new(geometry, flash.slots()).ok_or(RecordTooSmall)?;
    for place in shape.places() {
        let sector = shape.generation(place);
        let index = place.wrapping_sub(shape.first_of(sector));
        let content = content(flash, &shape, place);
        visit(Cell { sector, index, offset: shape.cell_offset(place), content });
    }
    Ok(Shape { sectors: shape.sectors.get(), cells: shape.cells.get() })
}

fn content<F: FlashRead>(flash: &mut F, shape: &CellShape, place: u32) -> Content {
    let (header, position) = shape.header(flash, place);
    match header {
        Header::Blank => return Content::Blank,
        Header::Garbage => return Content::Garbage,
        Header::Unreadable => return Content::Unreadable,
        Header::Cell => {}
    }
    let mut record = Record::empty();
    match shape.body(flash, position, &mut record) {
        None => Content::Damaged { position },
        Some((format, understood)) => {
            let sealed = shape.sealed(flash, position);
            let record = if understood { record } else { Record::empty() };
            Content::Whole { position, format, sealed, record }
        }
    }
}
