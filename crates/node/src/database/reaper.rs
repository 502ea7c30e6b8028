//! A thread that drops what was removed: freeing a million elements takes a tenth of a second.

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use isles_replica::Garbage;

/// How many holds' garbage may wait. Whoever has more drops it itself, so that memory does not grow faster than it is freed.
const QUEUE_MAX: usize = 64;

/// The `nice` value of the thread, which on Linux is its own and not its process's: it runs when nobody else wants to.
const LEAST_PRIORITY: i32 = 19;

/// The way to the thread, which ends with it.
pub(super) struct Reaper(SyncSender<Garbage>);

impl Reaper {
    pub(super) fn spawn() -> Reaper {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("isles-reaper".to_owned())
            .spawn(move || {
                // Best effort: without it this thread takes its turn like those that serve clients.
                let _ = rustix::process::setpriority_process(None, LEAST_PRIORITY);
                receiver.into_iter().for_each(drop::<Garbage>);
            })
            .expect("the machine has room for the reaper's thread");
        Reaper(sender)
    }

    /// Hands it over; not to be called under a lock, since a full queue means to drop it here.
    pub(super) fn reap(&self, garbage: Garbage) {
        if garbage.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(garbage) | TrySendError::Disconnected(garbage)) =
            self.0.try_send(garbage)
        {
            drop(garbage);
        }
    }
}
