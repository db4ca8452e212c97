//! Programs that some checks need: found, or installed where that is possible, or else reported.
//!
//! `cargo xtask test` must work on a machine with Rust and a C linker and nothing else, so every
//! program in the table has a check that can be left out, loudly.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::Process;

/// A program, the Debian package that has it, and what it is for.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) why: &'static str,
}

/// The broker of the MQTT transport's tests.
pub(crate) const MOSQUITTO: Tool =
    Tool { program: "mosquitto", package: "mosquitto", why: "MQTT end to end, a real broker" };
/// Cortex-M boards, and the stack measurement.
pub(crate) const QEMU_ARM: Tool = Tool {
    program: "qemu-system-arm",
    package: "qemu-system-arm",
    why: "emulated Cortex-M boards",
};
/// libFuzzer is C++.
pub(crate) const CXX: Tool = Tool { program: "c++", package: "g++", why: "libFuzzer" };
/// A linker for Debian's cross toolchain where rustup has none.
pub(crate) const LLD: Tool =
    Tool { program: "ld.lld", package: "lld", why: "linking for the boards' processors" };

impl Tool {
    /// Whether the program is there, after an attempt to install it if it is not.
    pub(crate) fn ensure(&self) -> bool {
        if find(self.program).is_some() {
            return true;
        }
        install(&[self.package], self.why).is_ok() && find(self.program).is_some()
    }

    /// What to tell someone who lacks it.
    pub(crate) fn advice(&self) -> String {
        format!("{} is not installed: `apt-get install {}`", self.program, self.package)
    }
}

/// Installs Debian packages and says so. Fails where that is not possible: not Debian, not root.
pub(crate) fn install(packages: &[&str], why: &str) -> Result<()> {
    anyhow::ensure!(Path::new("/etc/debian_version").exists(), "not a Debian system");
    anyhow::ensure!(is_root(), "not root");
    println!("installing {} ({why})", packages.join(" "));
    // A new machine has no package lists, or old ones: the install's own failure is what counts.
    let _ = apt().arg("update").outcome()?;
    apt().args(["install", "--yes", "--no-install-recommends"]).args(packages).run()?;
    Ok(())
}

/// The program's path, looked for where a user's shell and an administrator's would.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn apt() -> Process {
    Process::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_root() -> bool {
    Process::new("id").arg("-u").stdout().is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert!(find("no-such-program-at-all").is_none());
    }

    #[test]
    fn advice_names_the_package() {
        assert!(QEMU_ARM.advice().contains("apt-get install qemu-system-arm"));
    }
}
