//! `ota-sim device`: a device whose flash is a file, with its RPC on real transports.

mod access;
mod fimp;
mod hint;
mod transports;

use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use ota_core::Config;
use ota_sim::clock::RealClock;
use ota_sim::device::Settings;
use ota_sim::factory::{self, Image};
use ota_sim::host::{DeviceHost, Notice};
use ota_sim::layout::{Board, DEFAULT_BOARD};
use ota_sim::nor::FileNor;
use tokio::runtime::{self, Runtime};

use super::progress::ProgressView;

#[derive(Args)]
pub(crate) struct Options {
    /// Flash file. Every change is in it before the device goes on, so that killing this program
    /// is a power cut
    #[arg(long, value_name = "FILE")]
    flash: PathBuf,
    /// Make the flash file out of this bundle if there is none
    #[arg(long, value_name = "BUNDLE")]
    factory: Option<PathBuf>,
    #[arg(long, help = super::BOARD_HELP)]
    board: Option<Board>,
    #[command(flatten)]
    transports: transports::Options,
    #[command(flatten)]
    access: access::Options,
    /// Platform: bundles for any other are refused
    #[arg(long, default_value = "sim")]
    platform: String,
    /// Name of the device
    #[arg(long, default_value = "ota-sim")]
    id: String,
    /// How many boots a new image gets to be committed in
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    trials: u8,
    /// commit_timeout of updates that give none; 0: they commit themselves
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = super::duration)]
    commit_timeout: std::time::Duration,
    /// Log requests too
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let access = options.access.read()?;
    options.transports.check(&options.id, access)?;
    let level = if options.verbose { tracing::Level::DEBUG } else { tracing::Level::WARN };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .init();

    // Before the device boots: a boot may use up a trial.
    let transports = options.transports.take(&options.id)?;
    let (storage, board) = open(options)?;
    let engine =
        Config { trials: options.trials, ..Config::new(super::forever(&options.platform)) };
    let seconds = u32::try_from(options.commit_timeout.as_secs());
    let settings = Settings {
        engine,
        commit_timeout_s: seconds.context("--commit-timeout is too long")?,
        access,
        epoch_ms: unix_ms(),
        fimp: options.transports.fimp.settings(&options.id),
        ..Settings::new(super::forever(&options.id), engine.platform)
    };
    super::print(format_args!(
        "device {} on board {board}, flash {}",
        options.id,
        options.flash.display()
    ))?;
    let ctrl_c = CtrlC::listen()?;
    let mut view = ProgressView::new("");
    let observer = move |notice| tell(&mut view, &notice);
    let host = DeviceHost::start(board, settings, storage, RealClock::new(), observer)?;
    options.transports.fimp.start(&host)?;
    let transports = transports.serve(&host, access)?;
    ctrl_c.wait()?;
    // The device first: whoever waits for a reply is told that there will be none.
    drop(host);
    drop(transports);
    super::print("switched off")
}

/// What the clock on the wall says, in ms since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The flash file, made if need be, and its board.
fn open(options: &Options) -> Result<(FileNor, Board)> {
    let path = &options.flash;
    let length = match std::fs::metadata(path) {
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let board = match (length, &options.factory) {
        (Some(length), factory) => {
            if factory.is_some() {
                let path = path.display();
                super::print(format_args!("{path} exists; --factory is not used"))?;
            }
            super::board_of(options.board.as_ref(), path, length)?
        }
        (None, Some(bundle)) => make(options, bundle)?,
        (None, None) => bail!(
            "there is no {}; make it with --factory BUNDLE, or with `ota-sim bundle factory`",
            path.display()
        ),
    };
    Ok((FileNor::open(path, board.part())?, board))
}

fn make(options: &Options, bundle: &Path) -> Result<Board> {
    let board = options.board.as_ref();
    let board = board.map_or_else(|| DEFAULT_BOARD.parse(), |board| Ok(board.clone()))?;
    let bytes = super::read(bundle)?;
    let image = Image::from_bundle(&bytes, &board).with_context(|| bundle.display().to_string())?;
    // As an update would be refused: it would boot what it takes for another device's firmware.
    ensure!(
        image.platform.eq_ignore_ascii_case(&options.platform),
        "{}: Wrong platform: the bundle is for '{}', this device is '{}'; name it with --platform",
        bundle.display(),
        image.platform,
        options.platform
    );
    super::write_new(&options.flash, &factory::flash(&board, &image)?)?;
    Ok(board)
}

/// The console of the device.
fn tell(view: &mut ProgressView, notice: &Notice) {
    match notice {
        Notice::Event(event) => view.line(&event.to_string()),
        Notice::Progress(progress) => view.show(progress),
        Notice::Resumed { offset } => {
            view.resumed(*offset);
            view.line(&format!("update goes on at byte {offset}"));
        }
        Notice::WaitsForUser => view.line(fimp::WAITS),
        Notice::Ended { message } => {
            view.end();
            // A snapshot that ended well leaves nothing to say.
            if message != "idle" {
                view.line(&format!("update: {message}"));
            }
        }
    }
}

/// Waits for Ctrl-C.
struct CtrlC {
    runtime: Runtime,
    /// None: it was pressed already.
    pressed: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
}

impl CtrlC {
    /// From now on Ctrl-C no longer ends the program by itself.
    fn listen() -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut pressed = Box::pin(tokio::signal::ctrl_c());
        // It listens from the first poll on.
        let first =
            runtime.block_on(poll_fn(|context| Poll::Ready(pressed.as_mut().poll(context))));
        match first {
            Poll::Pending => Ok(Self { runtime, pressed: Some(pressed) }),
            Poll::Ready(Ok(())) => Ok(Self { runtime, pressed: None }),
            Poll::Ready(Err(error)) => Err(error).context("cannot wait for Ctrl-C"),
        }
    }

    fn wait(self) -> Result<()> {
        let Some(pressed) = self.pressed else { return Ok(()) };
        self.runtime.block_on(pressed).context("cannot wait for Ctrl-C")
    }
}
