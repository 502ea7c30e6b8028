//! A table in memory, for ephemeral nodes and for simulation.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Table, TableError, TableSnapshot, Visitor};

type Rows = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// What a key had before a batch.
type Before = Option<Arc<[u8]>>;

/// Rows in a sorted map. Clones share the rows; [`MemoryTable::fork`] copies them.
///
/// A snapshot costs nothing when taken and a copy of the map at the first write while it lives.
#[derive(Clone, Default)]
pub struct MemoryTable {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Clone, Default)]
struct Inner {
    rows: Arc<Rows>,
    bytes: u64,
    /// How to take back each batch since the last persist, oldest first.
    undo: Vec<Vec<(Arc<[u8]>, Before)>>,
}

impl MemoryTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// An independent copy, with the same memory of what has been persisted.
    pub fn fork(&self) -> Self {
        MemoryTable {
            inner: Arc::new(Mutex::new(self.lock().clone())),
        }
    }

    /// The machine crashes: everything since the last [`Table::persist`] is lost.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// The machine crashes: of the batches since the last [`Table::persist`] the first `batches` survive.
    pub fn crash_keeping(&self, batches: usize) {
        let mut inner = self.lock();
        while inner.undo.len() > batches {
            let taken_back = inner.undo.pop().expect("invariant: just counted");
            for (key, before) in taken_back.into_iter().rev() {
                inner.set(key, before);
            }
        }
        inner.undo.clear();
    }

    /// How many batches would be at risk in a crash.
    pub fn unpersisted(&self) -> usize {
        self.lock().undo.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn set(&mut self, key: Arc<[u8]>, value: Option<Arc<[u8]>>) -> Option<Arc<[u8]>> {
        let rows = Arc::make_mut(&mut self.rows);
        let key_bytes = key.len() as u64;
        let before = match value {
            Some(value) => {
                self.bytes += key_bytes + value.len() as u64;
                rows.insert(key, value)
            }
            None => rows.remove(&key),
        };
        if let Some(before) = &before {
            self.bytes -= key_bytes + before.len() as u64;
        }
        before
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.lock().rows.get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        self.snapshot().scan(from, to, visit)
    }

    fn write(&self, batch: Batch) -> Result<(), TableError> {
        batch.check()?;
        let mut inner = self.lock();
        let mut undo = Vec::with_capacity(batch.len());
        for (key, value) in batch.into_changes() {
            let key: Arc<[u8]> = key.into();
            let before = inner.set(Arc::clone(&key), value.map(Arc::from));
            undo.push((key, before));
        }
        inner.undo.push(undo);
        Ok(())
    }

    fn persist(&self) -> Result<(), TableError> {
        self.lock().undo.clear();
        Ok(())
    }

    fn flush(&self) -> Result<(), TableError> {
        self.persist()
    }

    fn snapshot(&self) -> Box<dyn TableSnapshot> {
        Box::new(MemorySnapshot {
            rows: Arc::clone(&self.lock().rows),
        })
    }

    fn bytes(&self) -> u64 {
        self.lock().bytes
    }
}

struct MemorySnapshot {
    rows: Arc<Rows>,
}

impl TableSnapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.rows.get(key).map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in self.rows.range::<[u8], _>((Bound::Included(from), to)) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}
