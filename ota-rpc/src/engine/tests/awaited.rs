//! The engine over flash whose changes are awaited: the same replies, and the same flash in the end.

use core::future::poll_fn;
use core::task::Poll;
use std::format;
use std::string::{String, ToString};

use ota_core::flash::AsyncFlashMap;
use ota_core::{Config as EngineConfig, FlashMap, FlashRead, Geometry, Region, Updater};

use super::{BUNDLE, Board, NEW_APP, OTHER_PLATFORM, Ram, SECTOR, begin};
use crate::channel::{Channel, ChannelId, ChannelKind};
use crate::engine::Awaited;
use crate::engine::awaited::in_place;
use crate::ota::Ota;
use crate::service::tests::bench::base64;
use crate::service::{Action, Config, Reply, Service};

/// Flash whose changes happen at the second poll.
struct Slow<'f> {
    ram: &'f mut Ram,
    changes: usize,
}

impl Slow<'_> {
    async fn later(&mut self) {
        self.changes += 1;
        let mut waited = false;
        poll_fn(|_| match core::mem::replace(&mut waited, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl FlashRead for Slow<'_> {
    type Error = ();

    fn slots(&self) -> u8 {
        self.ram.slots()
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        self.ram.geometry(region)
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        self.ram.read(region, offset, bytes)
    }
}

impl AsyncFlashMap for Slow<'_> {
    async fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        self.later().await;
        FlashMap::program(self.ram, region, offset, bytes)
    }

    async fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), ()> {
        self.later().await;
        FlashMap::erase_sector(self.ram, region, offset)
    }
}

/// A device until the next reset; `N` bytes of an update are noted.
struct Device<'f, const N: usize> {
    service: Service<'static, Board>,
    engine: Awaited<'f, Slow<'f>, N>,
    /// Whether the owner lets the engine work between requests.
    works: bool,
    now_ms: u64,
}

impl<'f, const N: usize> Device<'f, N> {
    fn start(ram: &'f mut Ram, buffer: &'f mut [u8], works: bool) -> Self {
        let flash = Slow { ram, changes: 0 };
        let updater = Updater::open(flash, EngineConfig::new("sim"), buffer, 0).unwrap();
        let service = Service::new(Config::new("dev"), Board);
        Self { service, engine: Awaited::new(updater), works, now_ms: 0 }
    }

    /// The `result` or `error` of a call, whenever it comes.
    fn call(&mut self, method: &str, params: &str) -> String {
        while self.works && self.engine.is_writing() {
            let before = self.changes();
            in_place(self.engine.work());
            assert!(self.changes() <= before + 1, "one change at a time");
        }
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        let from = Channel::new(ChannelId(0), ChannelKind::Uart, "");
        let (mut out, before) = ([0; 1024], self.changes());
        let handled =
            self.service.handle(request.as_bytes(), from, self.now_ms, &mut self.engine, &mut out);
        if self.works && method == "OTA.Write" {
            assert_eq!(self.changes(), before, "only noted");
        }
        let len = match handled.reply {
            Reply::Frame(len) => len,
            Reply::Later => (0..100_000)
                .find_map(|_| {
                    in_place(self.engine.work());
                    self.service.poll(self.now_ms, &mut self.engine, &mut out).reply
                })
                .expect("a reply")
                .frame
                .unwrap(),
            other => panic!("{other:?}"),
        };
        let reply = core::str::from_utf8(&out[..len]).unwrap();
        reply.strip_prefix(r#"{"id":1,"src":"dev","#).unwrap().to_string()
    }

    fn write(&mut self, offset: usize, chunk: &[u8]) -> String {
        let params = format!(r#"{{"offset":{offset},"data":"{}"}}"#, base64(chunk));
        self.call("OTA.Write", &params)
    }

    /// What `mos ota` does.
    fn push(&mut self, bundle: &[u8]) -> Result<String, String> {
        for (index, chunk) in bundle.chunks(512).enumerate() {
            let reply = self.write(index * 512, chunk);
            if reply.contains("error") {
                return Err(reply);
            }
        }
        let reply = self.call("OTA.End", "{}");
        if reply.contains("error") { Err(reply) } else { Ok(reply) }
    }

    fn changes(&mut self) -> usize {
        self.engine.updater().flash().changes
    }

    fn wants_reboot(&mut self) -> bool {
        self.service.reply_flushed(ChannelId(0), self.now_ms);
        self.now_ms += 100;
        let polled = self.service.poll(self.now_ms, &mut self.engine, &mut []);
        matches!(polled.action, Some(Action::Reboot))
    }
}

fn installs<const N: usize>(works: bool) {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::<N>::start(&mut ram, &mut buffer, works);
    assert_eq!(device.call("OTA.Begin", &begin(BUNDLE)), "\"result\":null}");
    assert_eq!(device.push(BUNDLE).unwrap(), "\"result\":null}");
    assert!(device.wants_reboot());
    drop(device);

    let mut other = Ram::booted();
    let mut other_buffer = [0; SECTOR as usize];
    let mut blocking = super::Device::start(&mut other, &mut other_buffer);
    blocking.call("OTA.Begin", &begin(BUNDLE));
    blocking.push(BUNDLE, 0).unwrap();
    drop(blocking);
    assert!(ram.apps == other.apps && ram.data == other.data && ram.record == other.record);
    ram.boot(1);
    assert!(ram.apps[1].starts_with(NEW_APP));

    let mut device = Device::<N>::start(&mut ram, &mut buffer, works);
    assert!(device.call("OTA.Status", "{}").contains(r#""running_slot":1,"reason":"update""#));
    assert_eq!(device.call("OTA.Commit", "{}"), "\"result\":null}");
    assert!(device.call("OTA.Commit", "{}").contains("error"));
    assert!(device.call("OTA.SetBootState", r#"{"active_slot":7}"#).contains("\"code\":-3,"));
    assert_eq!(device.call("OTA.Revert", "{}"), "\"result\":null}");
    assert!(device.wants_reboot());
    ram.boot(0);
}

#[test]
fn it_leaves_the_flash_that_the_blocking_engine_leaves() {
    installs::<1024>(true);
}

#[test]
fn without_room_or_work_between_requests_the_rest_is_done_at_once() {
    installs::<1024>(false);
    installs::<100>(false);
}

#[test]
fn what_goes_wrong_behind_a_reply_is_told_by_the_next() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let before = ram.apps.clone();
    let mut device = Device::<1024>::start(&mut ram, &mut buffer, true);
    device.call("OTA.Begin", &begin(OTHER_PLATFORM));
    let error = device.push(OTHER_PLATFORM).unwrap_err();
    assert!(error.starts_with(r#""error":{"code":-1,"message":"Wrong platform"#), "{error}");
    assert!(device.call("OTA.Status", "{}").contains(r#""state":2,"message":"Wrong platform"#));
    // The update is over, and another may begin.
    assert_eq!(device.call("OTA.Begin", &begin(BUNDLE)), "\"result\":null}");
    assert!(!device.wants_reboot());
    drop(device);
    assert_eq!(ram.apps, before);

    ram.broken = true;
    let mut device = Device::<1024>::start(&mut ram, &mut buffer, true);
    device.call("OTA.Begin", &begin(BUNDLE));
    let error = device.push(BUNDLE).unwrap_err();
    assert!(error.starts_with(r#""error":{"code":-11,"message":"Write failed: "#), "{error}");
}

#[test]
fn an_interrupted_push_goes_on_where_the_engine_says() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::<1024>::start(&mut ram, &mut buffer, true);
    device.call("OTA.Begin", &begin(BUNDLE));
    for (index, chunk) in BUNDLE[..40 * 512].chunks(512).enumerate() {
        device.write(index * 512, chunk);
    }
    drop(device);
    let mut device = Device::<1024>::start(&mut ram, &mut buffer, true);
    device.call("OTA.Begin", &begin(BUNDLE));
    let replies = [0, 512, 1024, 1536].map(|at| device.write(at, &BUNDLE[at..at + 512]));
    let reply = format!("{{{}", replies[3]);
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    let wanted = reply["result"]["wanted_offset"].as_u64().expect("an offset") as usize;
    assert!(wanted > 16 * 1024, "{wanted}");
    for (index, chunk) in BUNDLE[wanted..].chunks(512).enumerate() {
        assert!(device.write(wanted + index * 512, chunk).contains("result"));
    }
    assert_eq!(device.call("OTA.End", "{}"), "\"result\":null}");
    drop(device);
    ram.boot(1);
    assert!(ram.apps[1].starts_with(NEW_APP));
}

#[test]
fn a_snapshot_is_made_in_steps_and_can_be_stopped() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::<1024>::start(&mut ram, &mut buffer, true);
    let reply = device.call("OTA.CreateSnapshot", r#"{"set_as_revert":true}"#);
    assert_eq!(reply, r#""result":{"slot":1}}"#);
    drop(device);
    assert_eq!(ram.apps[0], ram.apps[1]);
}

/// The last step has been made, and the service does not know yet.
#[test]
fn what_is_done_cannot_be_given_up() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::<65536>::start(&mut ram, &mut buffer, false);
    let engine = &mut device.engine;
    engine.begin(&crate::ota::Begin { size: None, commit_timeout_s: 0 }).unwrap();
    engine.write(BUNDLE).unwrap();
    engine.end_of_input().unwrap();
    while !engine.is_done() {
        assert!(engine.step().is_ok());
        in_place(engine.work());
    }
    assert!(engine.abort().is_err());
    assert_eq!(engine.step(), Ok(crate::ota::Progress::Done));
    drop(device);
    ram.boot(1);
}
