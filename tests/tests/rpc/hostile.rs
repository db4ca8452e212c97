//! Peers that mean no good, or read nothing, or hang up early: others are served all the same, and
//! what a reply says is what was done.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ota_sim::host::server::{MAX_CONNECTIONS, MAX_HEAD_BYTES};

use crate::raw::{Raw, masked, read_head, read_message, tcp};
use crate::rig::{Rig, Wire};

/// A request that changes something that [`timeout`] shows.
fn set(timeout: u32, tag: &str) -> String {
    format!(
        r#"{{"src":"mos","id":1,"tag":"{tag}","method":"OTA.SetBootState","params":{{"commit_timeout":{timeout}}}}}"#
    )
}

/// The commit timeout that the device has.
fn timeout(rig: &Rig) -> u32 {
    let state = Raw::connect(rig, Wire::Http)
        .exchange(r#"{"src":"mos","id":2,"method":"OTA.GetBootState"}"#);
    let (_, number) = state.split_once(r#""commit_timeout":"#).expect(&state);
    number.trim_end_matches('}').parse().unwrap()
}

#[test]
fn a_websocket_that_pings_and_never_reads_is_held_up() {
    /// More than the sockets of both sides hold.
    const ENOUGH: usize = 64 * 1024 * 1024;
    let rig = Rig::open(Wire::WebSocket).unwrap();
    let Raw::WebSocket(mut socket) = Raw::connect(&rig, Wire::WebSocket) else { unreachable!() };
    socket.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let pings = masked(0x89, [0; 4], &[b'p'; 125]).repeat(1000);
    let mut sent = 0;
    let error = loop {
        assert!(sent < ENOUGH, "the device reads on, and what it answers is in its memory");
        match socket.write_all(&pings) {
            Ok(()) => sent += pings.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_ping_is_answered_once() {
    let rig = Rig::open(Wire::WebSocket).unwrap();
    let Raw::WebSocket(mut socket) = Raw::connect(&rig, Wire::WebSocket) else { unreachable!() };
    for number in 0..3 {
        socket.write_all(&masked(0x89, [1, 2, 3, 4], &[number])).unwrap();
        assert_eq!(read_message(&mut socket), (0x8A, vec![number]));
    }
    let ping = br#"{"id":1,"method":"RPC.Ping"}"#;
    socket.write_all(&masked(0x81, [1, 2, 3, 4], ping)).unwrap();
    assert_eq!(read_message(&mut socket).0, 0x81);
}

#[test]
fn the_most_silent_http_connection_makes_room() {
    let rig = Rig::open(Wire::Http).unwrap();
    let mut crowd: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| {
            let mut stream = tcp(rig.http);
            // Half a head.
            stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            sleep(Duration::from_millis(2));
            stream
        })
        .collect();
    let reply = Raw::connect(&rig, Wire::Http).exchange(r#"{"id":1,"method":"RPC.Ping"}"#);
    assert!(reply.contains("channel_info"), "{reply}");
    assert_eq!(crowd.remove(0).read(&mut [0; 10]).unwrap(), 0, "the first one had to go");
    for mut stream in crowd {
        stream.write_all(b"Host: x\r\n\r\n").unwrap();
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 404"));
    }
}

#[test]
fn a_head_has_a_longest_length() {
    let rig = Rig::open(Wire::Http).unwrap();
    // Nearly as many arguments as a request has room for.
    let mut stream = tcp(rig.http);
    let arguments = format!("a=%22{}%22&", "x".repeat(600)).repeat(18);
    write!(stream, "GET /rpc/RPC.Ping?{arguments} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    // A head that never ends.
    let mut stream = tcp(rig.http);
    write!(stream, "GET / HTTP/1.1\r\nX: {}", "y".repeat(MAX_HEAD_BYTES)).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 431"));
}

#[test]
fn a_serial_line_that_is_read_slowly_holds_nobody_up() {
    let rig = Rig::open(Wire::Serial).unwrap();
    let tty = || OpenOptions::new().read(true).write(true).open(&rig.tty).unwrap();
    let (mut sender, mut reader) = (tty(), tty());
    let stop = AtomicBool::new(false);
    let fastest = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sender.write_all(b"{\"id\":1,\"method\":\"RPC.Ping\"}\n").unwrap();
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_ne!(reader.read(&mut [0; 64]).unwrap(), 0);
                sleep(Duration::from_millis(50));
            }
            // So that the sender comes to its end too.
            while !is_silent(&mut reader) {}
        });
        sleep(Duration::from_secs(2));
        let fastest = (0..3).map(|_| {
            let start = Instant::now();
            Raw::connect(&rig, Wire::Http).exchange(r#"{"id":1,"method":"RPC.Ping"}"#);
            start.elapsed()
        });
        let fastest = fastest.min().unwrap();
        stop.store(true, Ordering::Relaxed);
        fastest
    });
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

/// Reads what there is; whether nothing comes for a while.
fn is_silent(tty: &mut std::fs::File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
    let ready = poll(&mut [PollFd::new(&*tty, PollFlags::IN)], Some(&timeout)).unwrap();
    ready == 0 || tty.read(&mut [0; 4096]).unwrap() == 0
}

#[test]
fn a_retained_message_is_not_carried_out_again() {
    let Some(mut rig) = Rig::open(Wire::Mqtt) else { return };
    let mut raw = Raw::connect(&rig, Wire::Mqtt);
    let source = raw.source();
    raw.publish_retained(&set(77, "").replace("mos", &source));
    raw.receive();
    assert_eq!(timeout(&rig), 77, "as it came, it was a message like any other");
    raw.exchange(&set(5, "").replace("mos", &source));
    raw.exchange(&format!(r#"{{"src":"{source}","id":1,"method":"Sys.Reboot"}}"#));
    rig.booted();
    // The broker has sent the retained one with the subscription, before this one.
    raw.exchange(&format!(r#"{{"src":"{source}","id":2,"method":"RPC.Ping"}}"#));
    assert_eq!(timeout(&rig), 5);
}

#[test]
fn a_message_that_is_too_long_does_not_end_the_connection_to_the_broker() {
    let Some(rig) = Rig::open(Wire::Mqtt) else { return };
    let mut raw = Raw::connect(&rig, Wire::Mqtt);
    raw.send(&"x".repeat(1024 * 1024));
    let ping = format!(r#"{{"src":"{}","id":2,"method":"RPC.Ping"}}"#, raw.source());
    let reply = raw.exchange(&ping);
    assert!(reply.contains("channel_info"), "{reply}");
}

/// A request whose reply would not fit is not carried out, and its sender is told so.
fn a_reply_with_no_room(wire: Wire, tag: usize) {
    let rig = Rig::open(wire).unwrap();
    let mut raw = Raw::connect(&rig, wire);
    let reply = raw.exchange(&set(77, &"t".repeat(tag)));
    assert!(reply.starts_with(r#"{"id":1,"#) && reply.contains(r#""code":500,"#), "{reply}");
    assert_eq!(timeout(&rig), 0, "{reply}");
    // One that fits.
    let mut raw = Raw::connect(&rig, wire);
    let reply = raw.exchange(&set(78, "short"));
    assert!(reply.ends_with(r#""result":null}"#), "{reply}");
    assert_eq!(timeout(&rig), 78);
}

#[test]
fn a_reply_with_no_room_over_http() {
    a_reply_with_no_room(Wire::Http, 5000);
}

#[test]
fn a_reply_with_no_room_over_websocket() {
    a_reply_with_no_room(Wire::WebSocket, 5000);
}

#[test]
fn a_reply_with_no_room_over_tcp() {
    a_reply_with_no_room(Wire::Tcp, 5000);
}

#[test]
fn a_reply_with_no_room_over_serial() {
    a_reply_with_no_room(Wire::Serial, 5000);
}

#[test]
fn a_reply_with_no_room_in_a_datagram() {
    a_reply_with_no_room(Wire::Udp, 1500);
}

#[test]
fn who_sends_no_more_over_tcp_still_gets_replies() {
    let rig = Rig::open(Wire::Tcp).unwrap();
    for _ in 0..5 {
        let mut raw = Raw::connect(&rig, Wire::Tcp);
        (1..=3).for_each(|id| raw.send(&format!(r#"{{"id":{id},"method":"RPC.Ping"}}"#)));
        let Raw::Tcp(stream) = &mut raw else { unreachable!() };
        stream.shutdown(Shutdown::Write).unwrap();
        let mut replies = String::new();
        stream.read_to_string(&mut replies).unwrap();
        assert_eq!(replies.matches("channel_info").count(), 3, "{replies}");
    }
}
