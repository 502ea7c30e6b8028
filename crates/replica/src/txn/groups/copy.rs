//! A group with all that it holds, for one that takes its place or is to be like it.

use std::sync::Arc;

use isles_clock::ReplicaId;
use smallvec::SmallVec;

use super::super::Txn;
use super::{Found, entry_ref};
use crate::op::{Blob, GroupReach, NewGroup, PendingPart, PendingParts};
use crate::stream::{Group, Name, Stream};

/// What a new group takes over.
pub(in crate::txn) struct GroupCopy {
    start: GroupReach,
    consumers: Vec<(Arc<[u8]>, u64)>,
    pending: PendingParts,
}

impl GroupCopy {
    /// What a group that begins with `start` takes over: pending entries that it will hand out again are left out, and those
    /// that have no name.
    pub(in crate::txn) fn of(
        group: &Group,
        start: GroupReach,
        named: &mut dyn FnMut(&Name) -> Option<Name>,
    ) -> GroupCopy {
        let consumers = group.consumers.iter().map(|(name, seen)| {
            let seen_ms = seen.versions().iter().map(|version| version.value).max();
            (Arc::clone(name), seen_ms.unwrap_or(0))
        });
        let mut consumers: Vec<(Arc<[u8]>, u64)> = consumers.collect();
        let mut writers: SmallVec<[ReplicaId; 1]> = SmallVec::new();
        let mut entries = Vec::new();
        for pending in group.pending.iter() {
            let Some(name) = named(&pending.name) else {
                continue;
            };
            if name.id > start.through || !isles_clock::Context::covers(&start.clock, name.dot) {
                continue;
            }
            let mark = pending.mark();
            let place = consumers.binary_search_by(|(name, _)| name.cmp(&mark.consumer));
            let consumer = place.unwrap_or_else(|place| {
                // A mark may outlive its consumer.
                consumers.insert(place, (Arc::clone(&mark.consumer), mark.at_ms));
                entries.iter_mut().for_each(|part: &mut PendingPart| {
                    part.consumer += u32::from(part.consumer as usize >= place);
                });
                place
            });
            entries.push(PendingPart {
                entry: entry_ref(&name, &mut writers),
                consumer: consumer as u32,
                at_ms: mark.at_ms,
                count: mark.count,
            });
        }
        GroupCopy {
            start,
            consumers,
            pending: PendingParts {
                writers: writers.into_vec(),
                entries,
            },
        }
    }

    /// What an op says of it.
    pub(in crate::txn) fn as_new<'k>(&'k self, name: &'k [u8]) -> NewGroup<'k> {
        let consumers = self.consumers.iter();
        NewGroup {
            name: Blob(name),
            start: self.start.clone(),
            consumers: consumers
                .map(|(name, seen_ms)| (Blob(name), *seen_ms))
                .collect(),
            pending: self.pending.clone(),
        }
    }
}

impl Txn<'_> {
    /// The groups of a stream that is copied by this entry. Behind the first entry that a group has yet to deliver it hands
    /// out everything again.
    pub(in crate::txn) fn copied_groups(&self, stream: &Stream) -> Vec<(Vec<u8>, GroupCopy)> {
        let dot = self.replica.next_dot();
        let copied = |name: &Name| {
            let twins = stream.with_id(name.id);
            let place = twins.map(|entry| entry.name).position(|twin| twin == *name);
            Some(Name {
                dot,
                // What is gone from the stream comes after what is there.
                ordinal: place.map_or(u32::MAX, |place| place as u32),
                ..*name
            })
        };
        let groups = stream.groups.iter().filter_map(|(name, _)| {
            let mut group = Found::of(stream, name)?.group.into_owned();
            group.advance(stream);
            let through = group.settled_through(stream);
            let (last, read) = group.last();
            let start = self.reach(through, read.filter(|_| through == last));
            let copy = GroupCopy::of(&group, start, &mut |name| copied(name));
            Some((name.to_vec(), copy))
        });
        groups.collect()
    }
}
