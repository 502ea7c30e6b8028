//! Who makes bytes durable: a file by itself, and the log.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use isles_store::{FileStorage, Log, LogConfig, RecordKind};

use crate::Result;

/// As long as a segment of a node's log.
const FILE_BYTES: usize = 64 << 20;
/// Log that is kept before segments go, to be written over.
const KEPT_BYTES: u64 = 2 * FILE_BYTES as u64;

/// Commits one frame at a time.
pub(crate) trait Commits {
    /// Makes a frame durable.
    fn commit(&mut self, frame: &[u8]) -> Result<()>;
}

/// One write and one sync for a frame, in a file that has its blocks: what the disk gives to anybody.
pub(crate) struct Raw {
    file: File,
    offset: usize,
}

impl Raw {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut file = File::create(folder.join("raw"))?;
        // In small pieces: what is cached in large ones is written in large ones.
        for _ in 0..FILE_BYTES / 4096 {
            file.write_all(&[0; 4096])?;
        }
        file.sync_all()?;
        Ok(Raw { file, offset: 0 })
    }
}

impl Commits for Raw {
    fn commit(&mut self, frame: &[u8]) -> Result<()> {
        if self.offset + frame.len() > FILE_BYTES {
            self.offset = 0;
        }
        self.file.write_all_at(frame, self.offset as u64)?;
        self.file.sync_data()?;
        self.offset += frame.len();
        Ok(())
    }
}

/// The product's log, old enough to write over segments that it no longer needs.
pub(crate) struct Logged {
    pub(crate) log: Log,
}

impl Logged {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let storage = Arc::new(FileStorage::open(folder.join("log"))?);
        let config = LogConfig::new("bench").with_segment_bytes(FILE_BYTES as u64);
        let (log, _) = Log::open(storage, config)?;
        let mut logged = Logged { log };
        let frame = vec![0; 1 << 20];
        for _ in 0..(5 * FILE_BYTES) >> 20 {
            logged.commit(&frame)?;
        }
        Ok(logged)
    }

    /// Lets go what is too much, as a checkpoint does.
    pub(crate) fn trim(&mut self) -> Result<()> {
        let segments = self.log.reader().segments();
        if self.log.bytes() > KEPT_BYTES && segments.len() > 1 {
            self.log.trim(segments[1].first)?;
        }
        Ok(())
    }
}

impl Commits for Logged {
    fn commit(&mut self, frame: &[u8]) -> Result<()> {
        if self.log.starts_segment(frame.len()) {
            self.trim()?;
        }
        self.log.append(RecordKind::Frame, frame);
        self.log.write()?;
        self.log.sync()?;
        Ok(())
    }
}
