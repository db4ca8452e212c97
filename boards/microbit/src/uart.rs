//! The UART on the pins that lead to the micro:bit's USB chip: the line that RPC frames travel on.
//!
//! Its FIFO has room for 6 bytes, half a millisecond at 115,200 baud. So bytes are fetched by an
//! interrupt: the program's handler has to call [`interrupt`]. While flash is erased or written the
//! processor stands still; the peer was asked to be quiet then (XOFF).

use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::interrupt::{Mutex, free};
use cortex_m::peripheral::NVIC;
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};
use heapless::Deque;

use crate::register::Register;

/// The interrupt's number.
pub const INTERRUPT: i16 = 2;

const GPIO_SET: Register = Register::at(0x5000_0508);
const GPIO_OUTPUT: Register = Register::at(0x5000_0518);
const GPIO_INPUT: Register = Register::at(0x5000_051C);

const START_RECEIVER: Register = Register::at(0x4000_2000);
const START_SENDER: Register = Register::at(0x4000_2008);
const RECEIVED: Register = Register::at(0x4000_2108);
const SENT: Register = Register::at(0x4000_211C);
const ERROR: Register = Register::at(0x4000_2124);
const INTERRUPTS_ON: Register = Register::at(0x4000_2304);
const INTERRUPTS_OFF: Register = Register::at(0x4000_2308);
const ERROR_SOURCE: Register = Register::at(0x4000_2480);
const ENABLE: Register = Register::at(0x4000_2500);
const PIN_RTS: Register = Register::at(0x4000_2508);
const PIN_TXD: Register = Register::at(0x4000_250C);
const PIN_CTS: Register = Register::at(0x4000_2510);
const PIN_RXD: Register = Register::at(0x4000_2514);
const RXD: Register = Register::at(0x4000_2518);
const TXD: Register = Register::at(0x4000_251C);
const BAUD_RATE: Register = Register::at(0x4000_2524);
const CONFIG: Register = Register::at(0x4000_256C);

const TXD_PIN: u32 = 24;
const RXD_PIN: u32 = 25;
const NO_PIN: u32 = u32::MAX;
const BAUD_115200: u32 = 0x01D7_E000;
const ON: u32 = 4;
/// Interrupts for a byte received, and for an error.
const ON_RECEIVED: u32 = 1 << 2;
const ON_ERROR: u32 = 1 << 9;

/// What came and was not read. When it is full, what comes waits in the FIFO, and is lost when that
/// overflows too.
static INPUT: Mutex<RefCell<Deque<u8, 256>>> = Mutex::new(RefCell::new(Deque::new()));
/// A byte was lost.
static LOST: Mutex<Cell<bool>> = Mutex::new(Cell::new(false));

/// Bytes were lost: they came too fast, or were garbled on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBytes;

impl fmt::Display for LostBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes on the UART were lost")
    }
}

impl core::error::Error for LostBytes {}

impl embedded_io::Error for LostBytes {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidData
    }
}

/// The UART's interrupt.
#[derive(Clone, Copy)]
struct Number;

// SAFETY: the number of the UART's interrupt on this chip, which has 32.
unsafe impl cortex_m::interrupt::InterruptNumber for Number {
    fn number(self) -> u16 {
        INTERRUPT as u16
    }
}

/// Fetches what came in. To be called by the handler of interrupt [`INTERRUPT`].
pub fn interrupt() {
    free(|section| {
        let mut input = INPUT.borrow(section).borrow_mut();
        while RECEIVED.read() != 0 {
            if input.is_full() {
                // Until there is room: see `Uart::read`.
                INTERRUPTS_OFF.write(ON_RECEIVED);
                break;
            }
            // Before the byte is taken: the next one sets it again.
            RECEIVED.write(0);
            let _ = input.push_back(RXD.read() as u8);
        }
        if ERROR.read() != 0 {
            ERROR.write(0);
            // Its bits are cleared by writing them.
            ERROR_SOURCE.write(ERROR_SOURCE.read());
            LOST.borrow(section).set(true);
        }
    });
}

/// How often a UART that has not sent a byte is asked: a second at 4 cycles of 16 MHz an answer. A byte
/// takes 87 us at 115,200 baud; under QEMU it waits for who reads the other end.
const MOST_POLLS: u32 = 4_000_000;
/// It has not sent the last byte in that time. It gets no other before it has: a line that is stuck is
/// waited for once.
static IS_STUCK: AtomicBool = AtomicBool::new(false);

/// The UART at 115200 8N1.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Takes the pins and starts both directions.
    pub fn new() -> Self {
        // The line is high when it is idle, before and while the UART takes the pin over.
        GPIO_SET.write(1 << TXD_PIN);
        GPIO_OUTPUT.write(1 << TXD_PIN);
        GPIO_INPUT.write(1 << RXD_PIN);
        PIN_TXD.write(TXD_PIN);
        PIN_RXD.write(RXD_PIN);
        PIN_RTS.write(NO_PIN);
        PIN_CTS.write(NO_PIN);
        BAUD_RATE.write(BAUD_115200);
        CONFIG.write(0);
        ENABLE.write(ON);
        for event in [RECEIVED, SENT, ERROR] {
            event.write(0);
        }
        START_SENDER.write(1);
        START_RECEIVER.write(1);
        INTERRUPTS_ON.write(ON_RECEIVED | ON_ERROR);
        // SAFETY: the handlers of all programs call `interrupt`, which is ready.
        unsafe { NVIC::unmask(Number) };
        Self(())
    }

    fn send(byte: u8) {
        if IS_STUCK.load(Ordering::Relaxed) && SENT.read() == 0 {
            return;
        }
        SENT.write(0);
        TXD.write(byte.into());
        let is_sent = (0..MOST_POLLS).any(|_| SENT.read() != 0);
        IS_STUCK.store(!is_sent, Ordering::Relaxed);
    }
}

impl Default for Uart {
    fn default() -> Self {
        Self::new()
    }
}

impl ErrorType for Uart {
    type Error = LostBytes;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, LostBytes> {
        Ok(free(|section| LOST.borrow(section).get() || !INPUT.borrow(section).borrow().is_empty()))
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LostBytes> {
        loop {
            let count = free(|section| {
                if LOST.borrow(section).replace(false) {
                    return Err(LostBytes);
                }
                let mut input = INPUT.borrow(section).borrow_mut();
                let came = core::iter::from_fn(|| input.pop_front());
                Ok(buffer.iter_mut().zip(came).map(|(place, byte)| *place = byte).count())
            })?;
            INTERRUPTS_ON.write(ON_RECEIVED);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
        }
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, LostBytes> {
        bytes.iter().for_each(|byte| Self::send(*byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), LostBytes> {
        Ok(())
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(Self::send);
        Ok(())
    }
}
