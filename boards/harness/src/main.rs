//! The boards' firmware in QEMU, driven from outside: over serial lines and networks only.
//!
//! [`board`] says what there is, [`firmware`] makes bundles of it, [`machine`] switches it on and
//! off ([`monitor`]), [`scenarios`] are what it has to be able to do, [`cuts`] fail its supply
//! ([`writes`]), and [`server`] is where it fetches updates.

mod board;
mod cuts;
mod firmware;
mod machine;
mod monitor;
mod records;
mod scenarios;
mod server;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use board::Board;
use cuts::{Cuts, Summary};
use firmware::Firmware;
use machine::Preload;
use scenarios::Bench;

/// Runs the boards' firmware in QEMU; called by `cargo xtask boards`.
#[derive(Parser)]
struct Options {
    /// Where cargo has put the boards' programs: folders named after targets
    #[arg(long, value_name = "FOLDER")]
    programs: PathBuf,
    /// A board, several times; all by default
    #[arg(long, value_name = "NAME")]
    board: Vec<String>,
    /// Power cuts in an update
    #[arg(long, value_enum, default_value = "sample")]
    cuts: Cuts,
    /// What chance is determined by
    #[arg(long, default_value_t = 2026)]
    seed: u64,
}

/// A line of the table.
struct Row {
    cells: Vec<String>,
    passed: usize,
    failures: Vec<String>,
}

const HEAD: [&str; 8] =
    ["board", "flash", "boot ms", "push update", "pull update", "rollback", "recovery", "cuts"];

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let library = std::env::current_exe()?.with_file_name("libflash_file.so");
    ensure!(library.is_file(), "{} is not built", library.display());
    let unknown =
        options.board.iter().find(|name| !board::ALL.iter().any(|board| board.name == **name));
    ensure!(unknown.is_none(), "no board {unknown:?}");
    let wanted = |board: &&Board| {
        options.board.is_empty() || options.board.iter().any(|name| name == board.name)
    };
    let mut rows = Vec::new();
    for board in board::ALL.iter().filter(wanted) {
        let preload = Preload { library: library.clone(), ..Preload::default() };
        let bench = |profile| {
            let firmware = Firmware::new(board, &options.programs, profile);
            Bench::new(firmware, preload.clone()).context(board.name)
        };
        // What is delivered, and what asserts and tells of its writes.
        rows.push(row(&bench("release")?, &bench("checked")?, options));
    }
    let lines: Vec<&[String]> = rows.iter().map(|row| &row.cells[..]).collect();
    println!("{}", table(&lines));
    let failures: Vec<&String> = rows.iter().flat_map(|row| &row.failures).collect();
    failures.iter().for_each(|failure| println!("FAILED {failure}"));
    let passed: usize = rows.iter().map(|row| row.passed).sum();
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "test result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out",
        failures.len()
    );
    Ok(failures.is_empty())
}

/// Everything with one board.
fn row(bench: &Bench<'_>, checked: &Bench<'_>, options: &Options) -> Row {
    let board = bench.board();
    let mut row = Row {
        cells: vec![board.name.to_owned(), board.flash.to_owned()],
        passed: 0,
        failures: Vec::new(),
    };
    row.note("boot", scenarios::boot(bench).map(|taken| taken.to_string()));
    let pushed = scenarios::push_update(bench);
    let flash = pushed.as_ref().ok().cloned();
    row.note("push update", pushed.map(|_| "ok".to_owned()));
    let pulled = scenarios::pull_update(bench);
    row.note(
        "pull update",
        pulled.map(|bytes| match bytes {
            Some(bytes) => format!("ok, {} KiB", bytes / 1024),
            None => "no network".to_owned(),
        }),
    );
    row.note("rollback", scenarios::roll_back(bench).map(|()| "ok".to_owned()));
    let recovered =
        flash.context("no flash to destroy").and_then(|flash| scenarios::recover(bench, &flash));
    row.note("recovery", recovered.map(|()| "ok".to_owned()));
    if options.cuts == Cuts::None {
        row.cells.push("not asked for".to_owned());
        return row;
    }
    match cuts::run(checked, options.cuts, options.seed) {
        Ok(summary) => {
            println!("{}: {}", board.name, words(&summary, options.seed));
            row.passed += (summary.boots + summary.live).saturating_sub(summary.failures.len());
            row.cells.push(format!("{} boots, {} failed", summary.boots, summary.failures.len()));
            row.failures.extend(summary.failures);
        }
        Err(error) => row.note("cuts", Err(error)),
    }
    row
}

impl Row {
    fn note(&mut self, name: &str, result: Result<String>) {
        let board = &self.cells[0];
        match &result {
            Ok(said) => println!("{board}: {name}: {said}"),
            Err(error) => println!("{board}: {name}: FAILED {error:#}"),
        }
        match result {
            Ok(said) => {
                self.passed += 1;
                self.cells.push(said);
            }
            Err(error) => {
                self.failures.push(format!("{}: {name}: {error:#}", self.cells[0]));
                self.cells.push("FAILED".to_owned());
            }
        }
    }
}

fn words(summary: &Summary, seed: u64) -> String {
    let Summary { writes, boots, old, again, live, failures } = summary;
    let writes: Vec<String> =
        writes.iter().map(|(course, writes)| format!("{course} {writes} writes")).collect();
    format!(
        "{}; {boots} boots after cuts (seed {seed}): {old} without the new image, {} \
         with it, {} failed; {again} updated once more, {live} cut live",
        writes.join(", "),
        boots - old - failures.len().min(boots - old),
        failures.len(),
    )
}

/// Columns as wide as their widest cell.
fn table(rows: &[&[String]]) -> String {
    let head = HEAD.map(str::to_owned);
    let all: Vec<&[String]> = std::iter::once(&head[..]).chain(rows.iter().copied()).collect();
    let width = |column: usize| {
        all.iter().map(|row| row.get(column).map_or(0, String::len)).max().unwrap_or(0)
    };
    let line = |row: &&[String]| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}
