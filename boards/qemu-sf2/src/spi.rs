//! The MSS SPI controller as an [`SpiDevice`]: its chip select is automatic, low for as many frames
//! as a transaction is told to have.

use core::fmt;

use embedded_hal::spi::{Error, ErrorKind, ErrorType, Operation, SpiDevice};

use crate::register::Register;

const CONTROL: Register = Register::at(0x4000_1000);
const FRAME_SIZE: Register = Register::at(0x4000_1004);
const STATUS: Register = Register::at(0x4000_1008);
const RECEIVE: Register = Register::at(0x4000_1010);
const SEND: Register = Register::at(0x4000_1014);
const SELECT: Register = Register::at(0x4000_101C);

/// Master, not enabled: chip select is high.
const DISABLED: u32 = 1 << 1;
/// Frames beyond the size of the FIFO, chip select low between frames, master, enabled.
const ENABLED: u32 = 1 << 29 | 1 << 26 | 3;
const RECEIVED_NOTHING: u32 = 1 << 6;
/// Bytes in flight: the FIFO has room for 4 frames of 32 bits.
const IN_FLIGHT: usize = 4;
/// The most frames of a transaction.
const MAX_FRAMES: usize = 65_535;
/// How often the controller is asked for a byte before it is taken as dead: ten times the 231 us
/// that 4 frames of 8 bits take at its slowest clock, 71 MHz by 512, at 4 cycles of 142 MHz an answer.
const MOST_POLLS: u32 = 100_000;

/// The controller does not hand over what it should have received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SPI controller does not answer")
    }
}

impl core::error::Error for Stuck {}

impl Error for Stuck {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The flash's bus.
#[derive(Debug)]
pub struct Spi;

impl Spi {
    /// Takes the controller over, with frames of 8 bits.
    pub fn new() -> Self {
        CONTROL.write(DISABLED);
        FRAME_SIZE.write(8);
        SELECT.write(1);
        Self
    }

    /// Bytes out and bytes in, at the same time.
    fn transfer(
        length: usize,
        mut out: impl FnMut(usize) -> u8,
        mut take: impl FnMut(usize, u8),
    ) -> Result<(), Stuck> {
        let (mut sent, mut received) = (0, 0);
        while received < length {
            while sent < length && sent - received < IN_FLIGHT {
                SEND.write(out(sent).into());
                sent += 1;
            }
            if (0..MOST_POLLS).all(|_| STATUS.read() & RECEIVED_NOTHING != 0) {
                return Err(Stuck);
            }
            take(received, RECEIVE.read() as u8);
            received += 1;
        }
        Ok(())
    }

    fn operate(operation: &mut Operation<'_, u8>) -> Result<(), Stuck> {
        match operation {
            Operation::Read(buffer) => {
                Self::transfer(buffer.len(), |_| 0, |at, byte| buffer[at] = byte)
            }
            Operation::Write(bytes) => Self::transfer(bytes.len(), |at| bytes[at], |_, _| {}),
            Operation::Transfer(buffer, bytes) => {
                let byte = |at| bytes.get(at).copied().unwrap_or(0);
                let length = buffer.len().max(bytes.len());
                Self::transfer(length, byte, |at, byte| {
                    if let Some(place) = buffer.get_mut(at) {
                        *place = byte;
                    }
                })
            }
            Operation::TransferInPlace(buffer) => buffer.iter_mut().try_for_each(|place| {
                let out = *place;
                Self::transfer(1, |_| out, |_, byte| *place = byte)
            }),
            Operation::DelayNs(_) => Ok(()),
        }
    }

    /// Ends a transaction in its midst, and forgets what still comes of it.
    fn give_up() {
        CONTROL.write(DISABLED);
        for _ in 0..IN_FLIGHT {
            let _ = RECEIVE.read();
        }
    }
}

impl Default for Spi {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorType for Spi {
    type Error = Stuck;
}

impl SpiDevice for Spi {
    fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Stuck> {
        let frames: usize = operations.iter().map(length).sum();
        assert!(frames <= MAX_FRAMES, "the driver splits what is longer");
        CONTROL.write(ENABLED | (frames as u32) << 8);
        let done = operations.iter_mut().try_for_each(Self::operate);
        if done.is_err() {
            Self::give_up();
        }
        done
    }
}

fn length(operation: &Operation<'_, u8>) -> usize {
    match operation {
        Operation::Read(buffer) => buffer.len(),
        Operation::Write(bytes) => bytes.len(),
        Operation::Transfer(buffer, bytes) => buffer.len().max(bytes.len()),
        Operation::TransferInPlace(buffer) => buffer.len(),
        Operation::DelayNs(_) => 0,
    }
}
