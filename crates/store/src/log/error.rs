//! What can go wrong with a log, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::record::RecordNumber;

/// Why a log did not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot {doing} {file}: {source}; check the disk and who may write there")]
    Io {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Bytes that had been synced are not what was written. Cutting here would lose acknowledged writes.
    #[error(
        "the log file {file} is damaged at byte {offset}: {fault}; restore this file from a backup, or move the data \
         directory away and let the node join again from its peers"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        fault: Fault,
    },
    /// A file in the middle of the log is gone.
    #[error(
        "the log file {file} is missing, though later ones are there; restore it from a backup, or move the data \
         directory away and let the node join again from its peers"
    )]
    Missing {
        /// The file.
        file: String,
    },
    /// A newer build wrote the directory.
    #[error(
        "the log file {file} has format {found}, this build knows formats up to {known}; run the newer version that \
         wrote it"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        found: u16,
        /// The newest format that this build reads.
        known: u16,
    },
    /// A newer build wrote a record.
    #[error(
        "the log file {file} holds a record of unknown kind {kind} at byte {offset}; run the newer version that wrote \
         it"
    )]
    UnknownKind {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// The kind.
        kind: u32,
    },
    /// The directory belongs to another cluster.
    #[error(
        "the log file {file} belongs to \"{found}\", this node is configured for \"{expected}\"; correct the \
         configuration or choose another data directory"
    )]
    OtherIdentity {
        /// The file.
        file: String,
        /// The identity in the file.
        found: String,
        /// The identity in the configuration.
        expected: String,
    },
    /// The configuration asks for what the format cannot hold.
    #[error("the log configuration is not usable: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
}

/// What exactly is wrong with bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The segment header.
    Header,
    /// The header is of another segment.
    Renamed {
        /// The segment that the header names.
        number: u64,
    },
    /// The segment begins with another record than the one after its predecessor's last.
    Sequence {
        /// The record that should be first.
        expected: u64,
        /// The record that the header names.
        found: u64,
    },
    /// The record that must begin here does not verify.
    Record {
        /// Its number.
        number: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Header => write!(f, "the segment header does not verify"),
            Fault::Renamed { number } => write!(f, "this is segment {number} under another name"),
            Fault::Sequence { expected, found } => {
                write!(
                    f,
                    "the segment begins with record {found} instead of {expected}"
                )
            }
            Fault::Record { number } => {
                write!(f, "record {number}, which had been synced, does not verify")
            }
        }
    }
}

impl OpenError {
    pub(crate) fn io(file: &str, doing: &'static str, source: io::Error) -> Self {
        OpenError::Io {
            file: file.to_owned(),
            doing,
            source,
        }
    }

    pub(crate) fn damaged(file: &str, offset: u64, fault: Fault) -> Self {
        OpenError::Damaged {
            file: file.to_owned(),
            offset,
            fault,
        }
    }

    pub(crate) fn other_identity(file: &str, found: &[u8], expected: &[u8]) -> Self {
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
        OpenError::OtherIdentity {
            file: file.to_owned(),
            found: show(found),
            expected: show(expected),
        }
    }
}

/// Why a write, a sync or a trim failed. Each of these poisons the log: no later one succeeds until it is opened
/// again, because what the disk holds is no longer known.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk is full.
    #[error(
        "no space left for {file}: {source}; free space or enlarge the disk, then restart the node"
    )]
    Full {
        /// The file.
        file: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The disk failed.
    #[error("cannot {doing} {file}: {source}; check the disk, then restart the node")]
    Io {
        /// The file.
        file: String,
        /// What was tried.
        doing: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// An earlier call failed.
    #[error("the log takes no more writes since an earlier failure: {cause}")]
    Poisoned {
        /// That failure.
        cause: Arc<str>,
    },
}

impl LogError {
    pub(crate) fn io(file: String, doing: &'static str, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let source = Arc::new(source);
        if full {
            LogError::Full { file, source }
        } else {
            LogError::Io {
                file,
                doing,
                source,
            }
        }
    }
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The record has been trimmed.
    #[error("record {asked} is no longer in the log, which begins with record {first}")]
    Trimmed {
        /// The record asked for.
        asked: RecordNumber,
        /// The oldest record there is.
        first: RecordNumber,
    },
    /// The bytes on disk are not what was written.
    #[error(
        "the log file {file} is damaged at byte {offset}: record {number} does not verify; restore this file from a \
         backup, or move the data directory away and let the node join again from its peers"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// The record.
        number: RecordNumber,
    },
    /// The operating system refused.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
}
