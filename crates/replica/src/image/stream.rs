//! How a stream lies in the table: in its header row while it is small, else in pages that keep their numbers.
//!
//! A page holds neighbouring entries with their ids, so it says by itself where it belongs: trimming the front drops pages
//! and rewrites at most one.

use isles_clock::{Dot, Hlc, ReplicaId};
use isles_crdt::op::{Cell, Version};
use serde::{Deserialize, Serialize};

use super::groups::{self, StoredGroup};
use super::{ImageError, PAGE_NUMBER_BYTES, ScanTable, pages_prefix, versioned};
use crate::op::Kind;
use crate::stream::{Entry, Fields, Name, Page, Stream, StreamId, StreamMark};

/// A stream in a header row.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredStream<'a> {
    marks: Vec<(Dot, Hlc, StreamMark)>,
    deleted: Vec<(Dot, Hlc, StreamId)>,
    /// The numbers of its pages are smaller; zero for a stream that lies here.
    bound: u32,
    #[serde(borrow)]
    only: StoredEntries<'a>,
    #[serde(borrow)]
    groups: Vec<StoredGroup<'a>>,
}

/// Entries in order, each with its writer's place among the writers.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct StoredEntries<'a> {
    writers: Vec<ReplicaId>,
    #[serde(borrow)]
    entries: Vec<StoredEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntry<'a> {
    id: StreamId,
    writer: u32,
    sequence: u64,
    ordinal: u32,
    hlc: Hlc,
    #[serde(borrow)]
    fields: Vec<&'a [u8]>,
}

/// What the table lacks of a stream that lies in pages.
pub(super) struct Changes {
    pub(super) pages: Vec<(u32, Page)>,
    pub(super) gone: Vec<u32>,
    pub(super) bound: u32,
}

/// The changed pages of a large stream; none for a small one.
pub(super) fn changes(stream: &mut Stream) -> Option<Changes> {
    if stream.is_small() {
        stream.forget_pages();
        return None;
    }
    let taken = stream.take_changes();
    Some(Changes {
        pages: taken.changed,
        gone: taken.gone,
        bound: stream.pages_bound(),
    })
}

impl<'a> StoredStream<'a> {
    /// The stream as [`changes`] has left it.
    pub(super) fn of(stream: &'a Stream) -> Self {
        let bound = stream.pages_bound();
        let only = match bound {
            0 => StoredEntries::of(stream.iter()),
            _ => StoredEntries::default(),
        };
        StoredStream {
            marks: stored(&stream.marks),
            deleted: stored(&stream.deleted),
            bound,
            only,
            groups: groups::stored(&stream.groups),
        }
    }

    /// Below which number its pages are, and the stream without what lies in pages.
    pub(super) fn load(self, key_hash: u64) -> Result<(u32, Stream), ImageError> {
        let mut stream = Stream::default();
        stream.marks = loaded(self.marks);
        stream.deleted = loaded(self.deleted);
        let entries = self.only.load()?;
        stream.load_small(entries).map_err(content)?;
        for group in self.groups {
            group.load(key_hash, &mut stream.groups)?;
        }
        Ok((self.bound, stream))
    }
}

impl<'a> StoredEntries<'a> {
    pub(super) fn of(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut stored = StoredEntries::default();
        for entry in entries {
            let replica = entry.name.dot.replica;
            let known = stored.writers.iter().position(|known| *known == replica);
            let writer = known.unwrap_or_else(|| {
                stored.writers.push(replica);
                stored.writers.len() - 1
            });
            stored.entries.push(StoredEntry {
                id: entry.name.id,
                writer: writer as u32,
                sequence: entry.name.dot.sequence,
                ordinal: entry.name.ordinal,
                hlc: entry.hlc,
                fields: entry.fields.iter().collect(),
            });
        }
        stored
    }

    fn load(self) -> Result<Vec<Entry>, ImageError> {
        let writers = self.writers;
        let entry = |stored: StoredEntry<'_>| {
            let writer = writers.get(stored.writer as usize).copied();
            let writer = writer.ok_or(content("an entry of a stream names no writer"))?;
            let name = Name {
                id: stored.id,
                dot: Dot::new(writer, stored.sequence),
                ordinal: stored.ordinal,
            };
            Ok(Entry {
                name,
                hlc: stored.hlc,
                fields: Fields::pack(stored.fields.into_iter()),
            })
        };
        self.entries.into_iter().map(entry).collect()
    }
}

/// Reads the pages of a stream.
pub(super) fn load_pages(
    stream: &mut Stream,
    key: &[u8],
    scan: &mut ScanTable<'_>,
) -> Result<(), ImageError> {
    let mut pages = Vec::new();
    let mut failed = None;
    scan(&pages_prefix(key, Kind::Stream), &mut |table_key, value| {
        let page = versioned(value, table_key).and_then(|bytes| {
            let number = table_key.last_chunk::<PAGE_NUMBER_BYTES>();
            let number = number.ok_or(content("a page has no number"))?;
            let entries: StoredEntries<'_> = postcard::from_bytes(bytes)?;
            Ok((u32::from_be_bytes(*number), entries.load()?))
        });
        match page {
            Ok(page) => pages.push(page),
            Err(error) => failed = failed.take().or(Some(error)),
        }
    });
    match failed {
        Some(error) => Err(error),
        None => stream.load(pages).map_err(content),
    }
}

pub(super) fn content(what: &'static str) -> ImageError {
    ImageError::Content(what.to_owned())
}

fn stored<V: Copy>(cell: &Cell<V>) -> Vec<(Dot, Hlc, V)> {
    let versions = cell.versions().iter();
    versions
        .map(|version| (version.dot, version.hlc, version.value))
        .collect()
}

fn loaded<V>(versions: Vec<(Dot, Hlc, V)>) -> Cell<V> {
    let versions = versions.into_iter();
    versions
        .map(|(dot, hlc, value)| Version { dot, hlc, value })
        .collect()
}
