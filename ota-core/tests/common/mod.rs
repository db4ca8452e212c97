//! What the test programs of this folder share. Each uses its part of it.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod cells;
pub(crate) mod device;
pub(crate) mod markdown;
pub(crate) mod plain;
