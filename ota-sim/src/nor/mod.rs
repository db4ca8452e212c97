//! A strict model of NOR flash, and the faults that real NOR flash has.
//!
//! The fault model is written down once, in `docs/fault-model.md`; this module is that document as
//! code. Every part of the tree that wants flash on a PC uses it: core tests, the power-cut
//! campaign, the simulated device.
//!
//! ```text
//!                  NorPort<D, W, E>      embedded_storage::nor_flash::NorFlash, const geometry
//!                         |
//!                     NorDevice          whole writes -> physical operations (PendingOp)
//!            +------------+-----------+
//!         Observed     FileNor     Rc<RefCell<_>>     a hook before each operation; a file behind
//!            +------------+-----------+
//!                        Nor             bytes, unit states, rules, power, faults, counters
//!                         |
//!                        Cell            what one operation does to one write unit
//! ```
//!
//! # States of a write unit
//! | state | meaning | read | program | erase |
//! |---|---|---|---|---|
//! | blank | not programmed since the last erase | erase value | allowed | stays blank |
//! | programmed | programmed whole | its bytes | by the part's [`Rule`] | blank |
//! | torn | an operation on it was cut | old, new, mixed, or an error (ECC) | by the rule | blank |
//! | dead | cannot be read | error | by the rule; stays dead | blank |
//!
//! # Power loss
//! An operation in flight changes nothing outside the units it names: a program's bytes, an
//! erase's sector. Inside, a [`Tear`] says which units are done, untouched, or torn. Everything
//! afterwards returns [`NorError::PoweredOff`] until [`Nor::power_on`], which rolls how torn units
//! read at this boot ([`Flicker`]).
//!
//! # Determinism
//! No clock and no entropy: the same calls with the same seeds give the same flash, bit for bit.
//! Everything random prints as text that replays it (`bits50:7`, `units:3`).

mod apply;
mod cell;
mod device;
mod error;
mod faults;
mod file;
mod model;
mod observe;
mod op;
mod parts;
mod random;
mod shape;
mod snapshot;
mod tear;
mod units;
mod weak;

#[cfg(test)]
mod tests;

pub use device::{NorDevice, NorPort};
pub use error::{NorError, ParseError};
pub use faults::{Bad, ReadFaults, Stop};
pub use file::{FileNor, FileNorError};
pub use model::{Counters, Nor};
pub use observe::{Observed, Observer};
pub use op::{OpKind, OpRecord, PendingOp};
pub use parts::Part;
pub use random::Random;
pub use shape::{MAX_WRITE_SIZE, Rule, Shape, ShapeError, Timings};
pub use tear::{Tear, TearBudget, tears_for};
pub use weak::{Flicker, Weak};
