//! The list as a store that joins.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext};

use super::body::Body;
use super::chunk::Chunk;
use super::entry::Entry;
use super::ids::{Span, Stride};
use super::place::{Manner, later};
use super::position::Position;
use super::update::{ListUpdate, Positions};
use crate::dots::{DotStore, Writer};
use crate::op::list::Scope;
use crate::op::{List, Nested, Version};

impl<T: Clone> List<T> {
    /// The fragment that speaks of some elements.
    fn named(body: Body<T>) -> Self {
        let scope = Scope::Named;
        Self { body, scope }
    }

    /// Inserts where `place` says, every element by a dot of its own, so that each can be removed alone.
    fn mutate_insert(
        &mut self,
        writer: &mut Writer<'_>,
        index: usize,
        manner: Manner,
        values: Vec<T>,
    ) -> Self {
        let place = self.place_by(index, later(writer.replica()), 0, manner);
        let Some((place, len)) = place.zip(u32::try_from(values.len()).ok()) else {
            return Self::unnamed();
        };
        let dots = (0..len).map(|_| writer.dot());
        let chunk = dots.reduce(|first, _| first).and_then(|dot| {
            let first = place.position(dot, 0)?;
            let span = Span::new(first.slot, Stride::Batch, len);
            let entries = values.into_iter().map(Entry::Inserted).collect();
            Some(Chunk::new(first, span, entries))
        });
        let Some(chunk) = chunk else {
            return Self::unnamed();
        };
        self.body.insert(index, chunk.clone());
        Self::named(Body::from(chunk))
    }

    fn mutate_set(&mut self, writer: &mut Writer<'_>, index: usize, value: T) -> Self {
        let Some(position) = self.position(index) else {
            return Self::unnamed();
        };
        let hlc = self.reading(index, writer.hlc());
        let dot = writer.dot();
        self.supersede(writer, index);
        let version = Version { dot, hlc, value };
        let entry = Entry::new(position.dot(), alloc::vec![version]);
        self.body.change(index, |_, _| entry.clone(), |_| true);
        Self::named(Body::from(Chunk::one(position, entry)))
    }

    fn mutate_remove(&mut self, writer: &mut Writer<'_>, positions: &Positions) -> Self {
        let removed = positions.iter().inspect(|position| {
            if let Ok(index) = self.body.search(position) {
                self.supersede(writer, index);
                self.body.change(index, |_, _| Entry::nothing(), |_| false);
            }
        });
        Self::named(
            removed
                .map(|position| (position, Entry::nothing()))
                .collect(),
        )
    }

    fn supersede(&self, writer: &mut Writer<'_>, index: usize) {
        self.versions(index)
            .for_each(|version| writer.supersede(version.dot));
    }

    /// Joins what both say of the elements of one chunk of `other`.
    fn join_chunk(&mut self, seen: &DotContext, chunk: &Chunk<T>, theirs: &DotContext) {
        let is_new = |index: usize| {
            let entry = &chunk.entries()[index];
            matches!(entry, Entry::Inserted(_)) && !seen.covers(chunk.position(index).dot())
        };
        if (0..chunk.entries().len()).all(is_new)
            && let Some(index) = self.body.room(chunk)
        {
            return self.body.insert(index, chunk.clone());
        }
        for (index, entry) in chunk.entries().iter().enumerate() {
            self.join_element(seen, chunk.position(index), entry, theirs);
        }
    }

    fn join_element(
        &mut self,
        seen: &DotContext,
        position: Position,
        entry: &Entry<T>,
        theirs: &DotContext,
    ) {
        let named = self.scope == Scope::Named;
        match self.body.search(&position) {
            Ok(index) => self.body.change(
                index,
                |position, ours| join_entries(position.dot(), ours, seen, entry, theirs),
                |entry| named || !entry.is_nothing(),
            ),
            Err(index) => {
                let entry = join_entries(position.dot(), Entry::nothing(), seen, entry, theirs);
                if named || !entry.is_nothing() {
                    self.body.insert(index, Chunk::one(position, entry));
                }
            }
        }
    }

    /// Joins with a store that speaks of all elements: one walk through both.
    fn join_all(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        self.scope = Scope::All;
        if self.is_empty() && seen.is_empty() {
            self.body.replace(other.body.clone());
            return;
        }
        let nothing = Entry::nothing();
        let body = self.body.clone();
        let (mut ours, mut others) = (body.iter().peekable(), other.body.iter().peekable());
        let joined = core::iter::from_fn(|| {
            let order = match (ours.peek(), others.peek()) {
                (Some((ours, _)), Some((other, _))) => ours.cmp(other),
                (Some(_), None) => core::cmp::Ordering::Less,
                (None, Some(_)) => core::cmp::Ordering::Greater,
                (None, None) => return None,
            };
            let ours = if order.is_le() { ours.next() } else { None };
            let other = if order.is_ge() { others.next() } else { None };
            let entry = ours.as_ref().map_or(&nothing, |(_, entry)| entry);
            let their_entry = other.as_ref().map_or(&nothing, |(_, entry)| entry);
            let position = ours.as_ref().or(other.as_ref())?.0.clone();
            let joined = join_entries(position.dot(), entry.clone(), seen, their_entry, theirs);
            Some((position, joined))
        });
        let joined = joined.filter(|(_, entry)| !entry.is_nothing());
        let joined = joined.collect();
        self.body.replace(joined);
    }
}

/// Keeps the versions that both hold, and of those that one holds the ones that the other has not seen.
fn join_entries<T: Clone>(
    own: Dot,
    ours: Entry<T>,
    seen: &DotContext,
    other: &Entry<T>,
    theirs: &DotContext,
) -> Entry<T> {
    let holds = |dot: Dot| other.versions(own).any(|version| version.dot == dot);
    let new = other
        .versions(own)
        .filter(|version| !seen.covers(version.dot))
        .map(|version| Version {
            dot: version.dot,
            hlc: version.hlc,
            value: version.value.clone(),
        });
    ours.without(own, |dot| theirs.covers(dot) && !holds(dot))
        .join(own, new)
}

impl<T: Clone> DotStore for List<T> {
    fn unnamed() -> Self {
        Self::named(Body::default())
    }

    fn is_state(&self) -> bool {
        let filled = |chunk: &Chunk<T>| !chunk.entries().iter().any(Entry::is_nothing);
        self.scope == Scope::All && self.body.chunks().all(filled)
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        for (position, entry) in self.body.iter() {
            entry
                .versions(position.dot())
                .for_each(|version| visit(version.dot));
        }
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        match other.scope {
            Scope::All => self.join_all(seen, other, theirs),
            Scope::Named => other
                .body
                .chunks()
                .for_each(|chunk| self.join_chunk(seen, chunk, theirs)),
        }
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: ListUpdate<T>) -> Self {
        match update {
            ListUpdate::Insert { index, values } => {
                let index = index.min(self.len());
                self.mutate_insert(writer, index, Manner::Type, values)
            }
            ListUpdate::PushFront(values) => self.mutate_insert(writer, 0, Manner::Push, values),
            ListUpdate::PushBack(values) => {
                let end = self.len();
                self.mutate_insert(writer, end, Manner::Push, values)
            }
            ListUpdate::Set { index, value } => self.mutate_set(writer, index, value),
            ListUpdate::Remove { range } => {
                let positions = self.positions(range);
                self.mutate_remove(writer, &positions)
            }
            ListUpdate::Clear => self.wipe(writer),
        }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        self.each_dot(&mut |dot| writer.supersede(dot));
        self.body.replace(Body::default());
        Self::default()
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let lacking = self.body.iter().filter_map(|(position, entry)| {
            let own = position.dot();
            let known = |dot: Dot| theirs.covers(dot);
            let dots = entry.versions(own).map(|version| version.dot);
            kept.extend(dots.filter(|dot| known(*dot)));
            let entry = entry.clone().without(own, known);
            (!entry.is_nothing()).then_some((position, entry))
        });
        let body = lacking.collect();
        let scope = Scope::All;
        Self { body, scope }
    }
}

impl<T: Clone> Nested for List<T> {
    type Listed = ();

    fn is_live(&self) -> bool {
        match self.scope {
            Scope::All => !self.body.is_empty(),
            Scope::Named => self.body.iter().any(|(_, entry)| !entry.is_nothing()),
        }
    }

    fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    fn prepare_removal(&self) -> Option<()> {
        None
    }

    fn remove_observed(&mut self, ctx: &impl Context, _: Option<&()>) {
        drop(self.clear(ctx));
    }
}
