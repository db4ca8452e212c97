//! Worked examples and tables out of the format documents: what they show is what tests compare.

use std::fs;
use std::path::Path;

/// A file below `docs/`.
pub(crate) fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of the fenced block that is opened by ```` ```text name ````.
pub(crate) fn block<'d>(document: &'d str, name: &str) -> Vec<&'d str> {
    let opening = format!("```text {name}");
    let mut lines = document.lines().skip_while(|line| *line != opening).skip(1).peekable();
    assert!(lines.peek().is_some(), "the document has no block {name}");
    lines.take_while(|line| *line != "```").collect()
}

/// The bytes of a hex dump: lines of `offset  bytes  | comment`, offsets without a gap.
pub(crate) fn hex(document: &str, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in block(document, name) {
        let mut words = line.split('|').next().unwrap_or_default().split_whitespace();
        let offset = words.next().map(|word| usize::from_str_radix(word, 16));
        assert_eq!(offset, Some(Ok(bytes.len())), "{name}: {line}");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    bytes
}

/// The rows of the table whose first column is headed `heading`, cells trimmed, below its rule.
pub(crate) fn table<'d>(document: &'d str, heading: &str) -> Vec<Vec<&'d str>> {
    let opening = format!("| {heading} |");
    let lines = document.lines().skip_while(|line| !line.starts_with(&opening)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> =
        rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(!rows.is_empty(), "the document has no table headed {heading}");
    rows
}
