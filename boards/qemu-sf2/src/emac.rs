//! The MSS EMAC as a network device, polled.
//!
//! ```text
//! receive: ring of descriptors --> frames    the chip fills what is EMPTY, and clears that
//! send:    one descriptor, its own next one  the chip sends what is not EMPTY, and sets that
//! ```
//! The chip reads and writes descriptors and frames in RAM by itself. When a frame finds no empty
//! descriptor it is lost and receiving stops; it is started again where it stopped, and TCP sees to
//! the loss.
//!
//! QEMU has neither PHY nor auto-negotiation: on silicon, the link has to be set up before.

use core::sync::atomic::{Ordering, fence};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::register::Register;

const CONFIG: Register = Register::at(0x4004_1000);
const STATION_HIGH: Register = Register::at(0x4004_1040);
const STATION_LOW: Register = Register::at(0x4004_1044);
const SEND_CONTROL: Register = Register::at(0x4004_1180);
const SEND_DESCRIPTOR: Register = Register::at(0x4004_1184);
const RECEIVE_CONTROL: Register = Register::at(0x4004_118C);
const RECEIVE_DESCRIPTOR: Register = Register::at(0x4004_1190);
const RECEIVE_STATUS: Register = Register::at(0x4004_1194);

/// Receiver and sender on; zero takes the chip out of reset.
const ENABLED: u32 = 1 << 2 | 1;
/// A transfer is on.
const ON: u32 = 1;
/// A frame was lost.
const OVERFLOW: u32 = 1 << 2;
/// Of a descriptor: it holds no frame.
const EMPTY: u32 = 1 << 31;
const LENGTH: u32 = 0xFFF;

/// Frames that may wait to be read: more than a window of TCP has.
pub const FRAMES: usize = 8;
/// Bytes of a frame, and its checksum; in whole words.
const FRAME: usize = 1536;
/// Bytes of the longest frame to be sent: a packet of 1,500 behind a header.
const LONGEST: usize = 1514;

#[derive(Clone, Copy)]
#[repr(C)]
struct Descriptor {
    address: u32,
    length: u32,
    next: u32,
}

/// What the chip works on: 13.6 KiB.
#[repr(C, align(4))]
pub struct Memory {
    frames: [[u8; FRAME]; FRAMES],
    out: [u8; FRAME],
    received: [Descriptor; FRAMES],
    send: Descriptor,
}

impl Memory {
    /// Nothing received, nothing to send.
    pub const fn new() -> Self {
        // All zero, so that it takes no room in the image.
        const NONE: Descriptor = Descriptor { address: 0, length: 0, next: 0 };
        Self { frames: [[0; FRAME]; FRAMES], out: [0; FRAME], received: [NONE; FRAMES], send: NONE }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// The network device.
pub struct Emac {
    /// Shared with the chip, so there is no reference to it but for the time of a call.
    memory: *mut Memory,
    /// The descriptor that is filled next.
    next: usize,
}

impl Emac {
    /// Takes the chip over, for this address.
    pub fn new(memory: &'static mut Memory, address: EthernetAddress) -> Self {
        let frames = memory.frames.each_ref().map(|frame| frame.as_ptr() as u32);
        let firsts = memory.received.each_ref().map(|one| core::ptr::from_ref(one) as u32);
        for (at, descriptor) in memory.received.iter_mut().enumerate() {
            let next = firsts[(at + 1) % FRAMES];
            *descriptor = Descriptor { address: frames[at], length: EMPTY, next };
        }
        let send = core::ptr::from_ref(&memory.send) as u32;
        memory.send = Descriptor { address: memory.out.as_ptr() as u32, length: EMPTY, next: send };
        fence(Ordering::Release);
        let [a, b, c, d, e, f] = address.0;
        CONFIG.write(0);
        STATION_HIGH.write(u32::from_be_bytes([a, b, c, d]));
        STATION_LOW.write(u32::from_be_bytes([e, f, 0, 0]));
        CONFIG.write(ENABLED);
        SEND_DESCRIPTOR.write(send);
        RECEIVE_DESCRIPTOR.write(firsts[0]);
        RECEIVE_CONTROL.write(ON);
        Self { memory, next: 0 }
    }

    /// The length of the frame that was received, if one was.
    fn received(&self) -> Option<usize> {
        // SAFETY: the memory is this driver's and the chip's for ever; the chip writes the word.
        let length =
            unsafe { (&raw const (*self.memory).received[self.next].length).read_volatile() };
        (length & EMPTY == 0).then_some((length & LENGTH) as usize)
    }

    /// After frames were lost: goes on at the descriptor that is looked at.
    fn go_on(&self) {
        RECEIVE_STATUS.write(OVERFLOW);
        // SAFETY: an address inside the memory; nothing is read.
        RECEIVE_DESCRIPTOR.write(unsafe { &raw const (*self.memory).received[self.next] } as u32);
        RECEIVE_CONTROL.write(ON);
    }
}

impl Device for Emac {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sender;

    fn receive(&mut self, now: Instant) -> Option<(Received<'_>, Sender)> {
        let Some(length) = self.received() else {
            if RECEIVE_CONTROL.read() & ON == 0 {
                self.go_on();
            }
            return None;
        };
        let sender = self.transmit(now)?;
        Some((Received { emac: self, length }, sender))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender> {
        // SAFETY: as in `received`.
        let length = unsafe { (&raw const (*self.memory).send.length).read_volatile() };
        (length & EMPTY != 0).then_some(Sender { memory: self.memory })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST;
        capabilities.max_burst_size = Some(FRAMES);
        capabilities
    }
}

/// A frame that came.
pub struct Received<'a> {
    emac: &'a mut Emac,
    length: usize,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        let Self { emac, length } = self;
        fence(Ordering::Acquire);
        // SAFETY: the chip leaves a frame alone until its descriptor is empty again.
        let frame = unsafe { &(&(*emac.memory).frames)[emac.next] };
        let result = take(&frame[..length.min(FRAME)]);
        fence(Ordering::Release);
        // SAFETY: as in `received`; from here on the chip may write the frame.
        unsafe { (&raw mut (*emac.memory).received[emac.next].length).write_volatile(EMPTY) };
        emac.next = (emac.next + 1) % FRAMES;
        result
    }
}

/// Room for a frame to be sent.
pub struct Sender {
    memory: *mut Memory,
}

impl TxToken for Sender {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        // SAFETY: the chip has sent what was there, and of these tokens one at a time is used.
        let out = unsafe { &mut (*self.memory).out };
        // Not longer than what `capabilities` tells.
        let result = fill(&mut out[..length]);
        fence(Ordering::Release);
        // SAFETY: as in `received`; from here on the chip reads the frame.
        unsafe { (&raw mut (*self.memory).send.length).write_volatile(length as u32) };
        // SAFETY: an address inside the memory; nothing is read.
        SEND_DESCRIPTOR.write(unsafe { &raw const (*self.memory).send } as u32);
        SEND_CONTROL.write(ON);
        result
    }
}
