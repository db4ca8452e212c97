//! Who is connected to a server. When all places are taken, the connection that was silent for the
//! longest is ended for a new one, if possible one that waits for no reply.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{AbortHandle, Id};
use tokio::time::{Sleep, sleep};

/// Those who are connected.
pub(super) struct Guests {
    places: usize,
    /// Counts signs of life: on a busy computer many fall into one tick of a clock.
    signs: Arc<AtomicU64>,
    tasks: HashMap<Id, (AbortHandle, Arc<LastSeen>)>,
}

/// When a connection was heard last.
pub(super) struct LastSeen {
    signs: Arc<AtomicU64>,
    /// The number of its last sign of life.
    last: AtomicU64,
    /// Requests that wait for their replies.
    pending: AtomicUsize,
}

/// A request that waits for its reply, until this is dropped.
pub(super) struct Waiting(Arc<LastSeen>);

impl Guests {
    pub(super) fn new(places: usize) -> Self {
        Self { places, signs: Arc::default(), tasks: HashMap::new() }
    }

    /// For the next connection.
    pub(super) fn clock(&self) -> Arc<LastSeen> {
        let signs = Arc::clone(&self.signs);
        let seen = LastSeen { signs, last: AtomicU64::new(0), pending: AtomicUsize::new(0) };
        seen.touch();
        Arc::new(seen)
    }

    /// Ends the connection that was silent for the longest, if all places are taken.
    pub(super) fn make_room(&mut self) {
        if self.tasks.len() < self.places {
            return;
        }
        let oldest = self.tasks.iter().min_by_key(|(_, (_, seen))| seen.order());
        if let Some(id) = oldest.map(|(id, _)| *id)
            && let Some((task, _)) = self.tasks.remove(&id)
        {
            task.abort();
        }
    }

    pub(super) fn add(&mut self, task: AbortHandle, seen: Arc<LastSeen>) {
        self.tasks.insert(task.id(), (task, seen));
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.tasks.remove(&id);
    }
}

impl LastSeen {
    pub(super) fn touch(&self) {
        self.last.store(self.signs.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn waits(self: &Arc<Self>) -> Waiting {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// Those that wait last, and of either the silent ones first.
    fn order(&self) -> (bool, u64) {
        (self.pending.load(Ordering::Relaxed) > 0, self.last.load(Ordering::Relaxed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection whose guest is seen when bytes move, and that fails when its peer reads nothing for
/// too long.
pub(super) struct Watched<S> {
    stream: S,
    seen: Arc<LastSeen>,
    write_time: Duration,
    /// Nothing can be written; then it is enough.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, seen: Arc<LastSeen>, write_time: Duration) -> Self {
        Self { stream, seen, write_time, deadline: None }
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            self.seen.touch();
            return written;
        }
        let time = self.write_time;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.seen.touch();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What comes of writing 100 bytes to who reads 10 of them every so often.
    async fn write_to_reader(pause: Duration) -> io::Result<()> {
        let (near, mut far) = duplex(10);
        let mut watched = Watched::new(near, Guests::new(1).clock(), Duration::from_millis(400));
        let reader = async {
            loop {
                sleep(pause).await;
                far.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        tokio::select! {
            written = watched.write_all(&[0; 100]) => written,
            () = reader => unreachable!(),
        }
    }

    #[test]
    fn who_reads_nothing_is_given_up_and_who_reads_slowly_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            // All of it takes longer than one pause may.
            write_to_reader(Duration::from_millis(60)).await.unwrap();
            let error = write_to_reader(Duration::from_secs(60)).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
