//! Several requests and several clients at once, and connections that end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use ota_sim::host::http::MAX_WEBSOCKETS;
use ota_sim::host::tcp::{MAX_CONNECTIONS, MAX_PENDING};

use crate::raw::{Raw, masked, read_head, read_message, tcp};
use crate::rig::{DEVICE, Rig, Wire};

fn request(raw: &Raw, id: u32, method: &str, params: &str) -> String {
    format!(r#"{{"src":"{}","id":{id},"method":"{method}","params":{params}}}"#, raw.source())
}

/// An update whose server never answers keeps its own connection free for others, also for the call
/// that ends it.
fn a_reply_that_comes_late(wire: Wire) {
    let Some(rig) = Rig::open(wire) else { return };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(r#"{{"url":"http://{}/fw.zip"}}"#, silent.local_addr().unwrap());
    let mut raw = Raw::connect(&rig, wire);
    raw.send(&request(&raw, 1, "OTA.Update", &url));
    for id in 2..2 + 2 * MAX_PENDING as u32 {
        let reply = raw.exchange(&request(&raw, id, "RPC.Ping", "{}"));
        assert!(reply.starts_with(&format!(r#"{{"id":{id},"#)), "{reply}");
    }
    let status = raw.exchange(&request(&raw, 50, "OTA.Status", "{}"));
    assert!(status.contains(r#""state":1"#), "{status}");
    // Another one is told how far this one is.
    let refused = raw.exchange(&request(&raw, 51, "OTA.Update", &url));
    assert!(refused.contains("in progress"), "{refused}");
    raw.send(&request(&raw, 52, "OTA.Abort", "{}"));
    let replies = [raw.receive(), raw.receive()];
    let start = |id: u32| format!(r#"{{"id":{id},"src":"{DEVICE}""#);
    assert!(replies.iter().any(|reply| reply.starts_with(&start(52))), "{replies:?}");
    let update = replies.iter().find(|reply| reply.starts_with(&start(1))).expect("its own reply");
    assert!(update.contains("aborted"), "{update}");
}

#[test]
fn a_reply_comes_late_over_websocket() {
    a_reply_that_comes_late(Wire::WebSocket);
}

#[test]
fn a_reply_comes_late_over_tcp() {
    a_reply_that_comes_late(Wire::Tcp);
}

#[test]
fn a_reply_comes_late_over_udp() {
    a_reply_that_comes_late(Wire::Udp);
}

#[test]
fn a_reply_comes_late_over_serial() {
    a_reply_that_comes_late(Wire::Serial);
}

#[test]
fn a_reply_comes_late_over_mqtt() {
    a_reply_that_comes_late(Wire::Mqtt);
}

/// Many requests at once, as a client sends them that does not wait.
#[test]
fn a_burst_over_mqtt_is_answered_whole() {
    let Some(rig) = Rig::open(Wire::Mqtt) else { return };
    let mut raw = Raw::connect(&rig, Wire::Mqtt);
    (1..=200).for_each(|id| raw.send(&request(&raw, id, "RPC.Ping", "{}")));
    let mut ids: Vec<u32> = (0..200)
        .map(|_| {
            let reply = raw.receive();
            reply[6..reply.find(',').unwrap()].parse().unwrap()
        })
        .collect();
    ids.sort();
    assert!(ids.into_iter().eq(1..=200));
}

#[test]
fn a_message_that_is_too_long_ends_its_websocket() {
    let rig = Rig::open(Wire::WebSocket).unwrap();
    let Raw::WebSocket(mut socket) = Raw::connect(&rig, Wire::WebSocket) else { unreachable!() };
    // The device hangs up before all of it has come.
    let _ = socket.write_all(&masked(0x81, [1, 2, 3, 4], &[b' '; 20_000]));
    let (kind, payload) = read_message(&mut socket);
    assert_eq!((kind, u16::from_be_bytes([payload[0], payload[1]])), (0x88, 1009));
}

#[test]
fn a_reboot_ends_connections_that_are_silent() {
    let mut rig = Rig::open(Wire::Tcp).unwrap();
    let Raw::Tcp(mut line) = Raw::connect(&rig, Wire::Tcp) else { unreachable!() };
    let Raw::WebSocket(mut socket) = Raw::connect(&rig, Wire::WebSocket) else { unreachable!() };
    // The device knows of them when each has had an answer.
    let mut raw = Raw::Tcp(line.try_clone().unwrap());
    raw.exchange(&request(&raw, 1, "RPC.Ping", "{}"));
    let mut other = Raw::connect(&rig, Wire::Udp);
    other.exchange(&request(&other, 2, "Sys.Reboot", "{}"));
    assert_eq!(rig.booted(), "1.0.0");
    assert_eq!(line.read(&mut [0; 10]).unwrap(), 0);
    let (kind, payload) = read_message(&mut socket);
    assert_eq!((kind, u16::from_be_bytes([payload[0], payload[1]])), (0x88, 1001));
}

#[test]
fn there_is_a_limit_to_websockets() {
    let rig = Rig::open(Wire::WebSocket).unwrap();
    let mut sockets: Vec<_> =
        (0..MAX_WEBSOCKETS).map(|_| Raw::connect(&rig, Wire::WebSocket)).collect();
    let upgrade = || {
        let mut stream = tcp(rig.http);
        let head = "GET /rpc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        read_head(&mut stream)
    };
    assert!(upgrade().starts_with("HTTP/1.1 503"));
    // The others go on, and when one goes there is room.
    let raw = &mut sockets[0];
    let reply = raw.exchange(&request(raw, 1, "RPC.Ping", "{}"));
    assert!(reply.contains("channel_info"), "{reply}");
    sockets.pop();
    for _ in 0..1000 {
        if upgrade().starts_with("HTTP/1.1 101") {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("no room is made");
}

#[test]
fn the_most_silent_tcp_connection_makes_room() {
    let rig = Rig::open(Wire::Tcp).unwrap();
    let mut crowd: Vec<_> = (0..MAX_CONNECTIONS).map(|_| Raw::connect(&rig, Wire::Tcp)).collect();
    // The first one waits for a reply, and was silent for as long as that.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(r#"{{"url":"http://{}/fw.zip"}}"#, server.local_addr().unwrap());
    let update = request(&crowd[0], 1, "OTA.Update", &url);
    crowd[0].send(&update);
    // All others but the second one have said something since.
    for (id, raw) in crowd.iter_mut().enumerate().filter(|(id, _)| *id > 1) {
        raw.exchange(&request(raw, id as u32, "RPC.Ping", "{}"));
    }
    let mut late = Raw::connect(&rig, Wire::Tcp);
    late.exchange(&request(&late, 99, "RPC.Ping", "{}"));
    let Raw::Tcp(mut silent) = crowd.remove(1) else { unreachable!() };
    assert_eq!(silent.read(&mut [0; 10]).unwrap(), 0);
    for raw in &mut crowd {
        raw.exchange(&request(raw, 100, "RPC.Ping", "{}"));
    }
}
