//! `ota-sim demo`: everything that an update can go through, on one device, from one command.
//!
//! Each chapter says what it does, does it through real HTTP on loopback, shows the boot state, and
//! checks what it has claimed: a demo that ends well is a test that passed. Time is virtual, so
//! that a commit timeout of five minutes takes no longer than anything else.

mod bench;
mod control;
mod firmware;
mod power;
mod refusals;
mod updates;
mod voice;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use ota_sim::layout::Board;
use ota_sim::nor::{FileNor, Nor};
use ota_sim::show::FlashReport;

use bench::Bench;
use firmware::Firmware;

/// Platform of the demo's device and bundles.
const PLATFORM: &str = "sim";

#[derive(Args)]
pub(crate) struct Options {
    /// Firmware to pack and install: any file of 256 KiB to 1 MiB [default: an executable of this
    /// computer]
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// Flash file to make; it is left for inspection [default: in the temporary folder]
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,
    /// Replace the flash file if it is there already
    #[arg(long)]
    force: bool,
    /// Leave the bundles too, in the folder FLASH.bundles
    #[arg(long)]
    keep: bool,
}

/// Tells the story. An error names the chapter and the claim that did not hold.
pub(crate) fn run(options: &Options) -> Result<()> {
    let board = Board::sim();
    let firmware = Firmware::choose(options.firmware.as_deref(), board.app_room())?;
    let default = || std::env::temp_dir().join("ota-sim-demo.flash");
    let flash = options.flash.clone().unwrap_or_else(default);
    // The one in the temporary folder is the demo's own.
    clear(&flash, &board, options.force || options.flash.is_none())?;

    voice::say(format_args!("A device from the factory through every kind of update.\n"));
    voice::say(format_args!("firmware  {}, {}", firmware.origin(), firmware.size_words()));
    voice::say(format_args!(
        "board     {board}, {} KiB of flash",
        board.part().shape.capacity / 1024
    ));
    let mut bench = Bench::start(firmware, board.clone(), &flash)?;
    voice::say(format_args!("device    {}/rpc", bench.device_url()));
    voice::say(format_args!("bundles   {}/", bench.files_url()));

    let chapters: [fn(&mut Bench) -> Result<()>; 6] = [
        updates::chapter,
        updates::rollbacks,
        refusals::chapter,
        power::chapter,
        control::chapter,
        updates::bad_images,
    ];
    for chapter in chapters {
        chapter(&mut bench).with_context(|| format!("the demo failed in step {}", bench.step()))?;
    }
    let (steps, checks) = (bench.step(), bench.checks());
    if options.keep {
        bench.keep_bundles(&folder(&flash))?;
    }
    let expected = bench.running_image()?;
    drop(bench);
    look(&flash, &board, &expected)?;
    voice::say(format_args!("\n{steps} steps, {checks} checks: all went as it should."));
    voice::say(format_args!("Look at the flash:   ota-sim flash show {}", flash.display()));
    voice::say(format_args!("Go on with it:       ota-sim device --flash {}", flash.display()));
    if options.keep {
        voice::say(format_args!("The bundles are in   {}", folder(&flash).display()));
    }
    Ok(())
}

fn folder(flash: &Path) -> PathBuf {
    let mut name = flash.as_os_str().to_owned();
    name.push(".bundles");
    name.into()
}

/// Makes room for the flash file; an older one of the same kind may go if `replace` says so and
/// nobody uses it.
fn clear(flash: &Path, board: &Board, replace: bool) -> Result<()> {
    let Ok(found) = std::fs::metadata(flash) else { return Ok(()) };
    ensure!(
        found.len() == u64::from(board.part().shape.capacity),
        "{} is there already and no flash file of board {board}; choose another name",
        flash.display()
    );
    ensure!(
        replace,
        "{} is there already; give --force to replace it, or choose another name",
        flash.display()
    );
    // Locked, it belongs to a device that is running.
    drop(FileNor::open(flash, board.part())?);
    std::fs::remove_file(flash).with_context(|| format!("cannot replace {}", flash.display()))
}

/// What the file holds when all is over: no device is needed to tell.
fn look(flash: &Path, board: &Board, expected: &[u8]) -> Result<()> {
    let nor = Nor::load(flash, board.part())?;
    let report = FlashReport::new(&nor, board)?;
    let slot = report.slots.iter().find(|slot| slot.is_active).context("no slot is active")?;
    let start = slot.app.address;
    // Smaller than the slot.
    let found = nor.peek(start..start + expected.len() as u32);
    ensure!(slot.image == "whole", "the active image is not whole: {}", slot.image);
    ensure!(found == expected, "the active slot does not hold the bytes of its firmware");
    voice::title("What the flash holds now");
    voice::say(&report);
    Ok(())
}
