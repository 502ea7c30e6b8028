//! Consumer groups, beside their definition.

mod claim;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use isles_clock::Dot;
use isles_replica::{Acknowledged, GroupError, GroupStart, StreamId, StreamMark, Txn};

use super::Draft;
use crate::command::Bytes;
use crate::groups::Command;
use crate::model::{
    EntryName, GroupAct, GroupChange, GroupState, Holder, NewGroup, StreamState, Type,
};

impl Draft<'_> {
    pub(super) fn run_group(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        command: &Command,
    ) -> Result<(), String> {
        match command {
            Command::Create(name, place) => self.group_create(txn, key, name, *place),
            Command::SetId(name, place) => self.group_set_id(txn, key, name, *place),
            Command::Destroy(name) => self.group_destroy(txn, key, name),
            Command::Read(name, consumer, count, at_once) => {
                self.group_read(txn, key, name, consumer, *count, *at_once)
            }
            Command::History(name, consumer) => self.group_history(txn, key, name, consumer),
            Command::Ack(name, places) => self.group_ack(txn, key, name, places),
            Command::Claim(name, consumer, places) => {
                self.group_claim(txn, key, name, consumer, places)
            }
            Command::AutoClaim(name, consumer, place, count) => {
                self.group_auto_claim(txn, key, name, consumer, [*place, *count])
            }
            Command::Forget(name, consumer) => self.group_forget(txn, key, name, consumer),
            Command::Show(name) => self.group_show(txn, key, name),
        }
    }

    /// The stream, and the group as readers see it with what names it.
    fn group(
        &mut self,
        key: &[u8],
        name: &[u8],
    ) -> Result<(StreamState, GroupState, BTreeSet<Dot>), GroupError> {
        let state = self.typed(key, Type::Stream).ok_or(GroupError::WrongType)?;
        if !state.stream.is_live() {
            return Err(GroupError::NoStream);
        }
        let groups = state.stream.groups.get(name).ok_or(GroupError::NoGroup)?;
        let (view, named) = (GroupState::view(groups), groups.keys().copied().collect());
        Ok((state.stream, view, named))
    }

    fn act(&mut self, key: &[u8], act: GroupAct) {
        self.effect(key).stream.groups.push(act);
    }

    fn group_create(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        place: usize,
    ) -> Result<(), String> {
        let state = self.typed(key, Type::Stream).map(|state| state.stream);
        let known = state.clone().unwrap_or_default();
        let (start, after) = start_of(&known, place);
        let found = txn.group_create(key, name, start, true, None);
        let expected = match &state {
            None => Err(GroupError::WrongType),
            Some(state) if state.is_live() && state.groups.contains_key(name) => {
                Err(GroupError::Exists)
            }
            Some(_) => Ok(()),
        };
        self.same(&expected, &found)?;
        if expected.is_err() {
            return Ok(());
        }
        if !known.is_live() {
            self.create(key);
            self.effect(key).stream.mark = Some(StreamMark::default());
        }
        let new = NewGroup {
            name: name.to_vec(),
            start: after,
            passed: passed(&known, after),
            ..NewGroup::default()
        };
        self.act(key, GroupAct::Create(new));
        Ok(())
    }

    fn group_set_id(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        place: usize,
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let stream = group
            .as_ref()
            .map(|(stream, ..)| stream.clone())
            .unwrap_or_default();
        let (start, after) = start_of(&stream, place);
        let found = txn.group_set_id(key, name, start, None);
        self.same(&group.as_ref().map(drop).map_err(|error| *error), &found)?;
        if let Ok((stream, group, _)) = group {
            let pending = holders(&group, |(id, dot, ordinal)| Some((id, dot, ordinal)));
            let new = NewGroup {
                name: name.to_vec(),
                start: after,
                passed: passed(&stream, after),
                consumers: consumers(&group, &pending, after),
                pending: pending
                    .into_iter()
                    .filter(|((id, ..), _)| *id <= after)
                    .collect(),
            };
            self.act(key, GroupAct::Destroy(name.to_vec()));
            self.act(key, GroupAct::Create(new));
        }
        Ok(())
    }

    /// The groups of a stream as a copy of it gets them.
    pub(super) fn copied_groups(&self, stream: &StreamState) -> Vec<GroupAct> {
        let dot = self.entry.dot;
        let place = |name: &EntryName| {
            let twins = stream.entries.keys().filter(|twin| twin.0 == name.0);
            let place = twins.clone().position(|twin| twin == name);
            place.map_or(u32::MAX, |place| place as u32)
        };
        let copy = |(name, groups): (&Bytes, &BTreeMap<Dot, GroupState>)| {
            let group = GroupState::view(groups);
            let last = group.last();
            let mut missing = stream
                .entries
                .keys()
                .filter(|name| !GroupState::have_delivered(groups, name));
            let gap = missing.next().map(|(id, ..)| *id).filter(|id| *id <= last);
            let after = gap.and_then(StreamId::previous).unwrap_or(last);
            let pending = holders(&group, |name| Some((name.0, dot, place(&name))));
            let old = passed(stream, after);
            GroupAct::Create(NewGroup {
                name: name.clone(),
                start: after,
                passed: old.iter().map(|name| (name.0, dot, place(name))).collect(),
                consumers: consumers(&group, &pending, after),
                pending: pending
                    .into_iter()
                    .filter(|((id, ..), _)| *id <= after)
                    .collect(),
            })
        };
        stream.groups.iter().map(copy).collect()
    }

    fn group_destroy(&mut self, txn: &mut Txn<'_>, key: &[u8], name: &[u8]) -> Result<(), String> {
        let expected = match self.group(key, name) {
            Ok(_) => {
                self.act(key, GroupAct::Destroy(name.to_vec()));
                Ok(true)
            }
            Err(GroupError::NoGroup) => Ok(false),
            Err(error) => Err(error),
        };
        self.same(&expected, &txn.group_destroy(key, name))
    }

    fn group_read(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
        count: usize,
        at_once: bool,
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let acknowledged = if at_once {
            Acknowledged::AtOnce
        } else {
            Acknowledged::Later
        };
        let mut ids = Vec::new();
        let found = txn.group_read(
            key,
            name,
            consumer,
            Some(count),
            acknowledged,
            &mut |id, _| {
                ids.push(id);
                ControlFlow::Continue(())
            },
        );
        let expected = group.as_ref().map_err(|error| *error).map(|(stream, ..)| {
            let groups = &stream.groups[name];
            let missing = stream
                .entries
                .keys()
                .filter(|name| !GroupState::have_delivered(groups, name));
            let missing: Vec<EntryName> = missing.copied().collect();
            let enough = missing.get(count - 1).map(|(id, ..)| *id);
            let handed = missing
                .into_iter()
                .take_while(|(id, ..)| enough.is_none_or(|enough| *id <= enough));
            handed.collect::<Vec<EntryName>>()
        });
        let shown = expected
            .as_ref()
            .map(|names| names.iter().map(|(id, ..)| *id).collect());
        self.same(&shown.map_err(|error| *error), &found.map(|_| ids))?;
        if let (Ok((.., named)), Ok(handed)) = (group, expected)
            && !handed.is_empty()
        {
            let mut change = GroupChange {
                name: name.to_vec(),
                named,
                consumer: Some((consumer.to_vec(), self.now_ms)),
                handed: handed.iter().copied().collect(),
                ..GroupChange::default()
            };
            match at_once {
                true => change.acks = handed.into_iter().collect(),
                false => {
                    let holder = (consumer.to_vec(), self.now_ms, 1);
                    change.marks = handed
                        .into_iter()
                        .map(|name| (name, holder.clone()))
                        .collect();
                }
            }
            self.act(key, GroupAct::Change(change));
        }
        self.group_show(txn, key, name)
    }

    fn group_history(
        &mut self,
        txn: &mut Txn<'_>,
        key: &[u8],
        name: &[u8],
        consumer: &[u8],
    ) -> Result<(), String> {
        let group = self.group(key, name);
        let mut rows = Vec::new();
        let zero = StreamId::ZERO;
        let found = txn.group_read_pending(key, name, consumer, zero, None, &mut |id, texts| {
            rows.push((id, texts.is_some()));
            ControlFlow::Continue(())
        });
        let own = |group: &GroupState| {
            let pending = group.pending.keys().copied();
            let own = pending.filter(|name| {
                group
                    .holder(name)
                    .is_some_and(|holder| holder.0 == consumer)
            });
            own.collect::<Vec<EntryName>>()
        };
        let is_there = |stream: &StreamState, name: &EntryName| {
            stream
                .entries
                .keys()
                .any(|(id, dot, _)| (*id, *dot) == (name.0, name.1))
        };
        let expected = group
            .as_ref()
            .map_err(|error| *error)
            .map(|(stream, group, _)| {
                let rows = own(group)
                    .into_iter()
                    .map(|name| (name.0, is_there(stream, &name)));
                rows.collect::<Vec<_>>()
            });
        self.same(&expected, &found.map(|_| rows))?;
        if let Ok((stream, group, named)) = group {
            let again = own(&group)
                .into_iter()
                .filter(|name| is_there(&stream, name));
            let marks: BTreeMap<EntryName, Holder> = again
                .filter_map(|name| {
                    let count = group.holder(&name)?.2 + 1;
                    Some((name, (consumer.to_vec(), self.now_ms, count)))
                })
                .collect();
            if !marks.is_empty() || !group.consumers.contains_key(consumer) {
                let change = GroupChange {
                    name: name.to_vec(),
                    named,
                    consumer: Some((consumer.to_vec(), self.now_ms)),
                    marks,
                    ..GroupChange::default()
                };
                self.act(key, GroupAct::Change(change));
            }
        }
        self.group_show(txn, key, name)
    }
}

/// Where a group starts: before everything, after everything, or after the entry at a place.
fn start_of(stream: &StreamState, place: usize) -> (GroupStart, StreamId) {
    let after = |id| (GroupStart::After(id), id);
    match place.checked_sub(2) {
        None if place == 0 => after(StreamId::ZERO),
        None => (GroupStart::Last, stream.mark().last),
        Some(place) => after(stream.ids().get(place).copied().unwrap_or_default()),
    }
}

fn passed(stream: &StreamState, after: StreamId) -> BTreeSet<EntryName> {
    let names = stream.entries.keys().copied();
    names.filter(|(id, ..)| *id <= after).collect()
}

fn holders(
    group: &GroupState,
    renamed: impl Fn(EntryName) -> Option<EntryName>,
) -> BTreeMap<EntryName, Holder> {
    let mut pending = BTreeMap::new();
    for name in group.pending.keys() {
        if let (Some(renamed), Some(holder)) = (renamed(*name), group.holder(name)) {
            pending.entry(renamed).or_insert(holder.clone());
        }
    }
    pending
}

/// The consumers of a group that takes over what is pending; one that has gone meanwhile comes back with its entries.
fn consumers(
    group: &GroupState,
    pending: &BTreeMap<EntryName, Holder>,
    after: StreamId,
) -> BTreeMap<Bytes, u64> {
    let seen = group.consumers.iter();
    let mut consumers: BTreeMap<Bytes, u64> = seen
        .map(|(name, seen)| (name.clone(), seen.values().copied().max().unwrap_or(0)))
        .collect();
    let kept = pending.iter().filter(|((id, ..), _)| *id <= after);
    for (_, (name, at_ms, _)) in kept {
        consumers.entry(name.clone()).or_insert(*at_ms);
    }
    consumers
}
