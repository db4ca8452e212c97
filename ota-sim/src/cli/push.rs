//! `ota-sim push`: an update over any transport, as `mos ota` sends it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use ota_sim::bundle::Bundle;
use ota_sim::device::Progress;
use ota_sim::host::client::{PushEvent, PushOptions, Pushed, printable, push};

use super::progress::ProgressView;
use super::remote;

/// What every bundle begins with.
const ZIP: &[u8] = b"PK\x03\x04";

#[derive(Args)]
#[command(after_help = examples())]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
    /// The bundle, as `ota-sim bundle create` or `mos create-fw-bundle` makes it
    file: PathBuf,
    /// How long the new image has to be committed in, with OTA.Commit; 0: it commits itself
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = super::duration)]
    commit_timeout: Duration,
    /// After how long without progress the device gives the update up
    #[arg(long, value_name = "TIME", default_value = "600s", value_parser = super::duration)]
    update_timeout: Duration,
    /// Bytes in each piece; by default what transport and device can take
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(1..=8192))]
    chunk_size: Option<u16>,
    /// How often a piece is sent before it is given up
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Commit the new image once it runs and answers
    #[arg(long)]
    commit: bool,
}

fn examples() -> String {
    format!(
        "{}\nExample: ota-sim push --port /dev/ttyUSB0 --commit fw.zip\n\
         It waits until the device is back and tells which version runs.",
        remote::PORTS
    )
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let bundle = super::read(&options.file)?;
    let total = u32::try_from(bundle.len()).context("the file is too long for any device")?;
    ensure!(total > 0, "{} is empty", options.file.display());
    ensure!(
        bundle.starts_with(ZIP),
        "{} is no bundle: it does not begin as a Zip archive; make one by ota-sim bundle create",
        options.file.display()
    );
    let seconds = |time: Duration, name: &str| {
        u32::try_from(time.as_secs()).with_context(|| format!("{name} is too long"))
    };
    let push_options = PushOptions {
        chunk_bytes: options.chunk_size.map(usize::from),
        update_timeout_s: seconds(options.update_timeout, "--update-timeout")?,
        commit_timeout_s: seconds(options.commit_timeout, "--commit-timeout")?,
        attempts: options.attempts,
        ..PushOptions::default()
    };
    let mut client = options.remote.client()?;
    let mut view = ProgressView::new("");
    let name = options.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut tell = |event| match event {
        PushEvent::Sent { offset } => view.show(&Progress {
            slot: 0,
            received: u32::try_from(offset).unwrap_or(total),
            announced: Some(total),
            version: name.clone(),
        }),
        PushEvent::Again { reason } => view.line(&format!("again, because: {reason}")),
        PushEvent::BegunAgain => view.line("the device has lost the update: it is begun again"),
    };
    // Such that the device is free for the next.
    let stop = Arc::clone(&push_options.stop);
    super::on_ctrl_c(move || stop.store(true, Ordering::Relaxed))?;
    let pushed = push(&mut client, &bundle, &push_options, &mut tell);
    view.end();
    let Pushed { version, is_committed } = pushed?;
    // One that cannot be read is the device's business.
    if let Ok(bundle) = Bundle::open(&bundle)
        && bundle.text("version") != version
    {
        eprintln!(
            "warning: the bundle has version {}, but what runs calls itself {}; if that is the one \
             before, what was sent is not linked for its slot",
            printable(bundle.text("version")),
            printable(&version)
        );
    }
    let version = printable(&version);
    if is_committed {
        return super::print(format_args!("the device runs {version}, committed"));
    }
    if options.commit {
        client.call("OTA.Commit", None).with_context(|| {
            format!("the device runs {version}, but could not be told to commit it")
        })?;
        return super::print(format_args!("the device runs {version}, committed"));
    }
    super::print(format_args!(
        "the device runs {version} on trial; commit it within {} s: ota-sim call --port ... \
         OTA.Commit; or it goes back to the version before",
        push_options.commit_timeout_s
    ))
}
