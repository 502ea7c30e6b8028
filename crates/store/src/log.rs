//! Numbered records in segment files: appended, written, synced, read back, trimmed.
//!
//! One owner appends, writes and syncs (group commit: append many, write once, sync once); any number of
//! [`LogReader`]s read what has been written. The bytes are drawn in `docs/format.md`.

mod config;
mod error;
mod inspect;
mod pending;
mod reader;
mod record;
mod recovery;
mod segment;
mod shared;
mod spares;
mod window;

use std::sync::Arc;

pub use config::LogConfig;
pub use error::{Fault, LogError, OpenError, ReadError};
pub use inspect::{
    Located, SegmentReport, SegmentState, TruncateError, Truncated, inspect, truncate,
};
pub use reader::{LogReader, LogSyncer, Scan, SegmentInfo};
pub use record::{RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Record, RecordKind, RecordNumber};
pub use recovery::{Cut, Recovered};
pub use segment::{IDENTITY_BYTES_MAX, NOTE_BYTES_MAX};

use crate::storage::Storage;
use pending::{Cursor, Part, Pending};
use segment::{Beginning, Segment, segment_name};
use shared::{Entry, Shared, State};
use spares::Spares;

/// The writing end of a log.
///
/// A record is *appended* (numbered, in memory), then *written* (the operating system has it, it survives the
/// process), then *synced* (it survives the machine). After a failed write or sync the log is *poisoned*: what the
/// disk holds is unknown, so every later write, sync and trim fails until the log is opened again.
///
/// ```
/// use std::sync::Arc;
/// use isles_store::{Log, LogConfig, MemoryStorage, RecordKind, RecordNumber};
///
/// let storage = Arc::new(MemoryStorage::new());
/// let (mut log, recovered) = Log::open(storage, LogConfig::new("isles"))?;
/// assert_eq!(recovered.last, RecordNumber::ZERO);
/// let number = log.append(RecordKind::Frame, b"hello");
/// log.write()?;
/// assert_eq!(log.sync()?, number);
/// let record = log.scan(number).next().expect("it was written")?;
/// assert_eq!(record.bytes, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Log {
    shared: Arc<Shared>,
    config: LogConfig,
    spares: Spares,
    pending: Pending,
    note: Vec<u8>,
}

impl Log {
    /// Opens the log in `storage`, or begins one if there is none. Reads and verifies every segment.
    ///
    /// A torn tail is cut and reported. Whatever is returned as the last record is synced, also if an earlier process
    /// ended with a failed sync.
    ///
    /// # Errors
    /// Each names the file, the offset and what to do; see [`OpenError`].
    pub fn open(
        storage: Arc<dyn Storage>,
        config: LogConfig,
    ) -> Result<(Log, Recovered), OpenError> {
        Self::open_from(storage, config, RecordNumber(1), &[])
    }

    /// Begins a log whose first record is `first`, to go on where what is restored beside it ends. `note` is what the header
    /// of its first segment carries; see [`Log::annotate`].
    ///
    /// # Errors
    /// As [`Log::open`]; or there is a log already.
    ///
    /// # Panics
    /// If the note is longer than [`NOTE_BYTES_MAX`], or `first` is zero.
    pub fn begin(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        first: RecordNumber,
        note: &[u8],
    ) -> Result<Log, OpenError> {
        assert!(first > RecordNumber::ZERO, "the first record is 1");
        assert!(
            note.len() <= NOTE_BYTES_MAX,
            "a note of {} bytes is above the limit",
            note.len()
        );
        let place = storage.place("");
        let (log, recovered) = Self::open_from(storage, config, first, note)?;
        let is_new = recovered.first == first && recovered.last.next() == first;
        match is_new && recovered.cut.is_none() {
            true => Ok(log),
            false => Err(OpenError::Config {
                reason: format!("there is a log in {place} already"),
            }),
        }
    }

    fn open_from(
        storage: Arc<dyn Storage>,
        config: LogConfig,
        first: RecordNumber,
        note: &[u8],
    ) -> Result<(Log, Recovered), OpenError> {
        config.check()?;
        let mut resumed = recovery::recover(&*storage, &config)?;
        if resumed.segments.is_empty() {
            let beginning = Beginning::new(1, first.0, &config.identity, note);
            resumed.last = first.0 - 1;
            let segment = resumed
                .spares
                .begin(&*storage, beginning, config.segment_bytes)
                .map_err(|source| {
                    OpenError::io(&storage.place(&segment_name(1)), "create", source)
                })?;
            resumed.capacity = config.segment_bytes;
            resumed.segments.push_back(Entry::begun(segment));
        }
        let current = resumed
            .segments
            .back()
            .expect("invariant: a log has a segment");
        let cursor = Cursor {
            segment: current.segment.number,
            offset: current.index.end,
            capacity: resumed.capacity,
            empty: current.index.end == current.segment.header_bytes,
        };
        let last = resumed.last;
        let state = State {
            segments: resumed.segments,
            written: last,
            synced: last,
            poison: None,
        };
        let recovered = Recovered {
            first: RecordNumber(state.first()),
            last: RecordNumber(last),
            cut: resumed.cut,
        };
        let log = Log {
            shared: Arc::new(Shared::new(storage, state, resumed.cut_markers)),
            config,
            spares: resumed.spares,
            pending: Pending::new(last, cursor),
            note: Vec::new(),
        };
        Ok((log, recovered))
    }

    /// Numbers a record and puts it into the pending buffer; nothing reaches the disk before [`Log::write`].
    /// Costs one copy and one hash of the payload. A poisoned log numbers it too, and never writes it.
    ///
    /// # Panics
    /// If the payload is longer than [`RECORD_BYTES_MAX`]; the limits of entries and frames are below it.
    pub fn append(&mut self, kind: RecordKind, payload: &[u8]) -> RecordNumber {
        assert!(
            payload.len() <= RECORD_BYTES_MAX,
            "a record of {} bytes is above the limit",
            payload.len()
        );
        if self.starts_segment(payload.len()) {
            let LogConfig {
                segment_bytes,
                identity,
            } = &self.config;
            self.pending
                .begin_segment(*segment_bytes, identity, &self.note);
        }
        let synced = self.shared.state().synced;
        RecordNumber(self.pending.append(kind, synced, payload))
    }

    /// Whether appending a payload of this size now would begin a new segment.
    pub fn starts_segment(&self, payload_bytes: usize) -> bool {
        self.pending.starts_segment(payload_bytes)
    }

    /// Sets the note that the header of every segment begun from now on carries: what a reader needs to know who
    /// starts there. Needed only before an append for which [`Log::starts_segment`] says yes.
    ///
    /// # Panics
    /// If it is longer than [`NOTE_BYTES_MAX`].
    pub fn annotate(&mut self, note: &[u8]) {
        assert!(
            note.len() <= NOTE_BYTES_MAX,
            "a note of {} bytes is above the limit",
            note.len()
        );
        self.note = note.to_vec();
    }

    /// Hands everything appended to the operating system: one write per segment touched. Answers the last record
    /// written. A segment that is full is synced before the next is begun.
    ///
    /// # Errors
    /// [`LogError::Full`] or [`LogError::Io`] the first time, [`LogError::Poisoned`] from then on. A full disk
    /// poisons too: part of a record may be on the disk, and a restart cuts it cleanly.
    pub fn write(&mut self) -> Result<RecordNumber, LogError> {
        if let Err(error) = self.shared.check_poison() {
            self.pending.clear();
            return Err(error);
        }
        let Log {
            shared,
            spares,
            pending,
            config,
            ..
        } = self;
        pending.drain(|part, bytes| write_part(shared, spares, config, part, bytes))?;
        Ok(self.written())
    }

    /// Makes everything written so far durable; answers the last record synced. Costs nothing if nothing was
    /// written since the last time.
    ///
    /// # Errors
    /// [`LogError::Io`] the first time, [`LogError::Poisoned`] from then on.
    pub fn sync(&mut self) -> Result<RecordNumber, LogError> {
        self.shared.sync()
    }

    /// Drops whole segments that hold only records before `before`; the current segment always stays. Answers how
    /// many went. Scans that stand in them end with [`ReadError::Trimmed`].
    ///
    /// # Errors
    /// As [`Log::write`]; a failure poisons, since it is unknown which names the disk holds.
    pub fn trim(&mut self, before: RecordNumber) -> Result<usize, LogError> {
        self.shared.check_poison()?;
        let dropped = self.detach(before);
        let count = dropped.len();
        // Oldest first, so that a crash leaves a log without a gap.
        for segment in dropped {
            let name = segment.name.clone();
            // A segment that a scan still stands in must not be written over under it.
            let unread = Arc::try_unwrap(segment).is_ok();
            self.spares
                .end(&*self.shared.storage, &name, unread)
                .map_err(|source| self.shared.fail(&name, "remove", source))?;
        }
        if count > 0 {
            self.shared
                .storage
                .sync_dir()
                .map_err(|source| self.shared.fail("", "sync", source))?;
        }
        Ok(count)
    }

    /// A reading end; make as many as needed.
    pub fn reader(&self) -> LogReader {
        LogReader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// A handle that syncs from another thread.
    pub fn syncer(&self) -> LogSyncer {
        LogSyncer {
            shared: Arc::clone(&self.shared),
        }
    }

    /// All written records from `from` on; see [`Scan`].
    pub fn scan(&self, from: RecordNumber) -> Scan {
        self.reader().scan(from)
    }

    /// The oldest record, or the first to come if there is none.
    pub fn first(&self) -> RecordNumber {
        RecordNumber(self.shared.state().first())
    }

    /// The newest record, appended or beyond; the one before [`Log::first`] if there is none.
    pub fn last(&self) -> RecordNumber {
        RecordNumber(self.pending.last())
    }

    /// The newest record that the operating system has.
    pub fn written(&self) -> RecordNumber {
        RecordNumber(self.shared.state().written)
    }

    /// The newest record known to be on the disk.
    pub fn synced(&self) -> RecordNumber {
        RecordNumber(self.shared.state().synced)
    }

    /// The bytes of all records written and kept.
    pub fn bytes(&self) -> u64 {
        self.reader().bytes()
    }

    /// Takes segments out of the readers' sight.
    fn detach(&mut self, before: RecordNumber) -> Vec<Arc<Segment>> {
        let mut state = self.shared.state_mut();
        let mut dropped = Vec::new();
        while state
            .segments
            .get(1)
            .is_some_and(|next| next.segment.first <= before.0)
        {
            dropped.extend(state.segments.pop_front().map(|entry| entry.segment));
        }
        dropped
    }
}

fn write_part(
    shared: &Shared,
    spares: &mut Spares,
    config: &LogConfig,
    part: Part,
    bytes: &[u8],
) -> Result<(), LogError> {
    if let Some(beginning) = part.begins {
        install_segment(shared, spares, config, beginning)?;
    }
    let segment = shared.current();
    segment
        .file
        .write_at(bytes, part.offset)
        .map_err(|source| shared.fail(&segment.name, "write", source))?;
    shared.written(part.first, &part.sizes);
    Ok(())
}

/// Invariant: all records before a segment are synced before its file has its name.
fn install_segment(
    shared: &Shared,
    spares: &mut Spares,
    config: &LogConfig,
    beginning: Beginning,
) -> Result<(), LogError> {
    shared.sync()?;
    let name = segment_name(beginning.number);
    let segment = spares
        .begin(&*shared.storage, beginning, config.segment_bytes)
        .map_err(|source| shared.fail(&name, "create", source))?;
    shared.state_mut().segments.push_back(Entry::begun(segment));
    Ok(())
}
