//! This engine: the loader's `boot`, the application's `Updater`.

use ota_core::flash::{Extent, Layout, OneDevice, SlotLayout};
use ota_core::{BootOptions, Config, RawImage, Updater, boot};

use super::{Cost, Phase};
use crate::campaign::Rig;
use crate::nor::{Nor, Part};

struct Device {
    nor: Nor,
    slots: [SlotLayout; 2],
    record: Extent,
}

pub(super) fn measure(part: &Part, images: &[Vec<u8>; 3]) -> Result<Vec<(Phase, Cost)>, String> {
    let sector = part.shape.sector_size;
    let slot_size = images[0].len() as u32 + Rig::descriptor_size(sector);
    let slot = |index: u32| SlotLayout {
        app: Extent::new(2 * sector + index * slot_size, slot_size),
        data: None,
    };
    let part = part.with_capacity(2 * sector + 2 * slot_size);
    let (slots, record) = ([slot(0), slot(1)], Extent::new(0, 2 * sector));
    let mut device = Device { nor: Nor::new(&part), slots, record };
    Rig::write_factory_image(&mut device.nor, slots[0].app, &images[0], None);
    device.boots(0)?;
    device.boots(0)?;
    let mut rows = Vec::new();
    rows.push((Phase::Stage, device.cost(|device| device.install(&images[1]))?));
    rows.push((Phase::Install, device.cost(|device| device.boots(1))?));
    rows.push((Phase::Confirm, device.cost(Device::confirm)?));
    device.boots(1)?;
    rows.push((Phase::Idle, device.cost(|device| device.boots(1))?));
    device.install(&images[2])?;
    device.boots(0)?;
    rows.push((Phase::Rollback, device.cost(|device| device.boots(1))?));
    Ok(rows)
}

impl Device {
    fn cost(&mut self, run: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<Cost, String> {
        self.nor.reset_counters();
        run(self)?;
        Ok(Cost::of(self.nor.counters()))
    }

    fn boots(&mut self, slot: u8) -> Result<(), String> {
        let layout = Layout { record: self.record, slots: &self.slots };
        let mut buffer = [0; 256];
        let plan = crate::with_port!(&mut self.nor, port => {
            let mut map = OneDevice::new(port, layout).map_err(|error| error.to_string())?;
            boot(&mut map, &BootOptions::default(), &mut buffer)
        });
        match plan {
            Ok(plan) if plan.slot == slot => Ok(()),
            other => Err(format!("expected a boot of slot {slot}: {other:?}")),
        }
    }

    fn install(&mut self, image: &[u8]) -> Result<(), String> {
        let raw = RawImage { len: Some(image.len() as u32), ..RawImage::default() };
        self.app(|app| app.install_raw(raw, image))
    }

    fn confirm(&mut self) -> Result<(), String> {
        self.app(|app| app.confirm())
    }

    fn app(&mut self, run: impl FnOnce(&mut dyn App) -> Result<(), String>) -> Result<(), String> {
        let layout = Layout { record: self.record, slots: &self.slots };
        let mut buffer = vec![0; 4096];
        crate::with_port!(&mut self.nor, port => {
            let map = OneDevice::new(port, layout).map_err(|error| error.to_string())?;
            let mut updater = Updater::open(map, Config::new("compare"), &mut buffer, 0)
                .map_err(|error| error.to_string())?;
            run(&mut updater)
        })
    }
}

/// The engine, whatever flash lies under it.
trait App {
    fn install_raw(&mut self, raw: RawImage, image: &[u8]) -> Result<(), String>;
    fn confirm(&mut self) -> Result<(), String>;
}

impl<F: ota_core::FlashMap> App for Updater<'_, F> {
    fn install_raw(&mut self, raw: RawImage, image: &[u8]) -> Result<(), String> {
        self.begin_raw(raw, 300).map_err(|error| error.to_string())?;
        self.write(image).map_err(|error| error.to_string())?;
        self.finish().map_err(|error| error.to_string())
    }

    fn confirm(&mut self) -> Result<(), String> {
        self.commit().map_err(|error| error.to_string())
    }
}
