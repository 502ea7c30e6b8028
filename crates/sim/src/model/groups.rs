//! Consumer groups by definition: an entry is pending at whom it was last given to, until anybody acknowledges it.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Context, Dot, Hlc, Stamp, VectorClock};
use isles_replica::StreamId;
use isles_replica::inspect::{GroupContent, PendingContent};

use super::{Effect, Entry};
use crate::command::Bytes;

/// An entry of a stream: its id, the entry of the log that added it, and its place among those of one id that this one added.
pub type EntryName = (StreamId, Dot, u32);

/// At whom an entry is pending, since when, and how often it was delivered.
pub type Holder = (Bytes, u64, u64);

/// What an entry of the log does to groups, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAct {
    /// Observed groups of this name go.
    Destroy(Bytes),
    /// A group is created.
    Create(NewGroup),
    /// Groups change.
    Change(GroupChange),
}

/// A group that is created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: Bytes,
    /// Where it starts.
    pub start: StreamId,
    /// Entries that it will not hand out.
    pub passed: BTreeSet<EntryName>,
    /// Its consumers, and when they were seen.
    pub consumers: BTreeMap<Bytes, u64>,
    /// What is pending.
    pub pending: BTreeMap<EntryName, Holder>,
}

/// A change of the groups that were created by these entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupChange {
    /// Their name.
    pub name: Bytes,
    /// The entries of the log that created them.
    pub named: BTreeSet<Dot>,
    /// A consumer that is there from now on.
    pub consumer: Option<(Bytes, u64)>,
    /// A consumer that goes.
    pub forget: Option<Bytes>,
    /// What is acknowledged.
    pub acks: BTreeSet<EntryName>,
    /// What becomes pending at whom.
    pub marks: BTreeMap<EntryName, Holder>,
    /// What is handed out by it, acknowledged or not.
    pub handed: BTreeSet<EntryName>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Where it started.
    pub start: StreamId,
    /// Entries that it does not hand out.
    pub passed: BTreeSet<EntryName>,
    /// Up to where entries were handed out: by whom, and what they knew.
    pub reaches: Vec<(StreamId, Dot, VectorClock)>,
    /// Every mark that no other has observed, by dot.
    pub pending: BTreeMap<EntryName, BTreeMap<Dot, (Hlc, Holder)>>,
    /// When consumers were seen, as far as nothing has observed it.
    pub consumers: BTreeMap<Bytes, BTreeMap<Dot, u64>>,
}

/// Groups by name and by the entries that created them.
pub type GroupStates = BTreeMap<Bytes, BTreeMap<Dot, GroupState>>;

/// The groups after exactly these entries.
pub(super) fn groups_of(all: &[(&Entry, &Effect)]) -> GroupStates {
    let mut states = GroupStates::new();
    for (entry, effect) in all {
        for (index, act) in effect.stream.groups.iter().enumerate() {
            let GroupAct::Create(new) = act else { continue };
            let destroys = |act: &GroupAct| *act == GroupAct::Destroy(new.name.clone());
            let own = effect.stream.groups[index + 1..].iter();
            let by_others = all.iter().any(|(other, effect)| {
                other.dot != entry.dot
                    && other.observes(entry.dot)
                    && (effect.clears || effect.stream.groups.iter().any(destroys))
            });
            if own.clone().any(destroys) || by_others {
                continue;
            }
            let state = state_of(entry, new, index, all);
            states
                .entry(new.name.clone())
                .or_default()
                .insert(entry.dot, state);
        }
    }
    states
}

fn state_of(
    creator: &Entry,
    new: &NewGroup,
    index: usize,
    all: &[(&Entry, &Effect)],
) -> GroupState {
    let mut state = GroupState {
        start: new.start,
        passed: new.passed.clone(),
        ..GroupState::default()
    };
    let first = GroupChange {
        marks: new.pending.clone(),
        ..GroupChange::default()
    };
    // Everything that was done to it: by whom, and the how-manieth step of theirs.
    let mut changes: Vec<(&Entry, usize, &GroupChange)> = vec![(creator, index, &first)];
    for (entry, effect) in all {
        for (place, act) in effect.stream.groups.iter().enumerate() {
            if let GroupAct::Change(change) = act
                && change.name == new.name
                && change.named.contains(&creator.dot)
                && (entry.dot != creator.dot || place > index)
            {
                changes.push((entry, place, change));
            }
        }
    }
    let follows =
        |later: &(&Entry, usize, &GroupChange), (entry, place): (&Entry, usize)| match later.0.dot
            == entry.dot
        {
            true => later.1 > place,
            false => later.0.observes(entry.dot),
        };
    let consumers = new
        .consumers
        .iter()
        .map(|(name, seen)| (creator, index, name, *seen));
    let touches = changes.iter().filter_map(|(entry, place, change)| {
        let (name, seen) = change.consumer.as_ref()?;
        Some((*entry, *place, name, *seen))
    });
    for (entry, place, name, seen) in consumers.chain(touches) {
        let replaced = changes.iter().any(|later| {
            let touches = later
                .2
                .consumer
                .as_ref()
                .is_some_and(|(other, _)| other == name);
            follows(later, (entry, place)) && (touches || later.2.forget.as_ref() == Some(name))
        });
        if !replaced {
            state
                .consumers
                .entry(name.clone())
                .or_default()
                .insert(entry.dot, seen);
        }
    }
    // Of what was not delivered here, as far as they know, others speak to a namesake.
    let knows = |change: &(&Entry, usize, &GroupChange), name: &EntryName| {
        let shows = |other: &(&Entry, usize, &GroupChange)| {
            let is_same = (other.0.dot, other.1) == (change.0.dot, change.1);
            other.2.handed.contains(name) && (is_same || follows(change, (other.0, other.1)))
        };
        let is_passed = new.passed.contains(name);
        new.pending.contains_key(name) || !is_passed && changes.iter().any(shows)
    };
    let acks = changes.iter().flat_map(|change| {
        let acks = change.2.acks.iter().filter(move |name| knows(change, name));
        acks.copied()
    });
    let acknowledged: BTreeSet<EntryName> = acks.collect();
    let delivers =
        |other: &(&Entry, usize, &GroupChange), name: &EntryName| other.2.handed.contains(name);
    // What a reader passes by, because it was gone from the stream, counts as acknowledged for those of whom it did not know.
    let passed_by = |name: &EntryName| {
        changes.iter().any(|reader| {
            let through = reader.2.handed.iter().map(|(id, ..)| *id).max();
            let knew = |(entry, place): (&Entry, usize)| {
                follows(reader, (entry, place)) || entry.dot == reader.0.dot
            };
            through.is_some_and(|through| name.0 <= through)
                && (reader.0.context.covers(name.1) || reader.0.dot == name.1)
                && !changes
                    .iter()
                    .any(|other| delivers(other, name) && knew((other.0, other.1)))
        })
    };
    for each @ (entry, place, change) in &changes {
        // What a group passed over is handed out for a namesake of it.
        let passed = |name: &EntryName| change.handed.contains(name) && new.passed.contains(name);
        let marks = change
            .marks
            .iter()
            .filter(|(name, _)| !passed(name) && knows(each, name));
        for (name, holder) in marks {
            let replaced = changes.iter().any(|later| {
                let is_mark = later.2.marks.contains_key(name) && knows(later, name);
                follows(later, (entry, *place)) && is_mark
            });
            // What a group begins with, every reader of it has seen.
            let is_known = new.passed.contains(name) || new.pending.contains_key(name);
            let is_gone = !is_known && passed_by(name);
            if !replaced && !is_gone && !acknowledged.contains(name) {
                let marks = state.pending.entry(*name).or_default();
                marks.insert(entry.dot, (entry.hlc, holder.clone()));
            }
        }
    }
    for (entry, _, change) in &changes {
        if let Some(through) = change.handed.iter().map(|(id, ..)| *id).max() {
            state
                .reaches
                .push((through, entry.dot, entry.context.clone()));
        }
    }
    state
}

impl GroupState {
    /// The id up to which it has delivered.
    pub fn last(&self) -> StreamId {
        let reached = self.reaches.iter().map(|(through, ..)| *through).max();
        reached.unwrap_or_default().max(self.start)
    }

    /// What readers see of groups of one name: all of them together, but passed over is only what all of them passed over.
    /// Whether they have delivered an entry is asked of them one by one.
    pub fn view(groups: &BTreeMap<Dot, GroupState>) -> GroupState {
        let mut view = GroupState::default();
        let mut passed: Option<BTreeSet<EntryName>> = None;
        for group in groups.values() {
            view.start = view.start.max(group.start);
            let common = passed.take().unwrap_or_else(|| group.passed.clone());
            passed = Some(common.intersection(&group.passed).copied().collect());
            view.reaches.extend(group.reaches.iter().cloned());
            for (name, seen) in &group.consumers {
                view.consumers.entry(name.clone()).or_default().extend(seen);
            }
            for (name, marks) in &group.pending {
                view.pending.entry(*name).or_default().extend(marks.clone());
            }
        }
        view.passed = passed.unwrap_or_default();
        view
    }

    /// At whom an entry is pending.
    pub fn holder(&self, name: &EntryName) -> Option<&Holder> {
        let marks = self.pending.get(name)?.iter();
        let latest = marks.max_by_key(|(dot, (hlc, _))| (Stamp::new(*hlc, dot.replica), **dot));
        latest.map(|(_, (_, holder))| holder)
    }

    fn has_handed_out(&self, name: &EntryName) -> bool {
        let mut reaches = self.reaches.iter();
        !self.passed.contains(name)
            && reaches.any(|(through, dot, context)| {
                name.0 <= *through && (context.covers(name.1) || *dot == name.1)
            })
    }

    /// Whether groups of one name do not hand out an entry.
    pub fn have_delivered(groups: &BTreeMap<Dot, GroupState>, name: &EntryName) -> bool {
        groups.values().any(|group| group.has_handed_out(name))
            || groups.values().all(|group| group.passed.contains(name))
    }
}

/// As the replica shows them.
pub(super) fn content_of(states: &GroupStates) -> Vec<GroupContent> {
    let all = states.iter();
    let all = all.flat_map(|(name, groups)| groups.iter().map(move |each| (name, each)));
    all.map(|(name, (dot, state))| GroupContent {
        name: name.clone(),
        dot: *dot,
        last: state.last(),
        pending: state
            .pending
            .iter()
            .map(|((id, dot, ordinal), marks)| PendingContent {
                id: *id,
                dot: *dot,
                ordinal: *ordinal,
                marks: marks
                    .iter()
                    .map(|(dot, (_, (consumer, at_ms, count)))| {
                        (*dot, consumer.clone(), *at_ms, *count)
                    })
                    .collect(),
            })
            .collect(),
        consumers: state
            .consumers
            .iter()
            .map(|(name, seen)| {
                (
                    name.clone(),
                    seen.iter().map(|(dot, seen)| (*dot, *seen)).collect(),
                )
            })
            .collect(),
    })
    .collect()
}
