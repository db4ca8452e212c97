//! Parts that the engine is tested on: geometry, rule and timings as their documents say.
//!
//! Times are typical ones at room temperature and nominal supply, or the maximum where a document
//! gives no typical value. Read times of memory-mapped flash are computed from clock, wait states
//! and line width; they are there to compare strategies, not to predict a board.
//!
//! Internal flash has no page buffer: its drivers program unit by unit. `page_size` then only says
//! how much one call counts as one operation, and the tears cut it at any unit. 256 bytes is the
//! most that the engine hands to a driver at once (`ota_core::flash::MAX_PROGRAM`).

use super::{Rule, Shape, Timings};

const KIB: u32 = 1024;
const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// A kind of flash. The fields may be changed: `Part { rule: Rule::Never, ..Part::GENERIC_4K4 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Short name, for command lines and replay lines.
    pub name: &'static str,
    /// The documents that the figures are from.
    pub source: &'static str,
    /// Geometry.
    pub shape: Shape,
    /// Programming twice.
    pub rule: Rule,
    /// Units carry check bits: torn ones cannot be read.
    pub ecc: bool,
    /// Speed.
    pub timings: Timings,
}

impl Part {
    /// Nordic nRF52840: internal flash. Two programs of a word between erases are allowed
    /// (n_WRITE); [`super::Nor::most_unit_programs`] tells whether a test stayed within that.
    pub const NRF52840: Self = Self {
        name: "nrf52840",
        source: "nRF52840 PS v1.7, NVMC: t_ERASEPAGE 85 ms, t_WRITE 41 us (maxima), n_WRITE 2; \
                 reads at 64 MHz, 2 wait states, 32 bits",
        shape: shape(1024 * KIB, 4 * KIB, 4, 256),
        rule: Rule::Free,
        ecc: false,
        timings: internal(12, 41 * US, 85 * MS),
    };

    /// Nordic nRF51822: internal flash of a BBC micro:bit V1. A word may be programmed a limited
    /// number of times between erases; [`super::Nor::most_unit_programs`] tells how often a test did.
    pub const NRF51822: Self = Self {
        name: "nrf51822",
        source: "nRF51 Series Reference Manual, NVMC: pages of 1 KiB, whole words only, 1 to 0 \
                 only; t_PAGE_ERASE 22.3 ms and t_WRITE 46.3 us (maxima) from memory of the nRF51822 \
                 PS, to be compared with it; reads at 16 MHz, no wait state, 32 bits",
        shape: shape(256 * KIB, KIB, 4, 256),
        rule: Rule::Free,
        ecc: false,
        timings: internal(16, 46_300, 22_300 * US),
    };

    /// ST STM32L476: internal flash, double words with 8 check bits.
    pub const STM32L4: Self = Self {
        name: "stm32l4",
        source: "DS10198: t_prog 81.69 us, t_ERASE 22.02 ms (typical); RM0351 ch. 3: PROGERR \
                 unless erased or the value is all-zero, 8-bit ECC per double word, ECCD raises an \
                 NMI; reads at 80 MHz, 4 wait states, 64 bits",
        shape: shape(1024 * KIB, 2 * KIB, 8, 256),
        rule: Rule::AllZero,
        ecc: true,
        timings: internal(8, 81_690, 22_020_000),
    };

    /// ST STM32H743: internal flash, 256-bit flash words with 10 check bits.
    pub const STM32H7: Self = Self {
        name: "stm32h7",
        source: "DS12110: t_prog 100 us per flash word, t_ERASE128KB 1 s (typical, x64); RM0433 \
                 ch. 4: a flash word programmed twice has inconsistent ECC, a double error is a \
                 bus fault; reads over 64-bit AXI at 200 MHz",
        shape: shape(2048 * KIB, 128 * KIB, 32, 256),
        rule: Rule::Never,
        ecc: true,
        timings: internal(1, 100 * US, 1_000 * MS),
    };

    /// ST STM32L072: internal flash that erases to zero, words with 6 check bits.
    pub const STM32L0: Self = Self {
        name: "stm32l0",
        source: "DS10685: t_prog 3.2 ms (typical) for a word, a half page and a page erase alike; \
                 RM0376 ch. 3: pages of 128 bytes, erased state 0, NOTZEROERR on a word that is \
                 not zero, ECC per word; words are programmed singly here; reads at 32 MHz, 1 wait \
                 state, 32 bits",
        shape: Shape { erase_value: 0x00, ..shape(192 * KIB, 128, 4, 64) },
        rule: Rule::Never,
        ecc: true,
        timings: internal(16, 3_200 * US, 3_200 * US),
    };

    /// Raspberry Pi RP2040 with a Winbond W25Q16JV serial NOR, as on the Pico.
    pub const RP2040: Self = Self {
        name: "rp2040",
        source: "W25Q16JV data sheet, AC characteristics: t_PP 0.4 ms, t_SE 45 ms (typical); reads \
                 as a plain SPI read at 16 MHz with 5 us for each transaction",
        shape: shape(2048 * KIB, 4 * KIB, 1, 256),
        rule: Rule::Free,
        ecc: false,
        timings: SERIAL,
    };

    /// Spansion S25FL128P serial NOR, which erases sectors of 64 KiB only; QEMU's s25sl12801.
    pub const S25FL128P: Self = Self {
        name: "s25fl128p",
        source: "S25FL128P data sheet, AC characteristics: t_PP 1.5 ms, t_SE 0.5 s (typical); reads as \
                 a plain SPI read at 16 MHz with 5 us for each transaction",
        shape: shape(16 * 1024 * KIB, 64 * KIB, 4, 256),
        rule: Rule::Free,
        ecc: false,
        timings: Timings { program_op_ns: 1_500 * US, erase_ns: 500 * MS, ..SERIAL },
    };

    /// Espressif ESP32 with serial NOR, through esp-storage, whose write unit is a word.
    pub const ESP32: Self = Self {
        name: "esp32",
        source: "esp-storage 0.8: WRITE_SIZE 4, SECTOR_SIZE 4096; modules carry various chips, the \
                 times are those of a W25Q32JV: t_PP 0.4 ms, t_SE 45 ms (typical)",
        shape: shape(4096 * KIB, 4 * KIB, 4, 256),
        rule: Rule::Free,
        ecc: false,
        timings: SERIAL,
    };

    /// The same with flash encryption: 32-byte blocks, and a second program of a block would leave
    /// the AND of two cipher texts, so it is refused.
    pub const ESP32_ENCRYPTED: Self = Self {
        name: "esp32-encrypted",
        source: "ESP-IDF, flash encryption: encrypted writes are multiples of 32 bytes on ESP32; \
                 times as esp32",
        shape: shape(4096 * KIB, 4 * KIB, 32, 256),
        rule: Rule::Never,
        ecc: false,
        timings: SERIAL,
    };

    /// 4 KiB sectors, 4-byte words, nRF52840 timings, 256 KiB: the small geometry of most tests.
    pub const GENERIC_4K4: Self = Self {
        name: "4k4",
        source: "geometry and timings of an nRF52840",
        shape: shape(256 * KIB, 4 * KIB, 4, 256),
        ..Self::NRF52840
    };

    /// 2 KiB sectors, 8-byte words, STM32L4 timings, 256 KiB, no ECC, free rule.
    pub const GENERIC_2K8: Self = Self {
        name: "2k8",
        source: "geometry and timings of an STM32L4",
        shape: shape(256 * KIB, 2 * KIB, 8, 256),
        rule: Rule::Free,
        ecc: false,
        ..Self::STM32L4
    };

    /// Every preset.
    pub const ALL: &'static [Self] = &[
        Self::NRF52840,
        Self::STM32L4,
        Self::STM32H7,
        Self::STM32L0,
        Self::RP2040,
        Self::S25FL128P,
        Self::ESP32,
        Self::ESP32_ENCRYPTED,
        Self::GENERIC_4K4,
        Self::GENERIC_2K8,
        // Behind the generic part of the same capacity, which a flash file of no named board is of.
        Self::NRF51822,
    ];

    /// The preset called `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|part| part.name == name)
    }

    /// The same part with another capacity, in bytes: a whole number of sectors.
    pub const fn with_capacity(self, capacity: u32) -> Self {
        Self { shape: Shape { capacity, ..self.shape }, ..self }
    }

    /// The same part under another rule, with or without check bits.
    pub const fn with_rule(self, rule: Rule, ecc: bool) -> Self {
        Self { rule, ecc, ..self }
    }
}

/// Serial NOR: a read costs 5 us and 8 clocks of 16 MHz a byte, a page program 0.4 ms, a 4 KiB
/// erase 45 ms.
const SERIAL: Timings = Timings {
    read_call_ns: 5 * US,
    read_byte_ns: 500,
    program_op_ns: 400 * US,
    program_unit_ns: 0,
    erase_ns: 45 * MS,
};

const fn internal(read_byte_ns: u64, program_unit_ns: u64, erase_ns: u64) -> Timings {
    Timings { read_byte_ns, program_unit_ns, erase_ns, ..Timings::ZERO }
}

const fn shape(capacity: u32, sector_size: u32, write_size: u32, page_size: u32) -> Shape {
    Shape { capacity, sector_size, write_size, page_size, erase_value: 0xFF }
}
