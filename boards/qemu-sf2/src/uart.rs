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

/// The UART, polled.
#[derive(Debug)]
pub struct Uart;

impl Uart {
    /// Takes the UART over: with its FIFO, and with an interrupt when a byte has come.
    pub fn new() -> Self {
        FIFO.write(1);
        INTERRUPTS.write(RECEIVED);
        Self
    }

    fn send(byte: u8) {
        while LINE_STATUS.read() & CAN_SEND == 0 {}
        DATA.write(byte.into());
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
        bytes.iter().for_each(|byte| Self::send(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(Self::send);
        Ok(())
    }
}
