//! Section sizes of a linked program.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection};

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sections {
    /// `.text` and `.rodata`.
    pub(super) code: u64,
    pub(super) data: u64,
    pub(super) bss: u64,
}

impl Sections {
    pub(super) fn read(program: &Path) -> Result<Self> {
        let [text, rodata, data, bss] = sections(program, [".text", ".rodata", ".data", ".bss"])?;
        Ok(Self { code: text + rodata, data, bss })
    }

    /// What is more than in `empty`.
    pub(super) fn over(&self, empty: &Self) -> Self {
        Self {
            code: self.code.saturating_sub(empty.code),
            data: self.data.saturating_sub(empty.data),
            bss: self.bss.saturating_sub(empty.bss),
        }
    }
}

/// Sizes of sections in bytes; 0 for one that is not there.
pub(crate) fn sections<const N: usize>(program: &Path, names: [&str; N]) -> Result<[u64; N]> {
    let shown = || program.display().to_string();
    let bytes = fs::read(program).with_context(shown)?;
    let file = object::File::parse(&*bytes).with_context(shown)?;
    Ok(names.map(|name| file.section_by_name(name).map_or(0, |section| section.size())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linked_program_has_code() {
        let sections = Sections::read(&std::env::current_exe().unwrap()).unwrap();
        assert!(sections.code > 1000 && sections.bss > 0, "{sections:?}");
        assert_eq!(sections.over(&sections), Sections::default());
    }

    #[test]
    fn a_file_that_is_no_program_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Sections::read(file.path()).is_err());
    }
}
