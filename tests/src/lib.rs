#![doc = include_str!("../../README.md")]
//! Tests that span the crates live in `tests/tests/`; this library only makes the README's code a
//! test.
