//! Looking at a log without opening it, and cutting it where its operator says: for one that does not open.

use std::io;

use super::error::OpenError;
use super::record::{Head, RECORD_HEADER_BYTES, RecordKind, RecordNumber};
use super::recovery::{EachRecord, examine_tail, mark_cut, open_any, walk_sealed};
use super::segment::{Segment, segment_name, segment_number};
use crate::storage::{File, Storage};

/// What is cut away is kept under a name that begins like this.
const REMOVED_PREFIX: &str = "removed-";

/// How much of a file is copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// A record and where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Located<'r> {
    /// Its place in log order.
    pub number: RecordNumber,
    /// What it is.
    pub kind: RecordKind,
    /// The number of its segment.
    pub segment: u64,
    /// Where it begins in the segment's file.
    pub offset: u64,
    /// Its payload.
    pub bytes: &'r [u8],
}

/// A segment file as it lies there.
#[derive(Debug)]
pub struct SegmentReport {
    /// Its number.
    pub number: u64,
    /// The file.
    pub file: String,
    /// Its first record, and how many verify from there on; none where its header cannot be read.
    pub records: Option<(RecordNumber, u64)>,
    /// To whom it says it belongs.
    pub identity: Vec<u8>,
    /// Where the records that verify end.
    pub end: u64,
    /// What is behind them.
    pub state: SegmentState,
}

/// What is behind the records of a segment that verify.
#[derive(Debug)]
#[non_exhaustive]
pub enum SegmentState {
    /// Nothing: all that was written is there.
    Whole,
    /// Bytes that a crash left before they were known to be synced. The next start cuts them and says so.
    Torn {
        /// How many, as far as it can be told.
        bytes: u64,
    },
    /// Damage, because of which the log does not open.
    Damaged(OpenError),
}

/// Reads a whole log and calls `each` for every record that verifies, in order, also behind damage. Nothing is changed:
/// what [`Log::open`](super::Log::open) would do to a torn tail is told, and not done.
///
/// # Errors
/// The directory cannot be listed. What is wrong with a file stands in its report.
pub fn inspect(
    storage: &dyn Storage,
    each: &mut dyn FnMut(Located<'_>),
) -> Result<Vec<SegmentReport>, OpenError> {
    let numbers = segment_numbers(storage)?;
    let mut segments: Vec<_> = numbers
        .iter()
        .map(|number| open_any(storage, *number))
        .collect();
    let firsts: Vec<Option<u64>> = segments
        .iter()
        .map(|segment| segment.as_ref().ok().map(|segment| segment.first))
        .collect();
    let mut reports = Vec::new();
    for (index, segment) in segments.drain(..).enumerate() {
        let number = numbers[index];
        if index > 0 && numbers[index - 1] + 1 != number {
            let file = storage.place(&segment_name(numbers[index - 1] + 1));
            let missing = OpenError::Missing { file };
            reports.push(unreadable(storage, numbers[index - 1] + 1, missing));
        }
        let next = match numbers.get(index + 1) {
            None => Next::Nothing,
            Some(next) if *next == number + 1 => Next::Segment(firsts[index + 1]),
            Some(_) => Next::Segment(None),
        };
        reports.push(match segment {
            Ok(segment) => report(storage, &segment, next, each),
            Err(error) => unreadable(storage, number, error),
        });
    }
    Ok(reports)
}

/// What comes after a segment.
#[derive(Clone, Copy)]
enum Next {
    Nothing,
    /// Another one, with its first record if its header can be read.
    Segment(Option<u64>),
}

fn segment_numbers(storage: &dyn Storage) -> Result<Vec<u64>, OpenError> {
    let names = storage
        .list()
        .map_err(|source| OpenError::io(&storage.place(""), "list", source))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment_number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn unreadable(storage: &dyn Storage, number: u64, error: OpenError) -> SegmentReport {
    SegmentReport {
        number,
        file: storage.place(&segment_name(number)),
        records: None,
        identity: Vec::new(),
        end: 0,
        state: SegmentState::Damaged(error),
    }
}

fn report(
    storage: &dyn Storage,
    segment: &Segment,
    next: Next,
    each: &mut dyn FnMut(Located<'_>),
) -> SegmentReport {
    let (mut records, mut end) = (0, segment.header_bytes);
    let found = {
        let each: &mut EachRecord<'_> = &mut |head: &Head, offset, bytes| {
            records += 1;
            end = offset + head.record_bytes();
            each(Located {
                number: RecordNumber(head.number),
                kind: RecordKind::from_u32(head.kind)
                    .expect("a walk ends at a kind it does not know"),
                segment: segment.number,
                offset,
                bytes,
            });
        };
        match next {
            Next::Segment(Some(first)) => {
                walk_sealed(storage, segment, first, each).map(|_| SegmentState::Whole)
            }
            // Behind a segment without a readable successor nobody knows how many records it had.
            Next::Segment(None) | Next::Nothing => {
                examine_tail(storage, segment, each).map(|tail| match tail.cut_bytes {
                    Some(bytes) => SegmentState::Torn { bytes },
                    None => SegmentState::Whole,
                })
            }
        }
    };
    SegmentReport {
        number: segment.number,
        file: storage.place(&segment.name),
        records: Some((RecordNumber(segment.first), records)),
        identity: segment.identity.clone(),
        end,
        state: found.unwrap_or_else(SegmentState::Damaged),
    }
}

/// What a [cut](truncate) took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// The last record that is left; the one before the first if none is.
    pub last: RecordNumber,
    /// The file in which it ends, and where.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// Where what was cut away has been kept: whole segment files, the first of them with what is left too.
    pub kept: Vec<String>,
}

/// Why a log was not cut. Nothing was changed, unless the operating system refused half-way: then cut again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruncateError {
    /// Between the beginning of the log and that record something cannot be read.
    #[error(
        "the log can be read through record {through} only: to cut away what is behind it, truncate at {}",
        through.next()
    )]
    NotReached {
        /// The last record before what cannot be read.
        through: RecordNumber,
    },
    /// The log ends before that record.
    #[error("there is nothing to cut: the log ends with record {last}")]
    NothingThere {
        /// Its last record.
        last: RecordNumber,
    },
    /// The log begins behind that record.
    #[error("record {at} was trimmed: the log begins with record {first}")]
    Trimmed {
        /// The record asked for.
        at: RecordNumber,
        /// The oldest one.
        first: RecordNumber,
    },
    /// The first segment cannot be read, so that no record can.
    #[error("nothing of the log can be kept: {0}")]
    NothingReadable(#[source] OpenError),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] OpenError),
}

/// Cuts a log that no process has open: record `at` and everything behind it goes, damage included. What goes is kept in
/// files beside it, and the next [`Log::open`](super::Log::open) reports a [`Cut`](super::Cut), so that the owner knows that
/// it has lost what others may have seen.
///
/// # Errors
/// See [`TruncateError`].
pub fn truncate(storage: &dyn Storage, at: RecordNumber) -> Result<Truncated, TruncateError> {
    let mut place = None;
    let reports = inspect(storage, &mut |record| {
        if record.number == at {
            place = Some((record.segment, record.offset));
        }
    })?;
    let readable = readable(reports)?;
    if at < readable.first {
        let first = readable.first;
        return Err(TruncateError::Trimmed { at, first });
    }
    let (segment, offset) = match place.filter(|_| at <= readable.last) {
        Some(place) => place,
        None if !readable.more => {
            let last = readable.last;
            return Err(TruncateError::NothingThere { last });
        }
        None if at > readable.last.next() => {
            let through = readable.last;
            return Err(TruncateError::NotReached { through });
        }
        None => readable.end,
    };
    cut(storage, segment, offset, at)
}

/// The part of a log in front of anything that cannot be read.
struct Readable {
    first: RecordNumber,
    last: RecordNumber,
    /// Where it ends: the segment and the place in it.
    end: (u64, u64),
    /// Whether there is anything behind it.
    more: bool,
}

fn readable(reports: Vec<SegmentReport>) -> Result<Readable, TruncateError> {
    let mut readable: Option<Readable> = None;
    for report in reports {
        let Some((first, count)) = report.records else {
            if let (None, SegmentState::Damaged(error)) = (&readable, report.state) {
                return Err(TruncateError::NothingReadable(error));
            }
            readable
                .iter_mut()
                .for_each(|readable| readable.more = true);
            break;
        };
        let follows = readable
            .as_ref()
            .is_none_or(|before| before.last.next() == first);
        let is_whole = matches!(report.state, SegmentState::Whole);
        if follows {
            readable = Some(Readable {
                first: readable.map_or(first, |before| before.first),
                last: RecordNumber(first.0 + count - 1),
                end: (report.number, report.end),
                more: !is_whole,
            });
        } else {
            readable
                .iter_mut()
                .for_each(|readable| readable.more = true);
        }
        if !follows || !is_whole {
            break;
        }
    }
    readable.ok_or(TruncateError::NothingThere {
        last: RecordNumber::ZERO,
    })
}

/// In this order, so that a crash in between leaves a log that is as before, or does not open until it is cut again.
fn cut(
    storage: &dyn Storage,
    segment: u64,
    offset: u64,
    at: RecordNumber,
) -> Result<Truncated, TruncateError> {
    let name = segment_name(segment);
    let io = |doing| {
        let place = storage.place(&name);
        move |source| OpenError::io(&place, doing, source)
    };
    let file = storage.open(&name).map_err(io("open"))?;
    let size = file.size().map_err(io("read"))?;
    let mut kept = vec![keep_copy(storage, &*file, &name).map_err(io("copy"))?];
    mark_cut(storage, segment, offset, size.saturating_sub(offset).max(1))?;
    // Cut and extended again, so that zeros follow.
    file.set_len(offset).map_err(io("cut"))?;
    file.set_len(size.max(offset + RECORD_HEADER_BYTES as u64))
        .map_err(io("cut"))?;
    file.sync_data().map_err(io("sync"))?;
    let later = segment_numbers(storage)?.into_iter().rev();
    for number in later.take_while(|number| *number > segment) {
        let name = segment_name(number);
        let removed = free_name(storage, &name).map_err(io("remove"))?;
        storage.rename(&name, &removed).map_err(io("remove"))?;
        kept.push(storage.place(&removed));
    }
    storage.sync_dir().map_err(io("sync"))?;
    kept.sort();
    Ok(Truncated {
        last: RecordNumber(at.0 - 1),
        file: storage.place(&name),
        offset,
        kept,
    })
}

/// Copies a segment file before it is cut.
fn keep_copy(storage: &dyn Storage, file: &dyn File, name: &str) -> io::Result<String> {
    let kept = free_name(storage, name)?;
    let copy = storage.create(&kept)?;
    let (mut offset, mut bytes) = (0, vec![0; COPY_BYTES]);
    loop {
        let read = file.read_at(&mut bytes, offset)?;
        if read == 0 {
            break;
        }
        copy.write_at(&bytes[..read], offset)?;
        offset += read as u64;
    }
    copy.sync_data()?;
    storage.sync_dir()?;
    Ok(storage.place(&kept))
}

/// A name for what is removed of a file: what an earlier cut has kept stays.
fn free_name(storage: &dyn Storage, name: &str) -> io::Result<String> {
    let names = storage.list()?;
    let plain = std::iter::once(format!("{REMOVED_PREFIX}{name}"));
    let numbered = (2u32..).map(|number| format!("{REMOVED_PREFIX}{number}-{name}"));
    let mut free = plain.chain(numbered).filter(|name| !names.contains(name));
    Ok(free.next().expect("some number is free"))
}
