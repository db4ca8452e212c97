//! A memory map for each program: the same application, linked for each slot.

use std::path::PathBuf;
use std::{env, fs};

use nrf52840_dk::{PAGE, SLOT_ADDRESSES, SLOT_SIZE};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for (bin, address) in ["app-a", "app-b"].into_iter().zip(SLOT_ADDRESSES) {
        let folder = out.join(bin);
        fs::create_dir_all(&folder).expect("the output folder can be written");
        // The last page of a slot is its descriptor.
        let map = format!(
            "MEMORY {{ FLASH : ORIGIN = {address:#x}, LENGTH = {}\n\
             RAM : ORIGIN = 0x20000000, LENGTH = 256K }}\n",
            SLOT_SIZE - PAGE
        );
        fs::write(folder.join("memory.x"), map).expect("the output folder can be written");
        println!("cargo::rustc-link-arg-bin={bin}=-L{}", folder.display());
        println!("cargo::rustc-link-arg-bin={bin}=-Tlink.x");
        if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
            println!("cargo::rustc-link-arg-bin={bin}=-Tdefmt.x");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
