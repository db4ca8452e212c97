//! embassy-boot 0.7: its blocking updater and its boot loader, on three partitions.

use embassy_boot::{
    AlignedBuffer, BlockingFirmwareUpdater, BootLoader, BootLoaderConfig, FirmwareUpdaterConfig,
    State,
};
use embedded_storage::nor_flash::NorFlash;

use super::{Cost, Phase};
use crate::nor::{Nor, Part};

struct Device {
    active: Nor,
    dfu: Nor,
    state: Nor,
}

pub(super) fn measure(part: &Part, images: &[Vec<u8>; 3]) -> Result<Vec<(Phase, Cost)>, String> {
    let (sector, unit) = (part.shape.sector_size, part.shape.write_size);
    let size = images[0].len() as u32;
    // Its partition of progress marks: two words, and four for each page.
    let marks = ((2 + 4 * (size / sector.max(4096))) * unit).next_multiple_of(sector);
    let marks = marks.max(((2 + 4 * (size / sector)) * unit).next_multiple_of(sector));
    let nor = |capacity| Nor::new(&part.with_capacity(capacity));
    let mut device = Device {
        active: Nor::with_image(&part.with_capacity(size), &images[0]),
        dfu: nor(size + sector),
        state: nor(marks),
    };
    let mut rows = Vec::new();
    device.boots(State::Boot, &images[0])?;
    rows.push((Phase::Stage, device.cost(|device| device.stage(&images[1]))?));
    rows.push((Phase::Install, device.cost(|device| device.boots(State::Swap, &images[1]))?));
    rows.push((Phase::Confirm, device.cost(Device::confirm)?));
    device.boots(State::Boot, &images[1])?;
    rows.push((Phase::Idle, device.cost(|device| device.boots(State::Boot, &images[1]))?));
    device.stage(&images[2])?;
    device.boots(State::Swap, &images[2])?;
    rows.push((Phase::Rollback, device.cost(|device| device.boots(State::Swap, &images[1]))?));
    Ok(rows)
}

impl Device {
    fn cost(&mut self, run: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<Cost, String> {
        let parts = |device: &mut Self| -> Cost {
            let mut total = Cost::default();
            for nor in [&mut device.active, &mut device.dfu, &mut device.state] {
                total.add(&Cost::of(nor.counters()));
                nor.reset_counters();
            }
            total
        };
        parts(self);
        run(self)?;
        Ok(parts(self))
    }

    /// Boots, and looks at what lies in the execution slot then.
    fn boots(&mut self, expected: State, image: &[u8]) -> Result<(), String> {
        let found = crate::with_port!(&mut self.active, active => {
            crate::with_port!(&mut self.dfu, dfu => {
                crate::with_port!(&mut self.state, state => prepare(active, dfu, state))
            })
        })?;
        if found != expected || self.active.bytes() != image {
            return Err(format!("embassy-boot: {found:?} instead of {expected:?}"));
        }
        Ok(())
    }

    fn stage(&mut self, image: &[u8]) -> Result<(), String> {
        crate::with_port!(&mut self.dfu, dfu => {
            crate::with_port!(&mut self.state, state => {
                let mut aligned = AlignedBuffer([0; 32]);
                let aligned = &mut aligned.0[..unit(&state)];
                let config = FirmwareUpdaterConfig { dfu, state };
                let mut updater = BlockingFirmwareUpdater::new(config, aligned);
                for (index, piece) in image.chunks(4096).enumerate() {
                    let written = updater.write_firmware(index * 4096, piece);
                    written.map_err(|error| format!("embassy-boot: {error:?}"))?;
                }
                updater.mark_updated().map_err(|error| format!("embassy-boot: {error:?}"))
            })
        })
    }

    fn confirm(&mut self) -> Result<(), String> {
        crate::with_port!(&mut self.dfu, dfu => {
            crate::with_port!(&mut self.state, state => {
                let mut aligned = AlignedBuffer([0; 32]);
                let aligned = &mut aligned.0[..unit(&state)];
                let config = FirmwareUpdaterConfig { dfu, state };
                let mut updater = BlockingFirmwareUpdater::new(config, aligned);
                updater.mark_booted().map_err(|error| format!("embassy-boot: {error:?}"))
            })
        })
    }
}

fn prepare<A: NorFlash, D: NorFlash, S: NorFlash>(
    active: A,
    dfu: D,
    state: S,
) -> Result<State, String> {
    let mut page = AlignedBuffer([0; 2048]);
    let mut loader = BootLoader::new(BootLoaderConfig { active, dfu, state });
    loader.prepare_boot(&mut page.0).map_err(|error| format!("embassy-boot: {error:?}"))
}

/// Its updater wants a buffer of exactly one write unit of the state partition.
fn unit<F: NorFlash>(_: &F) -> usize {
    F::WRITE_SIZE
}
