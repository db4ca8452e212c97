//! UART0, a 16550: the line that RPC frames travel on.

use core::convert::Infallible;
use core::fmt;

use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::register::Register;

const DATA: Register = Register::at(0x4000_0000);
const INTERRUPTS: Register = Register::at(0x4000_0004);
const FIFO: Register = Register::at(0x4000_0008);
const LINE_STATUS: Register = Register::at(0x4000_0014);
const RECEIVED: u32 = 1;
const CAN_SEND: u32 = 1 << 5;
/// How often a UART that can take no byte is asked. On silicon it takes the next one after at most
/// the 16 bytes of its FIFO: 1.4 ms at 115,200 baud, or 50,000 answers at 4 cycles of 142 MHz. Under
/// QEMU it depends on who reads the other end, so there is time to spare.
const MOST_POLLS: u32 = 10_000_000;

/// The UART, polled. Bytes that it does not take in time are dropped, as on a line that nobody has
/// connected.
#[derive(Debug)]
pub struct Uart {
    /// It did not take the last byte, so there is no waiting for the next.
    is_stuck: bool,
}

impl Uart {
    /// Takes the UART over: with its FIFO, and with an interrupt when a byte has come.
    pub fn new() -> Self {
        FIFO.write(1);
        INTERRUPTS.write(RECEIVED);
        Self { is_stuck: false }
    }

    fn send(&mut self, byte: u8) {
        let polls = if self.is_stuck { 1 } else { MOST_POLLS };
        self.is_stuck = !(0..polls).any(|_| LINE_STATUS.read() & CAN_SEND != 0);
        if !self.is_stuck {
            DATA.write(byte.into());
        }
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(LINE_STATUS.read() & RECEIVED != 0)
    }
}

/// Waits for the first byte, as the trait has it, without end: ask [`ReadReady`] before.
impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for place in buffer {
            if count > 0 && LINE_STATUS.read() & RECEIVED == 0 {
                break;
            }
            while LINE_STATUS.read() & RECEIVED == 0 {}
            *place = DATA.read() as u8;
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        bytes.iter().for_each(|byte| self.send(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(byte));
        Ok(())
    }
}
