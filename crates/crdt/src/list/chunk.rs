//! Neighbouring elements of one run, stored as one.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use isles_clock::Dot;

use super::entry::Entry;
use super::extent::{Digester, Extent, Written};
use super::ids::{Ids, Span};
use super::position::{Position, Side, Slot};
use crate::counted_tree::Item;

/// Elements of a chunk: what an insertion inside moves is at most this.
pub(crate) const CHUNK_MAX: usize = 64;

/// Elements of one run that follow each other in the list.
#[derive(Clone, Debug)]
pub(crate) struct Chunk<T> {
    // Invariant: where the first element is; there is one.
    first: Position,
    ids: Ids,
    // Shared between clones by itself: a leaf has many chunks, and a change copies the leaf, but one chunk's entries.
    entries: Arc<Vec<Entry<T>>>,
    pub(super) page: Page,
    // Invariant: the sum over all values, as the digester of the list that it lies in gives it.
    digest: u128,
    // Invariant: what elements hold beside the values that they were inserted with is not newer.
    written: Written,
}

/// What whoever stores a list chunk by chunk knows of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) number: Option<u32>,
    pub(super) changed: bool,
}

impl Page {
    pub(super) const NEW: Self = Self {
        number: None,
        changed: true,
    };
}

impl<T: Clone> Item for Chunk<T> {
    type Key = Position;
    type Summary = Extent;

    fn key(&self) -> &Position {
        &self.first
    }

    fn weight(&self) -> usize {
        self.entries.len()
    }

    fn summarize(&self, extent: &mut Extent) {
        extent.digest = extent.digest.wrapping_add(self.digest);
        let replica = self.first.run.root.replica;
        extent.newest.observe(Dot::new(replica, self.ids.newest()));
        if let Some(written) = &self.written {
            extent.newest.merge(written);
        }
    }
}

impl<T: Clone> Chunk<T> {
    /// The elements of one span, the first of which is at `first`.
    pub(crate) fn new(first: Position, span: Span, entries: Vec<Entry<T>>) -> Self {
        Self::of(first, Ids::from(span), entries)
    }

    pub(super) fn of(first: Position, ids: Ids, entries: Vec<Entry<T>>) -> Self {
        let mut chunk = Self {
            first,
            ids,
            entries: Arc::new(Vec::new()),
            page: Page::NEW,
            digest: 0,
            written: None,
        };
        entries.iter().for_each(|entry| chunk.note(entry));
        chunk.entries = Arc::new(entries);
        chunk
    }

    /// An element is about to hold this.
    fn note(&mut self, entry: &Entry<T>) {
        if let Entry::Written(versions) = entry {
            let written = self.written.get_or_insert_default();
            versions
                .iter()
                .for_each(|version| written.observe(version.dot));
        }
    }

    /// Adds up anew what its elements hold: it gets into a list with this digester.
    pub(super) fn sum_up(&mut self, digester: Option<Digester<T>>) {
        self.digest = self.digest_of(0..self.entries.len(), digester);
    }

    /// What some elements hold, added up.
    fn digest_of(&self, range: Range<usize>, digester: Option<Digester<T>>) -> u128 {
        let Some(Digester { salt, of }) = digester else {
            return 0;
        };
        let root = self.first.run.root;
        let slots = self.ids.slice(range.start, range.len());
        let slots = slots.flat_map(Span::names);
        let named = slots.zip(&self.entries[range]);
        named.fold(0, |total: u128, (slot, entry)| {
            let name = root.name(slot);
            let own = Dot::new(root.replica, slot.sequence);
            entry.versions(own).fold(total, |total, version| {
                total.wrapping_add(of(salt, &name, &version))
            })
        })
    }

    fn edit(&mut self) -> &mut Vec<Entry<T>> {
        self.page.changed = true;
        Arc::make_mut(&mut self.entries)
    }

    /// One element.
    pub(crate) fn one(at: Position, entry: Entry<T>) -> Self {
        let span = Span::one(at.slot);
        Self::new(at, span, alloc::vec![entry])
    }

    pub(crate) fn first(&self) -> &Position {
        &self.first
    }

    pub(crate) fn last(&self) -> Position {
        self.position(self.entries.len() - 1)
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.ids
    }

    pub(crate) fn entries(&self) -> &[Entry<T>] {
        &self.entries
    }

    pub(crate) fn position(&self, index: usize) -> Position {
        let slot = self.slot(index);
        Position::new(self.first.run.clone(), slot)
    }

    /// The write that inserted the element at `index`.
    pub(crate) fn dot(&self, index: usize) -> Dot {
        Dot::new(self.first.run.root.replica, self.slot(index).sequence)
    }

    fn slot(&self, index: usize) -> Slot {
        self.ids.slot(index)
    }

    /// The place of the element at `position`, or the number of elements before where it would be.
    pub(crate) fn search(&self, position: &Position) -> Result<usize, usize> {
        let Some((slot, below)) = position.below(&self.first.run) else {
            // Only what hangs below a run lies between its elements.
            let before = *position < self.first;
            return Err(if before { 0 } else { self.entries.len() });
        };
        let found = self.ids.search(slot);
        match (found, below) {
            (found, None) | (found @ Err(_), _) => found,
            (Ok(index), Some(Side::Left)) => Err(index),
            (Ok(index), Some(Side::Right)) => Err(index + 1),
        }
    }

    pub(crate) fn replace(&mut self, index: usize, entry: Entry<T>, digester: Option<Digester<T>>) {
        self.note(&entry);
        let before = self.digest_of(index..index + 1, digester);
        self.edit()[index] = entry;
        let after = self.digest_of(index..index + 1, digester);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }

    /// Takes out some elements. The chunk may be empty afterwards, and must go then.
    pub(crate) fn remove(&mut self, range: Range<usize>, digester: Option<Digester<T>>) {
        let gone = self.digest_of(range.clone(), digester);
        self.digest = self.digest.wrapping_sub(gone);
        let mut tail = self.ids.split_off(range.start);
        self.ids.append(tail.split_off(range.len()));
        drop(self.edit().drain(range.clone()));
        if range.start == 0 && !self.entries.is_empty() {
            self.first.slot = self.slot(0);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some element may hold another value than the one that it was inserted with.
    pub(super) fn may_be_written(&self) -> bool {
        self.written.is_some()
    }

    /// Cuts off the elements from `index` on, of which there must be some on both sides.
    pub(crate) fn split_off(&mut self, index: usize, digester: Option<Digester<T>>) -> Self {
        let first = self.position(index);
        let ids = self.ids.split_off(index);
        let mut tail = Self::of(first, ids, self.edit().split_off(index));
        tail.sum_up(digester);
        self.digest = self.digest.wrapping_sub(tail.digest);
        tail
    }

    /// Takes in the chunk that follows, of the same run and with room for it.
    pub(crate) fn join(&mut self, mut next: Self) {
        debug_assert!(self.can_join(&next), "asked before");
        self.take_in(&next);
        self.edit().extend(next.take_entries());
        self.ids.append(next.ids);
    }

    pub(crate) fn can_join(&self, next: &Self) -> bool {
        self.entries.len() + next.entries.len() <= CHUNK_MAX && self.first.run.is(&next.first.run)
    }

    fn take_in(&mut self, other: &Self) {
        self.digest = self.digest.wrapping_add(other.digest);
        if let Some(written) = &other.written {
            self.written.get_or_insert_default().merge(written);
        }
    }

    /// Puts a chunk between the elements before `index` and the others, where it is of the same run and fits.
    pub(crate) fn insert(&mut self, index: usize, mut chunk: Self) {
        self.take_in(&chunk);
        self.edit().splice(index..index, chunk.take_entries());
        let tail = self.ids.split_off(index);
        if index == 0 {
            self.first = chunk.first;
        }
        self.ids.append(chunk.ids);
        self.ids.append(tail);
    }

    fn take_entries(&mut self) -> Vec<Entry<T>> {
        let entries = mem::take(&mut self.entries);
        Arc::try_unwrap(entries).unwrap_or_else(|shared| (*shared).clone())
    }

    /// Cuts it into chunks of the greatest size.
    pub(crate) fn pieces(mut self, digester: Option<Digester<T>>) -> Vec<Self> {
        if self.entries.len() <= CHUNK_MAX {
            return alloc::vec![self];
        }
        let mut pieces = Vec::new();
        let mut entries = self.take_entries().into_iter();
        while entries.len() > 0 {
            let tail = self.ids.split_off(entries.len().min(CHUNK_MAX));
            let ids = mem::replace(&mut self.ids, tail);
            let mut first = self.first.clone();
            first.slot = ids.slot(0);
            let entries = entries.by_ref().take(CHUNK_MAX).collect();
            let mut piece = Self::of(first, ids, entries);
            piece.sum_up(digester);
            pieces.push(piece);
        }
        pieces
    }

    /// Adds one element behind the last, where it is of the same run and fits; else gives it back. The chunk is not summed up.
    pub(crate) fn push(
        &mut self,
        at: Position,
        entry: Entry<T>,
    ) -> Result<(), (Position, Entry<T>)> {
        let fits = self.entries.len() < CHUNK_MAX && self.first.run.is(&at.run);
        if !fits {
            return Err((at, entry));
        }
        self.note(&entry);
        self.ids.push(Span::one(at.slot));
        self.edit().push(entry);
        Ok(())
    }
}
