//! The loader, in ROM: chooses a slot, copies its image to RAM, checks it there, and jumps. If there
//! is nothing to boot, it takes a new image over the UART.
#![no_std]
#![no_main]

use core::fmt::{Arguments, Write as _};
use core::panic::PanicInfo;

use cortex_m::peripheral::{Peripherals, SCB};
use ota_core::boot;
use ota_core::crc::Crc32;
use ota_core::descriptor::Head;
use ota_core::flash::{Extent, FlashRead, OneDevice, Region};
use ota_core::{BootOptions, BootPlan, OpenError, RecoverReason};
use qemu_sf2::device::{NoNetwork, Role, serve};
use qemu_sf2::uart::Uart;
use qemu_sf2::{APP_ADDRESS, Flash, LAYOUT, SECTOR, clock, log};

/// Bytes of a slot but for its descriptor's sector.
const ROOM: usize = 15 * SECTOR as usize;
/// What is copied at once.
const PIECE: usize = 4096;

#[cortex_m_rt::entry]
fn main() -> ! {
    let flash = match qemu_sf2::flash() {
        Ok(flash) => flash,
        Err(error) => complain(format_args!("{error}; look after the chip and its lines")),
    };
    let Ok(mut map) = OneDevice::new(flash, LAYOUT) else { panic!("the layout is wrong") };
    match boot(&mut map, &BootOptions::default(), &mut [0; 256]) {
        Ok(plan) => {
            log::boots(&plan);
            run(&mut map, &plan)
        }
        Err(reason) => {
            log::recovers(reason);
            recover(map, reason)
        }
    }
}

/// Takes a new image over the UART.
fn recover(map: OneDevice<'_, Flash>, reason: RecoverReason) -> ! {
    let _ = writeln!(Uart::new(), "boot: recovery, because {reason:?}");
    start_clock();
    let Err(error) = serve(map.into_inner(), Role::Recovery, &mut NoNetwork::default());
    let Extent { address, size, .. } = LAYOUT.record;
    let end = address + size;
    let advice = match error {
        OpenError::NewerFormat { .. } => "program the newer loader again, or erase the record",
        _ => "the flash may be broken",
    };
    complain(format_args!(
        "no recovery: {error}; {advice} (flash {address:#x} to {end:#x}), and reset"
    ))
}

/// There is nothing more that the loader can do: says why, to whoever will be listening.
fn complain(why: Arguments<'_>) -> ! {
    const PERIOD_MS: u64 = 2000;
    start_clock();
    let mut uart = Uart::new();
    let mut next_ms = 0;
    loop {
        if clock::now_ms() >= next_ms {
            next_ms += PERIOD_MS;
            let _ = writeln!(uart, "boot: {why}");
        }
    }
}

/// Once.
fn start_clock() {
    if let Some(mut core) = Peripherals::take() {
        clock::start(&mut core.SYST);
    }
}

/// Copies the image of the plan and jumps to it.
fn run(map: &mut OneDevice<'_, Flash>, plan: &BootPlan) -> ! {
    let Ok(head) = Head::read(map, plan.slot) else { panic!("the slot was verified") };
    let length = head.app_len() as usize;
    // What was read now is what was verified, and fits what it is copied to.
    if head.crc() != plan.record.descriptor_crc(plan.slot) || length > ROOM {
        SCB::sys_reset();
    }
    // Reads are of whole words; the bytes behind the image are of the same slot.
    let room = length.next_multiple_of(4);
    // SAFETY: external RAM that nothing else uses; images are no longer than it.
    let ram = unsafe { core::slice::from_raw_parts_mut(APP_ADDRESS as *mut u8, room) };
    let mut at = 0;
    for piece in ram.chunks_mut(PIECE) {
        if map.read(Region::App(plan.slot), at, piece).is_err() {
            SCB::sys_reset();
        }
        at += piece.len() as u32;
    }
    // Over the bytes that will run.
    let mut crc = Crc32::new();
    crc.update(&ram[..length]);
    if crc.value() != head.app_crc() {
        // It was right a moment ago, so it may be right the next time.
        SCB::sys_reset();
    }
    jump()
}

/// Makes external RAM executable, which the processor forbids by default, and jumps.
fn jump() -> ! {
    const RBAR: *mut u32 = 0xE000_ED9C as *mut u32;
    const RASR: *mut u32 = 0xE000_EDA0 as *mut u32;
    const CTRL: *mut u32 = 0xE000_ED94 as *mut u32;
    const VTOR: *mut u32 = 0xE000_ED08 as *mut u32;
    // SAFETY: the processor's own registers; region 0 is 64 MiB of ordinary RAM (the C bit) from the
    // application's address on, and the vector table is the image's, which was checked.
    unsafe {
        RBAR.write_volatile(APP_ADDRESS | 1 << 4);
        RASR.write_volatile(3 << 24 | 1 << 17 | 25 << 1 | 1);
        CTRL.write_volatile(5);
        VTOR.write_volatile(APP_ADDRESS);
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        cortex_m::asm::bootload(APP_ADDRESS as *const u32)
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
