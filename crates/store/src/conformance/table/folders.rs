//! Folders for tables that are checked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// One more for each use in this process.
static USES: AtomicU32 = AtomicU32::new(0);

/// A folder for temporary files, removed at the end with all that is in it.
pub(super) struct Folders {
    root: PathBuf,
    count: AtomicU32,
}

impl Folders {
    pub(super) fn new() -> Self {
        let number = USES.fetch_add(1, Ordering::Relaxed);
        let name = format!("isles-conformance-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        // Left behind by a process that had our number and was killed.
        let _ = std::fs::remove_dir_all(&root);
        Folders {
            root,
            count: AtomicU32::new(0),
        }
    }

    /// A new empty folder.
    pub(super) fn next(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let folder = self.root.join(number.to_string());
        std::fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
        folder
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // A table that is still open may write into it; temporary files are the system's to remove then.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
