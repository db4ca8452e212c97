//! `ota-sim flash`: what is in a flash file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use ota_sim::layout::Board;
use ota_sim::nor::Nor;
use ota_sim::show::FlashReport;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Draw slots, descriptors and the record log, and say what a boot would do; changes nothing
    Show(Show),
}

#[derive(Args)]
pub(crate) struct Show {
    /// Flash file
    file: PathBuf,
    #[arg(long, help = super::BOARD_HELP)]
    board: Option<Board>,
    /// Draw every cell of the log, not only the last of many checkpoints
    #[arg(long)]
    all: bool,
    /// Print JSON, with every cell
    #[arg(long, conflicts_with = "all")]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Show(options) = command;
    let file = &options.file;
    let length =
        std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    let board = super::board_of(options.board.as_ref(), file, length.len())?;
    let nor = Nor::load(file, board.part()).context("give the board that it is of: --board")?;
    let report = FlashReport::new(&nor, &board)?;
    match (options.json, options.all) {
        (true, _) => super::print(serde_json::to_string_pretty(&report)?),
        (false, true) => super::print(format_args!("{report:#}")),
        (false, false) => super::print(&report),
    }
}
