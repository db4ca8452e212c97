//! Links the loader with the memory map beside this file, wherever cargo is called from.

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=link.x");
    println!("cargo::rustc-link-arg-bin=boot=-T{folder}/link.x");
    // Sections need no more than the alignment of a word: the first page is small.
    println!("cargo::rustc-link-arg-bin=boot=-nmagic");
}
