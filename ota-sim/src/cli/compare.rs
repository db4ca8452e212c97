//! `ota-sim compare`: this engine beside embassy-boot.

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use ota_sim::compare::{Cost, Phase, Row, measure};
use serde_json::json;

/// Compare the cost of an update with embassy-boot's, on the same counted flash.
///
/// The placements differ: here an image runs where it lies, there it is swapped into one slot.
#[derive(Args)]
pub(crate) struct Options {
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = measure().map_err(|message| anyhow!(message))?;
    match options.json {
        true => println!("{:#}", as_json(&rows)),
        false => print!("{}", table(&rows)),
    }
    promises(&rows)
}

/// What the README says of these figures.
fn promises(rows: &[Row]) -> Result<()> {
    for Row { part, size, phase, ours, .. } in rows {
        let place = format!("{part}, {} KiB, {phase:?}", size / 1024);
        // An append is three programs on parts whose page holds a cell, one more where it crosses.
        let appends = |limit: u64| ours.programmed_bytes <= limit * 128 && ours.erases <= 1;
        ensure!(ours.reprogrammed_units == 0, "{place}: a unit was programmed twice");
        match phase {
            Phase::Stage => {}
            Phase::Install | Phase::Rollback => ensure!(appends(2), "{place}: {ours:?}"),
            Phase::Confirm => ensure!(appends(1), "{place}: {ours:?}"),
            Phase::Idle => ensure!(ours.programs + ours.erases == 0, "{place}: {ours:?}"),
        }
    }
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "reads and writes in bytes, erases in sectors, time as the flash is busy by its data sheet\n\n",
    );
    text += &format!(
        "{:<22}{:<9} {:>43}   {:>43} {:>10}\n",
        "", "", "this engine (Direct)", "embassy-boot 0.7 (swap)", "time"
    );
    let columns = format!("{:>11}{:>11}{:>8}{:>13}", "read", "written", "erases", "time");
    text += &format!("{:<22}{:<9} {columns}   {columns} {:>10}\n", "part, image", "phase", "ratio");
    for Row { part, size, phase, ours, embassy } in rows {
        let place = format!("{part}, {} KiB", size / 1024);
        let ratio = embassy.time_ns as f64 / ours.time_ns.max(1) as f64;
        let phase = format!("{phase:?}").to_lowercase();
        text +=
            &format!("{place:<22}{phase:<9} {}   {} {ratio:>10.1}\n", cost(ours), cost(embassy));
    }
    text
}

fn cost(cost: &Cost) -> String {
    let time = format!("{:.3} ms", cost.time_ns as f64 / 1e6);
    format!("{:>11}{:>11}{:>8}{time:>13}", cost.read_bytes, cost.programmed_bytes, cost.erases)
}

fn as_json(rows: &[Row]) -> serde_json::Value {
    let cost = |cost: &Cost| {
        json!({
            "reads": cost.reads,
            "read_bytes": cost.read_bytes,
            "programs": cost.programs,
            "programmed_bytes": cost.programmed_bytes,
            "erases": cost.erases,
            "flash_ms": cost.time_ns as f64 / 1e6,
            "reprogrammed_units": cost.reprogrammed_units,
        })
    };
    let row = |row: &Row| {
        json!({
            "part": row.part,
            "image_bytes": row.size,
            "phase": format!("{:?}", row.phase).to_lowercase(),
            "ota": cost(&row.ours),
            "embassy_boot": cost(&row.embassy),
        })
    };
    json!({ "placement": {"ota": "direct", "embassy_boot": "swap"},
            "rows": rows.iter().map(row).collect::<Vec<_>>() })
}
