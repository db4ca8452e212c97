//! `ota-sim bundle`: firmware bundles, made and looked into.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use ota_sim::app::Behaviour;
use ota_sim::bundle::{Bundle, PartType, Spec, create};
use ota_sim::factory::{self, Image};
use ota_sim::layout::{Board, DEFAULT_BOARD};
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a bundle of an application, and data if wanted
    Create(Create),
    /// Say what is in a bundle, and what is wrong with it; exit code 1 if anything is
    Show(Show),
    /// Make the flash file of a new device out of a bundle
    Factory(Factory),
}

#[derive(Args)]
pub(crate) struct Create {
    /// Application; for one that runs in one slot only, SLOT=FILE or SLOT@ADDRESS=FILE, several
    /// times
    #[arg(long, value_name = "FILE", required = true)]
    app: Vec<App>,
    /// File system image
    #[arg(long, value_name = "FILE")]
    fs: Option<PathBuf>,
    /// Version, such as 1.1.0
    #[arg(long = "fw-version", value_name = "VERSION")]
    version: String,
    /// Platform; devices refuse any other
    #[arg(long, default_value = "sim")]
    platform: String,
    /// Name of the firmware
    #[arg(long, default_value = "firmware")]
    name: String,
    /// Build id [default: time and version]
    #[arg(long)]
    build_id: Option<String>,
    /// Security counter: devices that have committed a higher one refuse the bundle
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    counter: u32,
    /// What a simulated device does when it runs the application: healthy, crashes, hangs,
    /// nocommit, badstart. Marks its last 16 bytes
    #[arg(long, value_name = "WORD")]
    behaviour: Option<Behaviour>,
    /// The bundle
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Bundle
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Factory {
    /// Bundle
    bundle: PathBuf,
    #[arg(long, default_value = DEFAULT_BOARD, help = super::BOARD_HELP)]
    board: Board,
    /// The flash file
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// An application, and where it may run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct App {
    slot: Option<u8>,
    load_address: Option<u32>,
    file: PathBuf,
}

impl FromStr for App {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let everywhere = Self { slot: None, load_address: None, file: text.into() };
        let Some((place, file)) = text.split_once('=') else { return Ok(everywhere) };
        let (slot, address) = match place.split_once('@') {
            Some((slot, address)) => (slot, Some(address)),
            None => (place, None),
        };
        // A file may have a `=` in its name.
        let Ok(slot) = slot.parse::<u8>() else { return Ok(everywhere) };
        let load_address = address.map(parse_address).transpose()?;
        Ok(Self { slot: Some(slot), load_address, file: file.into() })
    }
}

fn parse_address(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("load address {text:?}: give a number, such as 0x16000"))
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Create(options) => create_bundle(options),
        Command::Show(options) => show(options),
        Command::Factory(options) => make_factory(options),
    }
}

fn create_bundle(options: &Create) -> Result<()> {
    let mut spec = Spec::new(&options.version, &options.platform);
    spec.name.clone_from(&options.name);
    spec.security_counter = options.counter;
    if let Some(build_id) = &options.build_id {
        spec.build_id.clone_from(build_id);
    }
    for app in &options.app {
        let mut bytes = super::read(&app.file)?;
        ensure!(!bytes.is_empty(), "{} is empty", app.file.display());
        if let Some(doubt) = doubt(app, &bytes, &options.platform) {
            eprintln!("warning: {}: {doubt}", app.file.display());
        }
        bytes.extend(options.behaviour.map(Behaviour::mark).into_iter().flatten());
        let name = app.slot.map_or_else(|| "app".to_owned(), |slot| format!("app{slot}"));
        let part_type = PartType::App { slot: app.slot, load_address: app.load_address };
        spec = spec.with(&name, part_type, bytes);
    }
    if let Some(fs) = &options.fs {
        spec = spec.with_data(super::read(fs)?);
    }
    let bundle = create(&spec)?;
    super::write_new(&options.output, &bundle)?;
    super::print(format_args!(
        "{}: {} {}, {} bytes",
        options.output.display(),
        spec.name,
        spec.version,
        bundle.len()
    ))
}

/// What makes it unlikely that a processor can run the application. Only a warning: what is in it is
/// the user's business.
fn doubt(app: &App, bytes: &[u8], platform: &str) -> Option<String> {
    // The simulator's own devices do not execute theirs.
    if bytes.starts_with(b"\x7FELF") && platform != "sim" {
        return Some("it is an ELF file, a board runs its bytes: objcopy -O binary".to_owned());
    }
    // If it begins as the vector table of a Cortex-M: the top of the stack in RAM, and where to start.
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (address, stack, start) = (app.load_address?, word(0)?, word(4)?);
    let is_table = (0x1000_0000..0x4000_0000).contains(&stack) && start % 2 == 1;
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let is_inside = (address..address.saturating_add(length)).contains(&start);
    (is_table && !is_inside).then(|| {
        format!(
            "its program starts at {start:#x}: it is not linked for the load address {address:#x}"
        )
    })
}

fn open(path: &Path) -> Result<(Vec<u8>, Bundle)> {
    let bytes = super::read(path)?;
    let bundle = Bundle::open(&bytes).with_context(|| path.display().to_string())?;
    Ok((bytes, bundle))
}

fn show(options: &Show) -> Result<()> {
    let (bytes, bundle) = open(&options.file)?;
    let parts = bundle.parts();
    if options.json {
        let report = json!({
            "size": bytes.len(),
            "manifest": bundle.manifest(),
            "files": bundle.members(),
            "parts": parts,
        });
        super::print(serde_json::to_string_pretty(&report)?)?;
    } else {
        super::print(format_args!("{}: {} bytes", options.file.display(), bytes.len()))?;
        for key in ["name", "platform", "version", "build_id", "build_timestamp"] {
            super::print(format_args!("  {key:<16} {}", bundle.text(key)))?;
        }
        if let Some(counter) = bundle.manifest()["security_counter"].as_u64() {
            super::print(format_args!("  {:<16} {counter}", "security_counter"))?;
        }
        for part in &parts {
            let size =
                part.size.map_or_else(|| "missing".to_owned(), |size| format!("{size} bytes"));
            let words = match part.problems.is_empty() {
                true => "sound".to_owned(),
                false => part.problems.join("; "),
            };
            let (name, kind, file) = (&part.name, &part.part_type, &part.file);
            super::print(format_args!("  part {name:<11} {kind}, {file}, {size}: {words}"))?;
        }
    }
    let damaged = parts.iter().filter(|part| !part.problems.is_empty()).count();
    ensure!(damaged == 0, "{damaged} of {} parts are not sound", parts.len());
    Ok(())
}

fn make_factory(options: &Factory) -> Result<()> {
    let bundle = super::read(&options.bundle)?;
    let image = Image::from_bundle(&bundle, &options.board)
        .with_context(|| options.bundle.display().to_string())?;
    let flash = factory::flash(&options.board, &image)?;
    super::write_new(&options.output, &flash)?;
    super::print(format_args!(
        "{}: board {}, version {} in slot 0, platform {}",
        options.output.display(),
        options.board,
        image.version,
        image.platform
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_may_be_bound_to_slots() {
        let app = |text: &str| text.parse::<App>().unwrap();
        assert_eq!(app("fw.bin"), App { slot: None, load_address: None, file: "fw.bin".into() });
        assert_eq!(
            app("1@0x8020000=b.bin"),
            App { slot: Some(1), load_address: Some(0x0802_0000), file: "b.bin".into() }
        );
        assert_eq!(app("0=a.bin").slot, Some(0));
        assert_eq!(app("odd=name.bin").file, PathBuf::from("odd=name.bin"));
        let error = "1@9K=b.bin".parse::<App>().unwrap_err();
        assert!(error.contains("such as 0x16000"), "{error}");
    }

    #[test]
    fn what_cannot_run_is_doubted() {
        let app: App = "0@0x16000=a.bin".parse().unwrap();
        let image = |start: u32| {
            let words = [0x2000_4000, start].map(u32::to_le_bytes).concat();
            [words, vec![0; 100]].concat()
        };
        assert_eq!(doubt(&app, &image(0x1_6041), "board"), None);
        assert_eq!(doubt(&app, b"no vector table", "board"), None);
        assert_eq!(doubt(&app, b"short", "board"), None);
        for start in [0x1_5FFF, 0x1_606D, 0x2_B041] {
            let words = doubt(&app, &image(start), "board").unwrap();
            assert!(words.contains(&format!("starts at {start:#x}")), "{words}");
        }
        let anywhere: App = "a.bin".parse().unwrap();
        assert_eq!(doubt(&anywhere, &image(0x2_B041), "board"), None);
        assert!(doubt(&anywhere, b"\x7FELF...", "board").unwrap().contains("objcopy"));
        assert_eq!(doubt(&anywhere, b"\x7FELF...", "sim"), None);
    }
}
