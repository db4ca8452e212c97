//! A memory map for each program: the loader runs in ROM, the application in external RAM.

use std::path::PathBuf;
use std::{env, fs};

const MAPS: [(&str, &str); 2] = [
    ("boot", "FLASH : ORIGIN = 0x00000000, LENGTH = 256K"),
    ("app", "FLASH : ORIGIN = 0xA0000000, LENGTH = 960K"),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for (bin, flash) in MAPS {
        let folder = out.join(bin);
        fs::create_dir_all(&folder).expect("the output folder can be written");
        let map = format!("MEMORY {{ {flash}\n RAM : ORIGIN = 0x20000000, LENGTH = 64K }}\n");
        fs::write(folder.join("memory.x"), map).expect("the output folder can be written");
        println!("cargo:rustc-link-arg-bin={bin}=-L{}", folder.display());
        println!("cargo:rustc-link-arg-bin={bin}=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo:rustc-link-arg-bin={bin}=-Tdefmt.x");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
}
