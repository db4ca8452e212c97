//! Simulated boards: a flash part, and where record and slots lie on it.
//!
//! ```text
//! 0         | record | slot 0: app + descriptor | slot 0: data | slot 1: ... |   capacity
//! ```
//! A board is named by text, so that command lines, replay lines and tests mean the same one:
//!
//! | text | board |
//! |---|---|
//! | `sim` | nRF52840 flash, made large enough for two slots of 1 MiB and 64 KiB of data |
//! | `stm32l4`, `rp2040`, ... | that part as it is, two equal slots, no data |
//! | `sim:slots=3,app=512K,data=0,record=16K` | other sizes; `app` is for the largest application |
//! | `nrf52840:record=0xFE000+8K,slot=0x8000+400K,slot=0x83000+400K` | that part, everything where it is told; a slot's data behind a slash |

use std::fmt;
use std::str::FromStr;

use ota_core::descriptor;
use ota_core::flash::{
    CheckedLayout, Extent, Geometry, Layout, LayoutError, MAX_SLOTS, SlotLayout,
};

use crate::nor::{Part, Shape};

/// The board that is meant when none is named.
pub const DEFAULT_BOARD: &str = "sim";

const MIB: u32 = 1024 * 1024;
/// A record region is at least this long, so that parts with tiny sectors need not erase at every
/// other append.
const MIN_RECORD: u32 = 1024;

/// A simulated board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    name: String,
    part: Part,
    record: Extent,
    slots: Vec<SlotLayout>,
}

/// Sizes of a board in bytes; `None` is the default of its part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// How many slots; 2 by default.
    pub slots: Option<u8>,
    /// The largest application; by default as large as fits.
    pub app: Option<u32>,
    /// The largest data part; 0: none.
    pub data: Option<u32>,
    /// The record region.
    pub record: Option<u32>,
}

/// Why there is no such board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// The name is unknown.
    #[error("no board {name:?}; there are: {}", names().collect::<Vec<_>>().join(", "))]
    UnknownName {
        /// As given.
        name: String,
    },
    /// An option behind the name is not understood.
    #[error(
        "board option {option:?} is not understood; \
         options are slots=N, app=SIZE, data=SIZE, record=SIZE with sizes such as 512K; or \
         record=ADDRESS+SIZE and slot=ADDRESS+SIZE[/ADDRESS+SIZE] for each slot"
    )]
    BadOption {
        /// As given.
        option: String,
    },
    /// Some places are told, and others are not.
    #[error(
        "a board with places of its own needs all of them: record=ADDRESS+SIZE, \
         slot=ADDRESS+SIZE for each slot, and no sizes besides"
    )]
    PartlyPlaced,
    /// The places told are no layout.
    #[error("these places do not work: {0}")]
    Places(LayoutError),
    /// Not 2 to 8 slots.
    #[error("{found} slots; give 2 to {MAX_SLOTS}")]
    SlotCount {
        /// As given.
        found: u8,
    },
    /// The part is too small.
    #[error("{needed} bytes of flash are needed, a {part} has {capacity}; give smaller sizes")]
    DoesNotFit {
        /// The part's name.
        part: &'static str,
        /// What record and slots need together.
        needed: u64,
        /// What there is.
        capacity: u32,
    },
}

/// The names of all boards, without options.
pub fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(DEFAULT_BOARD).chain(Part::ALL.iter().map(|part| part.name))
}

impl Board {
    /// The default board, as it is.
    ///
    /// # Panics
    /// Never: its sizes are constants that fit.
    pub fn sim() -> Self {
        Self::named(DEFAULT_BOARD, Sizes::default()).expect("the default board fits its part")
    }

    /// The board called `name`, with other sizes than its own.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn named(name: &str, sizes: Sizes) -> Result<Self, BoardError> {
        let slot_count = sizes.slots.unwrap_or(2);
        if !(2..=MAX_SLOTS).contains(&usize::from(slot_count)) {
            return Err(BoardError::SlotCount { found: slot_count });
        }
        if name == DEFAULT_BOARD {
            return Self::growing(sizes, slot_count);
        }
        let part =
            Part::by_name(name).ok_or_else(|| BoardError::UnknownName { name: name.to_owned() })?;
        let plan = Plan::new(&part.shape, sizes, slot_count);
        plan.lay_out(display_name(name, sizes), *part)
    }

    /// The default board: its flash is as large as its slots want.
    fn growing(sizes: Sizes, slot_count: u8) -> Result<Self, BoardError> {
        let app = sizes.app.unwrap_or(MIB);
        let data = sizes.data.unwrap_or(64 * 1024);
        let full = Sizes { app: Some(app), data: Some(data), ..sizes };
        let base = Part { name: DEFAULT_BOARD, ..Part::NRF52840 };
        let plan = Plan::new(&base.shape, full, slot_count);
        let capacity = u32::try_from(plan.needed()).unwrap_or(u32::MAX);
        plan.lay_out(display_name(DEFAULT_BOARD, sizes), base.with_capacity(capacity))
    }

    /// The board `text` whose record and slots lie where they are told.
    ///
    /// # Errors
    /// [`BoardError`].
    fn placed(text: &str, part: &str, places: Places) -> Result<Self, BoardError> {
        let unknown = || BoardError::UnknownName { name: part.to_owned() };
        let part = match part {
            DEFAULT_BOARD => Self::sim().part,
            name => *Part::by_name(name).ok_or_else(unknown)?,
        };
        let Places { record: Some(record), slots } = places else {
            return Err(BoardError::PartlyPlaced);
        };
        let Shape { capacity, sector_size, write_size, erase_value, .. } = part.shape;
        let geometry = Geometry { size: capacity, sector_size, write_size, erase_value };
        CheckedLayout::new(Layout { record, slots: &slots }, [geometry])
            .map_err(BoardError::Places)?;
        Ok(Self { name: text.to_owned(), part, record, slots })
    }

    /// The first board whose flash has exactly this many bytes.
    pub fn of_length(length: u64) -> Option<Self> {
        let boards = names().filter_map(|name| Self::named(name, Sizes::default()).ok());
        boards.into_iter().find(|board| u64::from(board.part.shape.capacity) == length)
    }

    /// Its name, with options: as [`FromStr`] takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its flash.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Where record and slots lie.
    pub fn layout(&self) -> Layout<'_> {
        Layout { record: self.record, slots: &self.slots }
    }

    /// The largest application, in bytes.
    pub fn app_room(&self) -> u32 {
        let Shape { sector_size, write_size, erase_value, .. } = self.part.shape;
        self.slots.first().map_or(0, |slot| {
            let size = slot.app.size;
            descriptor::offset(Geometry { size, sector_size, write_size, erase_value })
        })
    }

    /// The largest data part, in bytes; 0: there is no room for one.
    pub fn data_room(&self) -> u32 {
        self.slots.first().and_then(|slot| slot.data).map_or(0, |data| data.size)
    }

    /// How much RAM the engine is lent: a sector, so that equal sectors are skipped, and at least
    /// 4 KiB, so that long manifests fit.
    pub fn buffer_size(&self) -> usize {
        (self.part.shape.sector_size as usize).max(4096)
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Board {
    type Err = BoardError;

    fn from_str(text: &str) -> Result<Self, BoardError> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let (mut sizes, mut places) = (Sizes::default(), Places::default());
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let bad = || BoardError::BadOption { option: option.to_owned() };
            let (key, value) = option.split_once('=').ok_or_else(bad)?;
            if value.contains('+') {
                places.add(key, value).ok_or_else(bad)?;
                continue;
            }
            let size = parse_size(value).ok_or_else(bad)?;
            match key {
                "slots" => sizes.slots = Some(u8::try_from(size).map_err(|_| bad())?),
                "app" => sizes.app = Some(size),
                "data" => sizes.data = Some(size),
                "record" => sizes.record = Some(size),
                _ => return Err(bad()),
            }
        }
        match (places == Places::default(), sizes == Sizes::default()) {
            (true, _) => Self::named(name, sizes),
            (false, true) => Self::placed(text, name, places),
            (false, false) => Err(BoardError::PartlyPlaced),
        }
    }
}

/// Where a board's regions are told to lie.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    record: Option<Extent>,
    slots: Vec<SlotLayout>,
}

impl Places {
    /// `None`: not understood, or told twice.
    fn add(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "record" if self.record.is_none() => self.record = Some(parse_extent(value)?),
            "slot" => {
                let (app, data) = match value.split_once('/') {
                    Some((app, data)) => (app, Some(parse_extent(data)?)),
                    None => (value, None),
                };
                self.slots.push(SlotLayout { app: parse_extent(app)?, data });
            }
            _ => return None,
        }
        Some(())
    }
}

/// Region sizes of a board, in whole sectors.
struct Plan {
    slot_count: u8,
    record: u64,
    /// With the descriptor's sectors.
    app: u64,
    data: u64,
}

impl Plan {
    fn new(shape: &Shape, sizes: Sizes, slot_count: u8) -> Self {
        let sector = u64::from(shape.sector_size);
        let whole = |bytes: u32| u64::from(bytes).next_multiple_of(sector);
        let record = whole(sizes.record.unwrap_or(MIN_RECORD)).max(2 * sector);
        let data = whole(sizes.data.unwrap_or(0));
        let share = u64::from(shape.capacity).saturating_sub(record) / u64::from(slot_count);
        let largest = share.saturating_sub(data) / sector * sector;
        // An application that does not fit is found out when all is laid out.
        let descriptor = whole(descriptor::LEN as u32);
        let app = sizes.app.map_or(largest, |app| whole(app) + descriptor);
        let app = app.max(sector + descriptor);
        Self { slot_count, record, app, data }
    }

    fn needed(&self) -> u64 {
        self.record + u64::from(self.slot_count) * (self.app + self.data)
    }

    fn lay_out(&self, name: String, part: Part) -> Result<Board, BoardError> {
        let (needed, capacity) = (self.needed(), part.shape.capacity);
        if needed > u64::from(capacity) {
            return Err(BoardError::DoesNotFit { part: part.name, needed, capacity });
        }
        let mut end = 0;
        // All ends lie within the capacity, a `u32`.
        let mut take = |size: u64| {
            let extent = Extent::new(end, size as u32);
            end += size as u32;
            extent
        };
        let record = take(self.record);
        let slots = (0..self.slot_count)
            .map(|_| SlotLayout {
                app: take(self.app),
                data: (self.data > 0).then(|| take(self.data)),
            })
            .collect();
        Ok(Board { name, part, record, slots })
    }
}

fn display_name(name: &str, sizes: Sizes) -> String {
    let slots = sizes.slots.map(|slots| ("slots", u32::from(slots)));
    let others = [("app", sizes.app), ("data", sizes.data), ("record", sizes.record)];
    let others = others.into_iter().filter_map(|(key, size)| Some((key, size?)));
    let options: Vec<String> =
        slots.into_iter().chain(others).map(|(key, value)| format!("{key}={value}")).collect();
    if options.is_empty() { name.to_owned() } else { format!("{name}:{}", options.join(",")) }
}

/// `0x8000+400K`.
fn parse_extent(text: &str) -> Option<Extent> {
    let (address, size) = text.split_once('+')?;
    Some(Extent::new(parse_size(address)?, parse_size(size)?))
}

/// `4096`, `0x1000`, `512K`, `2M`.
fn parse_size(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1024),
        (at, 'm' | 'M') => (&text[..at], MIB),
        _ => (text, 1),
    };
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flash::SimFlash;
    use crate::nor::Nor;

    #[test]
    fn every_board_has_a_layout_that_the_engine_accepts() {
        for name in names() {
            let board: Board = name.parse().unwrap();
            let nor = Nor::new(board.part());
            SimFlash::new(nor, &board).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    #[test]
    fn the_default_board_holds_a_mebibyte_and_data() {
        let board = Board::sim();
        assert_eq!((board.app_room(), board.data_room()), (MIB, 64 * 1024));
        assert_eq!(board.layout().slots.len(), 2);
        let shape = board.part().shape;
        assert_eq!((shape.sector_size, shape.write_size), (4096, 4));
        assert_eq!(board.layout().record.size, 2 * 4096);
    }

    #[test]
    fn sizes_in_the_name_come_back_in_the_name() {
        let board: Board = "sim:slots=3,app=100K,data=0,record=16K".parse().unwrap();
        assert_eq!(board.layout().slots.len(), 3);
        assert_eq!((board.app_room(), board.data_room()), (100 * 1024, 0));
        assert_eq!(board.layout().record.size, 16 * 1024);
        assert_eq!(board.name(), "sim:slots=3,app=102400,data=0,record=16384");
        assert_eq!(board.name().parse(), Ok(board));
    }

    #[test]
    fn a_board_may_say_where_everything_lies() {
        let text =
            "nrf52840:record=0xFE000+8K,slot=0x8000+0x7B000,slot=0x83000+0x6B000/0xEE000+64K";
        let board: Board = text.parse().unwrap();
        assert_eq!(board.layout().record, Extent::new(0xF_E000, 8192));
        assert_eq!(board.layout().slots[0].app, Extent::new(0x8000, 0x7_B000));
        assert_eq!(board.layout().slots[1].data, Some(Extent::new(0xE_E000, 65536)));
        assert_eq!(board.name().parse(), Ok(board));
    }

    #[test]
    fn boards_are_found_by_the_length_of_a_flash_file() {
        let sim = Board::sim();
        assert_eq!(Board::of_length(u64::from(sim.part().shape.capacity)), Some(sim));
        assert_eq!(Board::of_length(12345), None);
    }

    #[test]
    fn what_is_no_board_is_refused_with_what_there_is() {
        for (text, words) in [
            ("pdp11", "there are: sim, nrf52840"),
            ("sim:colour=blue", "options are slots=N"),
            ("sim:app=1G", "options are slots=N"),
            ("sim:slots=9", "give 2 to 8"),
            ("nrf52840:app=600K", "give smaller sizes"),
            ("stm32h7:slots=8,data=256K", "give smaller sizes"),
            ("nrf52840:slot=0x8000+64K,slot=0x18000+64K", "needs all of them"),
            ("nrf52840:record=0+8K,slot=8K+64K,slot=0x18000+64K,app=1K", "needs all of them"),
            ("nrf52840:record=0+8K,slot=0x1000+64K,slot=0x18000+64K", "overlap"),
            ("nrf52840:record=0+8K,slot=0x2001+64K,slot=0x18000+64K", "multiples of 4096"),
            ("nrf52840:record=0+8K,record=0+8K", "not understood"),
        ] {
            let error = text.parse::<Board>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
