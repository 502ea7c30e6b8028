//! A list as a key holds it: its elements, and what they add to the row's sum.

use std::sync::Arc;

use isles_clock::{Context, Dot, Everything, Hlc};
use isles_crdt::list::{NAME_BYTES, Position, Positions};
use isles_crdt::op::{List, Version};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::apply::{Author, Outcome};
use crate::bound::Bound;
use crate::conflict::{Clash, ConflictKind, Contender};
use crate::garbage::BURDEN_NODES;
use crate::op::{ElementPut, Insertion, Kind, ListPart};
use crate::row::Component;
use crate::sum;

/// The value of an element. Shared, because a change of a list of which a snapshot exists copies up to 64 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element(pub(crate) Arc<[u8]>);

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Element;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Element, E> {
                Ok(Element(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Fewer elements are removed one by one.
const SWEPT_MIN: usize = 256;

/// The elements of a list, and their sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListValue {
    elements: List<Element>,
    // Invariant: the sum of all values of all elements, as `computed_sum` gives it.
    sum: u128,
    bound: Bound,
}

impl ListValue {
    pub(crate) fn new(elements: List<Element>, key_hash: u64) -> Self {
        let mut list = ListValue {
            elements,
            sum: 0,
            bound: Bound::default(),
        };
        list.sum_up(key_hash);
        list.bound = list.computed_bound();
        list
    }

    /// Computes the sum afresh.
    pub(crate) fn sum_up(&mut self, key_hash: u64) {
        self.sum = self.computed_sum(key_hash);
    }

    pub(crate) fn elements(&self) -> &List<Element> {
        &self.elements
    }

    /// For taking what is to be stored; the content must stay the same.
    pub(crate) fn elements_mut(&mut self) -> &mut List<Element> {
        &mut self.elements
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// What the list adds to its row's sum.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    /// The same, computed afresh: O(n).
    pub(crate) fn computed_sum(&self, key_hash: u64) -> u128 {
        let elements = self.elements.elements();
        elements.fold(0, |total: u128, (position, versions)| {
            total.wrapping_add(sum_of(key_hash, &position, versions))
        })
    }

    /// The writes whose values are there, with their clocks: O(n).
    pub(crate) fn dots(&self) -> impl Iterator<Item = (Dot, Hlc)> {
        let versions = self.elements.elements().flat_map(|(_, versions)| versions);
        versions.map(|version| (version.dot, version.hlc))
    }

    /// Whether the sum and the bound are right.
    pub(crate) fn is_sound(&self, key_hash: u64) -> bool {
        self.sum == self.computed_sum(key_hash) && self.bound.includes(&self.computed_bound())
    }

    fn computed_bound(&self) -> Bound {
        let mut bound = Bound::default();
        self.dots().for_each(|(dot, _)| bound.observe(dot));
        bound
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        self.elements.unshared_nodes(BURDEN_NODES) == BURDEN_NODES
    }

    /// Removes what the context covers; returns the list as it was. Nothing is walked if that is everything.
    pub(crate) fn clear(&mut self, key_hash: u64, context: &impl Context) -> ListValue {
        if self.bound.is_covered(context) {
            return std::mem::take(self);
        }
        let before = self.clone();
        self.elements.clear(context);
        self.sum_up(key_hash);
        self.bound = self.computed_bound();
        before
    }

    pub(crate) fn apply<C: Context>(
        &mut self,
        key_hash: u64,
        part: &ListPart<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        outcome.merged |= match self.is_swept(&part.remove) {
            true => self.sweep(key_hash, &part.remove, author.context, outcome),
            false => self.remove_each(key_hash, &part.remove, author.context),
        };
        for put in &part.set {
            self.put(key_hash, put, author, outcome);
        }
        for insertion in &part.insert {
            self.insert(key_hash, insertion, author, outcome);
        }
    }

    /// Says whether something is left of one of the elements.
    fn remove_each(
        &mut self,
        key_hash: u64,
        positions: &Positions,
        context: &impl Context,
    ) -> bool {
        let total = &mut self.sum;
        self.elements
            .remove_each(positions, context, &mut |position, version| {
                let gone =
                    sum::of_element(key_hash, &position.name(), version.dot, &version.value.0);
                *total = total.wrapping_sub(gone);
            })
    }

    /// The same for so large a part of the list that it pays to sum up what stays.
    fn sweep(
        &mut self,
        key_hash: u64,
        positions: &Positions,
        context: &impl Context,
        outcome: &mut Outcome,
    ) -> bool {
        let before = self.clone();
        // Where all is known to be observed, none of the elements needs to be asked.
        let left = match self.bound.is_covered(context) {
            true => self.elements.sweep(positions, &Everything),
            false => self.elements.sweep(positions, context),
        };
        self.sum_up(key_hash);
        outcome.garbage.add(Component::List(Box::new(before)));
        left
    }

    /// Removing one element costs about four times as much as walking over one and summing it up.
    fn is_swept(&self, positions: &Positions) -> bool {
        let len = positions.len();
        len >= SWEPT_MIN && len.saturating_mul(4) >= self.len()
    }

    fn put<C: Context>(
        &mut self,
        key_hash: u64,
        put: &ElementPut<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        let position = &put.position;
        let found = self.elements.index_of(position);
        let before = found.map_or(0, |index| self.sum_at(key_hash, position, index));
        // An element that was removed concurrently comes back.
        outcome.merged |= found.is_err();
        let hlc = author.stamp(put.stamp).hlc;
        let version = Version {
            dot: author.dot,
            hlc,
            value: Element(put.value.0.into()),
        };
        self.bound.observe(author.dot);
        self.elements.set(position, version, author.context);
        let (Ok(index) | Err(index)) = found;
        let after = self.sum_at(key_hash, position, index);
        self.sum = self.sum.wrapping_sub(before).wrapping_add(after);
        self.report(put, index, author, hlc, outcome);
    }

    /// Reports the values beside the one that was just written: its author had not seen them.
    fn report<C: Context>(
        &self,
        put: &ElementPut<'_>,
        index: usize,
        author: &Author<'_, C>,
        hlc: Hlc,
        outcome: &mut Outcome,
    ) {
        let stamp = author.stamp(put.stamp);
        let versions = self.elements.versions(index);
        for other in versions.filter(|version| version.dot != author.dot) {
            let other_stamp = isles_clock::Stamp {
                hlc: other.hlc,
                replica: other.dot.replica,
            };
            let kept_bytes = outcome.kept_bytes;
            let old = Contender::new(other.dot, other.hlc, Some(&other.value.0), kept_bytes);
            let new = Contender::new(author.dot, hlc, Some(put.value.0), kept_bytes);
            outcome.clashes.push(Clash {
                component: Some(Kind::List),
                field: Some(name_of(&put.position).into_bytes().into()),
                kind: ConflictKind::WriteWrite,
                kept: false,
                contenders: if stamp > other_stamp {
                    [new, old]
                } else {
                    [old, new]
                },
            });
        }
    }

    fn insert<C: Context>(
        &mut self,
        key_hash: u64,
        insertion: &Insertion<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        let before = self.len();
        self.bound.observe(author.dot);
        let values = insertion.values.iter().map(|value| Element(value.0.into()));
        let (place, ordinal) = (&insertion.place, insertion.ordinal);
        let inserted = self
            .elements
            .insert(place, author.dot, ordinal, values.collect());
        let Some(first) = inserted else { return };
        if self.len() - before != insertion.values.len() {
            // A peer has named an element that is here already.
            self.sum_up(key_hash);
            return;
        }
        let mut name = first.name();
        for (ordinal, value) in (ordinal..).zip(&insertion.values) {
            name[NAME_BYTES - 4..].copy_from_slice(&ordinal.to_le_bytes());
            let new = sum::of_element(key_hash, &name, author.dot, value.0);
            self.sum = self.sum.wrapping_add(new);
        }
        // Own writes have seen everything, their successors included.
        let is_remote = !author.context.covers(Dot {
            sequence: u64::MAX,
            ..author.dot
        });
        outcome.merged |=
            is_remote && self.is_beside_unseen(&first, insertion.values.len(), author);
    }

    /// Whether a neighbour of these new elements was unknown to their author.
    fn is_beside_unseen<C: Context>(
        &self,
        first: &Position,
        len: usize,
        author: &Author<'_, C>,
    ) -> bool {
        let Ok(index) = self.elements.index_of(first) else {
            return false;
        };
        let neighbours = [index.checked_sub(1), Some(index + len)];
        let mut unseen = neighbours.into_iter().flatten().filter_map(|index| {
            let dot = self.elements.position(index)?.dot();
            (dot != author.dot && !author.context.covers(dot)).then_some(())
        });
        unseen.next().is_some()
    }

    fn sum_at(&self, key_hash: u64, position: &Position, index: usize) -> u128 {
        sum_of(key_hash, position, self.elements.versions(index))
    }
}

fn sum_of<'v>(
    key_hash: u64,
    position: &Position,
    versions: impl Iterator<Item = Version<&'v Element>>,
) -> u128 {
    let name = position.name();
    versions.fold(0, |total: u128, version| {
        total.wrapping_add(sum::of_element(
            key_hash,
            &name,
            version.dot,
            &version.value.0,
        ))
    })
}

/// What conflicts call an element: the entry that inserted it, and which of its elements it is.
pub(crate) fn name_of(position: &Position) -> String {
    format!("{}.{}", position.dot(), position.ordinal())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use isles_clock::ReplicaId;

    use super::*;

    /// Has observed everything but one write, and counts how often it is asked.
    struct Asked {
        unseen: Dot,
        times: Cell<usize>,
    }

    impl Context for Asked {
        fn covers(&self, dot: Dot) -> bool {
            self.times.set(self.times.get() + 1);
            dot != self.unseen
        }
    }

    fn asked(unseen: u64) -> Asked {
        let (unseen, times) = (dot(unseen), Cell::new(0));
        Asked { unseen, times }
    }

    fn dot(sequence: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(1), sequence)
    }

    fn pushed(count: u64) -> ListValue {
        let mut elements = List::new();
        for sequence in 1..=count {
            let place = elements.back(dot(sequence), 0).expect("there is room");
            let value = Element(b"value".as_slice().into());
            elements.insert(&place, dot(sequence), 0, vec![value]);
        }
        ListValue::new(elements, 7)
    }

    #[test]
    fn clearing_what_was_observed_asks_for_no_element() {
        let (mut list, context) = (pushed(1000), asked(1001));
        assert_eq!(list.clear(7, &context).len(), 1000);
        assert_eq!((list.len(), list.sum(), context.times.get()), (0, 0, 1));
    }

    #[test]
    fn clearing_leaves_what_was_not_observed() {
        let (mut list, context) = (pushed(1000), asked(1000));
        assert_eq!(list.clear(7, &context).len(), 1000);
        assert_eq!(list.len(), 1);
        assert!(list.is_sound(7));
    }
}
