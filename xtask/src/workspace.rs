//! The workspaces of this repository, and the features of their packages, as cargo sees them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run::Process;
use crate::session::Session;

/// A package and its features.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Without `default`.
    pub(crate) features: Vec<String>,
    /// `rust-version` of its manifest.
    pub(crate) rust_version: Option<String>,
}

/// The members of the main workspace.
pub(crate) fn packages(session: &Session) -> Result<Vec<Package>> {
    let metadata = Process::cargo("metadata")
        .args(["--no-deps", "--format-version=1"])
        .within(&session.root)
        .stdout()?;
    let metadata: Value = serde_json::from_str(&metadata).context("output of cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    packages.iter().map(package).collect()
}

/// Manifests that are workspaces of their own: processors, chip features and profiles of a board
/// must not leak into another's, and cargo would unify them.
pub(crate) fn other_manifests(session: &Session) -> Result<Vec<PathBuf>> {
    let mut manifests = vec![session.root.join("fuzz"), session.root.join("xtask/probes")];
    manifests.extend(board_folders(session)?);
    manifests.iter_mut().for_each(|folder| folder.push("Cargo.toml"));
    manifests.retain(|manifest| manifest.is_file());
    Ok(manifests)
}

/// Folders under `boards` of firmware, in the order of their names: those that name a processor. A
/// board whose loader and application want other features of the engine has a folder of its own for
/// each.
pub(crate) fn board_folders(session: &Session) -> Result<Vec<PathBuf>> {
    let boards = session.root.join("boards");
    if !boards.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for board in subfolders(&boards)? {
        match is_firmware(&board) {
            true => folders.push(board),
            false => folders.extend(subfolders(&board)?.into_iter().filter(|it| is_firmware(it))),
        }
    }
    folders.sort();
    Ok(folders)
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        found.push(entry?.path());
    }
    found.retain(|path| path.is_dir());
    Ok(found)
}

fn is_firmware(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() && folder.join(".cargo/config.toml").is_file()
}

fn package(value: &Value) -> Result<Package> {
    let text = |key: &str| value[key].as_str().with_context(|| format!("package without {key}"));
    let folder = Path::new(text("manifest_path")?).parent().context("manifest without folder")?;
    let features = value["features"].as_object().context("package without features")?;
    Ok(Package {
        name: text("name")?.to_owned(),
        folder: folder.to_path_buf(),
        features: features.keys().filter(|name| *name != "default").cloned().collect(),
        rust_version: value["rust_version"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_and_an_application_are_found_in_the_folder_of_their_board() {
        let session = Session::new().unwrap();
        let folders = board_folders(&session).unwrap();
        let boards = session.root.join("boards");
        for board in ["nrf52840-dk/boot", "nrf52840-dk/app", "qemu-sf2"] {
            assert!(folders.contains(&boards.join(board)), "{board}");
        }
        assert!(!folders.contains(&boards.join("harness")));
    }
}
