//! Entries that change hands, or are done with.

use std::collections::BTreeSet;

use isles_replica::{AutoClaimed, StreamClaim, StreamId, Txn};

use super::Draft;
use crate::model::{EntryName, GroupAct, GroupChange, GroupState, Holder, StreamState};

impl Draft<'_> {
    pub(super) fn group_ack(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        places: &[usize],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let ids = group
            .as_ref()
            .map(|(_, group, _)| chosen(group, places))
            .unwrap_or_default();
        let found = txn.group_ack(key, name, &ids);
        let expected = group.as_ref().map_err(|error| *error).map(|(_, group, _)| {
            let pending = |id: &&StreamId| group.pending.keys().any(|name| name.0 == **id);
            ids.iter().filter(pending).collect::<BTreeSet<_>>().len()
        });
        self.same(&expected, &found)?;
        if let (Ok((_, group, named)), Ok(1..)) = (group, expected) {
            let acks = group.pending.keys().filter(|name| ids.contains(&name.0));
            let change = GroupChange {
                name: name.to_vec(),
                named,
                acks: acks.copied().collect(),
                ..GroupChange::default()
            };
            self.act(key, GroupAct::Change(change));
        }
        self.group_show(txn, key, name)
    }

    pub(super) fn group_claim(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        places: &[usize],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let mut ids = group
            .as_ref()
            .map(|(_, group, _)| chosen(group, places))
            .unwrap_or_default();
        ids.sort_unstable();
        ids.dedup();
        let found = txn.group_claim(key, name, consumer, &ids, StreamClaim::default());
        let mut change = GroupChange {
            name: name.to_vec(),
            ..GroupChange::default()
        };
        if let Ok((stream, group, named)) = &group {
            change.named.clone_from(named);
            for name in group.pending.keys().filter(|name| ids.contains(&name.0)) {
                match self.claimed(stream, group, name, consumer) {
                    Some(holder) => drop(change.marks.insert(*name, holder)),
                    None => drop(change.acks.insert(*name)),
                }
            }
        }
        let claimed: BTreeSet<StreamId> = change.marks.keys().map(|name| name.0).collect();
        let claimed: Vec<StreamId> = claimed.into_iter().collect();
        self.same(&group.map(|_| claimed), &found)?;
        self.act_claim(key, consumer, change);
        self.group_show(txn, key, name)
    }

    pub(super) fn group_auto_claim(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        [place, count]: [usize; 2],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let from = group.as_ref().ok().and_then(|(_, group, _)| {
            let mut pending = group.pending.keys();
            pending.nth(place).map(|name| name.0)
        });
        let from = from.unwrap_or_default();
        let found = txn.group_auto_claim(key, name, consumer, from, count, StreamClaim::default());
        let mut change = GroupChange {
            name: name.to_vec(),
            ..GroupChange::default()
        };
        let mut expected = AutoClaimed::default();
        if let Ok((stream, group, named)) = &group {
            change.named.clone_from(named);
            let mut pending = group.pending.keys().filter(|name| name.0 >= from);
            for name in pending.by_ref().take(count) {
                match self.claimed(stream, group, name, consumer) {
                    Some(holder) => {
                        expected.claimed.push(name.0);
                        change.marks.insert(*name, holder);
                    }
                    None => {
                        expected.deleted.push(name.0);
                        change.acks.insert(*name);
                    }
                }
            }
            expected.next = pending.next().map(|name| name.0);
        }
        self.same(&group.map(|_| expected), &found)?;
        self.act_claim(key, consumer, change);
        self.group_show(txn, key, name)
    }

    /// At whom an entry is pending once it is claimed; none if it is gone from the stream.
    fn claimed(
        &self,
        stream: &StreamState,
        group: &GroupState,
        name: &EntryName,
        consumer: &[u8],
    ) -> Option<Holder> {
        let is_there = stream.entries.keys().any(|entry| entry.0 == name.0);
        let holder = group.holder(name).filter(|_| is_there)?;
        Some((consumer.to_vec(), self.now_ms, holder.2 + 1))
    }

    fn act_claim(&mut self, key: &[u8], consumer: &[u8], mut change: GroupChange) {
        if !change.marks.is_empty() {
            change.consumer = Some((consumer.to_vec(), self.now_ms));
        }
        if !change.marks.is_empty() || !change.acks.is_empty() {
            self.act(key, GroupAct::Change(change));
        }
    }

    pub(super) fn group_forget(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let found = txn.consumer_remove(key, name, consumer);
        let own = |group: &GroupState| {
            let pending = group.pending.keys().copied();
            let own = pending.filter(|name| {
                group
                    .holder(name)
                    .is_some_and(|holder| holder.0 == consumer)
            });
            own.collect::<BTreeSet<EntryName>>()
        };
        let expected = group.as_ref().map_err(|error| *error).map(|(_, group, _)| {
            group
                .consumers
                .contains_key(consumer)
                .then(|| own(group).len())
        });
        self.same(&expected, &found)?;
        if let (Ok((_, group, named)), Ok(Some(_))) = (group, expected) {
            let change = GroupChange {
                name: name.to_vec(),
                named,
                forget: Some(consumer.to_vec()),
                acks: own(&group),
                ..GroupChange::default()
            };
            self.act(key, GroupAct::Change(change));
        }
        self.group_show(txn, key, name)
    }
}

/// The ids of pending entries at these places, and one that is not pending.
fn chosen(group: &GroupState, places: &[usize]) -> Vec<StreamId> {
    let pending: Vec<StreamId> = group.pending.keys().map(|name| name.0).collect();
    let ids = places.iter().map(|place| pending.get(*place).copied());
    ids.map(|id| id.unwrap_or(StreamId::new(1, 1))).collect()
}
