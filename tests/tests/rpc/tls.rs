//! HTTP, WebSocket and MQTT inside TLS, with a certificate of the test's own.

use std::path::Path;

use ota_sim::clock::RealClock;
use ota_sim::device::Settings;
use ota_sim::factory::{self, Image};
use ota_sim::host::broker::Broker;
use ota_sim::host::client::{CallError, Client, Options, PushOptions, push};
use ota_sim::host::server::{Bound, Transport};
use ota_sim::host::{DeviceHost, http, mqtt, tls};
use ota_sim::layout::Board;
use ota_sim::nor::Nor;

use crate::broker::Mosquitto;
use crate::rig::{DEVICE, PATIENCE, bundle};

fn device() -> DeviceHost {
    let board: Board = "sim".parse().unwrap();
    let image = Image { app: vec![7; 5000], ..Image::new("1.0.0", "sim") };
    let flash = factory::flash(&board, &image).unwrap();
    let nor = Nor::with_image(board.part(), &flash);
    DeviceHost::start(board, Settings::new(DEVICE, "sim"), nor, RealClock::new(), |_| {}).unwrap()
}

/// A certificate for this computer, and its key.
fn certificate(folder: &Path) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn client(url: &str, authorities: Option<&Path>) -> Client {
    let authorities = authorities.map(Path::to_owned);
    Client::new(url, Options { authorities, ..Options::with_timeout(PATIENCE) }).unwrap()
}

#[test]
fn http_and_websocket_inside_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let cert = folder.path().join("cert.pem");
    let config = tls::server(&cert, &folder.path().join("key.pem")).unwrap();
    let host = device();
    let bound = Bound::new("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = bound.serve(http::router(host.handle()), Some(config)).unwrap();
    assert!(server.url().starts_with("https://127.0.0.1:"));
    for scheme in ["https", "wss"] {
        let url = format!("{scheme}://{}", server.address());
        let mut trusting = client(&url, Some(&cert));
        for _ in 0..2 {
            assert_eq!(trusting.call("OTA.Status", None).unwrap()["state"], 0);
        }
        // Nobody vouches for it.
        let error = client(&url, None).call("OTA.Status", None).unwrap_err();
        assert!(matches!(error, CallError::Untrusted { .. }), "{error:?}");
    }
    // A client without TLS gets nothing, and does no harm.
    let plain = format!("http://{}", server.address());
    client(&plain, None).call("OTA.Status", None).unwrap_err();
    let url = format!("wss://{}", server.address());
    let options = PushOptions { commit_timeout_s: 0, ..PushOptions::default() };
    let new = bundle("1.1.0", 100_000);
    let pushed = push(&mut client(&url, Some(&cert)), &new, &options, &mut |_| {}).unwrap();
    assert_eq!(pushed.version, "1.1.0");
}

#[test]
fn mqtt_inside_tls() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    // The broker gives up root's rights before it reads them.
    for name in ["", "cert.pem", "key.pem"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::Permissions::from_mode(if name.is_empty() { 0o755 } else { 0o644 });
        std::fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    let lines = format!("certfile {}\nkeyfile {}\n", at("cert.pem"), at("key.pem"));
    let Some(broker) = Mosquitto::with("rpc over MQTT inside TLS", &lines) else { return };
    let cert = folder.path().join("cert.pem");
    let url = format!("mqtts://localhost:{}", broker.port());
    let host = device();
    let options = url.parse::<Broker>().unwrap().options(DEVICE, Some(&cert)).unwrap();
    let handle = host.handle();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let tell = move |state: Result<(), &rumqttc::ConnectionError>| match state {
        Ok(()) => ready.send(()).unwrap(),
        Err(error) => panic!("{error}"),
    };
    let _served = Transport::start("mqtt", move || mqtt::serve(options, handle, tell)).unwrap();
    is_ready.recv_timeout(PATIENCE).unwrap();
    let url = format!("{url}/{DEVICE}");
    assert_eq!(client(&url, Some(&cert)).call("OTA.Status", None).unwrap()["state"], 0);
    let error = client(&url, None).call("OTA.Status", None).unwrap_err();
    assert!(matches!(error, CallError::Untrusted { .. }), "{error:?}");
}
