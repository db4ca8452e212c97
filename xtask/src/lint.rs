//! Formatting, lints and documentation: nothing may warn.

use anyhow::{Context, Result};

use crate::cross::minor;
use crate::run::Process;
use crate::session::Session;
use crate::workspace::{self, Package};

/// Packages whose features are checked one by one: an `additive` feature must compile by itself.
const FEATURES_ALONE: [&str; 3] = ["ota-core", "ota-rpc", "ota-sim"];

pub(crate) fn command(session: &mut Session) -> Result<()> {
    format(session)?;
    clippy(session)?;
    documentation(session)?;
    println!("formatting, lints and documentation are clean");
    Ok(())
}

/// Every workspace is formatted.
pub(crate) fn format(session: &Session) -> Result<()> {
    let checked = ["--check", "--", "--color=never"];
    Process::cargo("fmt").arg("--all").args(checked).within(&session.root).run()?;
    for manifest in workspace::other_manifests(session)? {
        // Without `--all`, which would follow path dependencies back into the main workspace.
        Process::cargo("fmt").arg("--manifest-path").arg(manifest).args(checked).run()?;
    }
    Ok(())
}

/// Lints of everything, with the default features, with all, and with each one alone.
pub(crate) fn clippy(session: &Session) -> Result<()> {
    let everything = ["--workspace", "--all-targets"];
    warnings_fail(session, &everything)?;
    warnings_fail(session, &[&everything[..], &["--all-features"]].concat())?;
    for package in workspace::packages(session)? {
        if FEATURES_ALONE.contains(&package.name.as_str()) {
            features_alone(session, &package)?;
        }
    }
    let fuzz = session.root.join("fuzz/Cargo.toml");
    let target = session.target.join("xtask/fuzz-seeds");
    Process::cargo("clippy")
        .args(["--no-default-features", "--lib", "--tests", "--manifest-path"])
        .arg(fuzz)
        .arg("--target-dir")
        .arg(target)
        .args(["--", "-D", "warnings"])
        .run()?;
    Ok(())
}

/// Documentation of the workspace, with broken links as errors.
pub(crate) fn documentation(session: &Session) -> Result<()> {
    Process::cargo("doc")
        .args(["--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .within(&session.root)
        .run()?;
    Ok(())
}

/// The lock files say what is built: none may be out of date.
pub(crate) fn locks(session: &Session) -> Result<()> {
    let mut manifests = workspace::other_manifests(session)?;
    manifests.push(session.root.join("Cargo.toml"));
    for manifest in manifests {
        Process::cargo("metadata")
            .args(["--locked", "--format-version=1", "--manifest-path"])
            .arg(manifest)
            .stdout()
            .context("a Cargo.lock is missing or out of date")?;
    }
    Ok(())
}

/// The oldest Rust that the manifests promise: this compiler, or another one that rustup has.
pub(crate) fn oldest_rust(session: &mut Session) -> Result<()> {
    let packages = workspace::packages(session)?;
    let promised = packages.iter().find_map(|package| package.rust_version.clone());
    let promised = promised.context("no package states a rust-version")?;
    let running = minor(&Process::new("rustc").arg("--version").stdout()?);
    if running == minor(&promised) {
        return Ok(());
    }
    let Some(toolchain) = installed_toolchain(&promised) else {
        let advice = format!("`rustup toolchain install {promised}`");
        session.skip(&format!("build with Rust {promised}"), &advice);
        return Ok(());
    };
    of_toolchain(&toolchain)
        .args(["check", "--workspace", "--all-targets", "--target-dir"])
        .arg(session.target.join("xtask/oldest-rust"))
        .within(&session.root)
        .run()?;
    Ok(())
}

/// As rustup knows it: `1.95` is a channel, `1.95.0` a release of it.
fn installed_toolchain(version: &str) -> Option<String> {
    let names = [version.to_owned(), format!("{version}.0")];
    names.into_iter().find(|name| of_toolchain(name).arg("--version").works())
}

fn of_toolchain(name: &str) -> Process {
    // Rustup would fetch it unasked, which takes long or fails late on a machine without network.
    let cargo = Process::new("cargo").arg(format!("+{name}")).env("RUSTUP_AUTO_INSTALL", "0");
    cargo.env_remove("RUSTUP_TOOLCHAIN")
}

/// Library only: tests and their dependencies would turn further features on.
fn features_alone(session: &Session, package: &Package) -> Result<()> {
    let library = ["--package", &package.name, "--lib", "--no-default-features"];
    warnings_fail(session, &library)?;
    for feature in &package.features {
        warnings_fail(session, &[&library[..], &["--features", feature]].concat())?;
    }
    Ok(())
}

fn warnings_fail(session: &Session, scope: &[&str]) -> Result<()> {
    let process = Process::cargo("clippy").args(scope).args(["--", "-D", "warnings"]);
    process.within(&session.root).run().map(drop)
}
