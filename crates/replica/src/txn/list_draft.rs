//! The net effect of several commands of one entry on one list.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Dot, Hlc};
use isles_crdt::list::{Place, Position, Positions, Stretch};
use smallvec::{SmallVec, smallvec};

use crate::op::{Blob, ElementPut, Insertion, ListPart};

/// What the commands of an entry have done so far to one list: the changes of each in O(log n), in whatever number.
///
/// An element that the entry has inserted is in `inserted` alone: writing it changes the value there, removing it takes
/// it out as if it had never been.
#[derive(Debug, Default)]
pub(super) struct ListDraft {
    removed: BTreeSet<Position>,
    cut: Vec<Stretch>,
    written: BTreeMap<Position, (Option<Hlc>, Vec<u8>)>,
    inserted: BTreeMap<Position, Vec<u8>>,
}

impl ListDraft {
    /// Adds what a later command of the entry with this dot does.
    pub(super) fn absorb(&mut self, part: &ListPart<'_>, dot: Dot) {
        for position in part.remove.iter() {
            if self.inserted.remove(&position).is_none() {
                self.written.remove(&position);
                self.removed.insert(position);
            }
        }
        for stretch in &part.cut {
            take_out(&mut self.inserted, stretch);
            take_out(&mut self.written, stretch);
            self.cut.push(stretch.clone());
        }
        for put in &part.set {
            let value = put.value.0.to_vec();
            match self.inserted.get_mut(&put.position) {
                Some(inserted) => *inserted = value,
                None => {
                    let written = (put.stamp, value);
                    self.written.insert(put.position.clone(), written);
                }
            }
        }
        for insertion in &part.insert {
            let first = insertion.place.position(dot, insertion.ordinal);
            let positions = (0..).map_while(|by| first.as_ref()?.further(by));
            for (position, value) in positions.zip(&insertion.values) {
                self.inserted.insert(position, value.0.to_vec());
            }
        }
    }

    /// All of it as one op would do it; none if nothing is left.
    pub(super) fn part(&self) -> Option<ListPart<'_>> {
        let part = ListPart {
            remove: self.removed.iter().cloned().collect::<Positions>(),
            cut: self.cut.iter().cloned().collect(),
            set: self
                .written
                .iter()
                .map(|(position, (stamp, value))| ElementPut {
                    position: position.clone(),
                    stamp: *stamp,
                    value: Blob(value),
                })
                .collect(),
            insert: self.insertions(),
        };
        let removes = !part.remove.is_empty() || !part.cut.is_empty();
        (removes || part.adds()).then_some(part)
    }

    /// Elements that were inserted in one go and are still neighbours in one insertion.
    fn insertions(&self) -> SmallVec<[Insertion<'_>; 1]> {
        let mut insertions: SmallVec<[Insertion<'_>; 1]> = SmallVec::new();
        let mut next: Option<Position> = None;
        for (position, value) in &self.inserted {
            match insertions
                .last_mut()
                .filter(|_| next.as_ref() == Some(position))
            {
                Some(last) => last.values.push(Blob(value)),
                None => insertions.push(Insertion {
                    place: Place::of(position),
                    ordinal: position.ordinal(),
                    values: smallvec![Blob(value)],
                }),
            }
            next = position.further(1);
        }
        insertions
    }
}

fn take_out<V>(map: &mut BTreeMap<Position, V>, stretch: &Stretch) {
    let ends = stretch.first()..=stretch.last();
    let inside: Vec<Position> = map
        .range::<Position, _>(ends)
        .map(|(position, _)| position.clone())
        .collect();
    inside
        .iter()
        .for_each(|position| drop(map.remove(position)));
}
