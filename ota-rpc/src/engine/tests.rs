//! The service with the real engine, on flash in RAM.

#[cfg(feature = "async")]
mod awaited;
mod serial;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use ota_core::descriptor::{ANY_SLOT, Description, Descriptor, ExtentDigest};
use ota_core::{
    BootOptions, Config as EngineConfig, FlashMap, FlashRead, Geometry, Region, Updater, boot,
};

use crate::channel::{Channel, ChannelId, ChannelKind};
use crate::framing::http::{Ended, Form, Response, Upload};
use crate::platform::{Info, Platform};
use crate::service::{Action, Config, Reply, Service};

const BUNDLE: &[u8] = include_bytes!("../../../tests/vectors/mos-1.1.0.zip");
const OTHER_PLATFORM: &[u8] = include_bytes!("../../../tests/vectors/mos-1.1.0-other-platform.zip");
const NEW_APP: &[u8] = include_bytes!("../../../tests/vectors/app-1.1.0.bin");

const SECTOR: u32 = 4096;
const SLOT: u32 = 64 * 1024;

/// A record, and two slots of an application and a data part.
struct Ram {
    record: Vec<u8>,
    apps: [Vec<u8>; 2],
    data: [Vec<u8>; 2],
    /// Erasing fails.
    broken: bool,
}

impl Ram {
    /// A device that has booted slot 0.
    fn booted() -> Self {
        let blank = |size: u32| std::vec![0xff; size as usize];
        let mut ram = Self {
            record: blank(2 * SECTOR),
            apps: [blank(SLOT), blank(SLOT)],
            data: [blank(16 * 1024), blank(16 * 1024)],
            broken: false,
        };
        let app = b"the running application.";
        let descriptor = Descriptor::new(&Description {
            app: ExtentDigest {
                len: app.len() as u32,
                crc: ota_core::crc::crc32(app),
                sha256: <sha2::Sha256 as sha2::Digest>::digest(app).into(),
            },
            data: None,
            version: "1.0.0",
            build_id: "",
            platform: "sim",
            security_counter: 0,
            load_address: 0,
            slot_mask: ANY_SLOT,
        });
        ram.apps[0][..app.len()].copy_from_slice(app);
        let bytes = descriptor.as_bytes();
        let place = (SLOT - SECTOR) as usize;
        ram.apps[0][place..place + bytes.len()].copy_from_slice(bytes);
        ram.boot(0);
        ram
    }

    /// Boots, and checks which slot that is.
    fn boot(&mut self, slot: u8) {
        let plan = boot(self, &BootOptions::default(), &mut [0; 256]).expect("boots");
        assert_eq!(plan.slot, slot);
    }

    fn region(&mut self, region: Region) -> &mut Vec<u8> {
        match region {
            Region::Record => &mut self.record,
            Region::App(slot) => &mut self.apps[usize::from(slot)],
            Region::Data(slot) => &mut self.data[usize::from(slot)],
        }
    }
}

impl FlashRead for Ram {
    type Error = ();

    fn slots(&self) -> u8 {
        2
    }

    fn geometry(&self, region: Region) -> Option<Geometry> {
        let size = match region {
            Region::Record => self.record.len(),
            Region::App(slot) => self.apps.get(usize::from(slot))?.len(),
            Region::Data(slot) => self.data.get(usize::from(slot))?.len(),
        };
        let size = size as u32;
        Some(Geometry { size, sector_size: SECTOR, write_size: 4, erase_value: 0xff })
    }

    fn read(&mut self, region: Region, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        let start = offset as usize;
        bytes.copy_from_slice(&self.region(region)[start..start + bytes.len()]);
        Ok(())
    }
}

impl FlashMap for Ram {
    fn program(&mut self, region: Region, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        let cells = self.region(region)[offset as usize..].iter_mut();
        cells.zip(bytes).for_each(|(cell, byte)| *cell &= byte);
        Ok(())
    }

    fn erase_sector(&mut self, region: Region, offset: u32) -> Result<(), ()> {
        if self.broken {
            return Err(());
        }
        self.region(region)[offset as usize..][..SECTOR as usize].fill(0xff);
        Ok(())
    }
}

struct Board;

impl Platform for Board {
    fn info(&self) -> Info<'_> {
        Info::default()
    }
}

/// A service over an engine over flash, until the next reset.
struct Device<'f> {
    service: Service<'static, Board>,
    updater: Updater<'f, &'f mut Ram>,
    now_ms: u64,
}

impl<'f> Device<'f> {
    fn start(ram: &'f mut Ram, buffer: &'f mut [u8]) -> Self {
        let updater = Updater::open(ram, EngineConfig::new("sim"), buffer, 0).expect("opens");
        Self { service: Service::new(Config::new("dev"), Board), updater, now_ms: 0 }
    }

    /// The `result` or `error` of a call, whenever it comes.
    fn call(&mut self, method: &str, params: &str) -> String {
        let request = format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#);
        let from = Channel::new(ChannelId(0), ChannelKind::Uart, "");
        let mut out = [0; 1024];
        let outcome =
            self.service.handle(request.as_bytes(), from, self.now_ms, &mut self.updater, &mut out);
        let len = match outcome.reply {
            Reply::Frame(len) => len,
            Reply::Later => (0..100_000)
                .find_map(|_| self.service.poll(self.now_ms, &mut self.updater, &mut out).reply)
                .expect("a reply")
                .frame
                .unwrap(),
            other => panic!("{other:?}"),
        };
        let reply = core::str::from_utf8(&out[..len]).unwrap();
        reply.strip_prefix(r#"{"id":1,"src":"dev","#).unwrap().to_string()
    }

    /// What `mos ota` does.
    fn push(&mut self, bundle: &[u8], from: usize) -> Result<String, String> {
        for (index, chunk) in bundle.chunks(512).enumerate() {
            let offset = index * 512;
            if offset < from {
                continue;
            }
            let data = crate::service::tests::bench::base64(chunk);
            let params = format!(r#"{{"offset":{offset},"data":"{data}"}}"#);
            let reply = self.call("OTA.Write", &params);
            if reply.contains("error") {
                return Err(reply);
            }
        }
        Ok(self.call("OTA.End", "{}"))
    }

    /// Whether the device wants to be reset.
    fn wants_reboot(&mut self) -> bool {
        self.service.reply_flushed(ChannelId(0), self.now_ms);
        self.now_ms += 100;
        let polled = self.service.poll(self.now_ms, &mut self.updater, &mut []);
        matches!(polled.action, Some(Action::Reboot))
    }
}

fn begin(bundle: &[u8]) -> String {
    format!(r#"{{"timeout":600,"commit_timeout":300,"size":{}}}"#, bundle.len())
}

#[test]
fn a_bundle_of_mos_is_pushed_booted_committed_and_rolled_back() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::start(&mut ram, &mut buffer);
    assert_eq!(device.call("OTA.Begin", &begin(BUNDLE)), "\"result\":null}");
    assert_eq!(device.push(BUNDLE, 0).unwrap(), "\"result\":null}");
    let state =
        r#""result":{"active_slot":1,"is_committed":false,"revert_slot":0,"commit_timeout":300}}"#;
    // The last 100 ms: nobody is told anything any more.
    assert!(device.call("OTA.GetBootState", "{}").contains("418"));
    assert!(device.wants_reboot());

    ram.boot(1);
    assert!(ram.apps[1].starts_with(NEW_APP));
    let mut device = Device::start(&mut ram, &mut buffer);
    assert_eq!(device.call("OTA.GetBootState", "{}"), state);
    assert!(device.call("OTA.Begin", "{}").contains("Failed to init updater: "));
    assert!(device.call("OTA.CreateSnapshot", "{}").contains("in uncommitted state: "));
    assert!(device.call("OTA.Status", "{}").contains(r#""running_slot":1,"reason":"update""#));
    assert_eq!(device.call("OTA.Commit", "{}"), "\"result\":null}");
    assert!(device.call("OTA.Commit", "{}").starts_with(r#""error":{"code":-1,"message":"#));
    assert!(device.call("OTA.SetBootState", r#"{"active_slot":7}"#).contains("\"code\":-3,"));
    assert_eq!(device.call("OTA.Revert", "{}"), "\"result\":null}");
    assert!(device.wants_reboot());
    ram.boot(0);
}

#[test]
fn a_bundle_for_another_platform_is_refused_with_the_reason() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let before = ram.apps.clone();
    let mut device = Device::start(&mut ram, &mut buffer);
    device.call("OTA.Begin", &begin(OTHER_PLATFORM));
    let error = device.push(OTHER_PLATFORM, 0).unwrap_err();
    assert!(error.starts_with(r#""error":{"code":-1,"message":"Wrong platform"#), "{error}");
    assert!(device.call("OTA.Status", "{}").contains(r#""state":2,"message":"Wrong platform"#));
    assert!(!device.wants_reboot());
    assert_eq!(ram.apps, before);
}

#[test]
fn flash_that_fails_is_reported_and_changes_nothing() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    ram.broken = true;
    let mut device = Device::start(&mut ram, &mut buffer);
    device.call("OTA.Begin", &begin(BUNDLE));
    let error = device.push(BUNDLE, 0).unwrap_err();
    assert!(error.starts_with(r#""error":{"code":-11,"message":"Write failed: "#), "{error}");
    let state = device.call("OTA.GetBootState", "{}");
    assert!(state.contains(r#""active_slot":0,"is_committed":true"#), "{state}");
}

#[test]
fn an_interrupted_push_goes_on_where_the_engine_says() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::start(&mut ram, &mut buffer);
    device.call("OTA.Begin", &begin(BUNDLE));
    assert!(device.push(&BUNDLE[..40 * 512], 0).unwrap().contains("20480 of 54988 bytes"));

    let mut device = Device::start(&mut ram, &mut buffer);
    device.call("OTA.Begin", &begin(BUNDLE));
    // The manifest has come when the offset is named.
    let mut wanted = None;
    for offset in [0, 512, 1024] {
        let data = crate::service::tests::bench::base64(&BUNDLE[offset..offset + 512]);
        let params = format!(r#"{{"offset":{offset},"data":"{data}"}}"#);
        let reply = device.call("OTA.Write", &params);
        let reply: serde_json::Value = serde_json::from_str(&format!("{{{reply}")).unwrap();
        wanted = reply["result"]["wanted_offset"].as_u64().or(wanted);
    }
    let wanted = wanted.expect("an offset") as usize;
    assert!(wanted > 16 * 1024, "{wanted}");
    // Chunks start where they like.
    let chunk = &BUNDLE[wanted..wanted.next_multiple_of(512)];
    let data = crate::service::tests::bench::base64(chunk);
    let params = format!(r#"{{"offset":{wanted},"data":"{data}"}}"#);
    assert!(device.call("OTA.Write", &params).contains("result"));
    assert_eq!(device.push(BUNDLE, wanted).unwrap(), "\"result\":null}");
    assert!(device.wants_reboot());
    ram.boot(1);
    assert!(ram.apps[1].starts_with(NEW_APP));
}

#[test]
fn a_snapshot_is_a_copy_that_can_be_reverted_to() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::start(&mut ram, &mut buffer);
    let reply = device.call("OTA.CreateSnapshot", r#"{"set_as_revert":true}"#);
    assert_eq!(reply, r#""result":{"slot":1}}"#);
    let state = device.call("OTA.GetBootState", "{}");
    assert!(state.contains(r#""active_slot":0,"is_committed":false,"revert_slot":1"#), "{state}");
    assert_eq!(ram.apps[0], ram.apps[1]);
}

#[test]
fn a_form_of_curl_is_installed_with_the_timeout_behind_the_file() {
    let (mut ram, mut buffer) = (Ram::booted(), [0; SECTOR as usize]);
    let mut device = Device::start(&mut ram, &mut buffer);
    let head = "Content-Disposition: form-data; name=";
    let mut form = format!("--b\r\n{head}\"file\"; filename=\"fw.zip\"\r\n\r\n").into_bytes();
    form.extend_from_slice(BUNDLE);
    let end = format!("\r\n--b\r\n{head}\"commit_timeout\"\r\n\r\n77\r\n--b--\r\n");
    form.extend_from_slice(end.as_bytes());
    let from = Channel::new(ChannelId(0), ChannelKind::Http, "");
    let permit = device.service.permit_upload(from, 0, &mut []).unwrap();
    let content_type = "multipart/form-data; boundary=b";
    let mut upload = Upload::new(permit, content_type, from.id).unwrap();
    for piece in form.chunks(1460) {
        upload.feed(piece, &mut device.service, 0, &mut device.updater).unwrap();
    }
    assert_eq!(upload.end(&mut device.service, &mut device.updater), Ended::Later);
    let mut out = [0; 256];
    let reply = (0..100_000)
        .find_map(|_| device.service.poll(0, &mut device.updater, &mut out).reply)
        .expect("a reply");
    let response = Response::to_reply(Form::Update, &out[..reply.frame.unwrap()]);
    assert_eq!(response.body().to_string(), "1 Update applied, rebooting\r\n");
    assert!(device.wants_reboot());
    ram.boot(1);
    assert!(ram.apps[1].starts_with(NEW_APP));
    let mut device = Device::start(&mut ram, &mut buffer);
    let state = device.call("OTA.GetBootState", "{}");
    assert!(
        state.contains(r#""is_committed":false,"revert_slot":0,"commit_timeout":77"#),
        "{state}"
    );
}
