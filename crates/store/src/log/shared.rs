//! What the writer, the readers and the syncers of one log have in common.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::error::LogError;
use super::record::RecordNumber;
use super::segment::{Index, Segment};
use crate::storage::Storage;

/// A segment and where its written records lie.
pub(super) struct Entry {
    pub(super) segment: Arc<Segment>,
    pub(super) index: Index,
}

impl Entry {
    /// A segment that has no record yet.
    pub(super) fn begun(segment: Segment) -> Self {
        let index = Index::new(segment.header_bytes);
        Entry {
            segment: Arc::new(segment),
            index,
        }
    }
}

pub(super) struct State {
    /// Oldest first; the last one is being written. Invariant: never empty.
    pub(super) segments: VecDeque<Entry>,
    pub(super) written: u64,
    /// Invariant: at most `written`, and never lowered.
    pub(super) synced: u64,
    pub(super) poison: Option<Arc<str>>,
}

impl State {
    /// The newest record that a reader may see: after a failure, only what is known to be on the disk.
    pub(super) fn readable(&self) -> u64 {
        if self.poison.is_some() {
            self.synced
        } else {
            self.written
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.segments
            .front()
            .expect("invariant: a log has a segment")
            .segment
            .first
    }

    /// The segment that holds a record, or will when it is written.
    pub(super) fn holding(&self, number: u64) -> Option<&Entry> {
        let after = self
            .segments
            .partition_point(|entry| entry.segment.first <= number);
        self.segments.get(after.checked_sub(1)?)
    }
}

pub(super) struct Shared {
    pub(super) storage: Arc<dyn Storage>,
    state: RwLock<State>,
    /// Syncs take turns: the system reports a failed write-back once per open file, so of two at the same time one
    /// could hear that all is well.
    sync_turn: Mutex<()>,
    /// Markers of cuts, and the last record that was there when the log was opened.
    cut_markers: Mutex<Vec<String>>,
    opened_at: u64,
}

impl Shared {
    pub(super) fn new(storage: Arc<dyn Storage>, state: State, cut_markers: Vec<String>) -> Self {
        Shared {
            storage,
            opened_at: state.written,
            state: RwLock::new(state),
            sync_turn: Mutex::default(),
            cut_markers: Mutex::new(cut_markers),
        }
    }

    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment that is being written.
    pub(super) fn current(&self) -> Arc<Segment> {
        Arc::clone(
            &self
                .state()
                .segments
                .back()
                .expect("invariant: a log has a segment")
                .segment,
        )
    }

    /// Lets readers see records that have just been written to the current segment.
    pub(super) fn written(&self, first: u64, sizes: &[u64]) {
        let mut state = self.state_mut();
        let current = state
            .segments
            .back_mut()
            .expect("invariant: a log has a segment");
        for (number, size) in (first..).zip(sizes) {
            current.index.push(number, *size);
        }
        state.written = first + sizes.len() as u64 - 1;
    }

    pub(super) fn check_poison(&self) -> Result<(), LogError> {
        match &self.state().poison {
            Some(cause) => Err(LogError::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => Ok(()),
        }
    }

    /// Remembers the first failure, and hands it back to be returned.
    pub(super) fn poison(&self, error: LogError) -> LogError {
        let mut state = self.state_mut();
        if state.poison.is_none() {
            state.poison = Some(error.to_string().into());
        }
        error
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> Result<RecordNumber, LogError> {
        let _turn = guard(&self.sync_turn);
        self.check_poison()?;
        let (segment, written, synced) = {
            let state = self.state();
            let current = state
                .segments
                .back()
                .expect("invariant: a log has a segment");
            (Arc::clone(&current.segment), state.written, state.synced)
        };
        if written > synced {
            // The lock is free meanwhile: readers go on, and so does the writer when a `LogSyncer` is here.
            segment
                .file
                .sync_data()
                .map_err(|source| self.fail(&segment.name, "sync", source))?;
            let mut state = self.state_mut();
            state.synced = state.synced.max(written);
        }
        self.forget_cut(written)?;
        Ok(RecordNumber(written))
    }

    /// The owner has drawn its conclusion from a cut once something that it appended afterwards is durable.
    fn forget_cut(&self, synced: u64) -> Result<(), LogError> {
        let mut markers = guard(&self.cut_markers);
        if markers.is_empty() || synced <= self.opened_at {
            return Ok(());
        }
        for marker in markers.drain(..) {
            self.storage
                .remove(&marker)
                .map_err(|source| self.fail(&marker, "remove", source))?;
        }
        self.storage
            .sync_dir()
            .map_err(|source| self.fail("", "sync", source))
    }

    pub(super) fn fail(&self, name: &str, doing: &'static str, source: std::io::Error) -> LogError {
        self.poison(LogError::io(self.storage.place(name), doing, source))
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
