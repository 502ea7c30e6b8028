//! Bytes that survive: a segmented [`Log`] and an ordered-bytes [`Table`].
//!
//! The log is the database; the table is what a restart reads first, so that it need not replay the whole log.
//! Both are synchronous: the caller decides when to write, when to sync and on which thread. Only engines below a table have
//! threads of their own.
//!
//! What this crate deliberately is not: it never knows what a record or a row means, has no policy for syncing,
//! retention or checkpoints, and holds no cache of decoded values.
//!
//! In reading order:
//! - [`storage`]: the seam to the disk, with a real implementation and a hostile one for simulation;
//! - [`log`]: records in numbered order, in segment files, with strict recovery;
//! - [`table`]: the ordered-bytes port, on fjall, in memory, or by features on redb and on an object store;
//! - [`archive`]: backups, as chunks that they share;
//! - [`lock`]: one process per data directory;
//! - [`conformance`]: what every implementation of the ports must pass.

pub mod archive;
pub mod conformance;
pub mod lock;
pub mod log;
pub mod storage;
pub mod table;

pub use lock::{DirLock, LockError};
pub use log::{
    Cut, Log, LogConfig, LogError, LogReader, LogSyncer, OpenError, RECORD_BYTES_MAX,
    RECORD_HEADER_BYTES, ReadError, Record, RecordKind, RecordNumber, Recovered, Scan, SegmentInfo,
};
/// The stores that a [`SlateTable`] can lie in: in memory, in a directory, or whichever else implements the trait.
#[cfg(feature = "slate")]
pub use slatedb::object_store;
pub use storage::{File, FileStorage, MemoryStorage, Storage};
pub use table::{Batch, FjallConfig, FjallTable, MemoryTable, Table, TableError, TableSnapshot};
#[cfg(feature = "redb")]
pub use table::{RedbConfig, RedbTable};
#[cfg(feature = "slate")]
pub use table::{SlateConfig, SlateTable};

/// The table that `docs/tables.md` shows how to write.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tables.md")]
mod tables_page {}
