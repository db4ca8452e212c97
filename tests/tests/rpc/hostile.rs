//! Peers that mean no good, or read nothing, or hang up early: others are served all the same, and
//! what a reply says is what was done.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::Duration;

use ota_sim::host::server::MAX_CONNECTIONS;

use crate::raw::{Raw, read_head, tcp};
use crate::rig::{Rig, Wire};

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
