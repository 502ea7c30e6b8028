//! Opening a log after whatever happened: what is there, what is cut, what must be refused.
//!
//! A segment is synced before its successor is created, and its header before it gets its name. So only records of
//! the last segment can be missing after a crash; anything else that does not verify is damage. Each record notes
//! the last one known to be synced when it was appended: what a later record vouches for is never cut.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::config::LogConfig;
use super::error::{Fault, OpenError};
use super::record::{
    Head, Place, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, RecordKind, RecordNumber, u64_at,
};
use super::segment::{Index, Segment, open_segment, segment_name, segment_number};
use super::shared::Entry;
use super::spares::Spares;
use super::window::{Found, Window};
use crate::storage::{File, Storage};

const CUT_PREFIX: &str = "cut-";

/// How much of the tail is read and written back at a time.
const RESYNC_BYTES: u64 = 1 << 20;

/// What lies past the tail can only be a record of this log if its number is within so many of the last.
const LATER_RECORDS_MAX: u64 = 1 << 32;

/// What a log held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The oldest record, or the first to come if there is none.
    pub first: RecordNumber,
    /// The newest record, or the one before `first` if there is none. It and all before it are synced.
    pub last: RecordNumber,
    /// What was cut from the tail. Reported again by every later open until the log has synced a record that was
    /// appended after the cut, so that a crash in between cannot make the owner forget to draw its conclusion.
    pub cut: Option<Cut>,
}

/// The part of the last segment that became unreadable before it was known to be synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: String,
    /// Where the log ended after the cut.
    pub offset: u64,
    /// How many bytes behind it held what can be told to be lost; at least 1.
    pub bytes: u64,
}

/// Everything that the log goes on from.
pub(super) struct Resumed {
    pub(super) segments: VecDeque<Entry>,
    pub(super) last: u64,
    /// How long the last segment file is.
    pub(super) capacity: u64,
    pub(super) spares: Spares,
    pub(super) cut: Option<Cut>,
    pub(super) cut_markers: Vec<String>,
}

/// Reads everything, verifies everything, and makes what it found durable.
pub(super) fn recover(storage: &dyn Storage, config: &LogConfig) -> Result<Resumed, OpenError> {
    let mut dir = Directory::list(storage)?;
    let mut resumed = Resumed {
        segments: VecDeque::new(),
        last: 0,
        capacity: 0,
        spares: dir.spares,
        cut: dir.cut,
        cut_markers: dir.cut_markers,
    };
    let Some(last) = dir.segments.pop() else {
        return Ok(resumed);
    };
    let mut opened = Vec::new();
    for number in dir.segments {
        opened.push(open(storage, config, number)?);
    }
    let last = open(storage, config, last)?;
    let firsts: Vec<u64> = opened
        .iter()
        .skip(1)
        .chain([&last])
        .map(|segment| segment.first)
        .collect();
    for (segment, next_first) in opened.into_iter().zip(firsts) {
        let walk = walk_sealed(storage, &segment, next_first, &mut |_, _, _| {})?;
        resumed.segments.push_back(Entry {
            segment: Arc::new(segment),
            index: walk.index,
        });
    }
    let tail = examine_tail(storage, &last, &mut |_, _, _| {})?;
    if let Some(bytes) = tail.cut_bytes {
        let marker = mark_cut(storage, last.number, tail.walk.index.end, bytes)?;
        resumed.cut = parse_marker(storage, &marker);
        // An earlier open may have marked the same cut and failed before it was made.
        if !resumed.cut_markers.contains(&marker) {
            resumed.cut_markers.push(marker);
        }
    }
    // An earlier process may have failed to do so, and its names may be in memory only.
    storage
        .sync_dir()
        .map_err(|source| OpenError::io(&storage.place(""), "sync", source))?;
    let io = |source| OpenError::io(&storage.place(&last.name), "repair", source);
    resumed.capacity = settle_tail(&last, &tail, config.segment_bytes).map_err(io)?;
    resumed.last = tail.walk.next - 1;
    resumed.segments.push_back(Entry {
        segment: Arc::new(last),
        index: tail.walk.index,
    });
    Ok(resumed)
}

/// The names in the directory, sorted into what they stand for; others are left alone.
#[derive(Default)]
struct Directory {
    segments: Vec<u64>,
    spares: Spares,
    cut_markers: Vec<String>,
    cut: Option<Cut>,
}

impl Directory {
    fn list(storage: &dyn Storage) -> Result<Self, OpenError> {
        let mut dir = Directory::default();
        let mut names = storage
            .list()
            .map_err(|source| OpenError::io(&storage.place(""), "list", source))?;
        names.sort();
        for name in names {
            if let Some(number) = segment_number(&name) {
                dir.segments.push(number);
            } else if dir.spares.claim(&name) {
                continue;
            } else if let Some(cut) = parse_marker(storage, &name) {
                dir.cut = Some(cut);
                dir.cut_markers.push(name);
            }
        }
        for pair in dir.segments.windows(2) {
            if pair[1] != pair[0] + 1 {
                return Err(OpenError::Missing {
                    file: storage.place(&segment_name(pair[0] + 1)),
                });
            }
        }
        Ok(dir)
    }
}

fn open(storage: &dyn Storage, config: &LogConfig, number: u64) -> Result<Segment, OpenError> {
    let segment = open_any(storage, number)?;
    match segment.identity == config.identity {
        true => Ok(segment),
        false => Err(OpenError::other_identity(
            &storage.place(&segment.name),
            &segment.identity,
            &config.identity,
        )),
    }
}

pub(super) fn open_any(storage: &dyn Storage, number: u64) -> Result<Segment, OpenError> {
    let name = segment_name(number);
    let place = storage.place(&name);
    let file = storage
        .open(&name)
        .map_err(|source| OpenError::io(&place, "open", source))?;
    open_segment(file, name, number, &place)
}

/// How far the records of a segment verify.
pub(super) struct Walk {
    pub(super) index: Index,
    /// The number that the record at the end would have.
    pub(super) next: u64,
    /// The last record that one of them vouches for.
    synced: u64,
}

/// What a walk calls for each record: its header, where it begins, and its payload.
pub(super) type EachRecord<'e> = dyn FnMut(&Head, u64, &[u8]) + 'e;

fn walk(
    storage: &dyn Storage,
    segment: &Segment,
    until: u64,
    each: &mut EachRecord<'_>,
) -> Result<Walk, OpenError> {
    let place = || storage.place(&segment.name);
    let io = |source| OpenError::io(&place(), "read", source);
    let size = segment.file.size().map_err(io)?;
    let mut walk = Walk {
        index: Index::new(segment.header_bytes),
        next: segment.first,
        synced: segment.first - 1,
    };
    let mut window = Window::default();
    while walk.next < until {
        let offset = walk.index.end;
        let found = window
            .record(
                &*segment.file,
                Place {
                    segment: segment.number,
                    offset,
                },
                size,
            )
            .map_err(io)?;
        let Found::Record(head, payload) = found else {
            break;
        };
        if head.number != walk.next {
            break;
        }
        if RecordKind::from_u32(head.kind).is_none() {
            return Err(OpenError::UnknownKind {
                file: place(),
                offset,
                kind: head.kind,
            });
        }
        each(&head, offset, payload);
        walk.index.push(head.number, head.record_bytes());
        walk.next += 1;
        walk.synced = walk.synced.max(head.synced);
    }
    Ok(walk)
}

/// A segment with a successor was synced whole: all its records must be there.
pub(super) fn walk_sealed(
    storage: &dyn Storage,
    segment: &Segment,
    next_first: u64,
    each: &mut EachRecord<'_>,
) -> Result<Walk, OpenError> {
    let walk = walk(storage, segment, next_first, each)?;
    if walk.next == next_first {
        return Ok(walk);
    }
    let fault = if walk.next > next_first {
        Fault::Sequence {
            expected: walk.next,
            found: next_first,
        }
    } else {
        Fault::Record { number: walk.next }
    };
    Err(OpenError::damaged(
        &storage.place(&segment.name),
        walk.index.end,
        fault,
    ))
}

pub(super) struct Tail {
    pub(super) walk: Walk,
    /// Present if something was there that is not any more.
    pub(super) cut_bytes: Option<u64>,
}

pub(super) fn examine_tail(
    storage: &dyn Storage,
    segment: &Segment,
    each: &mut EachRecord<'_>,
) -> Result<Tail, OpenError> {
    let walk = walk(storage, segment, u64::MAX, each)?;
    let end = walk.index.end;
    let rest = read_rest(&*segment.file, end)
        .map_err(|source| OpenError::io(&storage.place(&segment.name), "read", source))?;
    let later = find_later(
        &rest,
        Place {
            segment: segment.number,
            offset: end,
        },
        walk.next,
    );
    if let Some(later) = &later
        && later.synced >= walk.next
    {
        return Err(OpenError::damaged(
            &storage.place(&segment.name),
            end,
            Fault::Record { number: walk.next },
        ));
    }
    let clean = match rest.first_chunk() {
        Some(header) => Head::is_end(header),
        None => true,
    };
    let cut_bytes =
        (!clean || later.is_some()).then(|| lost_bytes(&rest, later.as_ref(), walk.next));
    Ok(Tail { walk, cut_bytes })
}

fn read_rest(file: &dyn File, from: u64) -> io::Result<Vec<u8>> {
    let mut rest = vec![0; file.size()?.saturating_sub(from) as usize];
    let read = file.read_at(&mut rest, from)?;
    rest.truncate(read);
    Ok(rest)
}

/// Records that verify behind the place where the log stopped verifying.
struct Later {
    /// The last record that one of them vouches for.
    synced: u64,
    /// Where the last of them ends, from the beginning of the rest.
    end: u64,
}

fn find_later(rest: &[u8], place: Place, next: u64) -> Option<Later> {
    let mut later: Option<Later> = None;
    let mut at = 0;
    while let Some(header) = rest
        .get(at..)
        .and_then(|rest| rest.first_chunk::<RECORD_HEADER_BYTES>())
    {
        // This one comparison turns away nearly every position; there may be 64 million of them.
        if u64_at(header, 8).wrapping_sub(next) < LATER_RECORDS_MAX
            && let Some(head) = verified_at(rest, at, header, place)
        {
            at += head.record_bytes() as usize;
            let synced = later.map_or(0, |later| later.synced).max(head.synced);
            later = Some(Later {
                synced,
                end: at as u64,
            });
        } else {
            at += 1;
        }
    }
    later
}

fn verified_at(
    rest: &[u8],
    at: usize,
    header: &[u8; RECORD_HEADER_BYTES],
    place: Place,
) -> Option<Head> {
    let head = Head::decode(header);
    if head.kind == 0 || head.length as usize > RECORD_BYTES_MAX {
        return None;
    }
    let start = at + RECORD_HEADER_BYTES;
    let payload = rest.get(start..start + head.length as usize)?;
    let place = Place {
        offset: place.offset + at as u64,
        ..place
    };
    head.verifies(place, payload).then_some(head)
}

/// What can be told of the size of the loss. The bytes of a recycled file's earlier life are not counted where the
/// torn record's header, or a later record, shows how far the loss went.
fn lost_bytes(rest: &[u8], later: Option<&Later>, next: u64) -> u64 {
    let torn = rest
        .first_chunk()
        .map(Head::decode)
        .filter(|head| head.number == next);
    let torn = torn.map_or(0, |head| head.record_bytes().min(rest.len() as u64));
    let told = later.map_or(0, |later| later.end).max(torn);
    if told > 0 {
        return told;
    }
    rest.iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last as u64 + 1)
}

/// Takes what does not verify away for good, and makes what does durable; answers how long the file is now.
fn settle_tail(segment: &Segment, tail: &Tail, segment_bytes: u64) -> io::Result<u64> {
    let file = &*segment.file;
    let end = tail.walk.index.end;
    let size = file.size()?;
    if tail.cut_bytes.is_some() {
        // Cut and extended again, so that zeros follow: a record behind the cut must not fit onto a new one's end.
        file.set_len(end)?;
    }
    let capacity = size.max(segment_bytes).max(end);
    if file.size()? < capacity {
        file.set_len(capacity)?;
    }
    // After a failed sync the system may hold these bytes in memory only and call them clean. Writing them again is
    // what makes the next sync write them; before that, no one may rely on them. The zeros that end the log are part
    // of it: without them a later open would take the bytes behind for a torn tail.
    let mut offset = tail
        .walk
        .index
        .before(tail.walk.synced + 1)
        .map_or(segment.header_bytes, |(_, offset)| offset);
    let until = capacity.min(end + RECORD_HEADER_BYTES as u64);
    while offset < until {
        let mut bytes = vec![0; RESYNC_BYTES.min(until - offset) as usize];
        file.read_at(&mut bytes, offset)?;
        file.write_at(&bytes, offset)?;
        offset += bytes.len() as u64;
    }
    file.sync_data()?;
    Ok(capacity)
}

/// The marker is an empty file that says all in its name, durable before anything is cut. Answers its name.
pub(super) fn mark_cut(
    storage: &dyn Storage,
    segment: u64,
    offset: u64,
    bytes: u64,
) -> Result<String, OpenError> {
    let marker = format!("{CUT_PREFIX}{segment:020}-{offset}-{bytes}");
    let io = |source| OpenError::io(&storage.place(&marker), "create", source);
    match storage.create(&marker) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
        _ => {}
    }
    storage.sync_dir().map_err(io)?;
    Ok(marker)
}

fn parse_marker(storage: &dyn Storage, name: &str) -> Option<Cut> {
    let mut parts = name.strip_prefix(CUT_PREFIX)?.split('-');
    let segment = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    let bytes = parts.next()?.parse().ok()?;
    Some(Cut {
        file: storage.place(&segment_name(segment)),
        offset,
        bytes,
    })
}
