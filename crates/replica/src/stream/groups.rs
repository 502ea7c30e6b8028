//! The consumer groups of a stream, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use isles_clock::{Context, Dot, Hlc, ReplicaId};
use isles_crdt::op::Cell;
use smallvec::SmallVec;

use super::group::{Group, Mark, Pending, version};
use super::group_change::name_of;
use super::{Stream, StreamId};
use crate::op::{GroupChange, GroupStep, NewGroup};
use crate::sum;

/// The groups under one name, by the entries that created them: several only where regions created them without knowing of
/// each other.
pub(crate) type Namesakes = SmallVec<[(Dot, Group); 1]>;

/// The groups of a stream. A clone is O(1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    by_name: Arc<BTreeMap<Box<[u8]>, Namesakes>>,
    sum: u128,
}

/// Who changes groups, and when.
pub(crate) struct Writer<'c, C> {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    pub(crate) context: &'c C,
    pub(crate) key_hash: u64,
}

/// What a step has brought about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stepped {
    /// Concurrent marks met.
    pub(crate) merged: bool,
    /// A group or a consumer came or went.
    pub(crate) is_seen: bool,
}

impl Stepped {
    fn with(self, other: Stepped) -> Stepped {
        Stepped {
            merged: self.merged | other.merged,
            is_seen: self.is_seen | other.is_seen,
        }
    }
}

/// What a writer has observed, its own entry included: its steps follow each other.
impl<C: Context> Context for Writer<'_, C> {
    fn covers(&self, dot: Dot) -> bool {
        dot == self.dot || self.context.covers(dot)
    }
}

impl<C: Context> Writer<'_, C> {
    /// Whether the writer is this node, so that it has observed everything, also what nobody wrote.
    pub(super) fn is_here(&self) -> bool {
        let nobody = ReplicaId::from_u128(u128::MAX);
        self.context.covers(Dot::new(nobody, u64::MAX))
    }
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// What all of them add to the sum.
    pub(crate) fn sum(&self) -> u128 {
        self.sum
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &Namesakes)> {
        self.by_name.iter().map(|(name, groups)| (&**name, groups))
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Namesakes> {
        self.by_name.get(name)
    }

    /// Takes in a stored group.
    pub(crate) fn load(&mut self, key_hash: u64, name: &[u8], dot: Dot, mut group: Group) {
        group.sum = computed_sum(key_hash, name, dot, &group);
        self.sum = self.sum.wrapping_add(group.sum);
        let groups = Arc::make_mut(&mut self.by_name)
            .entry(name.into())
            .or_default();
        let place = groups.partition_point(|(known, _)| *known < dot);
        groups.insert(place, (dot, group));
    }

    /// The sum computed afresh.
    pub(crate) fn computed_sum(&self, key_hash: u64) -> u128 {
        let all = self
            .iter()
            .flat_map(|(name, groups)| groups.iter().map(move |each| (name, each)));
        all.fold(0, |total: u128, (name, (dot, group))| {
            total.wrapping_add(computed_sum(key_hash, name, *dot, group))
        })
    }

    /// Removes the groups that a context covers.
    pub(crate) fn clear(&mut self, context: &impl Context) {
        if self.is_empty() {
            return;
        }
        let sum = &mut self.sum;
        Arc::make_mut(&mut self.by_name).retain(|_, groups| !remove(groups, sum, context));
    }

    /// A mistake made on purpose: what lies below the last id counts as delivered.
    pub(crate) fn skip_late(&mut self) {
        for (_, group) in Arc::make_mut(&mut self.by_name).values_mut().flatten() {
            group.cursor = group.last().0;
        }
    }

    /// A mistake made on purpose: what was delivered is forgotten once nothing of it is pending.
    pub(crate) fn forget_acknowledged(&mut self, key_hash: u64) {
        for (name, groups) in Arc::make_mut(&mut self.by_name) {
            for (dot, group) in groups
                .iter_mut()
                .filter(|each| each.1.pending.weight() == 0)
            {
                group
                    .deliveries
                    .iter_mut()
                    .for_each(|each| each.reaches.clear());
                group.cursor = StreamId::ZERO;
                self.sum = self.sum.wrapping_sub(group.sum);
                group.sum = computed_sum(key_hash, name, *dot, group);
                self.sum = self.sum.wrapping_add(group.sum);
            }
        }
    }

    /// An entry has come into the stream: it may lie below what is delivered.
    pub(super) fn note_entry(&mut self, id: StreamId) {
        let is_below = |(_, group): &(Dot, Group)| id <= group.cursor;
        if !self.by_name.values().flatten().any(is_below) {
            return;
        }
        let groups = Arc::make_mut(&mut self.by_name).values_mut().flatten();
        for (_, group) in groups.filter(|each| id <= each.1.cursor) {
            group.cursor = id.previous().unwrap_or_default();
        }
    }

    /// Finds out how far the groups of a name have delivered everything.
    pub(super) fn advance(&mut self, name: &[u8], stream: &Stream) {
        let is_behind =
            |groups: &Namesakes| groups.iter().any(|(_, group)| group.is_behind(stream));
        if !self.by_name.get(name).is_some_and(is_behind) {
            return;
        }
        let groups = Arc::make_mut(&mut self.by_name).get_mut(name);
        let groups = groups.into_iter().flatten();
        groups.for_each(|(_, group)| group.advance(stream));
    }

    /// Does what an op says.
    pub(crate) fn step<C: Context>(
        &mut self,
        step: &GroupStep<'_>,
        writer: &Writer<'_, C>,
    ) -> Stepped {
        match step {
            GroupStep::Destroy(name) => {
                let by_name = Arc::make_mut(&mut self.by_name);
                if let Some(groups) = by_name.get_mut(name.0)
                    && remove(groups, &mut self.sum, writer)
                {
                    by_name.remove(name.0);
                }
                Stepped {
                    merged: false,
                    is_seen: true,
                }
            }
            GroupStep::Create(new) => {
                let group = created(new, writer);
                self.load(writer.key_hash, new.name.0, writer.dot, group);
                Stepped {
                    merged: self.get(new.name.0).is_some_and(|groups| groups.len() > 1),
                    is_seen: true,
                }
            }
            GroupStep::Change(change) => self.change(change, writer),
        }
    }

    fn change<C: Context>(&mut self, change: &GroupChange<'_>, writer: &Writer<'_, C>) -> Stepped {
        let by_name = Arc::make_mut(&mut self.by_name);
        let groups = by_name.get_mut(change.name.0).into_iter().flatten();
        let mut stepped = Stepped::default();
        for (dot, group) in groups.filter(|(dot, _)| change.named.contains(dot)) {
            let salt = sum::group_salt(writer.key_hash, change.name.0, *dot);
            let before = group.sum;
            stepped = stepped.with(group.change(change, writer, salt));
            self.sum = self.sum.wrapping_sub(before).wrapping_add(group.sum);
        }
        stepped
    }
}

/// Removes what is covered; whether nothing is left.
fn remove(groups: &mut Namesakes, sum: &mut u128, context: &impl Context) -> bool {
    groups.retain(|(dot, group)| {
        let goes = context.covers(*dot);
        if goes {
            *sum = sum.wrapping_sub(group.sum);
        }
        !goes
    });
    groups.is_empty()
}

fn created<C: Context>(new: &NewGroup<'_>, writer: &Writer<'_, C>) -> Group {
    let mut group = Group::new(new.start.clone());
    if writer.is_here() {
        group.cursor = new.start.through;
    }
    let names: Vec<Arc<[u8]>> = new
        .consumers
        .iter()
        .map(|(name, _)| name.0.into())
        .collect();
    let seen = new
        .consumers
        .iter()
        .map(|(_, seen_ms)| Cell::from(version(writer.dot, writer.hlc, *seen_ms)));
    group.consumers = Arc::new(names.iter().cloned().zip(seen).collect());
    for part in &new.pending.entries {
        let writers = &new.pending.writers;
        let (Some(name), Some(consumer)) = (
            name_of(&part.entry, writers),
            names.get(part.consumer as usize),
        ) else {
            continue;
        };
        let mark = Mark {
            consumer: Arc::clone(consumer),
            at_ms: part.at_ms,
            count: part.count,
        };
        if group.pending(&name).is_none() {
            group.put(Pending {
                name,
                life: 0,
                delivered: SmallVec::from_iter([writer.dot]),
                marks: Cell::from(version(writer.dot, writer.hlc, mark)),
            });
        }
    }
    group
}

impl Group {
    fn is_behind(&self, stream: &Stream) -> bool {
        let from = self.cursor.next().map(|from| stream.rank(from));
        let next = from.and_then(|from| stream.at(from));
        next.is_some_and(|entry| self.has_delivered(&entry.name))
    }
}

/// The sum of a group computed afresh.
fn computed_sum(key_hash: u64, name: &[u8], dot: Dot, group: &Group) -> u128 {
    let salt = sum::group_salt(key_hash, name, dot);
    let lives = group
        .lives
        .iter()
        .map(|(name, life)| sum::of_life(salt, name, *life));
    let pending = group
        .pending
        .iter()
        .map(|pending| sum::of_pending(salt, pending));
    let consumers = group.consumers.iter();
    let consumers = consumers.map(|(name, seen)| sum::of_consumer(salt, name, seen));
    let deliveries = group
        .deliveries
        .iter()
        .map(|each| sum::of_delivery(salt, each));
    let parts = lives.chain(pending).chain(consumers).chain(deliveries);
    parts.fold(salt, u128::wrapping_add)
}
