//! Taking a row of neighbours out of a list without looking at each.
//!
//! Every branch of the tree in which chunks lie knows the newest write of each replica below it. Where the context covers
//! those, nothing is left of the elements below, and the subtree is handed over as a whole. Elements are looked at only where
//! somebody has written what the remover had not seen.

use core::ops::Range;

use isles_clock::Context;

use super::body::{Body, join_around};
use super::chunk::{Chunk, Page};
use super::entry::Entry;
use super::extent::{Digester, Extent};
use super::ids::Span;
use super::sweep::{ones, without};
use super::update::{Positions, Stretch};
use crate::counted_tree::{CountedTree, Item};
use crate::op::List;

/// What [`List::cut`] has done.
#[derive(Clone, Debug)]
#[must_use = "dropping what was removed may take long"]
pub struct Cut<T: Clone> {
    /// The elements that were in the stretch, as they were. Dropping them costs O(their number).
    pub removed: List<T>,
    /// Something is left of an element that was inserted by a write that the context covers: it was written concurrently.
    pub left: bool,
}

impl<T: Clone> List<T> {
    /// The stretch from the first to the last element of a range of indices, cut at the end of the list: O(log n). None
    /// where there is no such element.
    #[must_use]
    pub fn stretch(&self, range: Range<usize>) -> Option<Stretch> {
        let last = range.end.min(self.len()).checked_sub(1)?;
        Stretch::new(self.position(range.start)?, self.position(last)?)
    }

    /// Removes what `ctx` covers of the elements in a stretch, as [`remove_each`](Self::remove_each) does for all positions
    /// of it: O(log n), the pages that have numbers, and what it looks at because somebody has written there what `ctx` does
    /// not cover.
    ///
    /// `ctx` is that of an operation: what it covers of a replica is all up to some dot.
    pub fn cut(&mut self, stretch: &Stretch, ctx: &impl Context) -> Cut<T> {
        let (removed, left) = self.body.cut(self.indices(stretch), ctx);
        let scope = self.scope;
        let body = removed;
        Cut {
            removed: Self { body, scope },
            left,
        }
    }

    /// The elements of a stretch that were written after they were inserted: O(log n), and O(1) for each 64 neighbours of
    /// which none was.
    #[must_use]
    pub fn written(&self, stretch: &Stretch) -> Positions {
        let indices = self.indices(stretch);
        let mut written = Positions::default();
        let mut left = indices.len();
        for (chunk, inside) in self.body.chunks_tree().iter_from(indices.start) {
            let len = (chunk.entries().len() - inside).min(left);
            if chunk.may_be_written() {
                let entries = chunk.entries().iter().enumerate();
                for (index, entry) in entries.skip(inside).take(len) {
                    if matches!(entry, Entry::Written(_)) {
                        let position = chunk.position(index);
                        let span = Span::one(position.slot);
                        written.push(position, span);
                    }
                }
            }
            left -= len;
            if left == 0 {
                break;
            }
        }
        written
    }

    /// Where the elements of a stretch are.
    fn indices(&self, stretch: &Stretch) -> Range<usize> {
        let start = match self.body.search(stretch.first()) {
            Ok(index) | Err(index) => index,
        };
        let end = match self.body.search(stretch.last()) {
            Ok(index) => index + 1,
            Err(index) => index,
        };
        start..end.max(start)
    }

    /// Removes what `ctx`, that of an operation, covers of every element, and returns the list as it was. Costs what
    /// [`cut`](Self::cut) looks at.
    pub fn clear(&mut self, ctx: &impl Context) -> Self {
        let scope = self.scope;
        let body = self.body.clear(ctx);
        Self { body, scope }
    }
}

impl<T: Clone> Body<T> {
    fn cut(&mut self, range: Range<usize>, ctx: &impl Context) -> (Self, bool) {
        let mut taken = self.empty();
        if range.is_empty() {
            return (taken, false);
        }
        self.part(range.start);
        self.part(range.end);
        taken.chunks = self.chunks.split_off(range.start);
        let rest = taken.chunks.split_off(range.len());
        if self.numbers.bound() > 0 {
            let numbers = taken.chunks().map(|chunk| chunk.page.number);
            numbers.for_each(|number| self.numbers.give_back(number));
        }
        let kept = left_of(&taken.chunks, ctx, self.digester());
        let left = kept.iter().any(|chunk| {
            let mut dots = (0..chunk.entries().len()).map(|index| chunk.dot(index));
            dots.any(|dot| ctx.covers(dot))
        });
        self.chunks.append(kept.into_iter().collect());
        self.chunks.append(rest);
        if !self.is_empty() {
            let numbers = &mut self.numbers;
            let seam = range.start.saturating_sub(1);
            self.chunks
                .edit_at(seam, |chunks, at, _| join_around(chunks, at, numbers));
        }
        (taken, left)
    }

    /// Makes a chunk start at this index.
    fn part(&mut self, index: usize) {
        if index < self.len() {
            let digester = self.digester();
            self.chunks.edit_at(index, |chunks, at, inside| {
                if inside > 0 {
                    let tail = chunks[at].split_off(inside, digester);
                    chunks.insert(at + 1, tail);
                }
            });
        }
    }

    fn clear(&mut self, ctx: &impl Context) -> Self {
        let empty = self.empty();
        let before = core::mem::replace(self, empty);
        let kept = left_of(&before.chunks, ctx, before.digester());
        self.chunks = kept.into_iter().collect();
        before
    }
}

/// What is left of chunks, as new ones.
fn left_of<T: Clone>(
    chunks: &CountedTree<Chunk<T>>,
    ctx: &impl Context,
    digester: Option<Digester<T>>,
) -> alloc::vec::Vec<Chunk<T>> {
    let is_gone = |extent: &Extent| extent.is_covered(ctx);
    chunks.left_of(is_gone, |chunk| {
        let mut extent = Extent::default();
        chunk.summarize(&mut extent);
        if is_gone(&extent) {
            return None;
        }
        let all = ones(chunk.entries().len());
        let mut kept = without(chunk, all, ctx, digester, &mut false)?;
        kept.page = Page::NEW;
        Some(kept)
    })
}

#[cfg(test)]
mod tests;
