//! Checkpoints that clients ask for, and what is known of the last one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isles_resp::EngineStopped;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Database, wall_ms};

/// Written by the checkpointer, read by anyone.
pub(super) struct Saves {
    /// Checkpoints asked for.
    asked: AtomicU64,
    /// How many of these are answered by checkpoints that are done.
    done: watch::Sender<u64>,
    known: Mutex<Known>,
}

struct Known {
    last_ms: u64,
    last_took: Option<Duration>,
    /// Since when one is being made.
    since: Option<Instant>,
    total: u64,
    /// Entries written when the last one began.
    entries: u64,
}

impl Saves {
    pub(super) fn new() -> Saves {
        Saves {
            asked: AtomicU64::new(0),
            done: watch::Sender::new(0),
            known: Mutex::new(Known {
                last_ms: wall_ms(),
                last_took: None,
                since: None,
                total: 0,
                entries: 0,
            }),
        }
    }

    /// Whether somebody wants one that has not begun.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) > *self.done.borrow()
    }

    /// A checkpoint begins, that holds all of these entries; returns what [`end`](Self::end) is told.
    pub(super) fn begin(&self, entries: u64) -> Begun {
        let asked = self.asked.load(Ordering::Acquire);
        let started = Instant::now();
        self.known.lock().since = Some(started);
        Begun {
            asked,
            entries,
            started,
        }
    }

    /// It is on disk.
    pub(super) fn end(&self, begun: &Begun) {
        let mut known = self.known.lock();
        *known = Known {
            last_ms: wall_ms(),
            last_took: Some(begun.started.elapsed()),
            since: None,
            total: known.total + 1,
            entries: begun.entries,
        };
        drop(known);
        self.done.send_replace(begun.asked);
    }

    /// Wakes those who wait, because nothing will ever come.
    pub(super) fn wake(&self) {
        self.done.send_modify(|_| {});
    }
}

/// A checkpoint under way.
pub(super) struct Begun {
    /// Who had asked by then gets what they asked for.
    asked: u64,
    entries: u64,
    started: Instant,
}

impl Database {
    /// Makes a checkpoint that holds everything written until now, and waits for it.
    ///
    /// # Errors
    /// The log has stopped.
    pub(crate) async fn save(&self) -> Result<(), EngineStopped> {
        let mut done = self.saves.done.subscribe();
        let number = self.ask_for_checkpoint();
        loop {
            if *done.borrow_and_update() >= number {
                return Ok(());
            }
            if self.failure().is_some() || done.changed().await.is_err() {
                return Err(EngineStopped);
            }
        }
    }

    /// Has a checkpoint made soon; says whether none was being made already.
    pub(crate) fn begin_save(&self) -> bool {
        let free = self.saves.known.lock().since.is_none() && !self.saves.is_asked();
        if free {
            self.ask_for_checkpoint();
        }
        free
    }

    /// What is known of the checkpoints.
    pub(crate) fn saves(&self) -> isles_resp::Saves {
        let known = self.saves.known.lock();
        let waits = self.saves.is_asked().then_some(Duration::ZERO);
        let written = self.written_entries.load(Ordering::Relaxed);
        isles_resp::Saves {
            last_ms: known.last_ms,
            last_took: known.last_took,
            current: known.since.map(|since| since.elapsed()).or(waits),
            total: known.total,
            changes: written - known.entries,
            is_log_broken: self.failure().is_some(),
        }
    }

    pub(super) fn ask_for_checkpoint(&self) -> u64 {
        let number = self.saves.asked.fetch_add(1, Ordering::AcqRel) + 1;
        if let Some(thread) = self.checkpoint_thread.get() {
            thread.unpark();
        }
        number
    }
}
