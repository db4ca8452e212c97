//! `ota-sim device`, `call` and `push` on transports other than HTTP, as users and scripts see them;
//! and what hostile peers can do to a device's memory.

#[allow(dead_code, reason = "each program of tests uses a part of it")]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{PATIENCE, PROGRAM, Running, folder_of_updates, run, text};

/// A device on several transports.
struct Device {
    running: Running,
    /// What it says it listens on.
    ports: Vec<String>,
}

impl Device {
    /// With so many transports.
    fn start(folder: &Path, transports: usize, arguments: &[&str]) -> Self {
        let factory = ["--factory", "one.zip"];
        let running = Running::device(folder, &[&factory[..], arguments].concat());
        let port = |_| {
            let line = running.line_with("RPC at ");
            let (_, rest) = line.split_once("RPC at ").unwrap();
            rest.split([' ', ';']).next().unwrap().to_owned()
        };
        let ports = (0..transports).map(port).collect();
        Self { running, ports }
    }

    fn port(&self, scheme: &str) -> &str {
        self.ports.iter().find(|port| port.starts_with(scheme)).unwrap()
    }

    /// The most memory that the process ever had, in KiB, as Linux tells it.
    fn peak_kib(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.running.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

#[test]
fn a_device_without_http_is_driven_over_the_rest() {
    let folder = folder_of_updates();
    let folder = folder.path();
    let transports =
        ["--http", "off", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--serial", "pty"];
    let device = Device::start(folder, 3, &transports);
    for scheme in ["tcp://", "udp://", "/dev/"] {
        let call = run(folder, &["call", "--port", device.port(scheme), "OTA.GetBootState"]);
        assert!(call.status.success(), "{scheme}: {}", text(&call.stderr));
        assert!(text(&call.stdout).contains("\"is_committed\": true"));
    }
    let push = run(folder, &["push", "--port", device.port("/dev/"), "--commit", "two.zip"]);
    let (said, errors) = (text(&push.stdout), text(&push.stderr));
    assert!(push.status.success(), "{errors}");
    assert!(
        said.contains("100 %") && said.ends_with("the device runs 2.0.0, committed\n"),
        "{said}"
    );
    // On trial, and what to do about it.
    let push = run(folder, &["push", "--port", device.port("tcp://"), "one.zip"]);
    assert!(push.status.success(), "{}", text(&push.stderr));
    assert!(text(&push.stdout).contains("1.0.0 on trial; commit it within 300 s"));
    // Not before that one is committed.
    let push = run(folder, &["push", "--port", device.port("udp://"), "two.zip"]);
    assert_eq!(push.status.code(), Some(1));
    assert!(text(&push.stderr).contains("commit or revert it first"), "{}", text(&push.stderr));
    std::fs::write(folder.join("empty.zip"), []).unwrap();
    std::fs::write(folder.join("junk.zip"), "<html>").unwrap();
    let push = run(folder, &["push", "--port", device.port("tcp://"), "junk.zip"]);
    let words = text(&push.stderr);
    assert!(!push.status.success() && words.contains("junk.zip is no bundle"), "{words}");
    let push = run(folder, &["push", "--port", "/dev/null", "one.zip"]);
    let words = text(&push.stderr);
    assert!(!push.status.success() && words.contains("it is no serial port"), "{words}");
    let push = run(folder, &["push", "--port", device.port("tcp://"), "empty.zip"]);
    assert!(text(&push.stderr).contains("empty.zip is empty"));
}

#[test]
fn a_push_that_is_stopped_leaves_the_device_free() {
    let folder = folder_of_updates();
    let folder = folder.path();
    let device = Device::start(folder, 1, &["--http", "off", "--tcp", "127.0.0.1:0"]);
    let port = device.port("tcp://");
    let status = || text(&run(folder, &["call", "--port", port, "OTA.Status"]).stdout);
    let push = Command::new(PROGRAM)
        .current_dir(folder)
        .args(["push", "--port", port, "--chunk-size", "4", "two.zip"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while !status().contains("\"state\": 1") {}
    let id = rustix::process::Pid::from_child(&push);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let push = push.wait_with_output().unwrap();
    assert_eq!(push.status.code(), Some(1));
    assert!(text(&push.stderr).contains("the update was given up"), "{}", text(&push.stderr));
    assert!(status().contains("Update aborted by OTA.Abort"), "{}", status());
    let push = run(folder, &["push", "--port", port, "--commit", "two.zip"]);
    assert!(push.status.success(), "{}", text(&push.stderr));
}

#[test]
fn passwords_and_rules_come_from_files() {
    let folder = folder_of_updates();
    let folder = folder.path();
    // `htdigest -c users RPC admin`, password: secret.
    std::fs::write(folder.join("users"), "admin:RPC:cf685a4a101de8b1eec42ddc7c7efcf0\n").unwrap();
    std::fs::write(folder.join("creds"), "admin:secret\n").unwrap();
    let rules = r#"[{"method": "OTA.Get*", "acl": "*"}, {"method": "*", "acl": "+admin"}]"#;
    std::fs::write(folder.join("acl.json"), rules).unwrap();
    let access = ["--auth-file", "users", "--auth-algo", "md5", "--acl", "acl.json"];
    let tcp = ["--http", "off", "--tcp", "127.0.0.1:0"];
    let device = Device::start(folder, 1, &[&tcp[..], &access].concat());
    let port = device.port("tcp://");
    assert!(run(folder, &["call", "--port", port, "OTA.GetBootState"]).status.success());
    let refused = run(folder, &["call", "--port", port, "OTA.Revert"]);
    assert!(text(&refused.stderr).contains("give --creds USER:PASSWORD"));
    let wrong = run(folder, &["call", "--port", port, "--creds", "admin:no", "OTA.Revert"]);
    assert!(text(&wrong.stderr).contains("does not accept the user or the password"));
    let status = run(folder, &["call", "--port", port, "--creds", "@creds", "OTA.Status"]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    drop(device);

    for (arguments, words) in [
        (&["--auth-file", "users"][..], "give --auth-algo md5"),
        (&["--auth-file", "users", "--auth-domain", "x"], "no line user:x:digest"),
        (&["--acl", "users"], "give a list such as"),
        (&["--acl", "none"], "cannot read none"),
        // Rules that let anybody do anything are no protection.
        (&["--tcp", "0.0.0.0:0"], "--tcp 0.0.0.0:0 can be reached by others"),
        (&["--http", "off"], "nobody could call the device"),
        (&["--mqtt", "mqtt://192.0.2.1"], "--mqtt mqtt://192.0.2.1:1883 can be reached by others"),
        (&["--mqtt", "broker"], "give mqtt://HOST"),
        (&["--serial", "users"], "cannot be opened as a serial port"),
        (&["--tls-cert", "users", "--tls-key", "users"], "give PEM text with a certificate"),
    ] {
        // Whoever has the default port, it is none of this test's business.
        let port = if arguments[0] == "--http" { &[][..] } else { &["--http", "127.0.0.1:0"] };
        let device = &["device", "--flash", "d.flash", "--factory", "one.zip"];
        let refused = run(folder, &[device, port, arguments].concat());
        assert!(!refused.status.success());
        let said = text(&refused.stderr);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// What peers send that mean no good takes no more memory than what the device has set aside.
#[test]
#[cfg(target_os = "linux")]
fn junk_does_not_fill_the_memory() {
    const JUNK: usize = 64 * 1024 * 1024;
    /// What 164 connections with their buffers may take, in KiB.
    const GROWTH_KIB: u64 = 16 * 1024;
    let folder = folder_of_updates();
    let device =
        Device::start(folder.path(), 2, &["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
    let tcp = device.port("tcp://").trim_start_matches("tcp://").to_owned();
    let http =
        device.port("http://").trim_start_matches("http://").trim_end_matches("/rpc").to_owned();
    let before = device.peak_kib();
    let connect = |address: &str| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    // One long line; brackets without end; 1 GB announced and much of it sent, as a frame and as a
    // form. Whoever is refused may be cut off.
    let form = "Content-Type: multipart/form-data; boundary=b\r\n";
    let gigabyte = "Content-Length: 1073741824\r\n";
    for (address, head, byte) in [
        (&tcp, String::new(), b'a'),
        (&tcp, "{\"id\":1,\"params\":".to_owned(), b'['),
        (&http, format!("POST /rpc HTTP/1.1\r\nHost: x\r\n{gigabyte}\r\n"), b'['),
        (&http, format!("POST /update HTTP/1.1\r\nHost: x\r\n{form}{gigabyte}\r\n"), b'-'),
        (&http, "GET / HTTP/1.1\r\nX: ".to_owned(), b'y'),
    ] {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).unwrap();
        let piece = vec![byte; 64 * 1024];
        for _ in 0..JUNK / piece.len() {
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
    }
    // Heads that do not end, and are not let go.
    let heads: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = connect(&http);
            let _ = write!(stream, "GET / HTTP/1.1\r\nX: {}", "y".repeat(390_000));
            stream
        })
        .collect();
    let crowd: Vec<_> = (0..100).map(|i| connect(if i % 2 == 0 { &tcp } else { &http })).collect();
    // There is still room for somebody who means it.
    let mut stream = connect(&tcp);
    stream.write_all(b"{\"id\":1,\"method\":\"RPC.Ping\"}\n").unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply[..], b"\n{\"id\":1,\"");
    drop((heads, crowd));
    let growth = device.peak_kib() - before;
    println!("320 MiB of junk and 164 connections: peak memory grew by {growth} KiB");
    assert!(growth <= GROWTH_KIB, "{growth} KiB");
}
