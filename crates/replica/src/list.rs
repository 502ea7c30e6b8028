//! A list as a key holds it: its elements, and what they add to the row's sum.

use std::sync::Arc;

use isles_clock::{Context, Dot, Hlc};
use isles_crdt::list::{Digester, NAME_BYTES, Position, Positions};
use isles_crdt::op::{List, Version};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::apply::{Author, Outcome};
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

/// The elements of a list, which know their sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListValue {
    // Invariant: unless it is empty it has the digester of its key.
    elements: List<Element>,
}

impl ListValue {
    pub(crate) fn new(elements: List<Element>, key_hash: u64) -> Self {
        let mut list = ListValue { elements };
        list.elements.set_digester(digester(key_hash));
        list
    }

    pub(crate) fn elements(&self) -> &List<Element> {
        &self.elements
    }

    /// For taking what is to be stored, and for planted bugs.
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
        self.elements.digest()
    }

    /// The same, computed afresh: O(n).
    pub(crate) fn computed_sum(&self, key_hash: u64) -> u128 {
        let elements = self.elements.elements();
        elements.fold(0, |total: u128, (position, versions)| {
            let name = position.name();
            versions.fold(total, |total, version| {
                total.wrapping_add(sum_of(key_hash, &name, &version))
            })
        })
    }

    /// The writes whose values are there, with their clocks: O(n).
    pub(crate) fn dots(&self) -> impl Iterator<Item = (Dot, Hlc)> {
        let versions = self.elements.elements().flat_map(|(_, versions)| versions);
        versions.map(|version| (version.dot, version.hlc))
    }

    /// Whether its parts know what is in them.
    pub(crate) fn is_sound(&self, key_hash: u64) -> bool {
        self.sum() == self.computed_sum(key_hash) && self.elements.is_sound()
    }

    /// Whether it is large and nobody shares it: then dropping it takes long.
    pub(crate) fn is_burden(&self) -> bool {
        self.elements.unshared_nodes(BURDEN_NODES) == BURDEN_NODES
    }

    /// Removes what the context covers; returns the list as it was. Elements are looked at only beside what it does not cover.
    pub(crate) fn clear(&mut self, context: &impl Context) -> ListValue {
        ListValue {
            elements: self.elements.clear(context),
        }
    }

    pub(crate) fn apply<C: Context>(
        &mut self,
        key_hash: u64,
        part: &ListPart<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        if self.is_empty() {
            self.elements.set_digester(digester(key_hash));
        }
        outcome.merged |= match self.is_swept(&part.remove) {
            true => self.sweep(&part.remove, author.context, outcome),
            false => self.elements.remove_each(&part.remove, author.context),
        };
        for stretch in &part.cut {
            let cut = self.elements.cut(stretch, author.context);
            outcome.merged |= cut.left;
            let elements = cut.removed;
            let removed = Component::List(Box::new(ListValue { elements }));
            outcome.garbage.add(removed);
        }
        for put in &part.set {
            self.put(put, author, outcome);
        }
        for insertion in &part.insert {
            self.insert(insertion, author, outcome);
        }
    }

    /// Removes so large a part of the list that it pays to walk over what stays; says whether something is left of an element.
    fn sweep(
        &mut self,
        positions: &Positions,
        context: &impl Context,
        outcome: &mut Outcome,
    ) -> bool {
        let before = self.clone();
        let left = self.elements.sweep(positions, context);
        outcome.garbage.add(Component::List(Box::new(before)));
        left
    }

    /// Removing one element costs about four times as much as walking over one.
    fn is_swept(&self, positions: &Positions) -> bool {
        let len = positions.len();
        len >= SWEPT_MIN && len.saturating_mul(4) >= self.len()
    }

    fn put<C: Context>(
        &mut self,
        put: &ElementPut<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        let position = &put.position;
        let found = self.elements.index_of(position);
        // An element that was removed concurrently comes back.
        outcome.merged |= found.is_err();
        let hlc = author.stamp(put.stamp).hlc;
        let version = Version {
            dot: author.dot,
            hlc,
            value: Element(put.value.0.into()),
        };
        self.elements.set(position, version, author.context);
        let (Ok(index) | Err(index)) = found;
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
        insertion: &Insertion<'_>,
        author: &Author<'_, C>,
        outcome: &mut Outcome,
    ) {
        let values = insertion.values.iter().map(|value| Element(value.0.into()));
        let (place, ordinal) = (&insertion.place, insertion.ordinal);
        let inserted = self
            .elements
            .insert(place, author.dot, ordinal, values.collect());
        let Some(first) = inserted else { return };
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
}

fn digester(key_hash: u64) -> Digester<Element> {
    Digester {
        salt: key_hash,
        of: sum_of,
    }
}

fn sum_of(key_hash: u64, name: &[u8; NAME_BYTES], version: &Version<&Element>) -> u128 {
    sum::of_element(key_hash, name, version.dot, &version.value.0)
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
        assert_eq!(list.clear(&context).len(), 1000);
        assert_eq!((list.len(), list.sum(), context.times.get()), (0, 0, 1));
    }

    #[test]
    fn clearing_leaves_what_was_not_observed() {
        let (mut list, context) = (pushed(1000), asked(1000));
        assert_eq!(list.clear(&context).len(), 1000);
        assert_eq!(list.len(), 1);
        assert!(list.is_sound(7));
    }
}
