//! Power fails again and again, in the very same place: hundreds of boots that never come to an end.

use ota_sim::campaign::{Kind, Unsteady};

#[test]
fn a_device_whose_power_fails_at_every_boot_comes_back_when_it_holds() {
    for name in ["4k4", "2k8", "stm32l0", "record-3x1"] {
        let kind = Kind::by_name(name).expect("the campaign has this kind of flash");
        for seed in 0..40 {
            let device = Unsteady { kind, seed };
            if let Err(failure) = device.run() {
                panic!("{device}: {}", failure.message);
            }
        }
    }
}

#[test]
fn a_replay_line_of_it_is_read_again() {
    let device: Unsteady = "unsteady 2k8 17".parse().unwrap();
    assert_eq!((device.kind.name, device.seed), ("2k8", 17));
    assert_eq!(device.to_string().parse(), Ok(device));
    for line in ["unsteady 2k8", "unsteady flash 17", "steady 2k8 17", "unsteady 2k8 x"] {
        assert!(line.parse::<Unsteady>().is_err(), "{line}");
    }
}
