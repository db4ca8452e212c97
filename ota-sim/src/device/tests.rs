//! A device from the factory to every way in which an update can go.

use ota_core::record::Reason;
use ota_rpc::{Channel, ChannelId, ChannelKind};
use serde_json::{Value, json};

use super::*;
use crate::bundle::{Spec, create};
use crate::factory::{self, Image};
use crate::nor::Nor;

const HTTP: Channel<'static> = Channel::new(ChannelId(7), ChannelKind::Http, "127.0.0.1:5000");

/// A device, its clock, and what happened since the last look.
struct Bench<'m> {
    device: SimDevice<'m, Nor>,
    now_ms: u64,
}

/// Runs `test` on a fresh device of version 1.0.0.
fn bench(test: impl FnOnce(&mut Bench<'_>)) {
    bench_on("4k4", test);
}

fn bench_on(board: &str, test: impl FnOnce(&mut Bench<'_>)) {
    let board: Board = board.parse().unwrap();
    let image = Image { app: app("1.0.0", Behaviour::Healthy), ..Image::new("1.0.0", "sim") };
    let flash = factory::flash(&board, &image).unwrap();
    let mut ram = vec![0; board.buffer_size()];
    let settings = Settings::new("dev", "sim");
    let nor = Nor::with_image(board.part(), &flash);
    let device = SimDevice::new(&board, settings, nor, &mut ram).unwrap();
    let mut bench = Bench { device, now_ms: 0 };
    bench.device.power_on(0, 0).unwrap();
    assert_eq!(bench.booted(), ("1.0.0".to_owned(), 0, Reason::Factory));
    test(&mut bench);
}

/// 60 KB that no other version has.
fn app(version: &str, behaviour: Behaviour) -> Vec<u8> {
    let pattern = version.bytes().cycle().zip(0u32..60_000);
    let mut app: Vec<u8> =
        pattern.map(|(letter, i)| letter.wrapping_mul(7).wrapping_add((i % 251) as u8)).collect();
    app.extend(behaviour.mark());
    app
}

fn bundle(version: &str, behaviour: Behaviour) -> Vec<u8> {
    create(&Spec::new(version, "sim").with_app(app(version, behaviour))).unwrap()
}

impl Bench<'_> {
    fn send(&mut self, method: &str, params: &Value) -> Outcome {
        let frame = json!({ "id": 5, "src": "test", "method": method, "params": params });
        self.device.rpc(HTTP, frame.to_string().as_bytes(), self.now_ms)
    }

    /// A call whose reply comes at once, or after some polls.
    fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        match self.send(method, &params).reply {
            Reply::Frame(frame) => result(&frame),
            Reply::Later => self.later(),
            other => panic!("{method}: {other:?}"),
        }
    }

    fn later(&mut self) -> Result<Value, Value> {
        for _ in 0..10_000 {
            if let Some((channel, frame)) = self.device.poll(self.now_ms).reply {
                assert_eq!(channel, HTTP.id);
                return result(&frame);
            }
        }
        panic!("no reply came");
    }

    /// `OTA.Update`, fed `limit` bytes of the bundle. Returns the offset at which feeding began to
    /// skip what the device had, if it did.
    fn feed(&mut self, bundle: &[u8], commit_timeout_s: u32, limit: usize) -> Option<usize> {
        let params = json!({ "url": "http://host/fw.zip", "commit_timeout": commit_timeout_s });
        let outcome = self.send("OTA.Update", &params);
        assert_eq!(outcome.reply, Reply::Later);
        let Some(Action::Download(download)) = outcome.action else { panic!("no download") };
        assert_eq!(download.url, "http://host/fw.zip");
        self.device.feed_size(bundle.len() as u32);
        let (mut at, mut skipped_to) = (0, None);
        while at < limit {
            let end = (at + 3001).min(limit);
            let Ok(wanted) = self.device.feed(&bundle[at..end], self.now_ms) else { break };
            at = end;
            if let Some(wanted) = wanted.filter(|wanted| *wanted as usize > at) {
                assert!(self.device.feed_seek(wanted));
                (at, skipped_to) = (wanted as usize, Some(wanted as usize));
            }
        }
        skipped_to
    }

    fn update(&mut self, bundle: &[u8], commit_timeout_s: u32) -> Result<Value, Value> {
        self.feed(bundle, commit_timeout_s, bundle.len());
        self.device.end_feed(Ok(()));
        self.later()
    }

    /// Installs `version`, and lets the device reboot into it.
    fn install(&mut self, version: &str, behaviour: Behaviour, commit_timeout_s: u32) {
        assert_eq!(self.update(&bundle(version, behaviour), commit_timeout_s), Ok(Value::Null));
        self.device.reply_flushed(HTTP.id, self.now_ms);
        self.pass(100);
    }

    /// Lets time pass, in steps of at most 10 ms.
    fn pass(&mut self, time_ms: u64) {
        let end = self.now_ms + time_ms;
        while self.now_ms < end {
            self.now_ms = (self.now_ms + 10).min(end);
            self.device.poll(self.now_ms);
        }
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.device.take_event()).collect()
    }

    /// The last boot since the last look: version, slot, reason.
    fn booted(&mut self) -> (String, u8, Reason) {
        let boots = self.events().into_iter().filter_map(|event| match event {
            Event::Booted(report) => Some((report.version, report.slot, report.reason)),
            _ => None,
        });
        boots.collect::<Vec<_>>().pop().expect("the device has booted")
    }

    fn state(&mut self) -> (u8, bool, u8) {
        let state = self.device.boot_state().unwrap();
        (state.active, state.committed, state.revert)
    }
}

fn result(frame: &[u8]) -> Result<Value, Value> {
    let frame: Value = serde_json::from_slice(frame).unwrap();
    assert_eq!(frame["id"], 5);
    match frame.get("error") {
        Some(error) => Err(error.clone()),
        None => Ok(frame["result"].clone()),
    }
}

#[test]
fn an_update_is_tried_and_committed() {
    bench(|bench| {
        bench.install("1.1.0", Behaviour::Healthy, 300);
        assert_eq!(bench.booted(), ("1.1.0".to_owned(), 1, Reason::Update));
        assert_eq!(bench.state(), (1, false, 0));
        assert_eq!(bench.call("Sys.GetInfo", json!({})).unwrap()["fw_version"], "1.1.0");
        assert_eq!(bench.call("OTA.Commit", json!({})), Ok(Value::Null));
        bench.pass(400_000);
        assert_eq!(bench.state(), (1, true, 0));
        bench.device.power_on(1, bench.now_ms).unwrap();
        assert_eq!(bench.booted().0, "1.1.0");
    });
}

#[test]
fn every_board_updates_both_ways_and_survives_a_torn_download() {
    for name in crate::layout::names() {
        bench_on(name, |bench| {
            bench.install("1.1.0", Behaviour::Healthy, 0);
            assert_eq!(bench.booted(), ("1.1.0".to_owned(), 1, Reason::Update), "{name}");
            bench.device.cut_power_after(60, Tear::Bits { percent: 50, seed: 1 });
            let bundle = bundle("1.2.0", Behaviour::Healthy);
            bench.feed(&bundle, 0, bundle.len());
            assert!(!bench.device.is_on(), "{name}");
            bench.device.power_on(1, bench.now_ms).unwrap();
            assert_eq!(bench.booted().0, "1.1.0", "{name}");
            bench.install("1.2.0", Behaviour::Healthy, 0);
            assert_eq!(bench.booted(), ("1.2.0".to_owned(), 0, Reason::Update), "{name}");
            assert_eq!(bench.call("OTA.CreateSnapshot", json!({})), Ok(json!({ "slot": 1 })));
            assert_eq!(bench.state(), (0, true, 0), "{name}");
        });
    }
}

#[test]
fn an_image_commits_itself_when_it_has_no_commit_timeout() {
    bench(|bench| {
        bench.install("1.1.0", Behaviour::Healthy, 0);
        assert!(bench.events().contains(&Event::CommittedItself));
        assert_eq!(bench.state(), (1, true, 0));
    });
}

#[test]
fn an_image_that_never_reports_is_rolled_back_at_the_next_boot() {
    bench(|bench| {
        bench.install("1.1.0", Behaviour::NeverCommits, 0);
        assert_eq!(bench.state(), (1, false, 0));
        bench.pass(1_000_000);
        assert_eq!(bench.state(), (1, false, 0));
        bench.events();
        bench.device.power_on(1, bench.now_ms).unwrap();
        assert_eq!(bench.booted(), ("1.0.0".to_owned(), 0, Reason::Unconfirmed));
    });
}

#[test]
fn the_commit_timeout_rolls_back() {
    bench(|bench| {
        bench.install("1.1.0", Behaviour::Healthy, 60);
        bench.events();
        bench.pass(59_000);
        assert_eq!(bench.state(), (1, false, 0));
        bench.pass(2_000);
        let events = bench.events();
        assert_eq!(events[0], Event::Reset(ResetCause::CommitTimeout));
        assert!(matches!(&events[1], Event::Booted(report) if report.version == "1.0.0"));
        assert_eq!(bench.state(), (0, true, 0));
    });
}

#[test]
fn bad_images_are_rolled_back_with_the_reason() {
    for (behaviour, cause, reason, after_ms) in [
        (Behaviour::Crashes, ResetCause::Crash, Reason::Unconfirmed, 100),
        (Behaviour::Hangs, ResetCause::Watchdog, Reason::Unconfirmed, 8_100),
        (Behaviour::BadStart, ResetCause::BadStart, Reason::BadStart, 100),
    ] {
        bench(|bench| {
            bench.install("1.1.0", behaviour, 300);
            bench.pass(after_ms);
            let events = bench.events();
            assert!(events.contains(&Event::Reset(cause)), "{behaviour}: {events:?}");
            let Some(Event::Booted(last)) = events.last() else { panic!("{events:?}") };
            assert_eq!((last.version.as_str(), last.reason), ("1.0.0", reason), "{behaviour}");
            assert_eq!(bench.state(), (0, true, 0));
        });
    }
}

#[test]
fn a_device_that_hangs_does_not_answer() {
    bench(|bench| {
        bench.install("1.1.0", Behaviour::Hangs, 300);
        assert_eq!(bench.send("OTA.GetBootState", &json!({})), Outcome::no_answer());
        assert!(bench.device.is_on() && !bench.device.answers());
    });
}

#[test]
fn a_committed_image_that_crashes_ends_in_recovery() {
    bench(|bench| {
        // It crashes at every start, and there is no other image to go back to.
        let crashing = Image { app: app("6", Behaviour::Crashes), ..Image::new("6", "sim") };
        let flash = factory::flash(bench.device.board(), &crashing).unwrap();
        *bench.device.storage().borrow_mut() = Nor::with_image(bench.device.board().part(), &flash);
        bench.device.power_on(0, 0).unwrap();
        bench.pass(10_000);
        let crashes = bench.events();
        let crashes = crashes.iter().filter(|event| **event == Event::Reset(ResetCause::Crash));
        assert_eq!(crashes.count(), 5);
        assert_eq!(bench.device.recovery(), Some(RecoverReason::CrashLoop));
        assert_eq!(bench.send("RPC.List", &json!({})), Outcome::no_answer());
    });
}

#[test]
fn a_power_cut_inside_a_download_costs_no_more_than_the_last_checkpoint() {
    bench(|bench| {
        let bundle = bundle("1.1.0", Behaviour::Healthy);
        bench.device.cut_power_after(150, Tear::Bits { percent: 50, seed: 7 });
        bench.feed(&bundle, 300, bundle.len());
        assert!(!bench.device.is_on());
        assert_eq!(bench.events(), [Event::PowerLost]);
        assert_eq!(bench.send("OTA.Status", &json!({})), Outcome::no_answer());

        bench.device.power_on(1, bench.now_ms).unwrap();
        assert_eq!(bench.booted().0, "1.0.0");
        assert_eq!(bench.state(), (0, true, 0));

        let resumed_at = bench.feed(&bundle, 300, bundle.len()).expect("it goes on");
        assert!(resumed_at > 16 * 1024, "{resumed_at}");
        bench.device.end_feed(Ok(()));
        assert_eq!(bench.later(), Ok(Value::Null));
        bench.device.reply_flushed(HTTP.id, bench.now_ms);
        bench.pass(100);
        assert_eq!(bench.booted().0, "1.1.0");
        let start = bench.device.board().layout().slots[1].app.address;
        let image = app("1.1.0", Behaviour::Healthy);
        let storage = bench.device.storage().borrow();
        assert_eq!(storage.peek(start..start + image.len() as u32), image);
    });
}

#[test]
fn a_failed_download_is_answered_and_changes_nothing() {
    bench(|bench| {
        let bundle = bundle("1.1.0", Behaviour::Healthy);
        bench.feed(&bundle, 300, 20_000);
        let message = "Failed to connect".to_owned();
        bench.device.end_feed(Err(FetchError { code: -10, message }));
        let error = bench.later().unwrap_err();
        assert_eq!(error["code"], -10);
        assert_eq!(error["message"], "Failed to connect");
        assert_eq!(bench.state(), (0, true, 0));
        assert_eq!(bench.device.progress(), None);
    });
}

#[test]
fn progress_tells_version_and_bytes() {
    bench(|bench| {
        let bundle = bundle("1.1.0", Behaviour::Healthy);
        assert_eq!(bench.device.progress(), None);
        bench.feed(&bundle, 300, 20_000);
        let progress = bench.device.progress().unwrap();
        assert_eq!((progress.slot, progress.version.as_str()), (1, "1.1.0"));
        assert_eq!(progress.received, 20_000);
        assert_eq!(progress.announced, Some(bundle.len() as u32));
    });
}

#[test]
fn downloads_carry_the_headers_of_the_device() {
    bench(|bench| {
        let outcome = bench.send("OTA.Update", &json!({ "url": "http://h/?a=1&b=<2>" }));
        let Some(Action::Download(download)) = outcome.action else { panic!("no download") };
        assert_eq!(download.url, "http://h/?a=1&b=<2>");
        assert_eq!(
            download.headers[..2],
            [
                ("X-MGOS-Device-ID", "dev 020000000001".to_owned()),
                ("X-MGOS-FW-Version", "sim 1.0.0 factory/1.0.0".to_owned()),
            ]
        );
    });
}
