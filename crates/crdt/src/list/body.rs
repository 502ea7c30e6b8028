//! The elements of a list in their order: what the forms of the type share.

use alloc::vec::Vec;
use core::ops::Range;

use super::chunk::{CHUNK_MAX, Chunk};
use super::entry::Entry;
use super::extent::{Digester, Extent};
use super::pages::Numbers;
use super::place::Gap;
use super::position::Position;
use super::update::Positions;
use crate::counted_tree::{CountedTree, Item};

/// Elements by their positions, found by position and by index in O(log n).
#[derive(Debug)]
pub(crate) struct Body<T: Clone> {
    // Invariant: chunks come in the order of their elements' positions, each of which is there once.
    pub(super) chunks: CountedTree<Chunk<T>>,
    pub(super) numbers: Numbers,
    digester: Option<Digester<T>>,
}

impl<T: Clone> Body<T> {
    /// Chunks that come in the order of their positions.
    pub(super) fn of(chunks: Vec<Chunk<T>>) -> Self {
        Self {
            chunks: chunks.into_iter().collect(),
            numbers: Numbers::default(),
            digester: None,
        }
    }

    /// Chunks that are summed up.
    pub(super) fn summed(
        chunks: Vec<Chunk<T>>,
        numbers: Numbers,
        digester: Option<Digester<T>>,
    ) -> Self {
        Self {
            numbers,
            digester,
            ..Self::of(chunks)
        }
    }

    /// No elements, summed up as these.
    pub(super) fn empty(&self) -> Self {
        Self::summed(Vec::new(), Numbers::default(), self.digester)
    }

    pub(super) fn digester(&self) -> Option<Digester<T>> {
        self.digester
    }

    /// Adds up values in this way from here on: O(n).
    pub(crate) fn set_digester(&mut self, digester: Option<Digester<T>>) {
        self.digester = digester;
        if !self.is_empty() {
            self.chunks.each_mut(|chunk| chunk.sum_up(digester));
        }
    }

    /// Puts other elements, whose sums are not known, in the place of these.
    pub(crate) fn replace(&mut self, mut elements: Self) {
        elements.set_digester(self.digester);
        *self = elements;
    }

    /// Whether what is known of parts is what follows from the elements.
    pub(crate) fn is_sound(&self) -> bool {
        let is_summed = |chunk: &Chunk<T>| {
            let [mut kept, mut anew] = [Extent::default(), Extent::default()];
            chunk.summarize(&mut kept);
            let entries = chunk.entries().to_vec();
            let mut again = Chunk::of(chunk.first().clone(), chunk.ids().clone(), entries);
            again.sum_up(self.digester);
            again.summarize(&mut anew);
            kept.includes(&anew)
        };
        self.chunks().all(is_summed) && self.chunks.is_sound(Extent::includes)
    }

    /// What is known of all elements.
    pub(crate) fn extent(&self) -> &Extent {
        self.chunks.summary()
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.weight()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Entry<T>> {
        let (chunk, inside) = self.chunks.at(index)?;
        Some(&chunk.entries()[inside])
    }

    pub(crate) fn position(&self, index: usize) -> Option<Position> {
        let (chunk, inside) = self.chunks.at(index)?;
        Some(chunk.position(inside))
    }

    /// Where the element at `position` is, or would be.
    pub(crate) fn search(&self, position: &Position) -> Result<usize, usize> {
        match self.chunks.floor(|key| key.cmp(position)) {
            None => Err(0),
            Some((before, chunk)) => match chunk.search(position) {
                Ok(inside) => Ok(before + inside),
                Err(inside) => Err(before + inside),
            },
        }
    }

    pub(crate) fn chunks_tree(&self) -> &CountedTree<Chunk<T>> {
        &self.chunks
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Chunk<T>> {
        self.chunks.iter()
    }

    /// The elements in a range of indices, from front to back.
    pub(crate) fn range(&self, range: Range<usize>) -> impl Iterator<Item = &Entry<T>> {
        self.chunks
            .iter_from(range.start)
            .flat_map(|(chunk, inside)| &chunk.entries()[inside..])
            .take(range.len())
    }

    /// The elements with their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Position, &Entry<T>)> {
        self.chunks.iter().flat_map(|chunk| {
            let entries = chunk.entries().iter().enumerate();
            entries.map(|(index, entry)| (chunk.position(index), entry))
        })
    }

    /// Calls `visit` with what lies to the left and to the right of the place before the element at `index`.
    pub(crate) fn around<R>(&self, index: usize, visit: impl FnOnce(Gap<'_>) -> R) -> R {
        let left = index.checked_sub(1).and_then(|index| self.position(index));
        let right = self.position(index);
        visit(Gap {
            left: left.as_ref(),
            right: right.as_ref(),
        })
    }

    /// Puts a chunk before the element at `index`, where it belongs as a whole.
    pub(crate) fn insert(&mut self, index: usize, mut chunk: Chunk<T>) {
        let digester = self.digester;
        // A larger one is summed up in pieces.
        if chunk.entries().len() <= CHUNK_MAX {
            chunk.sum_up(digester);
        }
        match index.checked_sub(1) {
            None => self.chunks.edit_at(0, |chunks, _, _| {
                put_before(chunks, 0, chunk, digester);
            }),
            Some(before) => self.chunks.edit_at(before, |chunks, at, inside| {
                put_after(chunks, at, inside + 1, chunk, digester);
            }),
        }
    }

    /// The index at which a chunk can be put as a whole: none of its elements is there, and nothing lies between them.
    pub(crate) fn room(&self, chunk: &Chunk<T>) -> Option<usize> {
        let index = self.search(chunk.first()).err()?;
        let next = self.position(index);
        next.is_none_or(|next| chunk.last() < next).then_some(index)
    }

    /// Puts in a chunk whose elements belong where their positions say. One that is there already keeps what it holds.
    pub(crate) fn insert_by_position(&mut self, mut chunk: Chunk<T>) {
        loop {
            if let Some(index) = self.room(&chunk) {
                return self.insert(index, chunk);
            }
            let rest = (chunk.entries().len() > 1).then(|| chunk.split_off(1, None));
            if let Some(index) = self.room(&chunk) {
                self.insert(index, chunk);
            }
            match rest {
                Some(rest) => chunk = rest,
                None => return,
            }
        }
    }

    /// The positions of a range of indices, cut at the end: O(log n) for the first, and O(1) for each span.
    pub(crate) fn positions(&self, range: Range<usize>) -> Positions {
        let mut positions = Positions::default();
        let mut left = range.len();
        for (chunk, inside) in self.chunks.iter_from(range.start) {
            let len = (chunk.entries().len() - inside).min(left);
            for span in chunk.ids().slice(inside, len) {
                positions.push(Position::new(chunk.first().run.clone(), span.first), span);
            }
            left -= len;
            if left == 0 {
                break;
            }
        }
        positions
    }

    /// Takes out the elements of one chunk from `index` on, as long as `goes` says so; says how many.
    pub(crate) fn remove_while(
        &mut self,
        index: usize,
        mut goes: impl FnMut(&Position, &Entry<T>) -> bool,
    ) -> usize {
        let (numbers, digester) = (&mut self.numbers, self.digester);
        self.chunks.edit_at(index, |chunks, at, inside| {
            let chunk = &chunks[at];
            let mut end = inside;
            while end < chunk.entries().len() && goes(&chunk.position(end), &chunk.entries()[end]) {
                end += 1;
            }
            if end > inside {
                take_out(chunks, at, inside..end, numbers, digester);
            }
            end - inside
        })
    }

    /// Changes the entry at `index`; the element goes where it does not `stay` with what it holds then.
    pub(crate) fn change(
        &mut self,
        index: usize,
        change: impl FnOnce(&Position, Entry<T>) -> Entry<T>,
        stays: impl FnOnce(&Entry<T>) -> bool,
    ) {
        let (numbers, digester) = (&mut self.numbers, self.digester);
        self.chunks.edit_at(index, |chunks, at, inside| {
            let position = chunks[at].position(inside);
            let entry = change(&position, chunks[at].entries()[inside].clone());
            if stays(&entry) {
                chunks[at].replace(inside, entry, digester);
            } else {
                take_out(chunks, at, inside..inside + 1, numbers, digester);
            }
        });
    }
}

/// Puts a chunk behind the first `inside` elements of another one.
fn put_after<T: Clone>(
    chunks: &mut Vec<Chunk<T>>,
    at: usize,
    inside: usize,
    chunk: Chunk<T>,
    digester: Option<Digester<T>>,
) {
    let host = &mut chunks[at];
    if host.can_join(&chunk) {
        return host.insert(inside, chunk);
    }
    if inside < host.entries().len() {
        let tail = host.split_off(inside, digester);
        chunks.insert(at + 1, tail);
    }
    put_before(chunks, at + 1, chunk, digester);
}

fn put_before<T: Clone>(
    chunks: &mut Vec<Chunk<T>>,
    at: usize,
    chunk: Chunk<T>,
    digester: Option<Digester<T>>,
) {
    match chunks.get_mut(at) {
        Some(next) if next.can_join(&chunk) => next.insert(0, chunk),
        _ if chunk.entries().len() <= CHUNK_MAX => chunks.insert(at, chunk),
        _ => drop(chunks.splice(at..at, chunk.pieces(digester))),
    }
}

fn take_out<T: Clone>(
    chunks: &mut Vec<Chunk<T>>,
    at: usize,
    range: Range<usize>,
    numbers: &mut Numbers,
    digester: Option<Digester<T>>,
) {
    chunks[at].remove(range, digester);
    if chunks[at].is_empty() {
        numbers.give_back(chunks.remove(at).page.number);
    }
    join_around(chunks, at, numbers);
}

/// Joins the chunk at this place with one beside it where both fit into one.
pub(super) fn join_around<T: Clone>(chunks: &mut Vec<Chunk<T>>, at: usize, numbers: &mut Numbers) {
    let fits = |at: usize| {
        chunks
            .get(at + 1)
            .is_some_and(|next| chunks[at].can_join(next))
    };
    // What it parted may grow together again; half-full chunks are left alone, so that this happens seldom.
    if let Some(first) = [at.checked_sub(1), Some(at)]
        .into_iter()
        .flatten()
        .find(|at| fits(*at))
    {
        let next = chunks.remove(first + 1);
        numbers.give_back(next.page.number);
        chunks[first].join(next);
    }
}

impl<T: Clone> Default for Body<T> {
    fn default() -> Self {
        Self {
            chunks: CountedTree::new(),
            numbers: Numbers::default(),
            digester: None,
        }
    }
}

impl<T: Clone> Clone for Body<T> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
            numbers: self.numbers.clone(),
            digester: self.digester,
        }
    }
}

impl<T: Clone + PartialEq> PartialEq for Body<T> {
    /// The same elements, however they are cut into chunks.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Clone + Eq> Eq for Body<T> {}

impl<T: Clone> From<Chunk<T>> for Body<T> {
    fn from(chunk: Chunk<T>) -> Self {
        Self::of(chunk.pieces(None))
    }
}

impl<T: Clone> FromIterator<(Position, Entry<T>)> for Body<T> {
    /// Elements that come in the order of their positions, each once: O(n).
    fn from_iter<I: IntoIterator<Item = (Position, Entry<T>)>>(elements: I) -> Self {
        let mut chunks: Vec<Chunk<T>> = Vec::new();
        for (position, entry) in elements {
            let rest = match chunks.last_mut() {
                Some(last) => last.push(position, entry),
                None => Err((position, entry)),
            };
            if let Err((position, entry)) = rest {
                chunks.push(Chunk::one(position, entry));
            }
        }
        Self::of(chunks)
    }
}
