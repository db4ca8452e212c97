//! The `ota` service of FIMP: what a hub sees of a device.
//!
//! [`decoder`] knows what may be on the wire, and nothing of our code; [`hub`] judges the order in which
//! it comes; [`world`] is a device with its flash, power and time; [`rig`] one on a real broker.

#[path = "../../../ota-sim/tests/support/broker.rs"]
mod broker;
mod cuts;
mod decoder;
mod floods;
mod flows;
mod hostile;
mod hub;
mod lies;
mod random;
mod rig;
mod slow;
mod world;
