//! The devices that campaigns run on, and the engine on them.

use ota_core::flash::{Extent, Layout, OneDevice, SlotLayout};
use ota_core::{
    BootOptions, BootPlan, BootState, Config, RecoverReason, StageError, Updater, boot,
};

use super::images::{Image, PLATFORM};
use crate::nor::{Nor, NorDevice, Part, Rule, Weak};

/// Bytes of an image.
pub const IMAGE_SIZE: usize = 32 * 1024;
const RECORD_BYTES: u32 = 4096;
/// What the loader is lent. Boards lend 256 bytes at the most; the tests of ota-core do too. More
/// makes a campaign faster, and the image is read and digested whole all the same.
const BOOT_BUFFER: usize = 1024;

/// A kind of device: part, rule and layout.
#[derive(Clone, Debug)]
pub struct Rig {
    /// The part, with sectors small enough for a campaign.
    pub part: Part,
    /// How many slots it has.
    pub slot_count: u8,
    /// Boots that a new image gets.
    pub trials: u8,
    slots: Vec<SlotLayout>,
    record: Extent,
}

impl Rig {
    /// A device of this part. Sectors are at most 4 KiB here: a larger one only makes each point
    /// slower, for a tear is scaled to the sector.
    pub fn new(part: &Part, rule: Rule, slot_count: u8, trials: u8) -> Self {
        let mut part = part.with_rule(rule, part.ecc && rule != Rule::Free);
        part.shape.sector_size = part.shape.sector_size.min(4096);
        let sector = part.shape.sector_size;
        let record_size = (2 * sector).max(RECORD_BYTES / 4).next_multiple_of(sector);
        let slot_size =
            (IMAGE_SIZE as u32).next_multiple_of(sector) + Self::descriptor_size(sector);
        let slots = (0..u32::from(slot_count))
            .map(|index| SlotLayout {
                app: Extent::new(record_size + index * slot_size, slot_size),
                data: None,
            })
            .collect();
        let capacity = record_size + u32::from(slot_count) * slot_size;
        Self {
            part: part.with_capacity(capacity),
            slot_count,
            trials,
            slots,
            record: Extent::new(0, record_size),
        }
    }

    /// The layout.
    pub fn layout(&self) -> Layout<'_> {
        Layout { record: self.record, slots: &self.slots }
    }

    /// The bytes of flash in which a slot's application lies.
    pub fn app_range(&self, slot: u8, len: usize) -> std::ops::Range<u32> {
        let start = self.slots[usize::from(slot)].app.address;
        start..start + len as u32
    }

    /// Where the descriptor of a slot lies.
    pub fn descriptor_address(&self, slot: u8) -> u32 {
        let app = self.slots[usize::from(slot)].app;
        app.address + app.size - Self::descriptor_size(self.part.shape.sector_size)
    }

    /// Whether a slot holds this image and a descriptor of it, byte by byte: by the format document,
    /// not by the engine.
    pub fn holds(&self, nor: &Nor, slot: u8, image: &Image) -> bool {
        let at = self.descriptor_address(slot);
        let descriptor = nor.peek(at..at + ota_core::descriptor::LEN as u32);
        let (fields, crc) = descriptor.split_at(descriptor.len() - 4);
        nor.peek(self.app_range(slot, image.bytes.len())) == image.bytes.as_slice()
            && fields.starts_with(b"OTAD")
            && fields[16..20] == (image.bytes.len() as u32).to_le_bytes()
            && *crc == ota_core::crc::crc32(fields).to_le_bytes()
    }

    /// Flash as it leaves the factory: `image` in slot 0, and nothing else.
    pub fn factory(&self, image: &Image) -> Nor {
        let mut nor = Nor::new(&self.part).with_weak(Weak::PerBoot);
        Self::write_factory_image(&mut nor, self.slots[0].app, &image.bytes);
        nor
    }

    /// Bytes that a descriptor takes on a part with such sectors.
    pub const fn descriptor_size(sector_size: u32) -> u32 {
        (ota_core::descriptor::LEN as u32).next_multiple_of(sector_size)
    }

    /// Puts an image with its descriptor into a slot, as a programmer does in the factory.
    pub fn write_factory_image(nor: &mut Nor, slot: Extent, image: &[u8]) {
        use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
        use sha2::Digest;
        let shape = nor.shape();
        let mut write = |address: u32, bytes: &[u8]| {
            let mut padded = bytes.to_vec();
            padded
                .resize(bytes.len().next_multiple_of(shape.write_size as usize), shape.erase_value);
            NorDevice::write(nor, address, &padded).expect("a fresh flash takes its image");
        };
        write(slot.address, image);
        let descriptor = Descriptor::new(&Description {
            app: ExtentDigest {
                len: image.len() as u32,
                crc: ota_core::crc::crc32(image),
                sha256: sha2::Sha256::digest(image).into(),
            },
            data: None,
            version: "0.0.0",
            build_id: "factory",
            platform: PLATFORM,
            security_counter: 0,
            load_address: 0,
            slot_mask: ANY_SLOT,
        });
        let end = slot.address + slot.size;
        write(end - Self::descriptor_size(shape.sector_size), descriptor.as_bytes());
    }

    /// One boot through the loader's code, every image that is booted verified whole.
    pub fn boot<D: NorDevice>(&self, device: D) -> Result<BootPlan, RecoverReason> {
        let options = BootOptions { trials: self.trials, ..BootOptions::default() };
        let mut buffer = [0; BOOT_BUFFER];
        let erase_value = self.part.shape.erase_value;
        crate::with_port!(device, port => {
            let mut map = OneDevice::with_erase_value(port, self.layout(), erase_value)
                .expect("the campaign's layouts are sound");
            boot(&mut map, &options, &mut buffer)
        })
    }

    /// The application's view, right after a boot.
    pub fn view<D: NorDevice>(&self, device: D) -> Result<BootState, String> {
        self.app(device, |app| app.state())
    }

    /// Runs the application on `device`.
    pub fn app<D: NorDevice, R>(
        &self,
        device: D,
        run: impl FnOnce(&mut dyn App) -> R,
    ) -> Result<R, String> {
        let mut buffer = vec![0; 4096];
        let erase_value = self.part.shape.erase_value;
        let config = Config { trials: self.trials, ..Config::new(PLATFORM) };
        crate::with_port!(device, port => {
            let map = OneDevice::with_erase_value(port, self.layout(), erase_value)
                .expect("the campaign's layouts are sound");
            let mut updater =
                Updater::open(map, config, &mut buffer, 0).map_err(|error| error.to_string())?;
            Ok(run(&mut updater))
        })
    }
}

/// What the campaign does with the application's engine, whatever flash lies under it.
pub trait App {
    /// The boot state.
    fn state(&self) -> BootState;
    /// Confirms. Errors are texts: the oracle only asks whether there was one.
    fn commit(&mut self) -> Result<(), String>;
    /// Reports a start.
    fn report_start(&mut self, good: bool) -> Result<(), String>;
    /// Lets the time for the commit run out.
    fn overdue(&mut self) -> Result<bool, String>;
    /// Goes back.
    fn revert(&mut self) -> Result<(), String>;
    /// Changes fields.
    fn set(&mut self, change: ota_core::BootStateChange) -> Result<(), String>;
    /// Keeps bytes.
    fn note(&mut self, note: [u8; 16]) -> Result<(), String>;
    /// Installs a bundle in pieces; `limit` bytes of it, then it stops as if the line was cut.
    fn install(
        &mut self,
        bundle: &[u8],
        timeout_s: u32,
        limit: Option<usize>,
    ) -> Result<(), String>;
    /// Begins to install, takes `limit` bytes, aborts.
    fn abandon(&mut self, bundle: &[u8], limit: usize) -> Result<(), String>;
    /// Copies what runs.
    fn snapshot(&mut self, on_trial: bool, timeout_s: Option<u32>) -> Result<(), String>;
}

/// How much a push brings: not a divisor of anything.
const PIECE: usize = 3001;

impl<F: ota_core::FlashMap> App for Updater<'_, F> {
    fn state(&self) -> BootState {
        self.boot_state()
    }

    fn commit(&mut self) -> Result<(), String> {
        Updater::commit(self).map_err(text)
    }

    fn report_start(&mut self, good: bool) -> Result<(), String> {
        Updater::report_start(self, good).map(|_| ()).map_err(text)
    }

    fn overdue(&mut self) -> Result<bool, String> {
        self.tick(u64::MAX).map_err(text)
    }

    fn revert(&mut self) -> Result<(), String> {
        Updater::revert(self).map_err(text)
    }

    fn set(&mut self, change: ota_core::BootStateChange) -> Result<(), String> {
        self.set_boot_state(change).map_err(text)
    }

    fn note(&mut self, note: [u8; 16]) -> Result<(), String> {
        self.set_note(note).map_err(text)
    }

    fn install(
        &mut self,
        bundle: &[u8],
        timeout_s: u32,
        limit: Option<usize>,
    ) -> Result<(), String> {
        self.begin(timeout_s, Some(bundle.len() as u32)).map_err(text)?;
        push(self, bundle, limit.unwrap_or(bundle.len())).map_err(text)?;
        if limit.is_some() {
            self.suspend();
            return Ok(());
        }
        self.finish().map_err(text)
    }

    fn abandon(&mut self, bundle: &[u8], limit: usize) -> Result<(), String> {
        self.begin(0, Some(bundle.len() as u32)).map_err(text)?;
        push(self, bundle, limit).map_err(text)?;
        self.abort().map_err(text)
    }

    fn snapshot(&mut self, on_trial: bool, timeout_s: Option<u32>) -> Result<(), String> {
        self.begin_snapshot(on_trial, timeout_s).map_err(text)?;
        self.run().map(|_| ()).map_err(text)
    }
}

/// Pushes the first `limit` bytes of a bundle, and seeks where a resumed job says it may.
fn push<F: ota_core::FlashMap>(
    updater: &mut Updater<'_, F>,
    bundle: &[u8],
    limit: usize,
) -> Result<(), StageError> {
    let mut at = 0;
    while at < limit {
        let end = (at + PIECE).min(limit);
        updater.write(&bundle[at..end])?;
        at = end;
        let wanted = updater.progress().map_or(at, |progress| progress.wanted_offset as usize);
        if wanted > at && wanted <= limit && updater.seek(wanted as u32) {
            at = wanted;
        }
    }
    Ok(())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
