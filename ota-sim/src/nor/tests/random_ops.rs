//! Random operations against a reference of a few lines, and random cuts.

use proptest::prelude::*;

use super::*;
use crate::nor::{Flicker, OpKind, Tear, Weak};

/// One call of a random history; pages are 256 bytes, so that a call is an operation.
#[derive(Clone, Debug)]
enum Call {
    Program { address: u32, bytes: Vec<u8> },
    Erase { sector: u32 },
}

impl Call {
    fn make(&self, nor: &mut Nor) -> Result<(), NorError> {
        match self {
            Self::Program { address, bytes } => nor.perform(&program(*address, bytes)),
            Self::Erase { sector } => nor.perform(&PendingOp::Erase { address: sector * 4096 }),
        }
    }
}

/// Calls that crowd in the first pages of two sectors.
fn call() -> impl Strategy<Value = Call> {
    let program = (0..2_u32, 0..24_u32, 1..16_usize).prop_flat_map(|(sector, unit, units)| {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), units * 4),
            Just(vec![0x00; units * 4]),
            Just(vec![0xFF; units * 4]),
        ];
        bytes.prop_map(move |bytes| Call::Program { address: sector * 4096 + unit * 4, bytes })
    });
    prop_oneof![4 => program, 1 => (0..2_u32).prop_map(|sector| Call::Erase { sector })]
}

fn tear() -> impl Strategy<Value = Tear> {
    prop_oneof![
        Just(Tear::None),
        Just(Tear::Whole),
        Just(Tear::Head),
        Just(Tear::Tail),
        Just(Tear::AllButLast),
        Just(Tear::AllButFirst),
        Just(Tear::Zeros),
        (0..20_u32).prop_map(|units| Tear::First { units }),
        any::<u64>().prop_map(|seed| Tear::Units { seed }),
        (0..20_u32, any::<u64>()).prop_map(|(unit, seed)| Tear::TornAt { unit, seed }),
        (0..=100_u8, any::<u64>()).prop_map(|(percent, seed)| Tear::Bits { percent, seed }),
    ]
}

fn weak() -> impl Strategy<Value = Weak> {
    prop_oneof![Just(Weak::Off), Just(Weak::PerBoot), Just(Weak::PerRead)]
}

fn part() -> impl Strategy<Value = Part> {
    (prop::sample::select(&LAWS[..]), prop_oneof![Just(SMALL), Just(SMALL_ZERO)])
        .prop_map(|((rule, ecc), part)| part.with_rule(rule, ecc))
}

/// The whole model without power cuts, once more and as naively as can be.
struct Reference {
    part: Part,
    bytes: Vec<u8>,
    programmed: Vec<bool>,
    dead: Vec<bool>,
}

impl Reference {
    fn new(part: Part) -> Self {
        let units = part.shape.units() as usize;
        let bytes = vec![part.shape.erase_value; units * 4];
        Self { part, bytes, programmed: vec![false; units], dead: vec![false; units] }
    }

    fn make(&mut self, call: &Call) -> bool {
        let (address, bytes) = match call {
            Call::Erase { sector } => {
                for unit in sector * 1024..(sector + 1) * 1024 {
                    let unit = unit as usize;
                    self.bytes[unit * 4..][..4].fill(self.part.shape.erase_value);
                    (self.programmed[unit], self.dead[unit]) = (false, false);
                }
                return true;
            }
            Call::Program { address, bytes } => (*address as usize, bytes),
        };
        let zero = !self.part.shape.erase_value;
        let units = || (address / 4..).zip(bytes.chunks(4));
        let allowed = units().all(|(unit, word)| match self.part.rule {
            Rule::Free => true,
            Rule::AllZero => !self.programmed[unit] || word == [zero; 4],
            Rule::Never => !self.programmed[unit],
        });
        if !allowed {
            return false;
        }
        for (unit, word) in units() {
            let old = &mut self.bytes[unit * 4..][..4];
            if self.part.ecc && self.programmed[unit] {
                let heals = self.part.rule == Rule::AllZero;
                self.dead[unit] = !heals && (self.dead[unit] || old != word);
            }
            self.programmed[unit] = true;
            for (old, new) in old.iter_mut().zip(word) {
                *old = if zero == 0 { *old & new } else { *old | new };
            }
        }
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whole_operations_do_what_the_reference_does(
        part in part(),
        calls in prop::collection::vec(call(), 1..60),
    ) {
        let mut nor = Nor::new(&part).with_weak(Weak::PerBoot);
        let mut reference = Reference::new(part);
        for call in &calls {
            let before = nor.clone();
            let result = call.make(&mut nor);
            prop_assert_eq!(result.is_ok(), reference.make(call));
            if result.is_err() {
                let refused = matches!(result, Err(NorError::NotErased { .. }));
                prop_assert!(refused);
                prop_assert_eq!(nor.counters(), before.counters());
            }
            prop_assert_eq!(nor.bytes(), &reference.bytes[..]);
        }
        for unit in 0..part.shape.units() {
            prop_assert_eq!(read::<4>(&mut nor, unit * 4).is_err(), reference.dead[unit as usize]);
            let programmed = reference.programmed[unit as usize];
            prop_assert_eq!(!nor.is_blank(unit * 4..unit * 4 + 4), programmed);
        }
    }

    #[test]
    fn a_cut_changes_nothing_outside_its_operation_at_any_later_boot(
        part in part(),
        weak in weak(),
        calls in prop::collection::vec(call(), 1..40),
        torn in prop::collection::vec((call(), tear()), 1..4),
        boots in prop::collection::vec(any::<u64>(), 1..6),
    ) {
        let mut nor = Nor::new(&part).with_weak(weak);
        for call in &calls {
            let _ = call.make(&mut nor);
        }
        let sound = nor.clone();
        let mut hit = vec![false; part.shape.capacity as usize];
        for (call, tear) in &torn {
            nor.cut_after(0, *tear);
            nor.start_log();
            let result = call.make(&mut nor);
            let cut = matches!(result, Err(NorError::PoweredOff | NorError::NotErased { .. }));
            prop_assert!(cut, "returned {:?}", result);
            for op in nor.log() {
                hit[op.address as usize..][..op.len as usize].fill(true);
            }
            nor.power_on(boots[0]);
        }
        for &seed in &boots {
            nor.power_on(seed);
            for unit in 0..part.shape.units() {
                let read_now: Result<[u8; 4], _> = read(&mut nor, unit * 4);
                if !hit[unit as usize * 4] {
                    prop_assert_eq!(read_now, read(&mut sound.clone(), unit * 4));
                }
            }
        }
    }

    #[test]
    fn a_torn_bit_was_there_before_or_belongs_to_the_operation(
        calls in prop::collection::vec(call(), 1..20),
        call in call(),
        tear in tear(),
        seeds in prop::collection::vec(any::<u64>(), 1..8),
    ) {
        let mut nor = Nor::new(&SMALL).with_weak(Weak::PerBoot);
        for call in &calls {
            call.make(&mut nor).unwrap();
        }
        let before = nor.bytes().to_vec();
        let mut whole = nor.clone();
        call.make(&mut whole).unwrap();
        nor.cut_after(0, tear);
        call.make(&mut nor).unwrap_err();
        // Pre-programming alone invents bits.
        let zeros = tear == Tear::Zeros && matches!(call, Call::Erase { .. });
        for &seed in &seeds {
            nor.power_on(seed);
            let mut mixed = before.iter().zip(whole.bytes()).zip(nor.bytes());
            let known = mixed.all(|((old, new), now)| {
                (old & new) & !now == 0 && now & !(old | new) == 0
            });
            prop_assert!(zeros || known);
        }
    }

    #[test]
    fn finishing_the_work_after_a_cut_gives_the_intended_flash(
        part in part(),
        weak in weak(),
        bytes in prop::collection::vec(any::<u8>(), 64),
        tear in tear(),
        kind in prop_oneof![Just(OpKind::Erase), Just(OpKind::Program)],
        seed: u64,
    ) {
        let mut nor = Nor::new(&part).with_weak(weak);
        nor.write(0, &bytes).unwrap();
        nor.erase(4096, 8192).unwrap();
        nor.cut_after(0, tear);
        match kind {
            OpKind::Erase => nor.erase(0, 4096).unwrap_err(),
            OpKind::Program => nor.write(128, &bytes).unwrap_err(),
        };
        nor.power_on(seed);
        nor.erase(0, 4096).unwrap();
        nor.write(0, &bytes).unwrap();
        for boot in [Flicker::Old, Flicker::Bits { seed }, Flicker::New] {
            nor.power_on_as(boot);
            let found: [u8; 64] = read(&mut nor, 0).unwrap();
            prop_assert_eq!(&found[..], &bytes[..]);
            prop_assert_eq!(read(&mut nor, 128), Ok([part.shape.erase_value; 64]));
        }
    }
}
