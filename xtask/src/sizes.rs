//! Code, RAM and stack of the engine on a target, against a budget.
//!
//! Each configuration is a program of `xtask/probes`, linked as a board would link it: opt-level s,
//! fat LTO, panic = abort. What counts is what it has more than the empty program, which has the
//! same start-up code, panic handler and flash driver. `memcpy` and its like count.
//!
//! Stack is measured, not estimated: the program runs in QEMU on a painted stack.

mod budget;
pub(crate) mod elf;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cross::{self, Toolchain};
use crate::run::Process;
use crate::session::Session;
use crate::tools::QEMU_ARM;
use budget::{EMPTY, PROBES, Probe};
use elf::Sections;

const TARGET: &str = "thumbv7em-none-eabihf";
const PROFILE: &str = "firmware";
/// A Cortex-M4F with RAM where the linker script has it. The probe's flash is RAM too.
const MACHINE: &str = "mps2-an386";
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// What firmware sets: SHA-256 unrolled is 6.6 kB larger.
const FLAGS: &str = "--cfg sha2_backend_soft=\"compact\"";

/// How to report.
#[derive(Args, Default)]
pub(crate) struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One measured configuration.
struct Row {
    probe: &'static Probe,
    sizes: Sections,
    /// `None`: QEMU is not there.
    stack: Option<u64>,
}

pub(crate) fn command(session: &mut Session, options: &Options) -> Result<()> {
    let Some(toolchain) = cross::find_or_skip(session, TARGET, "sizes") else { return Ok(()) };
    let emulator = QEMU_ARM.ensure();
    if !emulator {
        session.skip("stack of the boot path", &QEMU_ARM.advice());
    }
    let empty = Sections::read(&build(session, &toolchain, &EMPTY, false)?)?;
    let mut rows = Vec::new();
    for probe in PROBES {
        let program = build(session, &toolchain, probe, false)?;
        let sizes = Sections::read(&program)?.over(&empty);
        let stack = match emulator {
            true => Some(stack(&build(session, &toolchain, probe, true)?)?),
            false => None,
        };
        rows.push(Row { probe, sizes, stack });
    }
    let compiler = toolchain.describe()?;
    match options.json {
        true => println!("{:#}", as_json(&rows, &compiler)),
        false => print!("{}", table(&rows, &compiler)),
    }
    let exceeded: Vec<String> = rows.iter().flat_map(Row::exceeded).collect();
    if !exceeded.is_empty() {
        bail!("over budget:\n  {}", exceeded.join("\n  "));
    }
    Ok(())
}

impl Row {
    /// The measured figures beside what is allowed.
    fn figures(&self) -> [(&'static str, Option<u64>, u64); 3] {
        let budget = &self.probe.budget;
        [
            ("code", Some(self.sizes.code), budget.code),
            ("RAM", Some(self.sizes.data + self.sizes.bss), budget.ram),
            ("stack", self.stack, budget.stack),
        ]
    }

    fn exceeded(&self) -> Vec<String> {
        let over = |(what, found, allowed): (&str, Option<u64>, u64)| {
            let found = found.filter(|found| *found > allowed)?;
            Some(format!("{}: {what} {found} bytes, at most {allowed}", self.probe.name))
        };
        self.figures().into_iter().filter_map(over).collect()
    }
}

/// Builds one program; `measuring_stack` makes it paint and report.
fn build(
    session: &Session,
    toolchain: &Toolchain,
    probe: &Probe,
    measuring_stack: bool,
) -> Result<PathBuf> {
    let mut features: Vec<&str> = probe.features.to_vec();
    features.extend(measuring_stack.then_some("stack"));
    toolchain
        .cargo(session, "build", TARGET)
        .args(["--profile", PROFILE, "--bin", probe.name, "--features", &features.join(",")])
        .env("RUSTFLAGS", FLAGS)
        .within(&session.root.join("xtask/probes"))
        .run()?;
    Ok(toolchain.folder(session, TARGET, PROFILE).join(probe.name))
}

/// Runs a painting program and reads the figure it prints.
fn stack(program: &Path) -> Result<u64> {
    let output = Process::new(QEMU_ARM.program)
        .args(["-M", MACHINE, "-display", "none", "-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(program)
        .limit(RUN_LIMIT)
        .run()?;
    stack_line(&output).with_context(|| format!("the probe printed no stack figure:\n{output}"))
}

fn stack_line(output: &str) -> Option<u64> {
    output.lines().find_map(|line| line.strip_prefix("stack ")?.trim().parse().ok())
}

fn table(rows: &[Row], compiler: &str) -> String {
    let mut text = format!("{TARGET}, bytes over the empty program ({compiler})\n");
    let head = format!(
        "{:<16}{:>7}{:>8}{:>7}{:>6}{:>7}{:>8}{:>7}{:>8}\n",
        "probe", "code", "budget", "data", "bss", "RAM", "budget", "stack", "budget"
    );
    text += &head;
    for Row { probe, sizes, stack } in rows {
        let Probe { name, budget, .. } = probe;
        let stack = stack.map_or("-".to_owned(), |bytes| bytes.to_string());
        text += &format!(
            "{name:<16}{:>7}{:>8}{:>7}{:>6}{:>7}{:>8}{stack:>7}{:>8}  {}\n",
            sizes.code,
            budget.code,
            sizes.data,
            sizes.bss,
            sizes.data + sizes.bss,
            budget.ram,
            budget.stack,
            probe.what
        );
    }
    text
}

fn as_json(rows: &[Row], compiler: &str) -> Value {
    let row = |row: &Row| {
        let Row { probe, sizes, stack } = row;
        json!({
            "probe": probe.name,
            "what": probe.what,
            "code": sizes.code,
            "data": sizes.data,
            "bss": sizes.bss,
            "stack": stack,
            "budget": {
                "code": probe.budget.code,
                "ram": probe.budget.ram,
                "stack": probe.budget.stack,
            },
        })
    };
    json!({
        "target": TARGET,
        "compiler": compiler,
        "probes": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_read_from_between_other_output() {
        assert_eq!(stack_line("warning: x\nstack 312\n"), Some(312));
        assert_eq!(stack_line("stack of the probe: many\n"), None);
    }

    #[test]
    fn every_figure_over_its_budget_is_named() {
        let probe = &PROBES[0];
        let sizes = Sections { code: probe.budget.code, data: probe.budget.ram, bss: 1 };
        let row = Row { probe, sizes, stack: Some(probe.budget.stack + 1) };
        let exceeded = row.exceeded();
        assert_eq!(exceeded.len(), 2, "{exceeded:?}");
        assert!(exceeded[0].contains("RAM") && exceeded[1].contains("stack"));
        assert!(Row { stack: None, sizes: Sections::default(), ..row }.exceeded().is_empty());
    }

    #[test]
    fn every_probe_program_has_a_budget() {
        let folder = Session::new().unwrap().root.join("xtask/probes/src/bin");
        for entry in folder.read_dir().unwrap() {
            let program = entry.unwrap().path();
            let name = program.file_stem().unwrap().to_str().unwrap();
            let known = PROBES.iter().chain([&EMPTY]).any(|probe| probe.name == name);
            assert!(known, "{name} is not in the table");
        }
    }
}
