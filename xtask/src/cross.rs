//! A compiler for the boards' processors.
//!
//! 1. A target of the rustup toolchain that runs this program, installed or to be had.
//! 2. Where rustup cannot add targets: Debian's second Rust (`rustc-web` and its sources), which
//!    builds `core` itself. `-Zbuild-std` is unstable, hence `RUSTC_BOOTSTRAP`. It builds `core`
//!    and nothing else, so what compiles this way provably needs no allocator.
//!
//! `OTA_CROSS=rustup` or `OTA_CROSS=debian` forces one of them: their code sizes differ a little.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::Process;
use crate::session::Session;
use crate::tools::{self, LLD};

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "cargo-web"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
/// The first release that compiles this workspace: Debian's ordinary rustc is years older.
const OLDEST_MINOR: u32 = 95;
/// Rustup waits long for a server that does not answer.
const ADD_LIMIT: Duration = Duration::from_secs(120);

/// Variables of the rustup toolchain that runs this program, wrong for another one.
const OF_RUSTUP: [&str; 5] =
    ["LD_LIBRARY_PATH", "RUSTUP_TOOLCHAIN", "CARGO", "RUSTC_WRAPPER", "RUSTDOC"];

/// Which compiler builds for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler that built this program.
    Rustup,
    /// Debian's, with the linker to use.
    Debian { linker: PathBuf },
}

/// Looks for compilers; remembers what it found, and that rustup had none to give.
#[derive(Default)]
pub(crate) struct Finder {
    found: BTreeMap<String, Toolchain>,
    rustup_refused: bool,
    debian: Option<Result<PathBuf, String>>,
}

impl Toolchain {
    /// `cargo SUBCOMMAND --target TARGET`, in a target folder of its own: the two compilers must
    /// not overwrite each other's work.
    pub(crate) fn cargo(&self, session: &Session, subcommand: &str, target: &str) -> Process {
        match self {
            Self::Rustup => Process::cargo(subcommand)
                .args(["--target", target, "--target-dir"])
                .arg(session.target.join("xtask/rustup")),
            Self::Debian { linker } => OF_RUSTUP
                .into_iter()
                .fold(Process::new(DEBIAN_CARGO), Process::env_remove)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", DEBIAN_RUSTC)
                .env(&linker_variable(target), linker)
                .arg(subcommand)
                .args(["--target", target, "-Zbuild-std=core", "--target-dir"])
                .arg(session.target.join("xtask/debian")),
        }
    }

    /// Where [`Self::cargo`] leaves `profile`'s programs.
    pub(crate) fn folder(&self, session: &Session, target: &str, profile: &str) -> PathBuf {
        self.root(session).join(target).join(profile)
    }

    /// The target folder of [`Self::cargo`].
    pub(crate) fn root(&self, session: &Session) -> PathBuf {
        let kind = match self {
            Self::Rustup => "rustup",
            Self::Debian { .. } => "debian",
        };
        session.target.join("xtask").join(kind)
    }

    /// Name and version, for reports.
    pub(crate) fn describe(&self) -> Result<String> {
        let (rustc, note) = match self {
            Self::Rustup => ("rustc", ""),
            Self::Debian { .. } => (DEBIAN_RUSTC, ", core built along"),
        };
        let mut process = Process::new(rustc).arg("--version");
        if note.is_empty() {
            return Ok(process.stdout()?.trim().to_owned());
        }
        process = OF_RUSTUP.into_iter().fold(process, Process::env_remove);
        Ok(format!("{}{note}", process.stdout()?.trim()))
    }
}

impl Finder {
    /// A compiler for `target`.
    ///
    /// # Errors
    /// What is missing and how to get it, as one line.
    pub(crate) fn find(&mut self, target: &str) -> Result<Toolchain> {
        if let Some(toolchain) = self.found.get(target) {
            return Ok(toolchain.clone());
        }
        let forced = env::var("OTA_CROSS").unwrap_or_default();
        let toolchain = match forced.as_str() {
            "rustup" if self.rustup(target) => Toolchain::Rustup,
            "rustup" => bail!("OTA_CROSS=rustup, and rustup has no target {target}"),
            "debian" => self.debian()?,
            "" if self.rustup(target) => Toolchain::Rustup,
            "" => self.debian().with_context(|| advice(target))?,
            other => bail!("OTA_CROSS={other}: expected `rustup` or `debian`"),
        };
        self.found.insert(target.to_owned(), toolchain.clone());
        Ok(toolchain)
    }

    fn rustup(&mut self, target: &str) -> bool {
        if has_core(target) {
            return true;
        }
        if self.rustup_refused || tools::find("rustup").is_none() {
            return false;
        }
        println!("adding rustup target {target} (building for the boards' processors)");
        let added = Process::new("rustup").args(["target", "add", target]).limit(ADD_LIMIT).works();
        self.rustup_refused = !added;
        added && has_core(target)
    }

    fn debian(&mut self) -> Result<Toolchain> {
        let answer = self
            .debian
            .get_or_insert_with(|| debian_linker().map_err(|error| format!("{error:#}")));
        match answer {
            Ok(linker) => Ok(Toolchain::Debian { linker: linker.clone() }),
            Err(why) => bail!("{why}"),
        }
    }
}

/// Finds a toolchain, or counts `what` as skipped.
pub(crate) fn find_or_skip(session: &mut Session, target: &str, what: &str) -> Option<Toolchain> {
    match session.finder.find(target) {
        Ok(toolchain) => Some(toolchain),
        Err(error) => {
            session.skip(what, &format!("{error:#}"));
            None
        }
    }
}

/// The linker for Debian's Rust, which is installed first if need be.
fn debian_linker() -> Result<PathBuf> {
    if !debian_rust_is_there() {
        tools::install(&DEBIAN_PACKAGES, "a Rust that can build `core` for the boards")?;
    }
    anyhow::ensure!(debian_rust_is_there(), "{DEBIAN_RUSTC} has no sources of `core`, or is old");
    if let Some(linker) = rust_lld() {
        return Ok(linker);
    }
    anyhow::ensure!(LLD.ensure(), "{}", LLD.advice());
    tools::find(LLD.program).context("ld.lld was installed and is not in PATH")
}

fn debian_rust_is_there() -> bool {
    let version = OF_RUSTUP
        .into_iter()
        .fold(Process::new(DEBIAN_RUSTC), Process::env_remove)
        .arg("--version")
        .stdout()
        .unwrap_or_default();
    minor(&version).is_some_and(|minor| minor >= OLDEST_MINOR)
        && Path::new(DEBIAN_CARGO).is_file()
        && Path::new("/usr/lib/rustlib/src/rust/library/core").is_dir()
}

/// The linker that rustup's toolchains carry for their host.
fn rust_lld() -> Option<PathBuf> {
    let sysroot = Process::new("rustc").args(["--print", "sysroot"]).stdout().ok()?;
    let hosts = Path::new(sysroot.trim()).join("lib/rustlib").read_dir().ok()?;
    hosts
        .flatten()
        .map(|host| host.path().join("bin/rust-lld"))
        .find(|candidate| candidate.is_file())
}

fn has_core(target: &str) -> bool {
    let printed = Process::new("rustc").args(["--print", "target-libdir", "--target", target]);
    let Ok(folder) = printed.stdout() else { return false };
    let Ok(mut files) = Path::new(folder.trim()).read_dir() else { return false };
    files.any(|file| {
        file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore"))
    })
}

/// `1.96.0` of `rustc 1.96.0 (...)` gives 96.
pub(crate) fn minor(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with("1."))?;
    number.split('.').nth(1)?.parse().ok()
}

fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}

fn advice(target: &str) -> String {
    format!(
        "no compiler for {target}: `rustup target add {target}`, or on Debian `apt-get install {}`",
        DEBIAN_PACKAGES.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_second_number() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a tarball)"), Some(96));
        assert_eq!(minor("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"), Some(97));
        assert_eq!(minor("no version"), None);
    }

    #[test]
    fn cargo_reads_a_linker_from_this_variable() {
        assert_eq!(linker_variable("thumbv6m-none-eabi"), "CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER");
    }

    #[test]
    fn a_target_that_is_not_there_has_no_core() {
        assert!(!has_core("no-such-target"));
    }

    #[test]
    fn the_advice_names_both_ways() {
        let advice = advice("thumbv6m-none-eabi");
        assert!(advice.contains("rustup target add thumbv6m-none-eabi"));
        assert!(advice.contains("apt-get install rustc-web"));
    }
}
