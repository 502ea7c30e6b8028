//! The table on redb, a copy-on-write B-tree in one file.
//!
//! Writes are commits without a sync; [`Table::persist`] is one more commit with a sync, which makes all before it durable.
//! What a crash loses is thus exactly what was written since the last persist.

use std::fs::{self, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, Durability, Error, ReadOnlyTable, ReadableDatabase, StorageError, TableDefinition,
};

use super::{Batch, KEY_BYTES_MAX, Table, TableError, TableSnapshot, Visitor};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const FILE: &str = "rows.redb";

/// How a table on redb is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedbConfig {
    /// The cache of pages. 128 MiB unless set.
    pub cache_bytes: usize,
    /// Whether opening reads the whole file and verifies every page. Set unless unset: redb trusts a file that was closed
    /// cleanly, and may panic much later over a page that has been damaged since.
    pub verify: bool,
}

impl Default for RedbConfig {
    fn default() -> Self {
        RedbConfig {
            cache_bytes: 128 << 20,
            verify: true,
        }
    }
}

impl RedbConfig {
    /// The same with another cache size.
    #[must_use]
    pub fn with_cache_bytes(mut self, cache_bytes: usize) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }

    /// The same, verified when opened or not.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }
}

/// A table in a directory, kept by redb. Calls may block for as long as the disk does: keep them off async threads.
///
/// One batch is written at a time; readers never wait for it.
pub struct RedbTable {
    db: Arc<Database>,
    path: PathBuf,
}

impl RedbTable {
    /// Opens the table in the directory `path`, or creates it.
    ///
    /// Costs a read of the whole table if [`RedbConfig::verify`] is set, or after a crash.
    ///
    /// # Errors
    /// [`TableError::Damaged`] is an ordinary event: the directory can be moved away and the table rebuilt.
    pub fn open(path: impl AsRef<Path>, config: &RedbConfig) -> Result<Self, TableError> {
        let path = path.as_ref().to_owned();
        let create = |source| TableError::Io {
            place: path.display().to_string(),
            doing: "create",
            source,
        };
        make_directory(&path).map_err(create)?;
        let file = path.join(FILE);
        let is_new = !file.exists();
        let fail = |error| explain(&path, "open", &error);
        let db = Database::builder()
            .set_cache_size(config.cache_bytes)
            .set_check_integrity_on_open(config.verify && !is_new)
            .create(&file)
            .map_err(|error| fail(error.into()))?;
        let table = RedbTable {
            db: Arc::new(db),
            path: path.clone(),
        };
        if is_new {
            // A snapshot reads the rows, so they must exist from the start.
            table
                .commit(Durability::Immediate, &Batch::new())
                .map_err(fail)?;
            sync_directory(&path).map_err(create)?;
        }
        Ok(table)
    }

    fn commit(&self, durability: Durability, batch: &Batch) -> Result<(), Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(durability)?;
        let mut rows = transaction.open_table(ROWS)?;
        for (key, value) in batch.changes() {
            match value {
                Some(value) => drop(rows.insert(key, value)?),
                None => drop(rows.remove(key)?),
            }
        }
        drop(rows);
        Ok(transaction.commit()?)
    }

    fn rows(&self) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Error> {
        Ok(self.db.begin_read()?.open_table(ROWS)?)
    }
}

impl Table for RedbTable {
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
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(Durability::None, &batch)
            .map_err(|error| explain(&self.path, "write to", &error))
    }

    fn persist(&self) -> Result<(), TableError> {
        self.commit(Durability::Immediate, &Batch::new())
            .map_err(|error| explain(&self.path, "sync", &error))
    }

    /// The same as a persist: a page is never changed in place, and has a checksum.
    fn flush(&self) -> Result<(), TableError> {
        self.persist()
    }

    fn snapshot(&self) -> Box<dyn TableSnapshot> {
        Box::new(RedbSnapshot {
            rows: self.rows(),
            path: self.path.clone(),
            _db: Arc::clone(&self.db),
        })
    }

    fn bytes(&self) -> u64 {
        fs::metadata(self.path.join(FILE)).map_or(0, |file| file.len())
    }
}

struct RedbSnapshot {
    /// Or why there is none, which whoever reads it is told.
    rows: Result<ReadOnlyTable<&'static [u8], &'static [u8]>, Error>,
    path: PathBuf,
    /// Rows can be read as long as the file is open.
    _db: Arc<Database>,
}

impl RedbSnapshot {
    fn rows(&self) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, TableError> {
        self.rows.as_ref().map_err(|error| self.fail(error))
    }

    fn fail(&self, error: &Error) -> TableError {
        explain(&self.path, "read", error)
    }
}

impl TableSnapshot for RedbSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let value = self.rows()?.get(key);
        let value = value.map_err(|error| self.fail(&error.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
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
        let fail = |error: StorageError| self.fail(&error.into());
        let bounds = (
            Bound::Included(from),
            to.map_or(Bound::Unbounded, Bound::Excluded),
        );
        for row in self.rows()?.range::<&[u8]>(bounds).map_err(fail)? {
            let (key, value) = row.map_err(fail)?;
            if let ControlFlow::Break(()) = visit(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}

/// Makes a directory whose name survives the machine.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)?;
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Says what an operator can do about it.
fn explain(path: &Path, doing: &'static str, error: &Error) -> TableError {
    let place = path.display().to_string();
    match error {
        // redb's way to say that a file is none of its own.
        Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => TableError::Damaged {
            place,
            reason: source.to_string(),
        },
        Error::Io(source) => TableError::Io {
            place,
            doing,
            source: io::Error::new(source.kind(), source.to_string()),
        },
        Error::DatabaseAlreadyOpen => TableError::Locked { place },
        Error::UpgradeRequired(_) => TableError::Format { place },
        Error::PreviousIo | Error::LockPoisoned(_) => TableError::Poisoned { place },
        Error::Corrupted(reason) => TableError::Damaged {
            place,
            reason: reason.clone(),
        },
        other => TableError::Damaged {
            place,
            reason: other.to_string(),
        },
    }
}
