//! Taking many elements out of a list in one walk.

use alloc::vec::Vec;
use core::cmp::Ordering;

use isles_clock::Context;

use super::body::Body;
use super::chunk::{CHUNK_MAX, Chunk};
use super::extent::Digester;
use super::ids::Span;
use super::pages::Numbers;
use super::position::Position;
use super::update::Positions;
use crate::op::List;

/// Which elements of a chunk: a bit for each.
pub(super) type Mask = u64;

const _: () = assert!(CHUNK_MAX <= Mask::BITS as usize);

impl<T: Clone> List<T> {
    /// Removes what `ctx` covers of the elements at these positions, as [`remove_each`](Self::remove_each) does, but in
    /// one walk over the whole list: worth it where they are a large part of it. Costs little for each 64 neighbours that
    /// stay or go together. Says whether something is left of one.
    pub fn sweep(&mut self, positions: &Positions, ctx: &impl Context) -> bool {
        let mut named = Named::of(positions);
        let mut left = false;
        let mut numbers = core::mem::take(&mut self.body.numbers);
        let digester = self.body.digester();
        let mut kept: Vec<Chunk<T>> = Vec::new();
        for chunk in self.body.chunks() {
            let mask = named.of_chunk(chunk);
            let stays = match mask {
                0 => Some(chunk.clone()),
                mask => without(chunk, mask, ctx, digester, &mut left),
            };
            match stays {
                None => numbers.give_back(chunk.page.number),
                Some(chunk) => push(&mut kept, chunk, mask, &mut numbers),
            }
        }
        self.body = Body::summed(kept, numbers, digester);
        left
    }

    /// The positions of the elements whose value is `wanted`, from the front, and no more than `most`: O(n).
    pub fn positions_of(&self, most: usize, mut wanted: impl FnMut(&T) -> bool) -> Positions {
        let mut positions = Positions::default();
        let mut room = most;
        for chunk in self.body.chunks() {
            let entries = chunk.entries().iter().enumerate();
            for (index, _) in entries.filter(|(_, entry)| entry.latest().is_some_and(&mut wanted)) {
                if room == 0 {
                    return positions;
                }
                room -= 1;
                let position = chunk.position(index);
                let span = Span::one(position.slot);
                positions.push(position, span);
            }
        }
        positions
    }
}

/// What is left of a chunk, if anything, without what `ctx` covers of some of its elements.
pub(super) fn without<T: Clone>(
    chunk: &Chunk<T>,
    mask: Mask,
    ctx: &impl Context,
    digester: Option<Digester<T>>,
    left: &mut bool,
) -> Option<Chunk<T>> {
    let goes = |index: usize| {
        let mut versions = chunk.entries()[index].versions(chunk.dot(index));
        versions.all(|version| ctx.covers(version.dot))
    };
    let len = chunk.entries().len();
    let named = |index: &usize| mask & (1 << index) != 0;
    let kept = (0..len).filter(named).filter(|index| !goes(*index));
    let kept = kept.fold(0, |kept: Mask, index| kept | (1 << index));
    *left |= kept != 0;
    let gone = mask & !kept;
    if gone.count_ones() as usize == len {
        return None;
    }
    let mut chunk = chunk.clone();
    for index in (0..len).filter(|index| kept & (1 << index) != 0) {
        // A concurrent write keeps this one.
        let entry = chunk.entries()[index].clone();
        let own = chunk.dot(index);
        let entry = entry.without(own, |dot| ctx.covers(dot));
        chunk.replace(index, entry, digester);
    }
    let mut end = len;
    while end > 0 {
        let last = gone & (1 << (end - 1)) != 0;
        let same = |index: &usize| (gone & (1 << index) != 0) == last;
        let run = (0..end).rev().take_while(same).count();
        if last {
            chunk.remove(end - run..end, digester);
        }
        end -= run;
    }
    Some(chunk)
}

/// Adds a chunk behind the others, or to the last one where something was taken out and both fit into one.
fn push<T: Clone>(chunks: &mut Vec<Chunk<T>>, chunk: Chunk<T>, mask: Mask, numbers: &mut Numbers) {
    match chunks.last_mut() {
        Some(last) if mask != 0 && last.can_join(&chunk) => {
            numbers.give_back(chunk.page.number);
            last.join(chunk);
        }
        _ => chunks.push(chunk),
    }
}

/// Positions, from which those at the front are taken as the list is walked.
struct Named<'p> {
    spans: &'p [(Position, Span)],
    /// How many of the first span are taken.
    taken: u32,
}

impl<'p> Named<'p> {
    fn of(positions: &'p Positions) -> Self {
        Self {
            spans: &positions.spans,
            taken: 0,
        }
    }

    /// Which elements of the next chunk are named.
    fn of_chunk<T: Clone>(&mut self, chunk: &Chunk<T>) -> Mask {
        let (mut mask, mut at, len) = (0, 0, chunk.entries().len());
        while at < len {
            let Some((first, span)) = self.spans.first() else {
                break;
            };
            if first.run.is(&chunk.first().run) {
                let same = chunk.ids().common(at, *span, self.taken);
                if same > 0 {
                    mask |= ones(same as usize) << at;
                    at += same as usize;
                    self.take(same);
                    continue;
                }
            }
            let next = self.position(self.taken, first, *span);
            if chunk.last() < next {
                break;
            }
            if chunk.position(at).cmp(&next) == Ordering::Less {
                at += 1;
                continue;
            }
            // What is named is not here any more, perhaps a long row of it.
            let last = self.position(span.len - 1, first, *span);
            let whole = last < chunk.position(at);
            self.take(if whole { span.len - self.taken } else { 1 });
        }
        mask
    }

    fn position(&self, index: u32, first: &Position, span: Span) -> Position {
        Position::new(first.run.clone(), span.slot(index))
    }

    fn take(&mut self, count: u32) {
        self.taken += count;
        if self
            .spans
            .first()
            .is_some_and(|(_, span)| self.taken >= span.len)
        {
            self.spans = &self.spans[1..];
            self.taken = 0;
        }
    }
}

pub(super) fn ones(count: usize) -> Mask {
    match count {
        0 => 0,
        count => Mask::MAX >> (Mask::BITS as usize - count),
    }
}

#[cfg(test)]
mod tests;
