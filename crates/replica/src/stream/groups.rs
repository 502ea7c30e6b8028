//! The consumer groups of a stream, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use isles_clock::{Context, Dot, Hlc, ReplicaId};
use isles_crdt::op::{Cell, Version};
use smallvec::SmallVec;

use super::group::{Group, Mark, Pending, version};
use super::{Name, Stream, StreamId};
use crate::op::{EntryRef, GroupChange, GroupMark, GroupReach, GroupStep, MarkHow, NewGroup};
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
    fn is_here(&self) -> bool {
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

fn name_of(entry: &EntryRef, writers: &[ReplicaId]) -> Option<Name> {
    let writer = writers.get(entry.writer as usize)?;
    Some(Name {
        id: entry.id,
        dot: Dot::new(*writer, entry.sequence),
        ordinal: entry.ordinal,
    })
}

impl Group {
    fn is_behind(&self, stream: &Stream) -> bool {
        let from = self.cursor.next().map(|from| stream.rank(from));
        let next = from.and_then(|from| stream.at(from));
        next.is_some_and(|entry| self.has_delivered(&entry.name))
    }

    fn change<C: Context>(
        &mut self,
        change: &GroupChange<'_>,
        writer: &Writer<'_, C>,
        salt: u128,
    ) -> Stepped {
        let consumers_before = self.consumers.len();
        let consumer = change.consumer.map(|(name, seen_ms)| {
            self.change_consumer(name.0, salt, |seen| {
                seen.write(version(writer.dot, writer.hlc, seen_ms), writer);
            })
        });
        if let Some(name) = change.forget {
            self.change_consumer(name.0, salt, |seen| {
                seen.remove(writer);
            });
        }
        for (entry, life) in &change.acks {
            if let Some(name) = name_of(entry, &change.writers) {
                // Who acknowledges has seen it delivered: by this group, or else by a namesake alone.
                if self.has_shown(&name, writer) {
                    self.acknowledge(&name, *life, salt);
                }
            }
        }
        let mut met = false;
        if let Some(consumer) = consumer {
            for mark in &change.marks {
                let value = Mark {
                    consumer: Arc::clone(&consumer),
                    at_ms: change.at_ms,
                    count: mark.count,
                };
                if let Some(name) = name_of(&mark.entry, &change.writers) {
                    met |= self.mark(&name, mark, value, writer, salt);
                }
            }
        }
        if let Some(reach) = change.reach.as_ref().filter(|_| !writer.is_here()) {
            self.settle_unseen(reach, writer, salt);
        }
        if let (Some(reach), Some(delivery)) = (&change.reach, self.deliveries.first_mut()) {
            self.sum = self.sum.wrapping_sub(sum::of_delivery(salt, delivery));
            delivery.reach(reach);
            self.sum = self.sum.wrapping_add(sum::of_delivery(salt, delivery));
            if writer.is_here() {
                // It has handed out all that is here up to there.
                self.cursor = self.cursor.max(reach.through);
            }
        }
        Stepped {
            merged: met,
            is_seen: self.consumers.len() != consumers_before,
        }
    }

    fn change_consumer(
        &mut self,
        name: &[u8],
        salt: u128,
        change: impl FnOnce(&mut Cell<u64>),
    ) -> Arc<[u8]> {
        let consumers = Arc::make_mut(&mut self.consumers);
        let known = consumers.remove_entry(name);
        let (name, mut seen) = known.unwrap_or_else(|| (name.into(), Cell::new()));
        self.sum = self.sum.wrapping_sub(sum::of_consumer(salt, &name, &seen));
        change(&mut seen);
        self.sum = self.sum.wrapping_add(sum::of_consumer(salt, &name, &seen));
        if !seen.is_empty() {
            consumers.insert(Arc::clone(&name), seen);
        }
        name
    }

    /// What comes to be delivered without being handed out was gone from the stream for the writer. Where others have
    /// delivered it meanwhile, it is as good as acknowledged, as it is where they come later. O(pending).
    fn settle_unseen<C: Context>(
        &mut self,
        reach: &GroupReach,
        writer: &Writer<'_, C>,
        salt: u128,
    ) {
        let pending = self
            .pending
            .iter()
            .take_while(|each| each.name.id <= reach.through);
        let unseen = pending.filter(|each| {
            each.life == 0
                && reach.clock.covers(each.name.dot)
                && !each.delivered.iter().any(|dot| writer.covers(*dot))
        });
        let unseen: Vec<Name> = unseen.map(|each| each.name).collect();
        unseen
            .iter()
            .for_each(|name| self.acknowledge(name, 0, salt));
    }

    /// Whether a writer had seen a pending entry delivered by this group.
    fn has_shown<C: Context>(&self, name: &Name, writer: &Writer<'_, C>) -> bool {
        let mut delivered = self
            .pending(name)
            .into_iter()
            .flat_map(|each| &each.delivered);
        delivered.any(|dot| writer.covers(*dot))
    }

    fn acknowledge(&mut self, name: &Name, life: u32, salt: u128) {
        if self
            .pending(name)
            .is_some_and(|pending| pending.life <= life)
            && let Some(pending) = self.take(name)
        {
            self.sum = self.sum.wrapping_sub(sum::of_pending(salt, &pending));
        }
    }

    fn mark<C: Context>(
        &mut self,
        name: &Name,
        part: &GroupMark,
        mark: Mark,
        writer: &Writer<'_, C>,
        salt: u128,
    ) -> bool {
        let known = self.life(name);
        let pending = self.pending(name).map(|pending| pending.life);
        let (life, is_new) = match part.how {
            // Delivered and not pending: acknowledged by somebody whom the writer had not heard.
            // What was passed over is none of this group's business: a namesake has handed it out.
            MarkHow::Delivered if self.deliveries.iter().any(|each| each.has_passed(name)) => {
                return false;
            }
            MarkHow::Delivered => (0, !self.has_handed_out(name)),
            // It was pending when it was claimed.
            MarkHow::Claimed(_) if !self.has_shown(name, writer) => return false,
            MarkHow::Claimed(life) => (life, false),
            MarkHow::Forced(life) => (life, life > known),
        };
        if pending != Some(life) && !is_new {
            return false;
        }
        if life > known {
            Arc::make_mut(&mut self.lives).insert(*name, life);
            let item = |life| sum::of_life(salt, name, life);
            let before = if known > 0 { item(known) } else { 0 };
            self.sum = self.sum.wrapping_sub(before).wrapping_add(item(life));
        }
        let old = self.take(name);
        if let Some(old) = &old {
            self.sum = self.sum.wrapping_sub(sum::of_pending(salt, old));
        }
        let fresh = || Pending {
            name: *name,
            life,
            delivered: SmallVec::new(),
            marks: Cell::new(),
        };
        let mut entry = old.filter(|old| old.life == life).unwrap_or_else(fresh);
        let is_delivery = !matches!(part.how, MarkHow::Claimed(_));
        if is_delivery && !entry.delivered.contains(&writer.dot) {
            entry.delivered.push(writer.dot);
        }
        let mark: Version<Mark> = version(writer.dot, writer.hlc, mark);
        let met = self.write(entry, mark, writer);
        if let Some(pending) = self.pending(name) {
            let sum = sum::of_pending(salt, pending);
            self.sum = self.sum.wrapping_add(sum);
        }
        met
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
