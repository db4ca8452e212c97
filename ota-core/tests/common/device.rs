//! A device of these tests: a simulated board with its flash, its loader and its application.

use ota_core::flash::FlashMap;
use ota_core::{BootOptions, BootPlan, Config, OpenError, RawImage, RecoverReason, StageError};
use ota_core::{Region, Updater};
use ota_sim::bundle::{Spec, create};
use ota_sim::factory::{self, Image};
use ota_sim::flash::SimFlash;
use ota_sim::layout::Board;
use ota_sim::nor::{
    Nor, NorDevice, NorError, OpKind, OpRecord, Part, PendingOp, Random, Shape, Tear, TearBudget,
    Weak, tears_for,
};

/// Platform of all images here.
pub(crate) const PLATFORM: &str = "sim";
/// More flash calls than any boot of these small devices makes: a boot that needs more hangs.
const BOOT_FUEL: u64 = 200_000;

/// An image of `len` random bytes, told apart by its version.
pub(crate) fn image(version: &str, len: usize) -> Image {
    let seed = version.bytes().fold(len as u64, |seed, byte| seed * 257 + u64::from(byte));
    let mut random = Random::new(seed);
    let words = std::iter::repeat_with(|| random.next_word().to_le_bytes());
    Image { app: words.flatten().take(len).collect(), ..Image::new(version, PLATFORM) }
}

/// The same image with an anti-rollback counter.
pub(crate) fn counted(security_counter: u32, image: Image) -> Image {
    Image { security_counter, ..image }
}

/// A device under test.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) board: Board,
    pub(crate) nor: Nor,
    /// Boots that a new image gets.
    pub(crate) trials: u8,
    /// The slot that is never overwritten.
    pub(crate) golden: Option<u8>,
}

impl Device {
    /// As it leaves the factory, with `image` in slot 0, on the board's own part.
    pub(crate) fn factory(board: &str, image: &Image) -> Self {
        let board: Board = board.parse().unwrap();
        let part = *board.part();
        Self::factory_on(board, &part, image)
    }

    /// The same on a part of the board's geometry that follows other rules. It ends where the board's
    /// regions end, so that copies are cheap.
    pub(crate) fn factory_on(board: Board, part: &Part, image: &Image) -> Self {
        let flash = factory::flash(&board, image).unwrap();
        let layout = board.layout();
        let ends = layout.regions().map(|(_, extent)| extent.address + extent.size);
        let end = ends.max().unwrap();
        let nor = Nor::with_image(&part.with_capacity(end), &flash[..end as usize]);
        Self { board, nor, trials: 1, golden: None }
    }

    /// The same device whose torn units behave as told.
    pub(crate) fn with_weak(mut self, weak: Weak) -> Self {
        self.nor = self.nor.with_weak(weak);
        self
    }

    /// One boot through the loader's code. Flash that was cut off or switched off stays so.
    pub(crate) fn boot(&mut self) -> Result<BootPlan, RecoverReason> {
        self.boot_with(&BootOptions { trials: self.trials, ..BootOptions::default() })
    }

    /// The same as told.
    pub(crate) fn boot_with(&mut self, options: &BootOptions) -> Result<BootPlan, RecoverReason> {
        let metered = Metered { nor: &mut self.nor, fuel: BOOT_FUEL };
        let mut map = SimFlash::new(metered, &self.board).unwrap();
        ota_core::boot(&mut map, options, &mut [0; 256])
    }

    /// Runs `body` with the application's engine, opened right after a boot.
    pub(crate) fn try_app<R>(
        &mut self,
        body: impl FnOnce(&mut Updater<'_, SimFlash<'_>>) -> R,
    ) -> Result<R, OpenError> {
        let config = Config { trials: self.trials, golden: self.golden, ..Config::new(PLATFORM) };
        let mut buffer = vec![0; self.board.buffer_size()];
        let map = SimFlash::new(&mut self.nor, &self.board).unwrap();
        Ok(body(&mut Updater::open(map, config, &mut buffer, 0)?))
    }

    /// The same where the engine must open.
    pub(crate) fn app<R>(&mut self, body: impl FnOnce(&mut Updater<'_, SimFlash<'_>>) -> R) -> R {
        self.try_app(body).unwrap()
    }

    /// Installs the application of `image` without a bundle around it.
    pub(crate) fn install(&mut self, image: &Image, timeout_s: u32) -> Result<(), StageError> {
        self.app(|app| install_raw(app, image, timeout_s))
    }

    /// A device that was updated from `old` to `new`, booted and committed: two whole images, the
    /// new one in slot 1 and active.
    pub(crate) fn updated(board: &str, old: &Image, new: &Image) -> Self {
        let mut device = Self::factory(board, old);
        device.update_to(new);
        device
    }

    /// Boots, installs `new`, boots it, commits it, boots again.
    pub(crate) fn update_to(&mut self, new: &Image) {
        self.boot().unwrap();
        self.install(new, 300).unwrap();
        self.boot().unwrap();
        self.app(|app| app.commit()).unwrap();
        self.boot().unwrap();
    }

    /// Whether the application in `slot` is that of `image`, byte by byte, past all faults.
    pub(crate) fn holds(&self, slot: u8, image: &Image) -> bool {
        let start = self.app_address(slot);
        self.nor.peek(start..start + image.app.len() as u32) == image.app
    }

    /// Where the application of `slot` begins.
    pub(crate) fn app_address(&self, slot: u8) -> u32 {
        self.board.layout().extent(Region::App(slot)).unwrap().address
    }

    /// Where the descriptor of `slot` begins.
    pub(crate) fn descriptor_address(&self, slot: u8) -> u32 {
        self.app_address(slot) + self.board.app_room()
    }

    /// Cuts power in the flash operation that comes after `number` more, while `body` runs. Power stays
    /// off: look at the flash, then switch it on.
    pub(crate) fn cut<R>(
        &mut self,
        number: u64,
        tear: Tear,
        body: impl FnOnce(&mut Self) -> R,
    ) -> R {
        self.nor.cut_after(number, tear);
        let result = body(self);
        assert!(!self.nor.is_powered(), "operation {number} was not reached");
        result
    }

    /// Every way in which power can fail while `body` runs, by `budget`: the number of the operation,
    /// the operation, the tear.
    pub(crate) fn cuts(
        &self,
        budget: &TearBudget,
        body: impl FnOnce(&mut Self),
    ) -> Vec<(u64, OpRecord, Tear)> {
        let mut probe = self.clone();
        probe.nor.start_log();
        body(&mut probe);
        let shape = probe.nor.shape();
        let mut cuts = Vec::new();
        for (number, op) in (0..).zip(probe.nor.log()) {
            let bytes = vec![0; op.len as usize];
            let pending = match op.kind {
                OpKind::Erase => PendingOp::Erase { address: op.address },
                OpKind::Program => PendingOp::Program { address: op.address, bytes: &bytes },
            };
            cuts.extend(tears_for(&pending, &shape, budget).map(|tear| (number, *op, tear)));
        }
        cuts
    }
}

/// Pushes a raw image through an engine, whatever flash lies under it.
pub(crate) fn install_raw<F: FlashMap>(
    app: &mut Updater<'_, F>,
    image: &Image,
    timeout_s: u32,
) -> Result<(), StageError> {
    let raw = RawImage {
        version: image.version.as_str().try_into().unwrap(),
        build_id: image.build_id.as_str().try_into().unwrap(),
        len: Some(image.app.len() as u32),
        security_counter: image.security_counter,
    };
    app.begin_raw(raw, timeout_s)?;
    app.write(&image.app)?;
    app.finish()
}

/// Pushes a bundle through an engine, in pieces that divide nothing.
pub(crate) fn install_bundle<F: FlashMap>(
    app: &mut Updater<'_, F>,
    bundle: &[u8],
    timeout_s: u32,
) -> Result<(), StageError> {
    app.begin(timeout_s, Some(bundle.len() as u32))?;
    for piece in bundle.chunks(997) {
        app.write(piece)?;
    }
    app.finish()
}

/// A bundle that brings `image`.
pub(crate) fn bundle(image: &Image) -> Vec<u8> {
    let spec = Spec {
        build_id: image.build_id.clone(),
        security_counter: image.security_counter,
        ..Spec::new(&image.version, &image.platform)
    };
    let spec = spec.with_app(image.app.clone());
    let data = image.data.clone();
    create(&data.into_iter().fold(spec, Spec::with_data)).unwrap()
}

/// A flash that takes so many calls and no more: what hangs becomes a panic.
struct Metered<'a> {
    nor: &'a mut Nor,
    fuel: u64,
}

impl Metered<'_> {
    fn burn(&mut self) {
        self.fuel = self.fuel.checked_sub(1).expect("a boot makes a bounded number of flash calls");
    }
}

impl NorDevice for Metered<'_> {
    fn shape(&self) -> Shape {
        self.nor.shape()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.burn();
        self.nor.read(address, bytes)
    }

    fn perform(&mut self, op: &PendingOp<'_>) -> Result<(), NorError> {
        self.burn();
        self.nor.perform(op)
    }
}
