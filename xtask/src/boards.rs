//! The boards: each a workspace of its own, built for its processor; host crates among them (the
//! QEMU harness) run their tests. The closing line counts boards that were built and tests that
//! passed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cross;
use crate::run::Process;
use crate::session::Session;
use crate::tools::{QEMU_ARM, QEMU_RISCV};
use crate::{test, workspace};

/// As a command of its own: with the closing line.
pub(crate) fn command(session: &mut Session) -> Result<()> {
    let result = run(session);
    test::close(session, result)
}

/// Builds every board, then runs the tests of every host crate.
pub(crate) fn run(session: &mut Session) -> Result<()> {
    let folders = workspace::board_folders(session)?;
    if folders.is_empty() {
        println!("there are no boards: no folder in boards/ has a Cargo.toml");
    }
    for tool in [QEMU_ARM, QEMU_RISCV] {
        if !folders.is_empty() && !tool.ensure() {
            session.skip(tool.why, &tool.advice());
        }
    }
    let (firmware, host): (Vec<_>, Vec<_>) =
        folders.into_iter().partition(|folder| processor(folder).is_some());
    // The harness runs what the boards have built.
    for folder in &firmware {
        build(session, folder)?;
    }
    for folder in &host {
        let name = name(session, folder);
        let process = Process::cargo("test")
            .args(["--no-fail-fast", "--target-dir"])
            .arg(session.target.join("xtask/boards-host"));
        test::one(session, &name, process.within(folder))?;
    }
    Ok(())
}

fn build(session: &mut Session, folder: &Path) -> Result<()> {
    let target = processor(folder).context("a board names its processor")?;
    let what = format!("board {}", name(session, folder));
    if let Some(toolchain) = cross::find_or_skip(session, &target, &what) {
        toolchain.cargo(session, "build", &target).arg("--release").within(folder).run()?;
        println!("{what}: built for {target}");
        // A board has no tests of its own: that it builds is what is checked.
        session.counts.passed += 1;
    }
    Ok(())
}

/// `build.target` of the board's own cargo configuration; a host crate has none.
fn processor(folder: &Path) -> Option<String> {
    let configuration = fs::read_to_string(folder.join(".cargo/config.toml")).ok()?;
    let value = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "target").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    Some(value)
}

/// Its path within `boards`.
fn name(session: &Session, folder: &Path) -> String {
    let boards = session.root.join("boards");
    folder.strip_prefix(boards).unwrap_or(folder).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_names_its_processor_and_a_host_crate_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(processor(folder.path()), None);
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        let configuration = "[target.thumbv6m-none-eabi]\nrunner = \"qemu\"\n\
                             [build]\ntarget = \"thumbv6m-none-eabi\"\n";
        fs::write(folder.path().join(".cargo/config.toml"), configuration).unwrap();
        assert_eq!(processor(folder.path()).as_deref(), Some("thumbv6m-none-eabi"));
    }
}
