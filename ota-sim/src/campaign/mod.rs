//! The power-cut campaign: every operation of every scenario cut in every way, singly and in pairs,
//! under an oracle that shares no code with the engine.
//!
//! A *point* is a distinct (scenario, part, rule, operation, tear, second cut). Tears that leave
//! flash as another one does are not counted twice. After each point the device boots four times, each
//! time under another roll of its weak bits, and every boot verifies the whole image anew; one point
//! in 16 is followed by a whole update, one in 16 by the loss of a record cell.

mod images;
mod model;
mod point;
mod rig;
mod run;
mod scenario;
mod walk;

pub use images::{Images, PLATFORM};
pub use model::{ImageId, Model, Request, Ways};
pub use point::{Cut, Failure, Point, Tally, Where};
pub use rig::{App, IMAGE_SIZE, Rig};
pub use run::{Case, CaseReport, Plan, Replay, Report};
pub use scenario::{ALL as SCENARIOS, Fault, Scenario, Step};
pub use walk::{Possible, Select, Walk};
