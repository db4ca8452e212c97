//! Sequences of everything that happens to a device: installs, commits, resets, power cuts.

use std::cell::OnceCell;

use ota_core::{BootOptions, BootStateChange, Config, RawImage, Updater};
use ota_sim::bundle::{Spec, create};
use ota_sim::factory::{self, Image};
use ota_sim::flash::SimFlash;
use ota_sim::layout::Board;
use ota_sim::nor::{
    Nor, NorDevice, NorError, PendingOp, Rule, Shape, Tear, TearBudget, Weak, tears_for,
};

use crate::input::Input;

const BOARD: &str = "sim:app=8K,data=0";
/// More calls than a boot or a step of the application makes.
const FUEL: u32 = 100_000;
const TRIALS: u8 = 2;

/// Any sequence of operations, boots and power cuts on the NOR model, with weak bits and any rule of
/// programming: at every boot a whole image boots, an image that was never confirmed is booted no more
/// often than it has trials, and a committed one runs until the application asks for another.
pub fn engine_ops(data: &[u8]) {
    let mut input = Input(data);
    let mut device = Device::new(&mut input);
    device.boot();
    while !input.is_empty() {
        device.step(&mut input);
    }
    // Whatever was armed: the device lives.
    device.nor.disarm_cut();
    device.boot();
    device.boot();
}

struct Device {
    board: Board,
    nor: Nor,
    images: Vec<Image>,
    bundles: Vec<OnceCell<Vec<u8>>>,
    /// Boots of an uncommitted image in a row.
    trial_boots: u8,
    /// The image that runs.
    running: usize,
    /// The image that must run at the next boot, committed.
    promised: Option<usize>,
    rolls: u64,
}

impl Device {
    fn new(input: &mut Input<'_>) -> Self {
        let board: Board = BOARD.parse().expect("a board");
        let control = input.byte();
        let rule = [Rule::Free, Rule::AllZero, Rule::Never][usize::from(control) % 3];
        let ecc = control & 0x40 != 0;
        let weak = if control & 0x80 != 0 { Weak::Off } else { Weak::PerBoot };
        let images: Vec<Image> = (0..4).map(image).collect();
        let flash = factory::flash(&board, &images[0]).expect("it fits");
        let nor = Nor::with_image(&board.part().with_rule(rule, ecc), &flash).with_weak(weak);
        let bundles = images.iter().map(|_| OnceCell::new()).collect();
        Self {
            board,
            nor,
            images,
            bundles,
            trial_boots: 0,
            running: 0,
            promised: Some(0),
            rolls: 0,
        }
    }

    /// Power comes back if it was cut, and the loader runs until it has got through.
    fn boot(&mut self) {
        for _ in 0..3 {
            self.rolls += 1;
            if !self.nor.is_powered() {
                self.nor.power_on(self.rolls);
            }
            let options = BootOptions { trials: TRIALS, ..BootOptions::default() };
            let mut map = metered(&mut self.nor, &self.board);
            let outcome = ota_core::boot(&mut map, &options, &mut [0; 256]);
            drop(map);
            if !self.nor.is_powered() {
                continue;
            }
            let plan = outcome.expect("nothing but power fails, so a whole image is there");
            let start = self.board.layout().slots[usize::from(plan.slot)].app.address;
            let flash = &self.nor.bytes()[start as usize..];
            let runs = self.images.iter().position(|image| flash.starts_with(&image.app));
            self.running = runs.expect("a known image is in the slot, whole");
            let on_trial = plan.needs_watchdog;
            if let Some(promised) = self.promised {
                assert_eq!((self.running, on_trial), (promised, false), "what was committed runs");
            }
            self.promised = (!on_trial).then_some(self.running);
            self.trial_boots = if on_trial { self.trial_boots + 1 } else { 0 };
            assert!(self.trial_boots <= TRIALS, "{} boots on trial", self.trial_boots);
            return;
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0..=2 => self.boot(),
            3..=5 => self.arm(input),
            6 => {
                self.nor.power_off();
                self.boot();
            }
            op => {
                self.application(op, input);
                if matches!(op, 7..=9 | 13 | 14) {
                    // A new image is on trial, or the running one anew.
                    self.trial_boots = 0;
                }
            }
        }
    }

    /// Arms a power cut in one of the next operations.
    fn arm(&mut self, input: &mut Input<'_>) {
        let after = u64::from(input.byte() % 64);
        let seed = u64::from(input.byte());
        let probe = [0; 64];
        let op = match input.byte() & 1 {
            0 => PendingOp::Program { address: 0, bytes: &probe },
            _ => PendingOp::Erase { address: 0 },
        };
        let budget = TearBudget { seed, ..TearBudget::FULL };
        let tears: Vec<Tear> = tears_for(&op, &self.nor.shape(), &budget).collect();
        self.nor.cut_after(after, input.pick(&tears));
    }

    /// One thing that the running application does, if power lasts. Errors are its own business.
    fn application(&mut self, op: u8, input: &mut Input<'_>) {
        let which = usize::from(input.byte()) % self.images.len();
        let Self { nor, board, images, bundles, .. } = self;
        if !nor.is_powered() {
            return;
        }
        let config = Config { trials: TRIALS, checkpoint_interval: 4096, ..Config::new("sim") };
        let mut buffer = vec![0; 4096];
        let map = metered(nor, board);
        let Ok(mut app) = Updater::open(map, config, &mut buffer, 0) else { return };
        let timeout_s = u32::from(input.byte());
        match op {
            7 => {
                let image = &images[which];
                let raw = RawImage { len: Some(image.app.len() as u32), ..RawImage::default() };
                if app.begin_raw(raw, timeout_s).is_ok() && push(&mut app, &image.app, input) {
                    self.promised = None;
                }
            }
            8 | 9 => {
                let bundle = bundles[which].get_or_init(|| bundle(&images[which]));
                if app.begin(timeout_s, None).is_ok() && push(&mut app, bundle, input) {
                    self.promised = None;
                }
            }
            10 if app.commit().is_ok() => self.promised = Some(self.running),
            10 => {}
            11 => _ = app.report_start(timeout_s & 1 == 0),
            12 => {
                _ = app.revert();
                self.promised = None;
            }
            13 => {
                self.promised = None;
                let timeout_s = (which > 1).then_some(timeout_s);
                if app.begin_snapshot(which & 1 == 1, timeout_s).is_ok() {
                    _ = app.run();
                }
            }
            14 => {
                let mut slot = || [None, Some(0), Some(1), Some(2)][usize::from(input.byte()) % 4];
                let (active, revert) = (slot(), slot());
                let committed = [None, Some(true), Some(false)][which % 3];
                let change = BootStateChange { active, committed, revert, commit_timeout_s: None };
                _ = app.set_boot_state(change);
                self.promised = None;
            }
            _ => _ = app.set_note([which as u8; 16]),
        }
    }
}

/// Pushes a stream in pieces of any size, to its end or to any byte of it; then it is ended, aborted,
/// or left as a reset would. Whether it was ended: the image may be on trial then.
fn push<'a>(app: &mut Updater<'_, SimFlash<'a>>, bytes: &[u8], input: &mut Input<'_>) -> bool {
    let piece = 1 + usize::from(input.byte()) * 16;
    let end = match input.byte() {
        0..=127 => bytes.len(),
        part => bytes.len() * usize::from(part - 127) / 129,
    };
    let mut at = 0;
    while at < end {
        let next = (at + piece).min(end);
        if app.write(&bytes[at..next]).is_err() {
            return false;
        }
        at = next;
        let wanted = app.progress().map_or(at, |progress| progress.wanted_offset as usize);
        if wanted > at && wanted <= end && app.seek(wanted as u32) {
            at = wanted;
        }
    }
    match input.byte() % 4 {
        0 => _ = app.abort(),
        1 => drop(app.suspend()),
        _ => {
            _ = app.finish();
            return true;
        }
    }
    false
}

/// The image with this number: random bytes, lengths that pad and that fill two sectors.
fn image(number: u8) -> Image {
    let mut random = ota_sim::nor::Random::new(u64::from(number) + 0xF0);
    let len = [1500, 8192, 5001, 703][usize::from(number)];
    let app = std::iter::repeat_with(|| random.next_word() as u8).take(len).collect();
    Image { app, ..Image::new(&format!("{number}.0.0"), "sim") }
}

fn bundle(image: &Image) -> Vec<u8> {
    let spec = Spec { build_id: "fuzz".to_owned(), ..Spec::new(&image.version, "sim") };
    create(&spec.with_app(image.app.clone())).expect("a sound bundle")
}

fn metered<'a>(nor: &'a mut Nor, board: &'a Board) -> SimFlash<'a> {
    SimFlash::new(Metered { nor, fuel: FUEL }, board).expect("the board's own flash")
}

/// A flash that takes so many calls and no more: what hangs becomes a panic.
struct Metered<'a> {
    nor: &'a mut Nor,
    fuel: u32,
}

impl Metered<'_> {
    fn burn(&mut self) {
        self.fuel = self.fuel.checked_sub(1).expect("a bounded number of flash calls");
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
