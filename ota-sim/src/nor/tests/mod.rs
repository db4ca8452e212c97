//! What the flash model promises, one file for each chapter of `docs/fault-model.md`.

mod device;
mod faults;
mod file;
mod random_ops;
mod rules;
mod tears;
mod weak;

use super::{Nor, NorDevice, NorError, Part, PendingOp, Rule};

/// 16 KiB with 4 KiB sectors and 4-byte words.
const SMALL: Part = Part::GENERIC_4K4.with_capacity(16 * 1024);

/// The same, erasing to zero.
const SMALL_ZERO: Part = {
    let mut part = SMALL;
    part.shape.erase_value = 0x00;
    part
};

/// The rules and check bits that a part may have.
const LAWS: [(Rule, bool); 6] = [
    (Rule::Free, false),
    (Rule::Free, true),
    (Rule::AllZero, false),
    (Rule::AllZero, true),
    (Rule::Never, false),
    (Rule::Never, true),
];

fn program(address: u32, bytes: &[u8]) -> PendingOp<'_> {
    PendingOp::Program { address, bytes }
}

fn read<const N: usize>(nor: &mut Nor, address: u32) -> Result<[u8; N], NorError> {
    let mut bytes = [0; N];
    nor.read(address, &mut bytes).map(|()| bytes)
}
