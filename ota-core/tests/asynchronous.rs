//! The asynchronous driver: the same flash as the blocking one leaves, and futures that are dropped
//! half way.

mod common;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use common::device::{PLATFORM, bundle, image, install_bundle};
use embedded_storage_async::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use ota_core::flash::{AsyncOneDevice, Extent, Layout, OneDevice, SlotLayout};
use ota_core::{BootOptions, BootPlan, Change, ChangeError, Config, JobState, StageError};
use ota_core::{Updater, boot};
use ota_sim::factory::Image;
use ota_sim::nor::{Nor, NorDevice, NorError, NorPort, Part, Shape};

const SLOT: u32 = 5 * 4096;
const RECORD: Extent = Extent::new(0, 8192);
const SLOTS: [SlotLayout; 2] = [
    SlotLayout { app: Extent::new(8192, SLOT), data: None },
    SlotLayout { app: Extent::new(8192 + SLOT, SLOT), data: None },
];
const LAYOUT: Layout<'static> = Layout { record: RECORD, slots: &SLOTS };

/// A flash whose changes take a while: they happen at the second poll.
struct Slow<'a> {
    nor: &'a mut Nor,
    polls: u32,
}

impl Slow<'_> {
    async fn later(&mut self) {
        let mut waited = false;
        core::future::poll_fn(|_| {
            self.polls += 1;
            if core::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl ErrorType for Slow<'_> {
    type Error = NorError;
}

impl ReadNorFlash for Slow<'_> {
    const READ_SIZE: usize = 4;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorError> {
        self.nor.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.nor.shape().capacity as usize
    }
}

impl NorFlash for Slow<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), NorError> {
        self.later().await;
        NorDevice::erase(self.nor, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorError> {
        self.later().await;
        NorDevice::write(self.nor, offset, bytes)
    }
}

fn images() -> [Image; 2] {
    [image("1.0.0", 9000), image("2.0.0", 11_001)]
}

/// Booted from the factory.
fn device() -> Nor {
    let part = Part::GENERIC_4K4;
    let shape = Shape { capacity: 8192 + 2 * SLOT, ..part.shape };
    let mut nor = Nor::new(&Part { shape, ..part });
    let [first, _] = images();
    nor.poke(8192, &first.app);
    nor.poke(8192 + 4 * 4096, first.descriptor().as_bytes());
    assert_eq!(start(&mut nor).slot, 0);
    nor
}

fn start(nor: &mut Nor) -> BootPlan {
    let mut map = OneDevice::new(NorPort::<_, 4, 4096>::new(nor), LAYOUT).unwrap();
    boot(&mut map, &BootOptions::default(), &mut [0; 256]).unwrap()
}

type App<'b, 'n> = Updater<'b, AsyncOneDevice<'static, Slow<'n>>>;

fn open<'b, 'n>(nor: &'n mut Nor, buffer: &'b mut [u8]) -> App<'b, 'n> {
    let map = AsyncOneDevice::new(Slow { nor, polls: 0 }, LAYOUT, 0xFF).unwrap();
    Updater::open(map, Config::new(PLATFORM), buffer, 0).unwrap()
}

/// Polls to the end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// Polls once, and drops the future if that was not enough.
fn glimpse<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn it_leaves_the_flash_that_the_blocking_driver_leaves() {
    let next = bundle(&images()[1]);
    let (mut slow, mut quick) = (device(), device());
    let mut buffer = vec![0; 4096];
    let mut app = open(&mut slow, &mut buffer);
    app.begin(300, None).unwrap();
    for piece in next.chunks(997) {
        wait(app.write_async(piece)).unwrap();
    }
    wait(app.finish_async()).unwrap();
    drop(app);
    let map = OneDevice::new(NorPort::<_, 4, 4096>::new(&mut quick), LAYOUT).unwrap();
    let mut app = Updater::open(map, Config::new(PLATFORM), &mut buffer, 0).unwrap();
    install_bundle(&mut app, &next, 300).unwrap();
    drop(app);
    assert!(slow.bytes() == quick.bytes());
    assert_eq!(start(&mut slow).slot, 1);

    let mut app = open(&mut slow, &mut buffer);
    assert!(!wait(app.tick_async(299_999)).unwrap());
    wait(app.change_async(Change::Commit)).unwrap();
    assert!(matches!(wait(app.change_async(Change::Commit)), Err(ChangeError::Refused(_))));
    assert!(!wait(app.tick_async(400_000)).unwrap());
    drop(app);
    assert!(start(&mut slow).record.committed());
}

#[test]
fn an_abort_and_a_timeout_work_as_with_the_blocking_driver() {
    let next = bundle(&images()[1]);
    let mut nor = device();
    let mut buffer = vec![0; 4096];
    let mut app = open(&mut nor, &mut buffer);
    app.begin(10, None).unwrap();
    wait(app.write_async(&next[..6000])).unwrap();
    wait(app.abort_async()).unwrap();
    assert_eq!(app.record().stage_slot(), None);
    app.begin(10, None).unwrap();
    wait(app.write_async(&next)).unwrap();
    wait(app.finish_async()).unwrap();
    drop(app);
    assert_eq!(start(&mut nor).slot, 1);
    let mut app = open(&mut nor, &mut buffer);
    assert!(wait(app.tick_async(10_000)).unwrap());
    drop(app);
    assert_eq!(start(&mut nor).slot, 0);
}

/// A change of flash that was begun and never awaited to its end may have happened or not.
#[test]
fn a_future_that_is_dropped_counts_as_a_change_that_failed() {
    let next = bundle(&images()[1]);
    let (mut failed, mut succeeded, mut steps) = (0, 0, 0);
    for drop_at in 0.. {
        let mut nor = device();
        let mut buffer = vec![0; 1024];
        let mut app = open(&mut nor, &mut buffer);
        app.begin(300, None).unwrap();
        let mut rest = &next[..];
        let mut changes = 0;
        let mut ended = false;
        let outcome = loop {
            let pushed = if rest.is_empty() { Ok(0) } else { app.push(rest) };
            rest = &rest[pushed.unwrap_or(0)..];
            if rest.is_empty() && !ended && !app.is_changing() {
                ended = app.end_of_input().is_ok() && app.progress().is_some();
            }
            let polls = app.flash().device().polls;
            let state = match changes == drop_at {
                true => glimpse(app.step_async()).unwrap_or(Ok(JobState::Working)),
                false => wait(app.step_async()),
            };
            changes += u32::from(app.flash().device().polls > polls);
            match state {
                Ok(JobState::Idle) => break Ok(()),
                Ok(JobState::Working | JobState::WantsInput) => {}
                Err(error) => break Err(error),
            }
        };
        drop(app);
        let dropped = changes > drop_at;
        let plan = start(&mut nor);
        match outcome {
            // Of the record the next cell was taken instead.
            Ok(()) => {
                assert_eq!(plan.slot, 1, "{drop_at}");
                let app = 8192 + SLOT;
                assert_eq!(nor.peek(app..app + 11_001), images()[1].app, "{drop_at}");
                succeeded += 1;
            }
            Err(error) => {
                assert!(matches!(error, StageError::Flash { .. }), "{drop_at}: {error}");
                assert_eq!(plan.slot, 0, "{drop_at}");
                failed += 1;
            }
        }
        steps = drop_at;
        if !dropped {
            break;
        }
    }
    assert!(failed > 40 && succeeded > 6, "{failed} failed, {succeeded} succeeded, {steps} steps");
}
