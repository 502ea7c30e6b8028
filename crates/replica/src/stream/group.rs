//! A consumer group: what it has delivered, and what is pending at whom.
//!
//! For every entry of its stream a group knows one of three states, and they only go up: not delivered, pending at a consumer,
//! acknowledged, that is, delivered and no longer pending. So an acknowledgement needs no memory of its own: whoever delivers
//! an entry had not seen it delivered, and where the mark arrives and finds the entry delivered and not pending, somebody has
//! acknowledged it meanwhile. See `docs/decisions/0012-consumer-groups.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use isles_clock::{Context, Dot, Hlc};
use isles_crdt::counted_tree::{CountedTree, Item};
use isles_crdt::op::{Cell, Version};
use smallvec::SmallVec;

use super::{Name, Stream, StreamId};
use crate::op::GroupReach;

/// Where an entry is, since when, and how often it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) consumer: Arc<[u8]>,
    pub(crate) at_ms: u64,
    pub(crate) count: u64,
}

/// A pending entry; it may be gone from the stream.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) name: Name,
    /// How often it was made pending by force.
    pub(crate) life: u32,
    /// Who has delivered it in this life: several only where regions did without knowing of each other.
    pub(crate) delivered: SmallVec<[Dot; 1]>,
    /// Every mark that no other one has observed; the latest counts. At least one.
    pub(crate) marks: Cell<Mark>,
}

impl Pending {
    /// The mark that counts.
    pub(crate) fn mark(&self) -> &Mark {
        let latest = self.marks.latest().expect("a pending entry has a mark");
        &latest.value
    }
}

impl Item for Pending {
    type Key = Name;
    type Summary = ();

    fn key(&self) -> &Name {
        &self.name
    }
}

/// What a group does not hand out any more.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// What it passed over when it was created.
    pub(crate) start: GroupReach,
    // Invariant: none lies within another one.
    /// Up to where it has handed out what was not passed over.
    pub(crate) reaches: SmallVec<[GroupReach; 1]>,
}

impl Delivery {
    /// Whether an entry was passed over.
    pub(super) fn has_passed(&self, name: &Name) -> bool {
        covers(&self.start, name.id, name.dot)
    }

    /// Whether an entry was handed out.
    pub(super) fn has_handed_out(&self, name: &Name) -> bool {
        let mut reaches = self.reaches.iter();
        reaches.any(|reach| covers(reach, name.id, name.dot)) && !self.has_passed(name)
    }

    /// Notes what is delivered from now on.
    pub(crate) fn reach(&mut self, new: &GroupReach) {
        let within = |one: &GroupReach, other: &GroupReach| {
            one.through <= other.through && other.clock.dominates(&one.clock) && {
                (&one.clock, one.through) != (&other.clock, other.through) || one.read <= other.read
            }
        };
        if self.reaches.iter().any(|known| within(new, known)) {
            return;
        }
        self.reaches.retain(|known| !within(known, new));
        let place = self
            .reaches
            .partition_point(|known| known.through < new.through);
        self.reaches.insert(place, new.clone());
    }
}

/// A consumer group. A clone shares everything that can be large.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    /// What it has delivered: one, or several in a [view](Self::view).
    pub(crate) deliveries: SmallVec<[Delivery; 1]>,
    /// Entries that were made pending by force, and how often.
    pub(crate) lives: Arc<BTreeMap<Name, u32>>,
    // Invariant: in the order of names.
    pub(crate) pending: CountedTree<Pending>,
    /// By name; the value is when they were seen, in milliseconds since 1970.
    pub(crate) consumers: Arc<BTreeMap<Arc<[u8]>, Cell<u64>>>,
    /// Entries up to here are delivered, as far as this replica has them. Neither stored nor sent: it is found again.
    pub(super) cursor: StreamId,
    /// What it adds to the sum of its bucket.
    pub(super) sum: u128,
}

/// Whether an entry with this id and dot is covered.
fn covers(reach: &GroupReach, id: StreamId, dot: Dot) -> bool {
    id <= reach.through && reach.clock.covers(dot)
}

impl Group {
    /// One that has passed over what `start` says.
    pub(crate) fn new(start: GroupReach) -> Group {
        let reaches = SmallVec::new();
        Group {
            deliveries: SmallVec::from_iter([Delivery { start, reaches }]),
            ..Group::default()
        }
    }

    /// The id up to which it has delivered, as readers see it, and how many entries that were.
    pub(crate) fn last(&self) -> (StreamId, Option<u64>) {
        let each = self.deliveries.iter();
        let all = each.flat_map(|each| each.reaches.iter().chain([&each.start]));
        let last = all.map(|reach| (reach.through, reach.read)).max();
        last.unwrap_or_default()
    }

    /// Whether an entry is delivered.
    pub(crate) fn has_delivered(&self, name: &Name) -> bool {
        self.has_handed_out(name) || self.deliveries.iter().all(|each| each.has_passed(name))
    }

    /// The same, but entries that were passed over when the group was created do not count.
    pub(super) fn has_handed_out(&self, name: &Name) -> bool {
        let mut each = self.deliveries.iter();
        each.any(|each| each.has_handed_out(name)) || self.lives.contains_key(name)
    }

    /// How often an entry was made pending by force.
    pub(crate) fn life(&self, name: &Name) -> u32 {
        self.lives.get(name).copied().unwrap_or(0)
    }

    fn rank(&self, name: &Name) -> usize {
        self.pending.partition_point(|other| other < name)
    }

    /// The pending entries with this id or a greater one: O(log n) for the first.
    pub(crate) fn pending_from(&self, id: StreamId) -> impl Iterator<Item = &Pending> {
        let rank = self.pending.partition_point(|name| name.id < id);
        self.pending.iter_from(rank).map(|(pending, _)| pending)
    }

    pub(crate) fn pending(&self, name: &Name) -> Option<&Pending> {
        let (pending, _) = self.pending.at(self.rank(name))?;
        (pending.name == *name).then_some(pending)
    }

    /// The entries that are pending at a consumer: O(pending).
    pub(crate) fn pending_at(&self, consumer: &[u8]) -> impl Iterator<Item = &Pending> {
        let pending = self.pending.iter();
        pending.filter(move |pending| *pending.mark().consumer == *consumer)
    }

    /// The greatest name of a pending entry.
    pub(crate) fn last_pending(&self) -> Option<&Name> {
        let (last, _) = self.pending.at(self.pending.weight().checked_sub(1)?)?;
        Some(&last.name)
    }

    /// Takes a pending entry out; `None` if it is not there.
    pub(super) fn take(&mut self, name: &Name) -> Option<Pending> {
        let rank = self.rank(name);
        if self
            .pending
            .at(rank)
            .is_none_or(|(found, _)| found.name != *name)
        {
            return None;
        }
        Some(
            self.pending
                .edit_at(rank, |items, item, _| items.remove(item)),
        )
    }

    /// Puts a pending entry in; it must not be there.
    pub(crate) fn put(&mut self, pending: Pending) {
        let name = pending.name;
        self.pending.edit_floor(
            |other| other.cmp(&name),
            |items, floor| items.insert(floor.map_or(0, |floor| floor + 1), pending),
        );
    }

    /// Writes a mark of a pending entry.
    pub(super) fn write(
        &mut self,
        mut pending: Pending,
        mark: Version<Mark>,
        context: &impl Context,
    ) -> bool {
        pending.marks.write(mark, context);
        let met = pending.marks.versions().len() > 1;
        self.put(pending);
        met
    }

    /// What readers see of groups that were created under one name without knowing of each other: what one of them has
    /// handed out is delivered, what is pending in one of them is pending, and passed over is only what all of them passed
    /// over. O(all that they hold).
    pub(crate) fn view<'g>(groups: impl Iterator<Item = &'g Group> + Clone) -> Group {
        let mut view = Group::default();
        let mut cursors = groups.clone().map(|group| group.cursor);
        view.cursor = cursors.next().unwrap_or_default();
        view.cursor = cursors.fold(view.cursor, StreamId::min);
        for group in groups.clone() {
            view.deliveries.extend(group.deliveries.iter().cloned());
            let lives = Arc::make_mut(&mut view.lives);
            for (name, life) in &*group.lives {
                let greatest = lives.entry(*name).or_default();
                *greatest = (*greatest).max(*life);
            }
            let consumers = Arc::make_mut(&mut view.consumers);
            for (name, seen) in &*group.consumers {
                let merged = consumers.entry(Arc::clone(name)).or_default();
                *merged = merged
                    .versions()
                    .iter()
                    .chain(seen.versions())
                    .copied()
                    .collect();
            }
        }
        for pending in groups.flat_map(|group| group.pending.iter()) {
            view.merge_pending(pending);
        }
        view
    }

    fn merge_pending(&mut self, pending: &Pending) {
        if pending.life < self.life(&pending.name) {
            return;
        }
        match self.take(&pending.name) {
            None => self.put(pending.clone()),
            Some(mut known) => {
                let versions = known
                    .marks
                    .versions()
                    .iter()
                    .chain(pending.marks.versions());
                known.marks = versions.cloned().collect();
                self.put(known);
            }
        }
    }

    /// Moves the cursor over entries that are delivered. O(entries passed).
    pub(crate) fn advance(&mut self, stream: &Stream) {
        let from = self
            .cursor
            .next()
            .map_or(stream.len(), |from| stream.rank(from));
        let delivered = stream
            .iter_from(from)
            .take_while(|entry| self.has_delivered(&entry.name));
        // Of entries that share their id only some may be delivered.
        let mut passed = StreamId::ZERO;
        for entry in delivered {
            passed = entry.name.id;
        }
        let ends = stream
            .with_id(passed)
            .all(|entry| self.has_delivered(&entry.name));
        let reached = if ends {
            Some(passed)
        } else {
            passed.previous()
        };
        self.cursor = self.cursor.max(reached.unwrap_or_default());
    }

    /// The entries that are not delivered, in order.
    pub(crate) fn undelivered<'s>(
        &'s self,
        stream: &'s Stream,
    ) -> impl Iterator<Item = &'s super::Entry> {
        let from = self
            .cursor
            .next()
            .map_or(stream.len(), |from| stream.rank(from));
        let entries = stream.iter_from(from);
        entries.filter(|entry| !self.has_delivered(&entry.name))
    }

    /// The last id up to which all that is in the stream is delivered, if it is not the last one delivered.
    pub(crate) fn settled_through(&self, stream: &Stream) -> StreamId {
        let (last, _) = self.last();
        let first = self.undelivered(stream).next().map(|entry| entry.name.id);
        let gap = first.filter(|id| *id <= last).and_then(StreamId::previous);
        gap.unwrap_or(last)
    }
}

/// A version that an entry of the log writes.
pub(super) fn version<V>(dot: Dot, hlc: Hlc, value: V) -> Version<V> {
    Version { dot, hlc, value }
}
