//! The embedded crates, built for the boards' processors: no standard library, no allocator.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cross::{self, Toolchain};
use crate::session::Session;

/// One of each kind: no compare-and-swap and no unaligned access, floating point, RISC-V.
pub(crate) const TARGETS: [&str; 3] =
    ["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf"];

/// Packages with the feature choices a firmware makes.
const BUILDS: [(&str, &[&str]); 9] = [
    ("ota-core", &[]),
    ("ota-core", &["--features=defmt"]),
    ("ota-core", &["--no-default-features"]),
    ("ota-core", &["--no-default-features", "--features=sha256,defmt"]),
    ("ota-core", &["--features=async,serde,log"]),
    ("ota-rpc", &[]),
    ("ota-rpc", &["--features=defmt"]),
    ("ota-rpc", &["--no-default-features"]),
    ("ota-rpc", &["--features=fimp,async"]),
];

/// Folders whose sources must not name the allocator.
const WITHOUT_ALLOCATOR: [&str; 2] = ["ota-core/src", "ota-rpc/src"];

pub(crate) fn command(session: &mut Session) -> Result<()> {
    for folder in WITHOUT_ALLOCATOR {
        no_allocator(&session.root.join(folder))?;
    }
    for target in TARGETS {
        let what = format!("no_std build for {target}");
        if let Some(toolchain) = cross::find_or_skip(session, target, &what) {
            build(session, &toolchain, target)?;
        }
    }
    Ok(())
}

fn build(session: &Session, toolchain: &Toolchain, target: &str) -> Result<()> {
    for (package, features) in BUILDS {
        let process = toolchain.cargo(session, "build", target);
        process.args(["--package", package]).args(features).within(&session.root).run()?;
    }
    println!("{target}: {} builds with {}", BUILDS.len(), toolchain.describe()?);
    Ok(())
}

/// The sources themselves: a rustup target brings `alloc`, so its build alone proves nothing.
fn no_allocator(folder: &Path) -> Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            no_allocator(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path)?;
            if let Some(line) = names_allocator(&source) {
                bail!("{}:{line}: these crates do without an allocator", path.display());
            }
        }
    }
    Ok(())
}

/// The first line that brings in the crate `alloc`.
fn names_allocator(source: &str) -> Option<usize> {
    let names = |line: &str| line.trim_start().starts_with("extern crate alloc");
    source.lines().position(names).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_is_noticed() {
        assert_eq!(names_allocator("#![no_std]\n  extern crate alloc;\n"), Some(2));
        assert_eq!(names_allocator("//! extern crate alloc is not used\nextern crate std;"), None);
    }

    #[test]
    fn a_nested_source_is_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        fs::create_dir_all(&nested).unwrap();
        fs::write(nested.join("c.rs"), "extern crate alloc;").unwrap();
        assert!(no_allocator(folder.path()).unwrap_err().to_string().contains("c.rs:1"));
    }
}
