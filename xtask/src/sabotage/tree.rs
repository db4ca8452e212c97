//! A copy of the sources to break.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::edits::Edit;

/// Build output, wherever a workspace keeps it.
const NOT_SOURCES: [&str; 2] = ["target", "corpus"];

/// Makes `copy` hold exactly the files of `root` that `parts` (files and folders) name.
///
/// Only what differs is written: cargo goes by times, and rebuilds no more than it must.
pub(crate) fn synchronise(root: &Path, copy: &Path, parts: &[PathBuf]) -> Result<()> {
    let mut wanted = BTreeSet::new();
    for part in parts {
        list(root, part, &mut wanted)?;
    }
    let mut present = BTreeSet::new();
    if copy.is_dir() {
        list(copy, Path::new(""), &mut present)?;
    }
    for stale in present.difference(&wanted) {
        fs::remove_file(copy.join(stale))?;
    }
    for file in &wanted {
        let bytes = fs::read(root.join(file))?;
        let destination = copy.join(file);
        if fs::read(&destination).is_ok_and(|old| old == bytes) {
            continue;
        }
        fs::create_dir_all(destination.parent().context("a file lies in a folder")?)?;
        fs::write(&destination, bytes)?;
    }
    Ok(())
}

/// Makes the edit in the copy.
pub(crate) fn apply(copy: &Path, edit: &Edit) -> Result<()> {
    let source = edited(copy, edit)?;
    fs::write(copy.join(edit.file), source)?;
    Ok(())
}

/// The file of an edit as it makes it.
pub(crate) fn edited(root: &Path, edit: &Edit) -> Result<String> {
    let path = root.join(edit.file);
    let mut source = fs::read_to_string(&path).with_context(|| edit.file.to_owned())?;
    for (find, replace) in edit.changes {
        let matches = source.matches(find).count();
        ensure!(
            matches == 1,
            "edit `{}` is out of date: its text occurs {matches} times in {}: {find}",
            edit.name,
            edit.file
        );
        source = source.replacen(find, replace, 1);
    }
    Ok(source)
}

fn list(root: &Path, part: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let path = root.join(part);
    if !path.is_dir() {
        ensure!(path.is_file(), "{} is not there", path.display());
        files.insert(part.to_path_buf());
        return Ok(());
    }
    for entry in path.read_dir()? {
        let name = entry?.file_name();
        if !NOT_SOURCES.iter().any(|folder| name == *folder) {
            list(root, &part.join(name), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EDIT: Edit =
        Edit { name: "no-sum", file: "core/lib.rs", changes: &[("a + b", "a")], why: "" };

    fn source() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("core/lib.rs", "fn sum() { a + b }"),
            ("core/target/built", "x"),
            ("sim/lib.rs", "sim"),
            ("other/lib.rs", "other"),
            ("Cargo.toml", "[workspace]"),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn parts() -> Vec<PathBuf> {
        ["core", "sim", "Cargo.toml"].map(PathBuf::from).to_vec()
    }

    #[test]
    fn the_copy_has_the_named_parts_without_what_was_built() {
        let (root, copy) = (source(), tempfile::tempdir().unwrap());
        synchronise(root.path(), copy.path(), &parts()).unwrap();
        assert!(copy.path().join("core/lib.rs").is_file());
        assert!(copy.path().join("Cargo.toml").is_file());
        assert!(!copy.path().join("core/target").exists());
        assert!(!copy.path().join("other").exists());
    }

    #[test]
    fn an_edit_is_undone_and_a_removed_file_removed_by_the_next_copy() {
        let (root, copy) = (source(), tempfile::tempdir().unwrap());
        synchronise(root.path(), copy.path(), &parts()).unwrap();
        let sim_written = fs::metadata(copy.path().join("sim/lib.rs")).unwrap().modified().unwrap();
        apply(copy.path(), &EDIT).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("core/lib.rs")).unwrap(), "fn sum() { a }");
        fs::write(copy.path().join("sim/stale.rs"), "").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        synchronise(root.path(), copy.path(), &parts()).unwrap();
        let restored = fs::read_to_string(copy.path().join("core/lib.rs")).unwrap();
        assert_eq!(restored, "fn sum() { a + b }");
        assert!(!copy.path().join("sim/stale.rs").exists());
        let sim_now = fs::metadata(copy.path().join("sim/lib.rs")).unwrap().modified().unwrap();
        assert_eq!(sim_now, sim_written, "an unchanged file must not look new to cargo");
    }

    #[test]
    fn an_edit_that_matches_twice_or_never_is_out_of_date() {
        for (text, count) in [("a + b, a + b", "2 times"), ("a - b", "0 times")] {
            let root = source();
            fs::write(root.path().join("core/lib.rs"), text).unwrap();
            let error = apply(root.path(), &EDIT).unwrap_err().to_string();
            assert!(error.contains(count), "{error}");
        }
    }
}
