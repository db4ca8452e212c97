//! Fuzzing: each target for a short while with libFuzzer, and on stable Rust as an ordinary test.
//!
//! libFuzzer needs unstable compiler flags. A nightly toolchain has them; where there is none the
//! stable compiler takes them too, with `RUSTC_BOOTSTRAP=1`.

use std::ffi::OsStr;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::run::Process;
use crate::session::Session;
use crate::tools::{self, CXX};

/// The release line whose options are used here.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13";
/// Building a target with its instrumentation takes minutes at worst.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);
/// An input that keeps a target busy this long is a finding.
const INPUT_LIMIT_S: u32 = 10;

/// Of the mutations. Which of them are worth more is coverage's business, and that differs a little from
/// run to run: what finds the same each time is [`seeds`].
pub(crate) const SEED: u32 = 2026;

/// How long, and which.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u32,
    /// Where the mutations begin; 0: elsewhere each time
    #[arg(long, default_value_t = SEED)]
    pub(crate) seed: u32,
}

pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    let targets = targets(session)?;
    if !CXX.ensure() {
        session.skip("fuzz-smoke", &CXX.advice());
        return Ok(());
    }
    if let Err(error) = ensure_cargo_fuzz() {
        session.skip("fuzz-smoke", &format!("`cargo install {CARGO_FUZZ}`: {error:#}"));
        return Ok(());
    }
    let mut findings = Vec::new();
    for target in &targets {
        match smoke(session, target, options) {
            Ok(()) => println!("{target}: {} s without a finding", options.seconds),
            Err(error) => findings.push(format!("{target}: {error:#}")),
        }
    }
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    Ok(())
}

/// The same target functions as ordinary tests: seeds and their mutations, on stable Rust.
pub(crate) fn seeds(session: &Session) -> Process {
    Process::cargo("test")
        .args(["--no-default-features", "--lib", "--tests", "--no-fail-fast", "--target-dir"])
        .arg(session.target.join("xtask/fuzz-seeds"))
        .within(&session.root.join("fuzz"))
}

fn smoke(session: &Session, target: &str, options: &Options) -> Result<()> {
    let fuzz = session.root.join("fuzz");
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let built = compiler(Process::new("cargo")).args(["fuzz", "build", target]);
    in_fuzz_folder(session, built).limit(BUILD_LIMIT).run()?;
    let run = compiler(Process::new("cargo")).args(["fuzz", "run", target]);
    // New inputs go to the first folder; the committed seeds are only read.
    let run = run.arg(&corpus).arg(fuzz.join("seeds").join(target)).arg("--").args([
        format!("-max_total_time={}", options.seconds),
        format!("-seed={}", options.seed),
        format!("-timeout={INPUT_LIMIT_S}"),
        "-max_len=4096".to_owned(),
    ]);
    let limit = Duration::from_secs(u64::from(options.seconds) + 120);
    in_fuzz_folder(session, run).limit(limit).run()?;
    Ok(())
}

fn in_fuzz_folder(session: &Session, process: Process) -> Process {
    let target = session.target.join("xtask/fuzz");
    process.env("CARGO_TARGET_DIR", target).within(&session.root.join("fuzz"))
}

/// Chooses a compiler that takes unstable flags.
fn compiler(cargo: Process) -> Process {
    let toolchains = Process::new("rustup").args(["toolchain", "list"]).stdout();
    if toolchains.is_ok_and(|list| list.lines().any(|line| line.starts_with("nightly"))) {
        return cargo.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN");
    }
    cargo.env("RUSTC_BOOTSTRAP", "1")
}

fn ensure_cargo_fuzz() -> Result<()> {
    if tools::find("cargo-fuzz").is_none() {
        println!("installing cargo-fuzz (fuzz-smoke)");
        Process::cargo("install").args(["--locked", CARGO_FUZZ]).limit(BUILD_LIMIT).run()?;
    }
    ensure!(tools::find("cargo-fuzz").is_some(), "cargo's bin folder is not in PATH");
    Ok(())
}

fn targets(session: &Session) -> Result<Vec<String>> {
    let folder = session.root.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rs")) {
            let name = path.file_stem().unwrap_or_default();
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    ensure!(!targets.is_empty(), "{} holds no target", folder.display());
    targets.sort();
    Ok(targets)
}
