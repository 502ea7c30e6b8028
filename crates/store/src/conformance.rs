//! What every implementation of the ports must pass, yours too: one line in a test.
//!
//! ```
//! use isles_store::{MemoryTable, conformance};
//!
//! conformance::check_volatile_table(MemoryTable::new);
//! ```
//!
//! A table on a disk is checked with [`check_table`], which hands `open` a folder of its own for each law. A failure panics
//! and names every law that does not hold, with what was done, what was found and what was expected. How to write a table
//! is shown in `docs/tables.md`.

mod storage;
mod table;

pub use storage::check_storage;
pub use table::{LAW_SECONDS_MAX, check_table, check_volatile_table};
