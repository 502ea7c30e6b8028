//! What can go wrong with backups, and what to do about it.

use std::io;
use std::path::Path;

use crate::lock::LockError;

/// Why a folder of backups did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The folder holds something else.
    #[error(
        "{folder} is no folder of backups; name the one that `create` was given, or an empty one"
    )]
    NotAnArchive {
        /// The folder.
        folder: String,
    },
    /// There is no backup of this name.
    #[error("there is no backup '{name}' in {folder}")]
    NoSuchBackup {
        /// The name.
        name: String,
        /// The folder.
        folder: String,
    },
    /// A backup cannot be called that.
    #[error(
        "'{name}' is no name of a backup: letters, digits and -_.+ make one, at most {} of them",
        super::NAME_BYTES_MAX
    )]
    Name {
        /// The name.
        name: String,
    },
    /// There is a backup of this name already.
    #[error("there is a backup '{name}' already")]
    Exists {
        /// The name.
        name: String,
    },
    /// A newer build wrote the file.
    #[error(
        "{file} has format {found}, this build knows formats up to {known}; run the newer version that wrote it"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        found: u16,
        /// The newest format that this build reads.
        known: u16,
    },
    /// A file is missing, or is not what was written.
    #[error("{file} is damaged: {reason}; use another backup, and make a new one")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The keys were not put in order.
    #[error("keys must be put in ascending order")]
    Order,
    /// Another process has the folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The operating system refused.
    #[error("cannot {doing} {place}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ArchiveError {
    pub(super) fn io(doing: &'static str, place: &Path, source: io::Error) -> Self {
        let place = place.display().to_string();
        ArchiveError::Io {
            doing,
            place,
            source,
        }
    }

    pub(super) fn damaged(file: &str, reason: impl Into<String>) -> Self {
        ArchiveError::Damaged {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}
