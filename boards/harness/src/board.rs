//! The boards that QEMU has, and how to start them.

use std::path::Path;
use std::process::Command;

use ota_sim::layout::Board as Places;

use crate::machine::Preload;

/// A board.
pub(crate) struct Board {
    /// Its folder.
    pub(crate) name: &'static str,
    /// The target of its processor.
    pub(crate) target: &'static str,
    /// Its flash, for people.
    pub(crate) flash: &'static str,
    /// The same for the simulator, which makes the factory image.
    places: &'static str,
    /// What its bundles are for.
    pub(crate) platform: &'static str,
    /// QEMU's name of it.
    machine: &'static str,
    pub(crate) kind: Kind,
    pub(crate) has_network: bool,
    /// What `Sys.GetInfo` calls the application.
    pub(crate) app: &'static str,
    /// What it calls the loader that waits for an image.
    pub(crate) recovery: &'static str,
    /// The programs of a bundle of the application.
    pub(crate) apps: &'static [Program],
    /// Of one whose update is cut at each of its writes.
    pub(crate) cut_apps: &'static [Program],
    /// What that one calls itself.
    pub(crate) cut_app: &'static str,
}

/// Where the flash is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A chip beside the processor, a drive for QEMU; the loader is in ROM.
    Drive,
    /// Inside the processor; the loader is in it too, from address 0 on.
    Internal,
}

/// A program in a bundle.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The slot that it runs in; none: in any, because it is copied to RAM.
    pub(crate) slot: Option<u8>,
}

const SF2: Board = Board {
    name: "qemu-sf2",
    target: "thumbv7m-none-eabi",
    flash: "SPI NOR 16 MiB, 64 KiB",
    places: "s25fl128p:record=0+192K,slot=0x100000+1M,slot=0x200000+1M",
    platform: "qemu-sf2",
    machine: "emcraft-sf2",
    kind: Kind::Drive,
    has_network: true,
    app: "sf2-app",
    recovery: "sf2-recovery",
    apps: &[Program { name: "app", slot: None }],
    cut_apps: &[Program { name: "app", slot: None }],
    cut_app: "sf2-app",
};

const MICROBIT: Board = Board {
    name: "microbit",
    target: "thumbv6m-none-eabi",
    flash: "internal 256 KiB, 1 KiB",
    places: "nrf51822:record=0x15000+4K,slot=0x16000+84K,slot=0x2B000+84K",
    platform: "microbit",
    machine: "microbit",
    kind: Kind::Internal,
    has_network: false,
    app: "microbit-app",
    recovery: "microbit-recovery",
    apps: &[Program { name: "app-a", slot: Some(0) }, Program { name: "app-b", slot: Some(1) }],
    // Its flash is programmed word by word: the whole application would be 18,000 writes.
    cut_apps: &[
        Program { name: "mini-a", slot: Some(0) },
        Program { name: "mini-b", slot: Some(1) },
    ],
    cut_app: MINI,
};

/// What the small application of a board is called here: it does not answer, but tells its state.
pub(crate) const MINI: &str = "mini";

/// Those that QEMU has.
pub(crate) const ALL: &[Board] = &[SF2, MICROBIT];

impl Board {
    /// Record and slots.
    pub(crate) fn places(&self) -> Places {
        match self.places.parse() {
            Ok(places) => places,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// QEMU with this flash, but for its serial line.
    pub(crate) fn command(&self, loader: &Path, flash: &Path, preload: &Preload) -> Command {
        let mut command = Command::new("qemu-system-arm");
        command.args(["-M", self.machine, "-display", "none", "-monitor", "none"]);
        match self.kind {
            Kind::Drive => {
                let file = flash.display().to_string().replace(',', ",,");
                command.arg("-kernel").arg(loader);
                command.args(["-drive", &format!("file={file},format=raw,if=mtd")]);
                // One write after the other.
                command.args(["-object", "main-loop,id=main-loop,thread-pool-max=1"]);
                preload.drive(&mut command, flash);
            }
            Kind::Internal => preload.mapped(&mut command, flash),
        }
        if self.has_network {
            command.args(["-nic", "user"]);
        }
        command
    }
}
