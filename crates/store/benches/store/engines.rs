//! Engines alone, in the place of the log: a frame is one durable batch of its entries, by position, and of the rows that
//! they change. Used directly, each with its own way to a durable commit, so that our port costs them nothing.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::TableDefinition;

use crate::Result;
use crate::frames::Commits;
use crate::workload::{ENTRY_BYTES, FRAME_ENTRIES, row_key};

/// As much memory for blocks and pages as the tables have.
const CACHE_BYTES: usize = 128 << 20;

fn entries<'a>(
    keys: &'a [u32; FRAME_ENTRIES],
    frame: &'a [u8],
) -> impl Iterator<Item = (Vec<u8>, &'a [u8])> {
    keys.iter()
        .zip(frame.chunks_exact(ENTRY_BYTES))
        .map(|(key, entry)| (row_key(*key), entry))
}

pub(crate) struct FjallAlone {
    db: Database,
    log: Keyspace,
    rows: Keyspace,
    position: u64,
}

impl FjallAlone {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let db = Database::builder(folder)
            .cache_size(CACHE_BYTES as u64)
            .worker_threads(2)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(32 << 20);
        Ok(FjallAlone {
            log: db.keyspace("log", options)?,
            rows: db.keyspace("rows", options)?,
            db,
            position: 0,
        })
    }
}

impl Commits for FjallAlone {
    fn commit(&mut self, keys: &[u32; FRAME_ENTRIES], frame: &[u8]) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (key, entry) in entries(keys, frame) {
            self.position += 1;
            batch.insert(&self.log, self.position.to_be_bytes(), entry);
            batch.insert(&self.rows, key, entry);
        }
        Ok(batch.commit()?)
    }
}

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

pub(crate) struct RedbAlone {
    db: redb::Database,
    position: u64,
}

impl RedbAlone {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let db = redb::Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(folder.join("redb"))?;
        Ok(RedbAlone { db, position: 0 })
    }
}

impl Commits for RedbAlone {
    fn commit(&mut self, keys: &[u32; FRAME_ENTRIES], frame: &[u8]) -> Result<()> {
        // Durable unless told otherwise.
        let transaction = self.db.begin_write()?;
        {
            let mut log = transaction.open_table(LOG)?;
            let mut rows = transaction.open_table(ROWS)?;
            for (key, entry) in entries(keys, frame) {
                self.position += 1;
                log.insert(self.position, entry)?;
                rows.insert(key.as_slice(), entry)?;
            }
        }
        Ok(transaction.commit()?)
    }
}
