//! The log as it lies in flash, cell by cell: for tools that show it to people.
//!
//! Nothing here decides anything. What is in force is [`super::Log`]'s to say.

use super::cell::{self, CellShape, Header, Valid};
use super::{Record, RecordTooSmall};
use crate::flash::FlashRead;

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
    let shape = CellShape::of(flash);
    if !shape.has_room() {
        return Err(RecordTooSmall);
    }
    for place in 0..shape.places.get() {
        let (sector, index) = (place / shape.cells, place % shape.cells);
        let content = content(flash, place);
        visit(Cell { sector, index, offset: cell::cell_offset(flash, place), content });
    }
    Ok(Shape { sectors: shape.places.get() / shape.cells, cells: shape.cells.get() })
}

fn content<F: FlashRead>(flash: &mut F, place: u32) -> Content {
    let position = match cell::header(flash, place) {
        Header::Blank => return Content::Blank,
        Header::Garbage => return Content::Garbage,
        Header::Unreadable => return Content::Unreadable,
        Header::Cell(position) => position,
    };
    let mut record = Record::empty();
    match cell::body(flash, position, &mut record) {
        None => Content::Damaged { position },
        Some(Valid { format, understood, sealed }) => {
            let record = if understood { record } else { Record::empty() };
            Content::Whole { position, format, sealed, record }
        }
    }
}
