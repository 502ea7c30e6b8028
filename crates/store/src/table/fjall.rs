//! The table on fjall, a log-structured merge tree.
//!
//! It is never the only copy of what is in the log: one flipped bit in fjall's journal reopened silently with half of
//! its batches, so the owner checks what it finds (checkpoint number, sums) against the log and rebuilds on a
//! mismatch. For the same reason this uses nothing of fjall that had a fault lately: no value separation, no `clear`,
//! no ingestion, no weak deletes, one keyspace.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{Batch, KEY_BYTES_MAX, Table, TableError, TableSnapshot, Visitor};

const KEYSPACE: &str = "rows";

/// How long [`Table::flush`] waits for fjall's workers before it says that they are stuck.
const FLUSH_SECONDS_MAX: u64 = 120;
const FLUSH_POLL: Duration = Duration::from_millis(2);

/// How much memory and how many threads the engine may take.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FjallConfig {
    /// The cache of blocks read. 128 MiB unless set.
    pub cache_bytes: u64,
    /// How much is collected in memory before it is written to a file. 32 MiB unless set.
    pub memtable_bytes: u64,
    /// Threads that write and compact files. 2 unless set.
    pub worker_threads: usize,
}

impl Default for FjallConfig {
    fn default() -> Self {
        FjallConfig {
            cache_bytes: 128 << 20,
            memtable_bytes: 32 << 20,
            worker_threads: 2,
        }
    }
}

impl FjallConfig {
    /// The same with another cache size.
    #[must_use]
    pub fn with_cache_bytes(mut self, cache_bytes: u64) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }

    /// The same with another memtable size.
    #[must_use]
    pub fn with_memtable_bytes(mut self, memtable_bytes: u64) -> Self {
        self.memtable_bytes = memtable_bytes;
        self
    }
}

/// A table in a directory, kept by fjall. Calls may block for as long as the disk does: keep them off async threads.
pub struct FjallTable {
    engine: Engine,
}

/// What a table and its snapshots hold on to.
#[derive(Clone)]
struct Engine {
    rows: Keyspace,
    db: Database,
    path: PathBuf,
}

impl FjallTable {
    /// Opens the table in `path`, or creates it.
    ///
    /// # Errors
    /// [`TableError::Damaged`] is an ordinary event: the directory can be moved away and the table rebuilt.
    pub fn open(path: impl AsRef<Path>, config: &FjallConfig) -> Result<Self, TableError> {
        let path = path.as_ref().to_owned();
        let fail = |error| explain(&path, "open", error);
        let db = Database::builder(&path)
            .cache_size(config.cache_bytes)
            .worker_threads(config.worker_threads.max(1))
            .open()
            .map_err(fail)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(config.memtable_bytes);
        let rows = db.keyspace(KEYSPACE, options).map_err(fail)?;
        Ok(FjallTable {
            engine: Engine { rows, db, path },
        })
    }
}

impl Engine {
    fn fail(&self, doing: &'static str) -> impl Fn(fjall::Error) -> TableError {
        let path = self.path.clone();
        move |error| explain(&path, doing, error)
    }
}

impl Table for FjallTable {
    /// Through a snapshot, as everything is read: after the loss of a journal the engine shows by key what it shows in
    /// no scan.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.snapshot().get(key)
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
        let rows = &self.engine.rows;
        let mut changes = self.engine.db.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in batch.into_changes() {
            match value {
                Some(value) => changes.insert(rows, key, value),
                None => changes.remove(rows, key),
            }
        }
        changes.commit().map_err(self.engine.fail("write to"))
    }

    fn persist(&self) -> Result<(), TableError> {
        self.engine
            .db
            .persist(PersistMode::SyncAll)
            .map_err(self.engine.fail("sync"))
    }

    fn flush(&self) -> Result<(), TableError> {
        self.persist()?;
        let fail = self.engine.fail("flush");
        self.engine.rows.rotate_memtable().map_err(&fail)?;
        let start = Instant::now();
        while self.engine.rows.sealed_memtable_count() > 0 {
            // fjall's own wait never ends when a worker has died; a persist notices that.
            self.engine.db.persist(PersistMode::Buffer).map_err(&fail)?;
            if start.elapsed() > Duration::from_secs(FLUSH_SECONDS_MAX) {
                let place = self.engine.path.display().to_string();
                return Err(TableError::Stalled {
                    place,
                    seconds: FLUSH_SECONDS_MAX,
                });
            }
            std::thread::sleep(FLUSH_POLL);
        }
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn TableSnapshot> {
        Box::new(FjallSnapshot {
            snapshot: self.engine.db.snapshot(),
            engine: self.engine.clone(),
        })
    }

    fn bytes(&self) -> u64 {
        self.engine
            .db
            .disk_space()
            .unwrap_or_else(|_| self.engine.rows.disk_space())
    }
}

struct FjallSnapshot {
    snapshot: fjall::Snapshot,
    engine: Engine,
}

impl TableSnapshot for FjallSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        if !storable(key) {
            return Ok(None);
        }
        let value = self
            .snapshot
            .get(&self.engine.rows, key)
            .map_err(self.engine.fail("read"))?;
        Ok(value.map(|value| value.to_vec()))
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
        let bounds = (
            Bound::Included(from),
            to.map_or(Bound::Unbounded, Bound::Excluded),
        );
        for row in self.snapshot.range::<&[u8], _>(&self.engine.rows, bounds) {
            let (key, value) = row.into_inner().map_err(self.engine.fail("read"))?;
            if let ControlFlow::Break(()) = visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

/// fjall panics on keys that it cannot hold; they cannot be there either.
fn storable(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

/// Says what an operator can do about it; fjall's own texts are its debug output.
fn explain(path: &Path, doing: &'static str, error: fjall::Error) -> TableError {
    let place = path.display().to_string();
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => {
            TableError::Io {
                place,
                doing,
                source,
            }
        }
        fjall::Error::Poisoned => TableError::Poisoned { place },
        fjall::Error::Locked => TableError::Locked { place },
        fjall::Error::InvalidVersion(_)
        | fjall::Error::Storage(fjall::LsmError::InvalidVersion(_)) => TableError::Format { place },
        fjall::Error::JournalRecovery(_) => TableError::Damaged {
            place,
            reason: "its journal does not verify".into(),
        },
        fjall::Error::Storage(fjall::LsmError::ChecksumMismatch { .. }) => TableError::Damaged {
            place,
            reason: "a block does not verify".into(),
        },
        fjall::Error::Unrecoverable | fjall::Error::Storage(fjall::LsmError::Unrecoverable) => {
            TableError::Damaged {
                place,
                reason: "a file is missing or unreadable".into(),
            }
        }
        _ => TableError::Damaged {
            place,
            reason: "its files cannot be decoded".into(),
        },
    }
}
