//! The table on an object store, by slatedb, a log-structured merge tree of immutable objects.
//!
//! The port is synchronous and slatedb is not, so a table owns a small runtime, on which uploads, compaction and timers
//! run, and what a call waits for is polled on the calling thread. See [`SlateTable`] for why it takes no handle of another.

mod wait;

use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slatedb::config::{
    CloseOptions, CompactionWorkerOptions, CompactorOptions, FlushOptions, FlushType, ScanOptions,
    Settings, WriteOptions,
};
use slatedb::db_cache::SplitCache;
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::object_store::ObjectStore;
use slatedb::object_store::local::LocalFileSystem;
use slatedb::{CloseReason, Db, DbSnapshot, Error, ErrorKind, WriteBatch};
use tokio::runtime::Runtime;

use super::{Batch, KEY_BYTES_MAX, Table, TableError, TableSnapshot, Visitor};

/// Where the table lies within a directory that is a store of its own.
const WITHIN_DIRECTORY: &str = "table";

/// How long dropping a table waits for uploads under way.
const CLOSE: Duration = Duration::from_secs(10);

/// One request of a scan: a store answers a megabyte in about the time of a block.
const SCAN_REQUEST_BYTES: usize = 1 << 20;
/// Requests of a scan under way at once.
const SCAN_REQUESTS: usize = 4;

/// Objects that flushes have made and no compaction has merged yet: at so many a flush waits for one.
const FLUSHED_OBJECTS_MAX: usize = 16;

/// How much memory a table on an object store may take, how often it asks the store, and how long it waits for it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlateConfig {
    /// The cache of blocks, indexes and filters. 128 MiB unless set.
    pub cache_bytes: usize,
    /// How much is collected in memory before it is made an object. 32 MiB unless set.
    pub memtable_bytes: usize,
    /// How much may wait for its upload before a write waits too. 256 MiB unless set, and always more than
    /// `memtable_bytes`.
    pub unflushed_bytes_max: usize,
    /// How often what was written is uploaded unasked, so that a persist finds less to do. 1 s unless set.
    pub upload: Duration,
    /// How often the store is asked for a newer manifest and for compactions to do; each costs requests. 1 s unless set.
    pub poll: Duration,
    /// How long a call waits for the store before it fails with [`TableError::Stalled`]. 2 min unless set.
    pub patience: Duration,
    /// Threads for uploads and compaction. 2 unless set.
    pub threads: usize,
}

impl Default for SlateConfig {
    fn default() -> Self {
        SlateConfig {
            cache_bytes: 128 << 20,
            memtable_bytes: 32 << 20,
            unflushed_bytes_max: 256 << 20,
            upload: Duration::from_secs(1),
            poll: Duration::from_secs(1),
            patience: Duration::from_secs(120),
            threads: 2,
        }
    }
}

impl SlateConfig {
    /// The same with another cache size.
    #[must_use]
    pub fn with_cache_bytes(mut self, cache_bytes: usize) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }

    /// The same with another memtable size.
    #[must_use]
    pub fn with_memtable_bytes(mut self, memtable_bytes: usize) -> Self {
        self.memtable_bytes = memtable_bytes;
        self
    }

    /// The same with another interval at which the store is asked.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// The same with another limit of waiting.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn settings(&self) -> Settings {
        let worker = CompactionWorkerOptions {
            compactions_poll_interval: self.poll,
            ..CompactionWorkerOptions::default()
        };
        let compactor = CompactorOptions {
            poll_interval: self.poll,
            worker: Some(worker),
            ..CompactorOptions::default()
        };
        Settings {
            flush_interval: Some(self.upload),
            manifest_poll_interval: self.poll,
            l0_sst_size_bytes: self.memtable_bytes,
            l0_max_ssts: FLUSHED_OBJECTS_MAX,
            l0_max_ssts_per_key: FLUSHED_OBJECTS_MAX,
            max_unflushed_bytes: self.unflushed_bytes_max.max(self.memtable_bytes + 1),
            compactor_options: Some(compactor),
            ..Settings::default()
        }
    }

    /// A quarter for indexes and filters, which every read asks first.
    fn cache(&self) -> SplitCache {
        let cache = |bytes: usize| -> Arc<dyn slatedb::db_cache::DbCache> {
            Arc::new(MokaCache::new_with_opts(MokaCacheOptions {
                max_capacity: bytes as u64,
                ..MokaCacheOptions::default()
            }))
        };
        let for_indexes = self.cache_bytes / 4;
        SplitCache::new()
            .with_meta_cache(Some(cache(for_indexes)))
            .with_block_cache(Some(cache(self.cache_bytes - for_indexes)))
            .build()
    }
}

/// A table in an object store, kept by slatedb: for data that outgrows the machine's disk.
///
/// What waits for the store, and what does not:
/// - [`Table::write`] returns once the batch is in memory. It waits only while more than
///   [`SlateConfig::unflushed_bytes_max`] have not been uploaded.
/// - [`Table::persist`] and [`Table::flush`] upload, and wait for it.
/// - [`Table::get`] and [`Table::scan`] of rows that are neither in memory nor in the cache wait for the store.
/// - Opening and dropping wait.
///
/// A store that cannot be reached is asked again until [`SlateConfig::patience`] is over.
///
/// It owns a runtime and takes no handle of another's: a table is opened where no runtime is (tools, tests), a runtime of one
/// thread would wait for itself when that thread calls the table, and compaction would run between the requests of
/// clients on a server's own. Calls may be made on any thread, one of a runtime too, which they block.
///
/// Of two processes that open one table the later one has it: the earlier one's calls fail with [`TableError::Locked`].
pub struct SlateTable {
    engine: Arc<Engine>,
}

/// What a table and its snapshots hold on to.
struct Engine {
    db: Db,
    /// There until the engine is dropped.
    runtime: Option<Runtime>,
    place: String,
    patience: Duration,
}

impl SlateTable {
    /// Opens the table at `path` in a store, or creates it.
    ///
    /// Costs some requests, and more of them the more was persisted and not flushed before.
    ///
    /// # Errors
    /// [`TableError::Io`] and [`TableError::Stalled`] if the store cannot be reached, [`TableError::Damaged`] if what is in
    /// it cannot be decoded: this is an ordinary event, the table can be moved away and rebuilt.
    pub fn open(
        store: Arc<dyn ObjectStore>,
        path: &str,
        config: &SlateConfig,
    ) -> Result<Self, TableError> {
        let place = format!("{store}/{path}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("isles-slate")
            .enable_all()
            .build()
            .map_err(|source| io_error(&place, "start threads for", source))?;
        let building = Db::builder(path, store)
            .with_settings(config.settings())
            .with_db_cache(Arc::new(config.cache()), 0)
            .build();
        let opened = wait::wait(&runtime, config.patience, building);
        let db = match opened {
            Some(Ok(db)) => Ok(db),
            Some(Err(error)) => Err(explain(&place, "open", &error)),
            None => Err(stalled(&place, config.patience)),
        };
        match db {
            Ok(db) => Ok(SlateTable {
                engine: Arc::new(Engine {
                    db,
                    runtime: Some(runtime),
                    place,
                    patience: config.patience,
                }),
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Opens the table in a directory, or creates it: an object store of files. To try it, and for disks that are shared.
    /// Every object is synced before it counts.
    ///
    /// # Errors
    /// As [`SlateTable::open`].
    pub fn open_directory(
        path: impl AsRef<Path>,
        config: &SlateConfig,
    ) -> Result<Self, TableError> {
        let path = path.as_ref();
        let place = path.display().to_string();
        std::fs::create_dir_all(path).map_err(|source| io_error(&place, "create", source))?;
        let store = LocalFileSystem::new_with_prefix(path)
            .map_err(|error| io_error(&place, "open", io::Error::other(error.to_string())))?;
        Self::open(Arc::new(store.with_fsync(true)), WITHIN_DIRECTORY, config)
    }
}

impl Engine {
    /// What slatedb answers, once it does.
    fn wait<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, TableError> {
        let runtime = self
            .runtime
            .as_ref()
            .expect("invariant: there until dropped");
        match wait::wait(runtime, self.patience, answer) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(explain(&self.place, doing, &error)),
            None => Err(stalled(&self.place, self.patience)),
        }
    }
}

impl Drop for Engine {
    /// Leaves unpersisted batches behind, as a crash would: an owner who wants them has said persist.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let options = CloseOptions::default().with_flush_type(None);
        // Best effort: whoever opens the table next fences off what is still under way.
        let _ = wait::wait(&runtime, CLOSE, self.db.close_with_options(options));
        runtime.shutdown_background();
    }
}

impl Table for SlateTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        if !storable(key) {
            return Ok(None);
        }
        let value = self.engine.wait("read", self.engine.db.get(key))?;
        Ok(value.map(|value| value.to_vec()))
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
        if batch.is_empty() {
            return Ok(());
        }
        let mut changes = WriteBatch::new();
        for (key, value) in batch.into_changes() {
            match value {
                Some(value) => changes.put_bytes(key.into(), value.into()),
                None => changes.delete(key),
            }
        }
        let options = WriteOptions::default();
        let writing = self.engine.db.write_with_options(changes, &options);
        self.engine.wait("write to", writing)?;
        Ok(())
    }

    fn persist(&self) -> Result<(), TableError> {
        self.engine.wait("persist", self.engine.db.flush())
    }

    fn flush(&self) -> Result<(), TableError> {
        let options = FlushOptions {
            flush_type: FlushType::MemTable,
        };
        let flushing = self.engine.db.flush_with_options(options);
        self.engine.wait("flush", flushing)
    }

    fn snapshot(&self) -> Box<dyn TableSnapshot> {
        Box::new(SlateSnapshot {
            snapshot: self.engine.db.snapshot(),
            engine: Arc::clone(&self.engine),
        })
    }

    /// What the last manifest lists, without what is only in memory or in objects that nobody needs any more.
    fn bytes(&self) -> u64 {
        let manifest = self.engine.db.manifest();
        manifest
            .all_sst_views()
            .map(|view| view.estimate_size())
            .sum()
    }
}

struct SlateSnapshot {
    /// Or why there is none, which whoever reads it is told.
    snapshot: Result<Arc<DbSnapshot>, Error>,
    engine: Arc<Engine>,
}

impl SlateSnapshot {
    fn snapshot(&self) -> Result<&DbSnapshot, TableError> {
        let snapshot = self.snapshot.as_deref();
        snapshot.map_err(|error| explain(&self.engine.place, "read", error))
    }
}

impl TableSnapshot for SlateSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        if !storable(key) {
            return Ok(None);
        }
        let value = self.engine.wait("read", self.snapshot()?.get(key))?;
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
        // No key is empty, so that from the empty key on is from the begin.
        let from = match from.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Included(from),
        };
        let bounds = (from, to.map_or(Bound::Unbounded, Bound::Excluded));
        let options = ScanOptions::default()
            .with_read_ahead_bytes(SCAN_REQUEST_BYTES)
            .with_max_fetch_tasks(SCAN_REQUESTS);
        let scan = self.snapshot()?.scan_with_options(bounds, &options);
        let mut rows = self.engine.wait("read", scan)?;
        while let Some(row) = self.engine.wait("read", rows.next())? {
            if let ControlFlow::Break(()) = visit(&row.key, &row.value) {
                break;
            }
        }
        Ok(())
    }
}

/// What slatedb cannot hold, or no table may, cannot be there either.
fn storable(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}

fn io_error(place: &str, doing: &'static str, source: io::Error) -> TableError {
    TableError::Io {
        place: place.to_owned(),
        doing,
        source,
    }
}

fn stalled(place: &str, patience: Duration) -> TableError {
    TableError::Stalled {
        place: place.to_owned(),
        seconds: patience.as_secs(),
    }
}

/// Says what an operator can do about it.
fn explain(place: &str, doing: &'static str, error: &Error) -> TableError {
    let place = place.to_owned();
    match error.kind() {
        ErrorKind::Closed(CloseReason::Fenced) => TableError::Locked { place },
        ErrorKind::Closed(_) => TableError::Poisoned { place },
        ErrorKind::Data => TableError::Damaged {
            place,
            reason: error.to_string(),
        },
        _ => TableError::Io {
            place,
            doing,
            source: io::Error::other(error.to_string()),
        },
    }
}
