//! What an op does to one consumer group.

use std::sync::Arc;

use isles_clock::{Context, Dot, ReplicaId};
use isles_crdt::op::{Cell, Version};
use smallvec::SmallVec;

use super::Name;
use super::group::{Group, Mark, Pending, version};
use super::groups::{Stepped, Writer};
use crate::op::{EntryRef, GroupChange, GroupMark, GroupReach, MarkHow};
use crate::sum;

impl Group {
    /// Does what an op says of this group.
    pub(super) fn change<C: Context>(
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

/// The entry that an op names; none if it names no writer.
pub(super) fn name_of(entry: &EntryRef, writers: &[ReplicaId]) -> Option<Name> {
    let writer = writers.get(entry.writer as usize)?;
    Some(Name {
        id: entry.id,
        dot: Dot::new(*writer, entry.sequence),
        ordinal: entry.ordinal,
    })
}
