//! What is measured, and how large each may become.
//!
//! A budget is the promise of the project's goals or, where that is looser, the measured figure and
//! a little: a change that needs more says so by changing the number here.

/// A program of `xtask/probes`.
pub(super) struct Probe {
    /// Of the program.
    pub(super) name: &'static str,
    /// Features of the probes' package that it needs.
    pub(super) features: &'static [&'static str],
    /// For the table.
    pub(super) what: &'static str,
    pub(super) budget: Budget,
}

/// In bytes.
pub(super) struct Budget {
    /// `.text` and `.rodata`.
    pub(super) code: u64,
    /// `.data` and `.bss`.
    pub(super) ram: u64,
    /// The deepest point that the probe's run reaches.
    pub(super) stack: u64,
}

/// What the others are compared with: start-up, panic handler, flash driver.
pub(super) const EMPTY: Probe = Probe {
    name: "empty",
    features: &[],
    what: "nothing",
    budget: Budget { code: 0, ram: 0, stack: 0 },
};

/// Every measured configuration.
pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "crc32",
        features: &[],
        what: "CRC-32 of flash",
        budget: Budget { code: 160, ram: 0, stack: 160 },
    },
    Probe {
        name: "boot-crc32",
        features: &[],
        what: "boot path: record, decision, CRC-32 (MCUboot direct-XIP: 2,896 B with SHA-256)",
        budget: Budget { code: 2_896, ram: 108, stack: 1_024 },
    },
    Probe {
        name: "boot-sha256",
        features: &["ota-core/sha256"],
        what: "boot path with SHA-256",
        budget: Budget { code: 5_120, ram: 108, stack: 1_536 },
    },
    Probe {
        name: "rpc-serial",
        features: &["rpc"],
        // The aim was 12 KiB: texts are 3.7 of the 24.2 kB, JSON 4, `core::fmt` and UTF-8 1.7.
        what: "all RPC methods on a serial line, without the engine; RAM: buffers of 1 KiB",
        budget: Budget { code: 24_320, ram: 2_064, stack: 2_624 },
    },
];
