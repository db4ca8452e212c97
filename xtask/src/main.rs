//! `cargo xtask`: everything CI does.
fn main() {}
