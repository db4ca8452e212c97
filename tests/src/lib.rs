#![doc = include_str!("../../README.md")]
//! Tests that span the crates live in `tests/tests/`; this library only makes code in documents a
//! test.

#[doc = include_str!("../../docs/porting.md")]
pub mod porting {}
