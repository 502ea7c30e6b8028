//! Reading records back, from any thread, while others are being written and synced.

use std::sync::Arc;

use super::error::{LogError, ReadError};
use super::record::{Place, Record, RecordKind, RecordNumber};
use super::segment::Segment;
use super::shared::Shared;
use super::window::{Found, Window};

/// Reads written records. Cheap to clone; never waits for a write or a sync.
///
/// After a failure it reads only what was synced before it.
#[derive(Clone)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

/// Syncs a log from another thread than the one that writes it, so that an interval's sync delays no write.
#[derive(Clone)]
pub struct LogSyncer {
    pub(super) shared: Arc<Shared>,
}

/// A segment file, as far as its header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub number: u64,
    /// Its first record, also while it holds none.
    pub first: RecordNumber,
    /// What the writer noted when it began; see [`Log::annotate`](super::Log::annotate).
    pub note: Vec<u8>,
    /// Bytes written to it, its header included.
    pub bytes: u64,
}

impl LogSyncer {
    /// As [`Log::sync`](super::Log::sync).
    ///
    /// # Errors
    /// As [`Log::sync`](super::Log::sync); a failure here poisons the log too.
    pub fn sync(&self) -> Result<RecordNumber, LogError> {
        self.shared.sync()
    }
}

impl LogReader {
    /// All records from `from` on, in order. See [`Scan`].
    pub fn scan(&self, from: RecordNumber) -> Scan {
        Scan {
            shared: Arc::clone(&self.shared),
            next: from.0.max(1),
            position: None,
            window: Window::default(),
            failed: false,
        }
    }

    /// One record; `None` if it has not been written yet.
    ///
    /// # Errors
    /// As [`Scan`]. Costs one read of about 128 KiB.
    pub fn read(&self, number: RecordNumber) -> Result<Option<Record>, ReadError> {
        self.scan(number).next().transpose()
    }

    /// The oldest record, or the first to come if there is none.
    pub fn first(&self) -> RecordNumber {
        RecordNumber(self.shared.state().first())
    }

    /// The newest record that can be read.
    pub fn last(&self) -> RecordNumber {
        RecordNumber(self.shared.state().readable())
    }

    /// The newest record known to be on the disk.
    pub fn synced(&self) -> RecordNumber {
        RecordNumber(self.shared.state().synced)
    }

    /// The bytes of all records kept.
    pub fn bytes(&self) -> u64 {
        self.shared
            .state()
            .segments
            .iter()
            .map(|entry| entry.index.end)
            .sum()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let info = |segment: &Segment, bytes| SegmentInfo {
            number: segment.number,
            first: RecordNumber(segment.first),
            note: segment.note.clone(),
            bytes,
        };
        self.shared
            .state()
            .segments
            .iter()
            .map(|entry| info(&entry.segment, entry.index.end))
            .collect()
    }
}

/// Records in order, as an iterator that is also a cursor: at the end of what has been written it answers `None`,
/// and goes on when called again after more has been written. After an error it answers `None` for ever.
///
/// # Errors
/// [`ReadError::Trimmed`] if the next record is no longer there, [`ReadError::Damaged`] if its bytes do not verify.
pub struct Scan {
    shared: Arc<Shared>,
    next: u64,
    position: Option<Position>,
    window: Window,
    failed: bool,
}

/// Where record `number` begins.
struct Position {
    segment: Arc<Segment>,
    number: u64,
    offset: u64,
}

impl Scan {
    /// The number of the record that comes next.
    pub fn position(&self) -> RecordNumber {
        RecordNumber(self.next)
    }

    fn step(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some(end) = self.locate()? else {
                return Ok(None);
            };
            let position = self
                .position
                .as_mut()
                .expect("invariant: locate sets the position");
            let segment = &position.segment;
            let place = Place {
                segment: segment.number,
                offset: position.offset,
            };
            let found = self
                .window
                .record(&*segment.file, place, end)
                .map_err(|source| ReadError::Io {
                    file: self.shared.storage.place(&segment.name),
                    source,
                })?;
            let (head, payload) = match found {
                Found::Record(head, payload) if head.number == position.number => (head, payload),
                _ => return Err(self.damaged()),
            };
            let Some(kind) = RecordKind::from_u32(head.kind) else {
                return Err(self.damaged());
            };
            position.offset += head.record_bytes();
            position.number += 1;
            if head.number == self.next {
                self.next += 1;
                return Ok(Some(Record {
                    number: RecordNumber(head.number),
                    kind,
                    bytes: payload.to_vec(),
                }));
            }
        }
    }

    /// Moves to the segment that holds the next record and answers where its written bytes end; `None` when that
    /// record has not been written.
    fn locate(&mut self) -> Result<Option<u64>, ReadError> {
        let state = self.shared.state();
        if self.next > state.readable() {
            return Ok(None);
        }
        let Some(entry) = state.holding(self.next) else {
            return Err(ReadError::Trimmed {
                asked: RecordNumber(self.next),
                first: RecordNumber(state.first()),
            });
        };
        let here = self
            .position
            .as_ref()
            .is_some_and(|at| at.segment.number == entry.segment.number);
        if !here {
            let start = (entry.segment.first, entry.segment.header_bytes);
            let (number, offset) = entry.index.before(self.next).unwrap_or(start);
            self.position = Some(Position {
                segment: Arc::clone(&entry.segment),
                number,
                offset,
            });
            self.window = Window::default();
        }
        Ok(Some(entry.index.end))
    }

    fn damaged(&self) -> ReadError {
        let position = self
            .position
            .as_ref()
            .expect("invariant: a position was read");
        ReadError::Damaged {
            file: self.shared.storage.place(&position.segment.name),
            offset: position.offset,
            number: RecordNumber(position.number),
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step().transpose();
        self.failed = matches!(step, Some(Err(_)));
        step
    }
}
