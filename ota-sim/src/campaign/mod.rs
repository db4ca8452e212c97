//! The power-cut campaign: every operation of every scenario cut in every way, singly and in pairs,
//! under an oracle that shares no code with the engine.
//!
//! A *point* is a distinct (scenario, part, rule, operation, tear, second cut). Tears that leave
//! flash as another one does are not counted twice. After each point the device boots four times, each
//! time under another roll of its weak bits, and every boot verifies the whole image anew; one point
//! in 16 is followed by a whole update, one in 16 by the loss of a record cell.
//!
//! ```text
//!   Plan -> Case = Scenario x Kind x Rule -> Walk over a Specimen
//!                                             |   Board    flash chips; Rig puts the engine on them
//!                                             |   Model    what the device may be
//!                                             |   Ledger   what was jumped to, and how often
//!                                             +-- Cutter   cuts a copy, which recovers and is judged
//! ```

mod app;
mod board;
mod cutter;
mod holdings;
mod images;
mod interrupt;
mod kind;
mod ledger;
mod model;
mod point;
mod product;
mod recover;
mod rig;
mod run;
mod scenario;
mod scenarios;
mod unsteady;
mod walk;

pub use app::{App, Ask, Ended};
pub use board::{Board, Watcher};
pub use cutter::Select;
pub use images::{Image, Images, PLATFORM};
pub use kind::{ALL as KINDS, Kind};
pub use ledger::Ledger;
pub use model::{ImageId, Model, Request, Ways};
pub use point::{Cut, Failure, Point, Tally, Where};
pub use product::{Product, Second};
pub use rig::{CRASH_LIMIT, IMAGE_SIZE, Rig};
pub use run::{Case, CaseReport, Plan, Replay, Report};
pub use scenario::{Fault, Scenario, Step};
pub use scenarios::ALL as SCENARIOS;
pub use unsteady::Unsteady;
pub use walk::{Possible, Specimen, Walk};
