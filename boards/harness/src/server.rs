//! A server of one file, which stops in the middle until it is told to go on.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

/// Serves a file on loopback, whatever path is asked for, until it is dropped.
pub(crate) struct Server {
    /// The port.
    pub(crate) port: u16,
    go_on: Option<Sender<()>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(file: Vec<u8>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (go_on, gate) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            // Whoever hangs up may come again.
            while let (Ok((stream, _)), false) = (listener.accept(), over.load(Ordering::Relaxed)) {
                let _ = answer(stream, &file, &gate);
            }
        });
        Ok(Self { port, go_on: Some(go_on), is_over, thread: Some(thread) })
    }

    /// Lets it send the second half.
    pub(crate) fn go_on(&self) {
        let _ = self.go_on.as_ref().map(|gate| gate.send(()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without a sender the gate does not hold.
        self.go_on = None;
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, file: &[u8], gate: &Receiver<()>) -> Result<()> {
    let mut start = 0;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse::<usize>().context("a range")?;
        }
    }
    let wanted = file.get(start..).context("a range behind the end")?;
    let status = if start == 0 { "200 OK".to_owned() } else { partial(start, file.len()) };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", wanted.len())?;
    let (first, second) = wanted.split_at(wanted.len() / 2);
    stream.write_all(first)?;
    let _ = gate.recv();
    Ok(stream.write_all(second)?)
}

fn partial(start: usize, length: usize) -> String {
    format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{length}", length - 1)
}
