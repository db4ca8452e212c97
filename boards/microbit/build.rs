//! A memory map for each program: the loader's at the start of flash, and one for each slot.

use std::path::PathBuf;
use std::{env, fs};

#[path = "src/map.rs"]
mod map;

const PROGRAMS: [(&str, (u32, u32)); 5] = [
    ("boot", map::LOADER),
    ("app-a", map::SLOT_A),
    ("app-b", map::SLOT_B),
    ("mini-a", map::SLOT_A),
    ("mini-b", map::SLOT_B),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let (ram, ram_size) = (map::RAM.0 + map::RAM_TAKEN, map::RAM.1 - map::RAM_TAKEN);
    for (bin, (flash, flash_size)) in PROGRAMS {
        // The end of a slot is its descriptor's.
        let room = if bin == "boot" { flash_size } else { flash_size - map::PAGE };
        let folder = out.join(bin);
        fs::create_dir_all(&folder).expect("the output folder can be written");
        let map = format!(
            "MEMORY {{ FLASH : ORIGIN = {flash:#x}, LENGTH = {room:#x}\n \
             RAM : ORIGIN = {ram:#x}, LENGTH = {ram_size:#x} }}\n"
        );
        fs::write(folder.join("memory.x"), map).expect("the output folder can be written");
        println!("cargo:rustc-link-arg-bin={bin}=-L{}", folder.display());
        println!("cargo:rustc-link-arg-bin={bin}=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo:rustc-link-arg-bin={bin}=-Tdefmt.x");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/map.rs");
}
