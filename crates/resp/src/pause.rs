//! CLIENT PAUSE: commands of clients wait until it is over. What peers write is applied meanwhile.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::clients::Client;

/// Which commands wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Paused {
    #[default]
    Nothing,
    /// Those that write, or whose effects reach other nodes.
    Writes,
    Everything,
}

/// Nobody means longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The pause of all clients of a listener.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    paused: AtomicU8,
    until: Mutex<Option<Instant>>,
    changed: Notify,
    waiting: AtomicUsize,
}

impl Pause {
    /// What waits now: one look at a byte while nothing does.
    #[inline]
    pub(crate) fn now(&self) -> Paused {
        match self.paused.load(Ordering::Relaxed) {
            0 => Paused::Nothing,
            kind => self.look(kind),
        }
    }

    /// Begins a pause, or makes one longer and stricter.
    pub(crate) fn begin(&self, paused: Paused, length: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let end = Instant::now() + length.min(PAUSE_MAX);
        *until = Some(until.map_or(end, |earlier| earlier.max(end)));
        self.paused.fetch_max(paused as u8, Ordering::Relaxed);
        drop(until);
        self.changed.notify_waiters();
    }

    pub(crate) fn end(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.paused.store(0, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Clients that wait for the end of the pause.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until the pause changes or is over, or the client is killed.
    pub(crate) async fn wait(&self, client: &Client) {
        let _waiting = Waiting::begin(&self.waiting);
        let mut changed = pin!(self.changed.notified());
        changed.as_mut().enable();
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = until else { return };
        let mut over = pin!(tokio::time::sleep_until(until.into()));
        poll_fn(|context| {
            let ready = client.is_killed()
                || changed.as_mut().poll(context).is_ready()
                || over.as_mut().poll(context).is_ready();
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[cold]
    fn look(&self, kind: u8) -> Paused {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_none_or(|until| until <= Instant::now()) {
            self.end();
            return Paused::Nothing;
        }
        match kind {
            1 => Paused::Writes,
            _ => Paused::Everything,
        }
    }
}

/// One client that waits; also when its connection is dropped meanwhile.
struct Waiting<'p>(&'p AtomicUsize);

impl<'p> Waiting<'p> {
    fn begin(waiting: &'p AtomicUsize) -> Waiting<'p> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
