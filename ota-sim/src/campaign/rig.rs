//! The devices that campaigns run on, and the engine on them.

use ota_core::flash::{Extent, Layout, OneDevice, SlotLayout, TwoDevices};
use ota_core::{BootOptions, BootPlan, BootState, Config, RecoverReason, Updater, boot};

use super::app::App;
use super::board::{Board, Watcher, Wire};
use super::images::{DATA_SIZE, Image, PLATFORM};
use super::kind::Kind;
use super::product::{Product, Second};
use crate::nor::{Nor, NorDevice, NorPort, Part, Rule, Shape, Weak};

/// Bytes of an image.
pub const IMAGE_SIZE: usize = 32 * 1024;
/// Bytes of a record whose sectors are small, at least.
const RECORD_SIZE: u32 = 1024;
/// What the loader is lent. Boards lend 256 bytes at the most; the tests of ota-core do too. More
/// makes a campaign faster, and the image is read and digested whole all the same.
const BOOT_BUFFER: usize = 1024;
/// From so many crashes in a row on the loader goes to recovery.
pub const CRASH_LIMIT: u8 = 3;
/// Bytes between two checkpoints of a job, where there are data parts: these are short.
const SHORT_INTERVAL: u32 = 4096;

/// The second chip, where there is one: a serial NOR.
const SECOND_CHIP: Part = Part::RP2040;

/// A kind of device: flash, rule and layout.
#[derive(Clone, Debug)]
pub struct Rig {
    /// The first chip.
    pub part: Part,
    /// What the device is besides.
    pub product: Product,
    slots: Vec<SlotLayout>,
    record: Extent,
    /// Capacities of the chips.
    capacities: Vec<u32>,
}

/// Runs a block with a map of the rig's layout over a board.
macro_rules! with_map {
    ($rig:expr, $board:expr, $watcher:expr, $map:ident => $body:expr) => {{
        let wire = Wire::new($board, $watcher);
        let (layout, value) = ($rig.layout(), $rig.part.shape.erase_value);
        crate::with_port!(wire.chip(0), first => {
            if $rig.capacities.len() == 1 {
                let $map = OneDevice::with_erase_value(first, layout, value)
                    .expect("the campaign's layouts are sound");
                $body
            } else {
                const SHAPE: Shape = SECOND_CHIP.shape;
                const UNIT: usize = SHAPE.write_size as usize;
                const SECTOR: usize = SHAPE.sector_size as usize;
                let second = NorPort::<_, UNIT, SECTOR>::new(wire.chip(1));
                let values = [value, SHAPE.erase_value];
                let $map = TwoDevices::with_erase_values(first, second, layout, values)
                    .expect("the campaign's layouts are sound");
                $body
            }
        })
    }};
}

impl Rig {
    /// A device of this kind.
    pub fn new(kind: &Kind, rule: Rule, product: Product) -> Self {
        let part = kind.part.with_rule(rule, kind.part.ecc && rule != Rule::Free);
        let mut chips = [Filling::new(0, &part), Filling::new(1, &SECOND_CHIP)];
        let chip_of = |on_second: bool| usize::from(on_second);
        let record = {
            let chip = &mut chips[chip_of(product.second == Second::Record)];
            let sectors = kind.record_sectors.map(|sectors| sectors * chip.sector_size);
            chip.take(sectors.unwrap_or((2 * chip.sector_size).max(RECORD_SIZE)))
        };
        let slots = (0..product.slots)
            .map(|slot| {
                let chip = &mut chips[chip_of(product.second == Second::Slot && slot == 1)];
                let image = (IMAGE_SIZE as u32).next_multiple_of(chip.sector_size);
                let app = chip.take(image + Self::descriptor_size(chip.sector_size));
                let data = product.data.then(|| chip.take(DATA_SIZE as u32));
                SlotLayout { app, data }
            })
            .collect();
        let capacities = chips.iter().map(|chip| chip.end).filter(|end| *end > 0).collect();
        Self { part, product, slots, record, capacities }
    }

    /// The layout.
    pub fn layout(&self) -> Layout<'_> {
        Layout { record: self.record, slots: &self.slots }
    }

    /// Where the first `len` bytes of a slot's application lie.
    pub fn app(&self, slot: u8, len: usize) -> Extent {
        Extent { size: len as u32, ..self.slots[usize::from(slot)].app }
    }

    /// Where the descriptor of a slot lies.
    pub fn descriptor(&self, slot: u8) -> Extent {
        let app = self.slots[usize::from(slot)].app;
        let size = Self::descriptor_size(self.shape_of(app).sector_size);
        Extent { address: app.address + app.size - size, size, ..app }
    }

    fn shape_of(&self, extent: Extent) -> Shape {
        if extent.device == 0 { self.part.shape } else { SECOND_CHIP.shape }
    }

    /// Whether a slot holds the application of this image and a descriptor of it, byte by byte: by
    /// the format document, not by the engine.
    pub fn holds(&self, board: &Board, slot: u8, image: &Image) -> bool {
        let place = Extent { size: ota_core::descriptor::LEN as u32, ..self.descriptor(slot) };
        let descriptor = board.peek(place);
        let (fields, crc) = descriptor.split_at(descriptor.len() - 4);
        board.chip(place.device).answers()
            && board.peek(self.app(slot, image.bytes.len())) == image.bytes.as_slice()
            && fields.starts_with(b"OTAD")
            && fields[16..20] == (image.bytes.len() as u32).to_le_bytes()
            && *crc == ota_core::crc::crc32(fields).to_le_bytes()
    }

    /// Whether the data part of a slot, if it has one, is that of this image.
    pub fn holds_data(&self, board: &Board, slot: u8, image: &Image) -> bool {
        self.slots[usize::from(slot)].data.is_none_or(|data| {
            let place = Extent { size: image.data.len() as u32, ..data };
            board.peek(place) == image.data.as_slice()
        })
    }

    /// Flash as it leaves the factory: `image` in slot 0, and nothing else.
    pub fn factory(&self, image: &Image) -> Board {
        let parts = [self.part, SECOND_CHIP];
        let chips = parts.iter().zip(&self.capacities);
        let chips =
            chips.map(|(part, size)| Nor::new(&part.with_capacity(*size)).with_weak(Weak::PerBoot));
        let mut board = Board::new(chips.collect());
        let SlotLayout { app, data } = self.slots[0];
        let nor = board.chip_mut(app.device);
        if let Some(data) = data {
            write(nor, data.address, &image.data);
        }
        Self::write_factory_image(nor, app, &image.bytes, data.map(|_| &image.data[..]));
        board
    }

    /// Bytes that a descriptor takes on a part with such sectors.
    pub const fn descriptor_size(sector_size: u32) -> u32 {
        (ota_core::descriptor::LEN as u32).next_multiple_of(sector_size)
    }

    /// Puts an image with its descriptor into a slot, as a programmer does in the factory. `data`,
    /// which the descriptor is to name too, is written elsewhere.
    pub fn write_factory_image(nor: &mut Nor, slot: Extent, image: &[u8], data: Option<&[u8]>) {
        use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
        use sha2::Digest;
        let digest = |bytes: &[u8]| ExtentDigest {
            len: bytes.len() as u32,
            crc: ota_core::crc::crc32(bytes),
            sha256: sha2::Sha256::digest(bytes).into(),
        };
        write(nor, slot.address, image);
        let descriptor = Descriptor::new(&Description {
            app: digest(image),
            data: data.map(digest),
            version: "0.0.0",
            build_id: "factory",
            platform: PLATFORM,
            security_counter: 0,
            load_address: 0,
            slot_mask: ANY_SLOT,
        });
        let end = slot.address + slot.size;
        let size = Self::descriptor_size(nor.shape().sector_size);
        write(nor, end - size, descriptor.as_bytes());
    }

    /// One boot through the loader's code, every image that is booted verified whole. `crashes`: so
    /// many times in a row the application has crashed.
    pub fn boot<'a>(
        &self,
        board: &'a mut Board,
        crashes: u8,
        watcher: Option<&'a mut dyn Watcher>,
    ) -> Result<BootPlan, RecoverReason> {
        let trials = self.product.trials;
        let crash_limit = CRASH_LIMIT;
        let options = BootOptions { trials, crashes, crash_limit, ..BootOptions::default() };
        let mut buffer = [0; BOOT_BUFFER];
        with_map!(self, board, watcher, map => {
            let mut map = map;
            boot(&mut map, &options, &mut buffer)
        })
    }

    /// The application's view, right after a boot.
    pub fn view(&self, board: &mut Board) -> Result<BootState, String> {
        self.run(board, None, |app| app.state())
    }

    /// Runs the application.
    pub fn run<'a, R>(
        &self,
        board: &'a mut Board,
        watcher: Option<&'a mut dyn Watcher>,
        run: impl FnOnce(&mut dyn App) -> R,
    ) -> Result<R, String> {
        let mut buffer = vec![0; 4096];
        let Product { trials, golden, data, .. } = self.product;
        let mut config = Config { trials, golden, ..Config::new(PLATFORM) };
        if data {
            config.checkpoint_interval = SHORT_INTERVAL;
        }
        with_map!(self, board, watcher, map => {
            let mut updater =
                Updater::open(map, config, &mut buffer, 0).map_err(|error| error.to_string())?;
            Ok(run(&mut updater))
        })
    }
}

/// A chip whose regions are being laid out.
struct Filling {
    device: u8,
    sector_size: u32,
    /// End of the last region.
    end: u32,
}

impl Filling {
    fn new(device: u8, part: &Part) -> Self {
        Self { device, sector_size: part.shape.sector_size, end: 0 }
    }

    fn take(&mut self, size: u32) -> Extent {
        let size = size.next_multiple_of(self.sector_size);
        let extent = Extent::new(self.end, size).on(self.device);
        self.end += size;
        extent
    }
}

/// Writes bytes of any length to blank flash.
fn write(nor: &mut Nor, address: u32, bytes: &[u8]) {
    let shape = nor.shape();
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(shape.write_size as usize), shape.erase_value);
    NorDevice::write(nor, address, &padded).expect("a fresh flash takes its image");
}
