//! Ordered bytes: the port behind which rows live, and its implementations: on fjall, in memory, and by features on redb and
//! on an object store. When to use which, and how to write one: `docs/tables.md`.
//!
//! A table is never the only copy of what is in the log: what it loses in a crash is replayed from there.

mod batch;
mod fjall;
mod memory;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "slate")]
mod slate;

use std::ops::ControlFlow;

pub use self::fjall::{FjallConfig, FjallTable};
#[cfg(feature = "redb")]
pub use self::redb::{RedbConfig, RedbTable};
pub use batch::Batch;
pub use memory::MemoryTable;
#[cfg(feature = "slate")]
pub use slate::{SlateConfig, SlateTable};

/// The longest key; an empty key is refused too.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// The longest value.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// Takes a key and its value, and says whether to go on.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Keys and values in the order of the keys' bytes.
///
/// Invariants, which [`conformance`](crate::conformance) checks:
/// - a batch is atomic, for readers and across a crash;
/// - what survives a crash is everything before the last [`Table::persist`], then a prefix of the batches after it;
/// - a snapshot never changes.
pub trait Table: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// Visits every key from `from` on and before `to`, in order, until the visitor breaks. The view is that of one
    /// moment; the visitor may write to the table.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError>;

    /// Applies a batch atomically. It is visible at once, and durable after the next [`Table::persist`].
    fn write(&self, batch: Batch) -> Result<(), TableError>;

    /// Makes everything written so far durable.
    fn persist(&self) -> Result<(), TableError>;

    /// Like [`Table::persist`], and moves everything written so far into immutable checked files: after this the
    /// log before it may go.
    fn flush(&self) -> Result<(), TableError>;

    /// The table as it is now, for reading while it changes. Keep it short: it holds on to old rows.
    fn snapshot(&self) -> Box<dyn TableSnapshot>;

    /// The bytes that the table takes, on disk or in memory, roughly.
    fn bytes(&self) -> u64;
}

/// A table as it was at one moment.
pub trait TableSnapshot: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// As [`Table::scan`].
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), TableError>;
}

/// Why a table did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The caller's key cannot be stored; nothing of the batch was written.
    #[error("a table key has {bytes} bytes, it must have between 1 and {KEY_BYTES_MAX}")]
    Key {
        /// Its size.
        bytes: usize,
    },
    /// The caller's value cannot be stored; nothing of the batch was written.
    #[error("a table value has {bytes} bytes, it may have {VALUE_BYTES_MAX}")]
    Value {
        /// Its size.
        bytes: usize,
    },
    /// Another process has the table.
    #[error(
        "the table in {place} is in use by another process; stop it or choose another data directory"
    )]
    Locked {
        /// The directory.
        place: String,
    },
    /// A newer build wrote the table.
    #[error(
        "the table in {place} has a format that this build does not know; run the version that wrote it"
    )]
    Format {
        /// The directory.
        place: String,
    },
    /// What is stored does not verify. The log and the peers have it: remove the table and let the node rebuild it.
    #[error(
        "the table in {place} is damaged ({reason}); move this directory away and make the table anew from the log, or from a \
         backup and the log"
    )]
    Damaged {
        /// The directory.
        place: String,
        /// What does not verify.
        reason: String,
    },
    /// An earlier write or sync failed: the table takes no more writes until it is opened again.
    #[error(
        "the table in {place} takes no more writes since an earlier failure; check the disk, then restart the node"
    )]
    Poisoned {
        /// The directory.
        place: String,
    },
    /// The operating system refused.
    #[error("cannot {doing} the table in {place}: {source}; check the disk, then restart the node")]
    Io {
        /// The directory.
        place: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The engine did not finish in time.
    #[error(
        "the table in {place} did not finish within {seconds} s; check the disk, or the object store"
    )]
    Stalled {
        /// The directory.
        place: String,
        /// How long it had.
        seconds: u64,
    },
}
