//! Numbered records in segment files: appended, written, synced, read back, trimmed.
//!
//! One owner appends, writes and syncs (group commit: append many, write once, sync once); any number of
//! [`LogReader`]s read what has been written. The bytes are drawn in `docs/format.md`.

mod error;
mod reader;
mod record;
mod recovery;
mod segment;
mod shared;
mod window;

use std::sync::Arc;

pub use error::{Fault, LogError, OpenError, ReadError};
pub use reader::{LogReader, LogSyncer, Scan, SegmentInfo};
pub use record::{RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Record, RecordKind, RecordNumber};
pub use recovery::{Cut, Recovered};
pub use segment::{IDENTITY_BYTES_MAX, NOTE_BYTES_MAX};

use crate::storage::Storage;
use record::Place;
use segment::{Index, Segment};
use shared::{Entry, Shared, State};

/// How many trimmed segments are kept to be written over: that is faster than growing a new file.
const SPARES_MAX: usize = 2;
const SPARE_PREFIX: &str = "spare-";
const SPARE_NEW: &str = "spare-new.log";

/// The least and the most that [`LogConfig::segment_bytes`] may be.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

/// A pending buffer that one big record made larger than this is given back after the write.
const PENDING_BYTES_KEPT: usize = 4 << 20;

/// What a log needs to be told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogConfig {
    /// How long a segment file is; a record that does not fit gets a longer one. 64 MiB unless set.
    pub segment_bytes: u64,
    /// Whose log this is, at most [`IDENTITY_BYTES_MAX`] bytes, such as the cluster's name: a directory with another
    /// one is refused. Shown as text in that error.
    pub identity: Vec<u8>,
}

impl LogConfig {
    /// The defaults, for the log of `identity`.
    pub fn new(identity: impl Into<Vec<u8>>) -> Self {
        LogConfig {
            segment_bytes: 64 << 20,
            identity: identity.into(),
        }
    }

    /// The same with another segment size, between 1 KiB and 1 GiB.
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = segment_bytes;
        self
    }

    fn check(&self) -> Result<(), OpenError> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            let reason = format!(
                "segment_bytes is {}, it must be between {} and {}",
                self.segment_bytes,
                SEGMENT_BYTES.start(),
                SEGMENT_BYTES.end()
            );
            return Err(OpenError::Config { reason });
        }
        if self.identity.len() > IDENTITY_BYTES_MAX {
            let reason = format!(
                "the identity has {} bytes, it may have {IDENTITY_BYTES_MAX}",
                self.identity.len()
            );
            return Err(OpenError::Config { reason });
        }
        Ok(())
    }
}

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
    spares: Vec<String>,
    pending: Pending,
    note: Vec<u8>,
}

/// What has been appended and not yet written.
struct Pending {
    /// The records, laid out as they will lie in their segments.
    buffer: Vec<u8>,
    /// Which part of the buffer goes to which segment; all but the first begin a new one.
    parts: Vec<Part>,
    /// The last record appended.
    last: u64,
    /// Where the next one goes.
    cursor: Cursor,
}

struct Cursor {
    segment: u64,
    offset: u64,
    capacity: u64,
    empty: bool,
}

struct Part {
    segment: u64,
    offset: u64,
    /// Where its bytes begin in the buffer.
    start: usize,
    first: u64,
    /// The size of each record.
    sizes: Vec<u64>,
    /// The header and note of a segment that begins here.
    begins: Option<(Vec<u8>, Vec<u8>)>,
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
        config.check()?;
        let mut resumed = recovery::recover(&*storage, &config)?;
        if resumed.segments.is_empty() {
            let header = segment::encode_header(1, 1, &config.identity, &[]);
            let segment = create_segment(
                &*storage,
                &mut resumed.spares,
                &config,
                1,
                1,
                (header, Vec::new()),
            )
            .map_err(|source| {
                OpenError::io(&storage.place(&segment::segment_name(1)), "create", source)
            })?;
            resumed.capacity = config.segment_bytes;
            let index = Index::new(segment.header_bytes);
            resumed.segments.push_back(Entry {
                segment: Arc::new(segment),
                index,
            });
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
        let last = resumed.last.max(current.segment.first - 1);
        let pending = Pending {
            buffer: Vec::new(),
            parts: Vec::new(),
            last,
            cursor,
        };
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
        let shared = Arc::new(Shared::new(storage, state, resumed.cut_markers));
        Ok((
            Log {
                shared,
                config,
                spares: resumed.spares,
                pending,
                note: Vec::new(),
            },
            recovered,
        ))
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
            self.begin_segment();
        }
        let synced = self.shared.state().synced;
        let pending = &mut self.pending;
        pending.last += 1;
        let Cursor {
            segment, offset, ..
        } = pending.cursor;
        if pending.parts.is_empty() {
            pending
                .parts
                .push(Part::new(segment, offset, 0, pending.last, None));
        }
        record::encode(
            &mut pending.buffer,
            Place { segment, offset },
            kind,
            pending.last,
            synced,
            payload,
        );
        let size = (RECORD_HEADER_BYTES + payload.len()) as u64;
        pending
            .parts
            .last_mut()
            .expect("invariant: a part was just made")
            .sizes
            .push(size);
        pending.cursor.offset += size;
        pending.cursor.empty = false;
        RecordNumber(pending.last)
    }

    /// Whether appending a payload of this size now would begin a new segment.
    pub fn starts_segment(&self, payload_bytes: usize) -> bool {
        let cursor = &self.pending.cursor;
        !cursor.empty
            && cursor.offset + (RECORD_HEADER_BYTES + payload_bytes) as u64 > cursor.capacity
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
        let result = self.write_parts();
        self.pending.parts.clear();
        self.pending.buffer.clear();
        self.pending.buffer.shrink_to(PENDING_BYTES_KEPT);
        result?;
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
            self.recycle_or_remove(segment)?;
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
        RecordNumber(self.pending.last)
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

    fn begin_segment(&mut self) {
        self.pending.end_part();
        let number = self.pending.cursor.segment + 1;
        let first = self.pending.last + 1;
        let header = segment::encode_header(number, first, &self.config.identity, &self.note);
        let offset = header.len() as u64;
        let start = self.pending.buffer.len();
        self.pending.parts.push(Part::new(
            number,
            offset,
            start,
            first,
            Some((header, self.note.clone())),
        ));
        self.pending.cursor = Cursor {
            segment: number,
            offset,
            capacity: self.config.segment_bytes,
            empty: true,
        };
    }

    fn write_parts(&mut self) -> Result<(), LogError> {
        self.shared.check_poison()?;
        if self.pending.parts.is_empty() {
            return Ok(());
        }
        self.pending.end_part();
        let mut parts = std::mem::take(&mut self.pending.parts);
        for at in 0..parts.len() {
            let end = parts
                .get(at + 1)
                .map_or(self.pending.buffer.len(), |next| next.start);
            let begins = parts[at].begins.take();
            self.write_part(&parts[at], begins, end)?;
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        part: &Part,
        begins: Option<(Vec<u8>, Vec<u8>)>,
        end: usize,
    ) -> Result<(), LogError> {
        if let Some(begins) = begins {
            self.install_segment(part, begins)?;
        }
        let segment = Arc::clone(&self.shared.state_mut().current().segment);
        debug_assert_eq!(
            segment.number, part.segment,
            "a part goes to the current segment"
        );
        segment
            .file
            .write_at(&self.pending.buffer[part.start..end], part.offset)
            .map_err(|source| self.shared.fail(&segment.name, "write", source))?;
        let mut state = self.shared.state_mut();
        let mut number = part.first;
        for size in &part.sizes {
            state.current().index.push(number, *size);
            number += 1;
        }
        state.written = number - 1;
        Ok(())
    }

    /// Invariant: all records before a segment are synced before its file has its name.
    fn install_segment(&mut self, part: &Part, begins: (Vec<u8>, Vec<u8>)) -> Result<(), LogError> {
        self.shared.sync()?;
        let storage = &*self.shared.storage;
        let segment = create_segment(
            storage,
            &mut self.spares,
            &self.config,
            part.segment,
            part.first,
            begins,
        )
        .map_err(|source| {
            self.shared
                .fail(&segment::segment_name(part.segment), "create", source)
        })?;
        let index = Index::new(segment.header_bytes);
        self.shared.state_mut().segments.push_back(Entry {
            segment: Arc::new(segment),
            index,
        });
        Ok(())
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

    fn recycle_or_remove(&mut self, segment: Arc<Segment>) -> Result<(), LogError> {
        let storage = &self.shared.storage;
        let name = segment.name.clone();
        // A segment that a scan still stands in must not be written over under it.
        let unread = Arc::try_unwrap(segment).is_ok();
        if unread && self.spares.len() < SPARES_MAX {
            let spare = format!("{SPARE_PREFIX}{name}");
            storage
                .rename(&name, &spare)
                .map_err(|source| self.shared.fail(&name, "rename", source))?;
            self.spares.push(spare);
            return Ok(());
        }
        storage
            .remove(&name)
            .map_err(|source| self.shared.fail(&name, "remove", source))
    }
}

impl Part {
    fn new(
        segment: u64,
        offset: u64,
        start: usize,
        first: u64,
        begins: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Self {
        Part {
            segment,
            offset,
            start,
            first,
            sizes: Vec::new(),
            begins,
        }
    }
}

impl Pending {
    /// Puts zeros behind the last record where another could follow: in a recycled file they are what tells the end
    /// of the log from the bytes of its earlier life. The next write covers them.
    fn end_part(&mut self) {
        let room = self.cursor.capacity.saturating_sub(self.cursor.offset);
        if !self.parts.is_empty() && room >= RECORD_HEADER_BYTES as u64 {
            self.buffer
                .resize(self.buffer.len() + RECORD_HEADER_BYTES, 0);
        }
    }
}

/// Prepares a segment under a spare's name and gives it its own when its header is durable, so that a file with a
/// segment's name always has a sound header.
fn create_segment(
    storage: &dyn Storage,
    spares: &mut Vec<String>,
    config: &LogConfig,
    number: u64,
    first: u64,
    (header, note): (Vec<u8>, Vec<u8>),
) -> std::io::Result<Segment> {
    let (spare, file) = match spares.pop() {
        Some(spare) => {
            let file = storage.open(&spare)?;
            (spare, file)
        }
        None => (SPARE_NEW.to_owned(), storage.create(SPARE_NEW)?),
    };
    let header_bytes = header.len() as u64;
    file.set_len(config.segment_bytes)?;
    let mut bytes = header;
    bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    file.write_at(&bytes, 0)?;
    file.sync_data()?;
    let name = segment::segment_name(number);
    storage.rename(&spare, &name)?;
    storage.sync_dir()?;
    Ok(Segment {
        number,
        first,
        name,
        header_bytes,
        note,
        file,
    })
}
