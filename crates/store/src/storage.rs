//! The seam between the log and a disk: a handful of calls, so that a crash is an ordinary test.

mod file;
mod memory;

use std::io;

pub use file::FileStorage;
pub use memory::{Keep, MemoryStorage, Unsynced};

/// One flat directory of files.
///
/// Invariant of every implementation: what a directory call did is durable only after [`Storage::sync_dir`], and
/// what a file call did only after [`File::sync_data`]; until then a crash may keep any part of it.
pub trait Storage: Send + Sync {
    /// The names of all files, in no particular order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file; an existing one is an error.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Removes a name. Handles that are open go on working.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives a file another name, atomically; a file that had that name is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes every create, remove and rename so far durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Where a file lies, in the words of an error message.
    fn place(&self, name: &str) -> String;
}

/// One open file, read and written by position from any thread.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`, extending the file when needed. After an error any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// The size of the file in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes everything written to this file, and its size, durable.
    fn sync_data(&self) -> io::Result<()>;
}
