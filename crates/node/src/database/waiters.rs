//! Tasks that wait until the log is durable through a place.

use std::task::Waker;

use isles_replica::Position;
use parking_lot::Mutex;

/// Who waits for what. A task that polls again leaves another waker; both are woken, once.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: Mutex<Vec<(Position, Waker)>>,
}

impl Waiters {
    pub(super) fn push(&self, position: Position, waker: &Waker) {
        self.waiting.lock().push((position, waker.clone()));
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Wakes everyone who waits for a place at or before `durable`.
    pub(super) fn wake(&self, durable: Position) {
        let mut waiting = self.waiting.lock();
        if waiting.iter().all(|(position, _)| *position <= durable) {
            let all = std::mem::take(&mut *waiting);
            drop(waiting);
            all.into_iter().for_each(|(_, waker)| waker.wake());
            return;
        }
        let (ready, rest) = std::mem::take(&mut *waiting)
            .into_iter()
            .partition(|(position, _)| *position <= durable);
        *waiting = rest;
        drop(waiting);
        let ready: Vec<(Position, Waker)> = ready;
        ready.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn wake_all(&self) {
        std::mem::take(&mut *self.waiting.lock())
            .into_iter()
            .for_each(|(_, waker)| waker.wake());
    }
}
