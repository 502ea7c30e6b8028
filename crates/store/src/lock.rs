//! One process per data directory.

use std::fs::{self, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

const LOCK_NAME: &str = "LOCK";

/// Holds a data directory for this process, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    // Held for its lock only; closing it releases the lock.
    _file: fs::File,
    path: PathBuf,
}

/// Why a data directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error(
        "the data directory {dir} is in use by another process ({holder}); stop that process or choose another \
         data directory"
    )]
    Held {
        /// The directory.
        dir: String,
        /// What the lock file says about the other process.
        holder: String,
    },
    /// The lock file could not be created or locked.
    #[error(
        "cannot lock the data directory {dir}: {source}; check that it exists and can be written"
    )]
    Io {
        /// The directory.
        dir: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DirLock {
    /// Locks `dir`, creating it if it is absent.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process, or another `DirLock` of this one, holds it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join(LOCK_NAME);
        let fail = |source| LockError::Io {
            dir: dir.display().to_string(),
            source,
        };
        fs::create_dir_all(dir).map_err(fail)?;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    dir: dir.display().to_string(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        sign(&mut file).map_err(fail)?;
        Ok(DirLock { _file: file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn sign(file: &mut fs::File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "pid {}", std::process::id())
}

fn holder(file: &mut fs::File) -> String {
    let mut text = String::new();
    match file.take(64).read_to_string(&mut text) {
        Ok(count) if count > 0 => text,
        _ => "unknown pid".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_names_directory_and_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::acquire(dir.path()).unwrap();
        let message = DirLock::acquire(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains(&dir.path().display().to_string()),
            "{message}"
        );
        assert!(
            message.contains(&format!("pid {}", std::process::id())),
            "{message}"
        );
        drop(held);
        DirLock::acquire(dir.path()).unwrap();
    }
}
