//! Commands on their way to the device, and the numbers of the requests that they are about.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ota_rpc::ChannelId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How many commands may wait for the device.
const COMMANDS: usize = 256;

/// The end for those who want something of the device.
pub(super) struct Queue<C> {
    sender: mpsc::UnboundedSender<Queued<C>>,
    room: Arc<Semaphore>,
}

/// The device's end.
pub(super) struct Commands<C>(mpsc::UnboundedReceiver<Queued<C>>);

/// A command, and its place in the queue.
struct Queued<C>(C, Option<OwnedSemaphorePermit>);

/// An empty queue.
pub(super) fn queue<C>() -> (Queue<C>, Commands<C>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(COMMANDS));
    (Queue { sender, room }, Commands(receiver))
}

impl<C> Queue<C> {
    /// Hands a command over when there is room for it. A device that has stopped takes none: what
    /// the command holds is dropped.
    pub(super) async fn send(&self, command: C) {
        // It is never closed.
        let place = Arc::clone(&self.room).acquire_owned().await.ok();
        let _ = self.sender.send(Queued(command, place));
    }

    /// The same without waiting for room: for what ends a request, which comes once for each. False
    /// if the device has stopped.
    pub(super) fn send_at_once(&self, command: C) -> bool {
        self.sender.send(Queued(command, None)).is_ok()
    }
}

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), room: Arc::clone(&self.room) }
    }
}

impl<C> Commands<C> {
    /// The next command, in the order in which they were sent. None if nobody can send any more.
    pub(super) async fn next(&mut self) -> Option<C> {
        self.0.recv().await.map(|Queued(command, _place)| command)
    }
}

/// The numbers of requests. One is taken until the device knows that its request has ended, so that
/// nothing that is said of one request is ever taken for another's.
pub(super) struct Numbers {
    free: Semaphore,
    taken: Mutex<Taken>,
}

struct Taken {
    last: ChannelId,
    numbers: HashSet<u16>,
}

impl Numbers {
    /// All but `reserved` are free.
    pub(super) fn new(reserved: ChannelId) -> Self {
        let free = Semaphore::new(usize::from(u16::MAX));
        let taken = Taken { last: reserved, numbers: HashSet::from([reserved.0]) };
        Self { free, taken: Mutex::new(taken) }
    }

    /// A number that no request under way has. Waits while there is none.
    pub(super) async fn take(&self) -> ChannelId {
        // It is never closed.
        if let Ok(permit) = self.free.acquire().await {
            permit.forget();
        }
        let mut taken = self.taken();
        loop {
            taken.last.0 = taken.last.0.wrapping_add(1);
            let number = taken.last;
            if taken.numbers.insert(number.0) {
                return number;
            }
        }
    }

    /// The request with this number has ended.
    pub(super) fn free(&self, number: ChannelId) {
        if self.taken().numbers.remove(&number.0) {
            self.free.add_permits(1);
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_number_is_not_given_twice_until_it_is_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let numbers = Numbers::new(ChannelId(0));
            for expected in 1..=u16::MAX {
                assert_eq!(numbers.take().await, ChannelId(expected));
            }
            let wait = Duration::from_millis(20);
            assert!(timeout(wait, numbers.take()).await.is_err(), "there is none");
            // Twice frees no other one.
            numbers.free(ChannelId(777));
            numbers.free(ChannelId(777));
            assert_eq!(numbers.take().await, ChannelId(777));
            assert!(timeout(wait, numbers.take()).await.is_err());
        });
    }

    #[test]
    fn what_ends_a_request_needs_no_room_and_keeps_its_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (queue, mut commands) = queue();
            for command in 0..COMMANDS {
                queue.send(command).await;
            }
            let wait = Duration::from_millis(20);
            assert!(timeout(wait, queue.send(0)).await.is_err(), "there is no room");
            assert!(queue.send_at_once(COMMANDS));
            for expected in 0..=COMMANDS {
                assert_eq!(commands.next().await, Some(expected));
            }
            queue.send(0).await;
            drop(commands);
            assert!(!queue.send_at_once(0));
        });
    }
}
