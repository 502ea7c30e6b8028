//! A list whose elements keep their places without tombstones.

use alloc::vec::Vec;
use core::ops::Range;

use isles_clock::{Context, Dot, Hlc, Stamp};
use serde::{Deserialize, Serialize};

use super::{OpBased, Version};
use crate::Crdt;
use crate::decode::READING_MAX;
use crate::list::{Body, Chunk, Digester, Entry, Manner, Span, Stride, later};
use crate::list::{ListOp, ListUpdate, Place, Position, Positions};

/// A list for replication by operations; [`list`](crate::list) says what it means and how it works.
///
/// It keeps the elements that are there, and nothing else: no tombstones, no context. An insertion is found by its
/// [`Position`], which the operation carries; a removal takes the element away as far as its writer had observed it; a
/// concurrent write keeps it. So there is nothing to [`forget`](Crdt::forget), and nothing waits for stability.
///
/// ```
/// use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp};
/// use isles_crdt::op::{List, OpBased};
/// use isles_crdt::update::ListUpdate;
///
/// let eu = ReplicaId::from_u128(1);
/// let mut list = List::new();
/// let update = ListUpdate::PushBack(vec!["apples", "pears"]);
/// let op = list.prepare(Stamp::new(Hlc::ZERO, eu), update).expect("something is pushed");
/// list.effect(Dot::new(eu, 1), &Everything, op);
/// assert_eq!(list.get(1), Some(&"pears"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T: Clone> {
    pub(crate) body: Body<T>,
    pub(crate) scope: Scope,
}

/// Which elements a store speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// All there are: what is not here is not there.
    #[default]
    All,
    /// Those that it names, some of which may hold nothing.
    Named,
}

impl<T: Clone> List<T> {
    /// The list without elements.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The value at `index`, that with the greatest stamp where several were written concurrently: O(log n).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.body.get(index).and_then(Entry::latest)
    }

    /// Every value at `index` that no write has observed, with its write, in the order of their dots.
    pub fn versions(&self, index: usize) -> impl Iterator<Item = Version<&T>> {
        let found = self.body.position(index).zip(self.body.get(index));
        found
            .into_iter()
            .flat_map(|(position, entry)| entry.versions(position.dot()))
    }

    /// The values at a range of indices, cut at the end of the list: O(log n) for the first.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = &T> {
        self.body.range(range).filter_map(Entry::latest)
    }

    /// The values, from front to back.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.range(0..self.len())
    }

    /// The position of the element at `index`: O(log n).
    #[must_use]
    pub fn position(&self, index: usize) -> Option<Position> {
        self.body.position(index)
    }

    /// The index of the element at `position`; where it was removed, or is not here yet, the index that it would have:
    /// O(log n).
    ///
    /// # Errors
    /// With the index of what follows, if the element is not there.
    pub fn index_of(&self, position: &Position) -> Result<usize, usize> {
        self.body.search(position)
    }

    /// Where the write `dot` inserts before the element at `index`, the first of its elements having this ordinal. As in
    /// a text, what is typed after an element stays with it. `None` where there is no such index, or no more room.
    #[must_use]
    pub fn place(&self, index: usize, dot: Dot, ordinal: u32) -> Option<Place> {
        self.place_by(index, dot, ordinal, Manner::Type)
    }

    /// Where the write `dot` pushes in front of everything, so that identifiers do not grow with the number of pushes.
    #[must_use]
    pub fn front(&self, dot: Dot, ordinal: u32) -> Option<Place> {
        self.place_by(0, dot, ordinal, Manner::Push)
    }

    /// Where the write `dot` pushes behind everything, so that identifiers do not grow with the number of pushes.
    #[must_use]
    pub fn back(&self, dot: Dot, ordinal: u32) -> Option<Place> {
        self.place_by(self.len(), dot, ordinal, Manner::Push)
    }

    /// Inserts the elements that `dot` brings at `place`, in this order, with ordinals from `ordinal` on. What is there
    /// already stays. Says where the first one is; none where there is nothing to insert, or no such place.
    pub fn insert(
        &mut self,
        place: &Place,
        dot: Dot,
        ordinal: u32,
        values: Vec<T>,
    ) -> Option<Position> {
        let len = u32::try_from(values.len()).ok().filter(|len| *len > 0)?;
        ordinal.checked_add(len)?;
        let first = place.position(dot, ordinal)?;
        let span = Span::new(first.slot, Stride::Ordinal, len);
        let entries = values.into_iter().map(Entry::Inserted).collect();
        self.body
            .insert_by_position(Chunk::new(first.clone(), span, entries));
        Some(first)
    }

    /// Writes `version` to the element at `position`, in the place of what `ctx` covers. An element that was removed
    /// concurrently comes back with it.
    pub fn set(&mut self, position: &Position, version: Version<T>, ctx: &impl Context) {
        match self.body.search(position) {
            Ok(index) => self.body.change(
                index,
                |position, entry| entry.write(position.dot(), version, ctx),
                |_| true,
            ),
            Err(index) => {
                let entry = Entry::new(position.dot(), alloc::vec![version]);
                self.body.insert(index, Chunk::one(position.clone(), entry));
            }
        }
    }

    /// Removes what `ctx` covers of the element at `position`.
    pub fn remove(&mut self, position: &Position, ctx: &impl Context) {
        if let Ok(index) = self.body.search(position) {
            self.body.change(
                index,
                |position, entry| entry.without(position.dot(), |dot| ctx.covers(dot)),
                |entry| !entry.is_nothing(),
            );
        }
    }

    /// Removes what `ctx` covers of the elements at these positions. Says whether something is left of one. Neighbours cost O(log n) for each 64 of them.
    pub fn remove_each(&mut self, positions: &Positions, ctx: &impl Context) -> bool {
        let mut left = false;
        let mut rest = positions.iter().peekable();
        while let Some(position) = rest.peek() {
            let Ok(index) = self.body.search(position) else {
                rest.next();
                continue;
            };
            let removed = self.body.remove_while(index, |position, entry| {
                let own = position.dot();
                let goes = rest.peek() == Some(position)
                    && entry.versions(own).all(|version| ctx.covers(version.dot));
                if goes {
                    rest.next();
                }
                goes
            });
            if removed > 0 {
                continue;
            }
            // A concurrent write keeps this one.
            left = true;
            if let Some(position) = rest.next() {
                self.remove(&position, ctx);
            }
        }
        left
    }

    /// Adds up the values of all elements in this way from here on: O(n).
    pub fn set_digester(&mut self, digester: Digester<T>) {
        self.body.set_digester(Some(digester));
    }

    /// The values of all elements, added up as [`set_digester`](Self::set_digester) says; zero if nothing does: O(1).
    #[must_use]
    pub fn digest(&self) -> u128 {
        self.body.extent().digest
    }

    /// Whether what is known of parts of the list is what follows from their elements: O(n).
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.body.is_sound()
    }

    /// How many nodes of its tree, of at least 64 elements nearly all, no clone shares, so that dropping this list frees
    /// them; counting ends at `most`.
    #[must_use]
    pub fn unshared_nodes(&self, most: usize) -> usize {
        self.body.chunks_tree().unshared_nodes(most)
    }

    /// The positions of a range of indices, cut at the end of the list: O(log n) for the first.
    #[must_use]
    pub fn positions(&self, range: Range<usize>) -> Positions {
        self.body.positions(range)
    }

    /// Every element, from front to back: its position, and the values that no write has observed.
    pub fn elements(&self) -> impl Iterator<Item = (Position, impl Iterator<Item = Version<&T>>)> {
        self.body.iter().map(|(position, entry)| {
            let own = position.dot();
            (position, entry.versions(own))
        })
    }

    /// The reading for a write made here at `hlc`: later than everything it replaces, whatever the clocks say.
    pub(crate) fn reading(&self, index: usize, hlc: Hlc) -> Hlc {
        let successors = self.versions(index).map(|version| version.hlc.next());
        successors.fold(hlc.min(READING_MAX), Hlc::max)
    }

    pub(crate) fn place_by(
        &self,
        index: usize,
        dot: Dot,
        ordinal: u32,
        manner: Manner,
    ) -> Option<Place> {
        let inside = index <= self.len();
        inside.then(|| {
            self.body
                .around(index, |gap| gap.place(dot, ordinal, manner))
        })?
    }
}

impl<T: Clone> Default for List<T> {
    fn default() -> Self {
        Self {
            body: Body::default(),
            scope: Scope::All,
        }
    }
}

impl<T: Clone> Crdt for List<T> {
    type Update = ListUpdate<T>;
    type Value = Vec<T>;

    fn value(&self) -> Vec<T> {
        self.iter().cloned().collect()
    }
}

impl<T: Clone> OpBased for List<T> {
    type Op = ListOp<T>;

    /// An index beyond the end means the end. An operation for which the nesting has no more room is not made.
    fn prepare(&self, at: Stamp, update: ListUpdate<T>) -> Option<ListOp<T>> {
        let dot = later(at.replica);
        let insert = |place: Option<Place>, values: Vec<T>| {
            let place = place.filter(|_| !values.is_empty())?;
            Some(ListOp::Insert { place, values })
        };
        match update {
            ListUpdate::Insert { index, values } => {
                insert(self.place(index.min(self.len()), dot, 0), values)
            }
            ListUpdate::PushFront(values) => insert(self.front(dot, 0), values),
            ListUpdate::PushBack(values) => insert(self.back(dot, 0), values),
            ListUpdate::Set { index, value } => self.position(index).map(|position| ListOp::Set {
                position,
                hlc: self.reading(index, at.hlc),
                value,
            }),
            ListUpdate::Remove { range } => {
                let positions = self.positions(range);
                (!positions.is_empty()).then_some(ListOp::Remove(positions))
            }
            ListUpdate::Clear => (!self.is_empty()).then_some(ListOp::Clear),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: ListOp<T>) {
        match op {
            ListOp::Insert { place, values } => {
                self.insert(&place, dot, 0, values);
            }
            ListOp::Set {
                position,
                hlc,
                value,
            } => self.set(&position, Version { dot, hlc, value }, ctx),
            ListOp::Remove(positions) => {
                positions
                    .iter()
                    .for_each(|position| self.remove(&position, ctx));
            }
            ListOp::Clear => drop(self.clear(ctx)),
        }
    }
}
