//! Neighbouring entries of a stream, which are stored together.

use std::sync::Arc;

use isles_clock::{Context, Dot, Hlc};
use isles_crdt::counted_tree::Item;

use super::StreamId;
use crate::bound::Bound;

/// A page takes in no more entries than this.
pub(crate) const PAGE_ENTRIES_MAX: usize = 64;
/// The same for the bytes of their fields; a single entry may have more.
pub(crate) const PAGE_BYTES_MAX: usize = 16 << 10;

/// What tells entries apart: writers that chose the same id without knowing of each other have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) id: StreamId,
    pub(crate) dot: Dot,
    /// Tells apart what one entry of the log adds under one id, as only a copy does.
    pub(crate) ordinal: u32,
}

/// An entry of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) hlc: Hlc,
    pub(crate) fields: Fields,
}

/// Field names and values in turn, in one piece of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields(Arc<[u8]>);

impl Fields {
    /// Packs texts: the length of each, as 32 bits, before it.
    pub(crate) fn pack<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone) -> Fields {
        let bytes = texts.clone().map(|text| LENGTH_BYTES + text.len()).sum();
        let mut packed = Vec::with_capacity(bytes);
        for text in texts {
            let len = u32::try_from(text.len()).expect("an entry of the log is far smaller");
            packed.extend_from_slice(&len.to_le_bytes());
            packed.extend_from_slice(text);
        }
        Fields(packed.into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let (text, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            rest = after;
            Some(text)
        })
    }

    /// The packed bytes, by which equal fields are known.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As people read it, for conflict records.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.iter().collect::<Vec<_>>().join(&b' ')
    }
}

const LENGTH_BYTES: usize = 4;

/// Entries in order, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    // Shared between clones by itself: a leaf of the tree has many pages, and a change copies one page's entries.
    entries: Arc<Vec<Entry>>,
    bytes: usize,
    /// Of the entries.
    bound: Bound,
    /// Under which number it is stored, if it is.
    pub(super) number: Option<u32>,
    pub(super) changed: bool,
}

impl Item for Page {
    type Key = Name;
    type Summary = Bound;

    fn key(&self) -> &Name {
        &self.entries[0].name
    }

    fn weight(&self) -> usize {
        self.entries.len()
    }

    fn summarize(&self, bound: &mut Bound) {
        bound.merge(&self.bound);
    }
}

impl Page {
    pub(super) fn of(entries: Vec<Entry>) -> Page {
        Page {
            bytes: bytes_of(&entries),
            bound: bound_of(&entries),
            entries: Arc::new(entries),
            number: None,
            changed: true,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all fields.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it knows what it holds.
    pub(super) fn is_sound(&self) -> bool {
        !self.entries.is_empty() && self.bound.includes(&bound_of(&self.entries))
    }

    /// What the context does not cover, as a new page; none where that is nothing.
    pub(super) fn without(&self, context: &impl Context) -> Option<Page> {
        if self.bound.is_covered(context) {
            return None;
        }
        let kept = self.entries.iter();
        let kept = kept.filter(|entry| !context.covers(entry.name.dot));
        let kept: Vec<Entry> = kept.cloned().collect();
        (!kept.is_empty()).then(|| Page::of(kept))
    }

    /// How many entries come before this one.
    pub(super) fn place(&self, name: &Name) -> usize {
        // Most entries come last.
        match self.entries.last() {
            Some(last) if last.name < *name => self.entries.len(),
            _ => self.entries.partition_point(|entry| entry.name < *name),
        }
    }

    pub(super) fn has_room(&self, entry: &Entry) -> bool {
        self.entries.len() < PAGE_ENTRIES_MAX
            && self.bytes + entry.fields.as_bytes().len() <= PAGE_BYTES_MAX
    }

    pub(super) fn can_join(&self, next: &Page) -> bool {
        self.entries.len() + next.entries.len() <= PAGE_ENTRIES_MAX / 2
            && self.bytes + next.bytes <= PAGE_BYTES_MAX / 2
    }

    pub(super) fn join(&mut self, next: Page) {
        self.bytes += next.bytes;
        self.bound.merge(&next.bound);
        let entries = Arc::try_unwrap(next.entries).unwrap_or_else(|shared| (*shared).clone());
        self.edit().extend(entries);
    }

    pub(super) fn insert(&mut self, place: usize, entry: Entry) {
        self.bytes += entry.fields.as_bytes().len();
        self.bound.observe(entry.name.dot);
        self.edit().insert(place, entry);
    }

    pub(super) fn split_off(&mut self, place: usize) -> Page {
        let tail = Page::of(self.edit().split_off(place));
        self.bytes -= tail.bytes;
        tail
    }

    /// Takes out the entries that `goes` names, each of which is told. The page may be empty afterwards, and must go then.
    pub(super) fn remove(
        &mut self,
        mut goes: impl FnMut(&Entry) -> bool,
        told: &mut impl FnMut(&Entry),
    ) {
        if !self.entries.iter().any(&mut goes) {
            return;
        }
        self.edit().retain(|entry| {
            let goes = goes(entry);
            if goes {
                told(entry);
            }
            !goes
        });
        self.bytes = bytes_of(&self.entries);
    }

    fn edit(&mut self) -> &mut Vec<Entry> {
        self.changed = true;
        Arc::make_mut(&mut self.entries)
    }
}

fn bytes_of(entries: &[Entry]) -> usize {
    let bytes = entries.iter().map(|entry| entry.fields.as_bytes().len());
    bytes.sum()
}

fn bound_of(entries: &[Entry]) -> Bound {
    let mut bound = Bound::default();
    entries
        .iter()
        .for_each(|entry| bound.observe(entry.name.dot));
    bound
}
