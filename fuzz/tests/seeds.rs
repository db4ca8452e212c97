//! Every fuzz target on stable Rust: its seeds, and mutations of them from a fixed random sequence.

use std::fs;
use std::path::{Path, PathBuf};

use ota_fuzz::TARGETS;

/// For each seed; a target takes microseconds.
const MUTATIONS: usize = 2_000;
const LONGEST: usize = 4096;

#[test]
fn targets_survive_their_seeds_and_mutations_of_them() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            let bytes = fs::read(&seed).unwrap();
            target(&bytes);
            let mut random = Random(0x9E37_79B9_7F4A_7C15);
            for number in 0..MUTATIONS {
                let input = mutate(&bytes, &mut random);
                let survived = std::panic::catch_unwind(|| target(&input));
                assert!(survived.is_ok(), "{name}, {}, {number}: {input:02x?}", seed.display());
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let mut programs: Vec<String> =
        files("fuzz_targets").iter().map(|path| stem(path).to_owned()).collect();
    programs.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort();
    assert_eq!(programs, names);
    for name in names {
        assert!(!seeds(name).is_empty(), "{name} has no seeds");
    }
}

fn seeds(target: &str) -> Vec<PathBuf> {
    files(&format!("seeds/{target}"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// One to four small changes: a flipped bit, another byte, a cut, a repeated piece, a longer tail.
fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.up_to(3) {
        let at = random.up_to(bytes.len().saturating_sub(1));
        match random.up_to(4) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.up_to(7),
            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => bytes.extend_from_within(at..),
            _ => bytes.push([0x00, 0xFF, random.next() as u8][random.up_to(2)]),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// xorshift64*: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32
    }

    /// 0 to `most`, both included.
    fn up_to(&mut self, most: usize) -> usize {
        (self.next() as usize) % (most + 1)
    }
}
