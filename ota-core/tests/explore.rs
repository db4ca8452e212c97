//! x
mod common;
use common::device::*;
fn dump(b: &[u8]) {
    for (i, c) in b.chunks(16).enumerate() {
        print!("{:03x} ", i * 16);
        for x in c {
            print!(" {x:02x}");
        }
        println!();
    }
}
#[test]
fn explore() {
    let mut old = image("1.0.0", 0);
    old.app = (0..=255).collect();
    old.build_id = "20261120-120000/1.0.0".into();
    dump(old.descriptor().as_bytes());
}
