//! Bytes on each transport, by hand: nothing here is code under test.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::rig::{DEVICE, PATIENCE, Rig, Wire};

/// What a client over MQTT calls itself.
const CLIENT: &str = "mos-1";

/// A connection to a device.
pub(crate) enum Raw {
    /// Each request makes its own connection: a device closes it.
    Http(SocketAddr, Option<TcpStream>),
    WebSocket(TcpStream),
    Tcp(TcpStream),
    Udp(UdpSocket),
    Serial(File),
    Mqtt(TcpStream),
}

impl Raw {
    pub(crate) fn connect(rig: &Rig, wire: Wire) -> Self {
        match wire {
            Wire::Http => Self::Http(rig.http, None),
            Wire::WebSocket => {
                let mut stream = tcp(rig.http);
                let head = "GET /rpc HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                     Sec-WebSocket-Version: 13\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                let head = read_head(&mut stream);
                assert!(head.starts_with("HTTP/1.1 101"), "{head}");
                Self::WebSocket(stream)
            }
            Wire::Tcp => Self::Tcp(tcp(rig.tcp)),
            Wire::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(rig.udp).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Udp(socket)
            }
            Wire::Serial => {
                Self::Serial(OpenOptions::new().read(true).write(true).open(&rig.tty).unwrap())
            }
            Wire::Mqtt => {
                let port = rig.broker.as_ref().unwrap().port();
                let mut stream = tcp(([127, 0, 0, 1], port).into());
                let connect = [b"\0\x04MQTT\x04\x02\0\x1e".to_vec(), text(CLIENT)].concat();
                stream.write_all(&packet(0x10, &connect)).unwrap();
                assert_eq!(read_packet(&mut stream), (0x20, vec![0, 0]));
                let topic = format!("{DEVICE}/rpc-resp/{CLIENT}/rpc");
                let subscribe = [vec![0, 1], text(&topic), vec![1]].concat();
                stream.write_all(&packet(0x82, &subscribe)).unwrap();
                assert_eq!(read_packet(&mut stream), (0x90, vec![0, 1, 1]));
                Self::Mqtt(stream)
            }
        }
    }

    /// `src` of requests.
    pub(crate) fn source(&self) -> String {
        match self {
            Self::Mqtt(_) => format!("{DEVICE}/rpc-resp/{CLIENT}"),
            _ => "mos".to_owned(),
        }
    }

    /// Sends a frame in its wrapping.
    pub(crate) fn send(&mut self, frame: &str) {
        match self {
            Self::Http(address, stream) => {
                let length = frame.len();
                let head =
                    format!("POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
                let stream = stream.insert(tcp(*address));
                stream.write_all((head + frame).as_bytes()).unwrap();
            }
            Self::WebSocket(stream) => {
                stream.write_all(&masked(0x81, [9, 8, 7, 6], frame.as_bytes())).unwrap();
            }
            Self::Tcp(stream) => {
                stream.write_all(format!("\n\"\"\"{frame}\"\"\"\n").as_bytes()).unwrap();
            }
            Self::Udp(socket) => drop(socket.send(frame.as_bytes()).unwrap()),
            Self::Serial(tty) => {
                let crc = ota_core::crc::crc32(frame.as_bytes());
                tty.write_all(format!("\n\"\"\"{frame}{crc:08x}\"\"\"\n").as_bytes()).unwrap();
            }
            Self::Mqtt(stream) => publish(stream, 0x32, frame),
        }
    }

    /// Sends a frame that the broker is to keep for who subscribes later.
    pub(crate) fn publish_retained(&mut self, frame: &str) {
        let Self::Mqtt(stream) = self else { panic!("only a broker keeps messages") };
        publish(stream, 0x33, frame);
    }

    /// The next frame. Over HTTP the body, if there is one.
    pub(crate) fn receive(&mut self) -> String {
        match self {
            Self::Http(_, stream) => {
                let mut stream = stream.take().unwrap();
                let head = read_head(&mut stream);
                let mut body = String::new();
                stream.read_to_string(&mut body).unwrap();
                match head.split(' ').nth(1).unwrap() {
                    "200" => body.trim().to_owned(),
                    status => format!("HTTP {status} {}", body.trim()),
                }
            }
            Self::WebSocket(stream) => String::from_utf8(read_message(stream).1).unwrap(),
            Self::Tcp(stream) => line(stream),
            Self::Udp(socket) => {
                let mut buffer = [0; 4096];
                let length = socket.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..length].to_vec()).unwrap()
            }
            Self::Serial(tty) => {
                let line = line(&mut Tty(tty));
                let (frame, crc) = line.split_at(line.rfind('}').unwrap() + 1);
                let expected = ota_core::crc::crc32(frame.as_bytes());
                assert_eq!(u32::from_str_radix(crc, 16), Ok(expected), "{line}");
                frame.to_owned()
            }
            Self::Mqtt(stream) => loop {
                let (kind, body) = read_packet(stream);
                if kind >> 4 == 3 {
                    assert_eq!(kind, 0x32, "QoS 1, not retained");
                    let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    stream.write_all(&packet(0x40, &body[topic..topic + 2])).unwrap();
                    return String::from_utf8(body[topic + 2..].to_vec()).unwrap();
                }
            },
        }
    }

    pub(crate) fn exchange(&mut self, frame: &str) -> String {
        self.send(frame);
        self.receive()
    }
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A tty whose reads come to an end.
pub(crate) struct Tty<'f>(pub(crate) &'f mut File);

impl Read for Tty<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&timeout))?;
        assert_ne!(ready, 0, "nothing comes on the serial line");
        self.0.read(buffer)
    }
}

/// The frame on the next line that has one, without its quotes.
fn line(stream: &mut impl Read) -> String {
    let mut line = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte[0] {
            b'\n' if line.contains('{') => return line.trim_matches('"').to_owned(),
            b'\n' => line.clear(),
            0x11 | 0x13 => {}
            byte => line.push(char::from(byte)),
        }
    }
}

/// Up to the empty line.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A WebSocket frame of a client.
pub(crate) fn masked(kind: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Kind and payload of a server's WebSocket frame.
pub(crate) fn read_message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// A text of MQTT.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let digit = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { digit | 128 } else { digit });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Sends a frame to a device by a packet of this kind.
fn publish(stream: &mut TcpStream, kind: u8, frame: &str) {
    let topic = text(&format!("{DEVICE}/rpc"));
    let publish = [topic, vec![0, 7], frame.as_bytes().to_vec()].concat();
    stream.write_all(&packet(kind, &publish)).unwrap();
}

pub(crate) fn read_packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    let kind = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).unwrap();
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (kind, body)
}
