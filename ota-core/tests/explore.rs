//! x
mod common;
use common::cells::*;
use ota_sim::nor::*;
#[test]
fn explore() {
    for w in [4u32, 8, 16, 32] {
        for s in 2..=8 {
            let shape = Shape { capacity: 8192, sector_size: 4096, write_size: w, page_size: 256, erase_value: 255 };
            let g = Grid::new(&shape, 8192, s);
            let h = 8u32.next_multiple_of(g.unit);
            let b = (54 + 5 * u32::from(s)).next_multiple_of(g.unit);
            print!("| {} / {} / {} ", h + b + g.unit, g.stride, g.cells);
        }
        println!("| {w}");
    }
}
