//! What one call of `cargo xtask` knows: where things are, what was counted, what was skipped.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::counts::Counts;
use crate::cross::Finder;

/// State of one call.
pub(crate) struct Session {
    /// The workspace's folder.
    pub(crate) root: PathBuf,
    /// Where builds go: `target`, or what `CARGO_TARGET_DIR` names.
    pub(crate) target: PathBuf,
    /// Tests so far, over all runners.
    pub(crate) counts: Counts,
    /// Compilers for the boards' processors, looked for once.
    pub(crate) finder: Finder,
    skips: Vec<String>,
}

impl Session {
    pub(crate) fn new() -> Result<Self> {
        // At run time, not compile time: a moved checkout keeps working.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = manifest.as_deref().and_then(Path::parent);
        let root = root.context("run this as `cargo xtask`")?.to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target"),
        };
        Ok(Self {
            root,
            target,
            counts: Counts::default(),
            finder: Finder::default(),
            skips: Vec::new(),
        })
    }

    /// A check that cannot be made here: said at once, counted, and said again at the end.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        let line = format!("SKIPPED: {what}: {why}");
        println!("{line}");
        self.counts.skipped += 1;
        self.skips.push(line);
    }

    /// Tests that had nothing to run on, from the lines they wrote to the skip log. The runner took
    /// them for passed; the caller has counted them.
    pub(crate) fn skipped_tests(&mut self, lines: Vec<String>) {
        lines.iter().for_each(|line| println!("{line}"));
        self.skips.extend(lines);
    }

    /// Repeats what was skipped and prints the closing line, alone and last.
    pub(crate) fn close(&self) {
        if !self.skips.is_empty() {
            println!("\nNot checked on this machine:");
        }
        for line in &self.skips {
            println!("  {line}");
        }
        println!("{}", self.counts);
    }
}
