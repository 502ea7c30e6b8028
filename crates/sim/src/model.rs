//! What a key holds, by definition: a function of the set of entries that were applied, with no state and no order of
//! arrival. Written from the design's tables, not from the replica's code.
//!
//! An effect takes part in the content unless an entry whose context covers it has taken it away. Of last-writer-wins
//! registers and deadlines the greatest stamp remains. That is all.

mod groups;
mod set_rw;
mod sorted_set;
mod stream;
mod sums;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use isles_clock::{Context, Dot, Hlc, ReplicaId, Stamp, VectorClock};
use isles_replica::inspect::{KeyContent, Written};
use isles_resolve::Strategy;

pub use self::groups::{
    EntryName, GroupAct, GroupChange, GroupState, GroupStates, Holder, NewGroup,
};
pub use self::sorted_set::{MemberState, ScoreEffect};
pub use self::stream::{StreamEffect, StreamState};
pub use self::sums::{Known, known_after};
use crate::command::Bytes;
use crate::small_kinds;

/// What one entry does to one key, net.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// Everything observed goes.
    pub clears: bool,
    /// A write of the last-writer-wins register; no value is a tombstone.
    pub lww: Option<(Hlc, Option<Bytes>)>,
    /// A write of the multi-value register.
    pub mv: Option<Bytes>,
    /// What it knows of differences.
    pub known: Option<Known>,
    /// A write of the deadline.
    pub deadline: Option<(Hlc, Option<u64>)>,
    /// Whether the design leaves open if the deadline is written; the entry's bytes tell.
    pub deadline_open: bool,
    /// Set members: whether observed additions go, and whether the member is added.
    pub set: BTreeMap<Bytes, MemberEffect>,
    /// Members of a remove-wins set: whether it is added, and else removed.
    pub set_rw: BTreeMap<Bytes, bool>,
    /// Map fields.
    pub map: BTreeMap<Bytes, FieldEffect>,
    /// Members of a sorted set.
    pub sorted_set: BTreeMap<Bytes, ScoreEffect>,
    /// List elements.
    pub list: ListEffect,
    /// Entries of a stream.
    pub stream: StreamEffect,
    /// What is added to the counter.
    pub count: Option<i128>,
    /// Flags, sketches and bounded counters.
    pub small: small_kinds::Effect,
}

/// Which element of a list: the entry that inserted it, and its place among those that this entry inserted there.
pub type ElementId = (Dot, u32);

/// An effect on the elements of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListEffect {
    /// Observed values of these elements go.
    pub removes: BTreeSet<ElementId>,
    /// Elements are written.
    pub writes: BTreeMap<ElementId, (Hlc, Bytes)>,
    /// Elements are inserted.
    pub inserts: BTreeMap<u32, Bytes>,
    /// How many the entry has inserted, those included that it has taken away again.
    pub ordinals: u32,
}

/// An effect on a member of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberEffect {
    /// Observed additions go.
    pub removes: bool,
    /// It is added.
    pub adds: bool,
}

/// An effect on a field of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEffect {
    /// Observed values and increments go.
    pub resets: bool,
    /// A value.
    pub put: Option<Bytes>,
    /// What is added to its counter.
    pub count: Option<i128>,
}

/// One entry, as its client meant it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its identity.
    pub dot: Dot,
    /// Its stamp's clock.
    pub hlc: Hlc,
    /// What its writer had applied.
    pub context: VectorClock,
    /// What its client had observed, where that is less.
    pub token: Option<VectorClock>,
    /// What it does.
    pub effects: BTreeMap<Bytes, Effect>,
}

impl Entry {
    /// Whether this entry has observed another.
    pub fn observes(&self, dot: Dot) -> bool {
        self.token.as_ref().unwrap_or(&self.context).covers(dot)
    }
}

/// What a key holds.
#[derive(Clone, Debug, Default)]
pub struct KeyState {
    /// The last write of the register, tombstones included.
    pub lww: Option<(Dot, Hlc, Option<Bytes>)>,
    /// The siblings of the multi-value register, by dot.
    pub mv: Vec<Written>,
    /// What they know of differences.
    pub known: BTreeMap<Dot, Known>,
    /// The last write of the deadline.
    pub deadline: Option<(Stamp, Option<u64>)>,
    /// Members, each with the additions that nothing has observed.
    pub set: BTreeMap<Bytes, BTreeSet<Dot>>,
    /// Members of the remove-wins set, each with the additions that make it present.
    pub set_rw: BTreeMap<Bytes, BTreeSet<Dot>>,
    /// Live fields.
    pub map: BTreeMap<Bytes, FieldState>,
    /// Live members of the sorted set.
    pub sorted_set: BTreeMap<Bytes, MemberState>,
    /// Elements, each with the values that nothing has observed, by dot. Their order is not a matter of definition.
    pub list: BTreeMap<ElementId, Vec<Written>>,
    /// The stream.
    pub stream: StreamState,
    /// Per replica what it has added and nobody has reset.
    pub counter: BTreeMap<ReplicaId, i128>,
    /// Flags, sketches and bounded counters.
    pub small: small_kinds::State,
    /// By which strategy its siblings are read.
    pub strategy: Strategy,
}

/// What a map field holds.
#[derive(Clone, Debug, Default)]
pub struct FieldState {
    /// The values that nothing has observed, by dot.
    pub versions: Vec<Written>,
    /// As [`KeyState::counter`].
    pub counter: BTreeMap<ReplicaId, i128>,
}

/// The types that readers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A register, a counter, or both.
    String,
    /// A map.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A list.
    List,
    /// A stream.
    Stream,
    /// A flag of either kind.
    Flag,
    /// Sketches.
    Sketch,
    /// Bounded counters.
    Bounded,
}

/// The content of a key after exactly these entries.
pub fn state_of<'e>(key: &[u8], entries: impl Iterator<Item = &'e Entry>) -> KeyState {
    let all: Vec<(&Entry, &Effect)> = entries
        .filter_map(|entry| Some((entry, entry.effects.get(key)?)))
        .collect();
    let mut state = KeyState::default();
    for (entry, effect) in &all {
        let later: Vec<&Effect> = all
            .iter()
            .filter(|(other, _)| other.dot != entry.dot && other.observes(entry.dot))
            .map(|(_, effect)| *effect)
            .collect();
        state.add(entry, effect, &later);
    }
    state.set_rw = set_rw::members_of(&all);
    state.small = small_kinds::state_of(&all);
    state.stream.groups = groups::groups_of(&all);
    state.mv.sort();
    let members = state.sorted_set.values_mut();
    members.for_each(|member| member.versions.sort());
    state
        .map
        .values_mut()
        .for_each(|field| field.versions.sort());
    state.list.values_mut().for_each(|versions| versions.sort());
    state
}

impl KeyState {
    /// Adds what remains of an effect, given the effects that have observed it.
    fn add(&mut self, entry: &Entry, effect: &Effect, later: &[&Effect]) {
        let stamp = |hlc| Stamp::new(hlc, entry.dot.replica);
        if let Some((hlc, value)) = &effect.lww {
            let current = self
                .lww
                .as_ref()
                .map(|(dot, hlc, _)| Stamp::new(*hlc, dot.replica));
            if current.is_none_or(|current| current < stamp(*hlc)) {
                self.lww = Some((entry.dot, *hlc, value.clone()));
            }
        }
        if let Some((hlc, at_ms)) = effect.deadline
            && self
                .deadline
                .is_none_or(|(current, _)| current < stamp(hlc))
        {
            self.deadline = Some((stamp(hlc), at_ms));
        }
        if let Some(value) = &effect.mv
            && !later.iter().any(|later| later.clears || later.mv.is_some())
        {
            self.mv.push((entry.dot, entry.hlc, value.clone()));
            let known = effect.known.clone();
            self.known.extend(known.map(|known| (entry.dot, known)));
        }
        let cleared = later.iter().any(|later| later.clears);
        if let Some(count) = effect.count.filter(|_| !cleared) {
            *self.counter.entry(entry.dot.replica).or_default() += count;
        }
        for (member, _) in effect.set.iter().filter(|(_, each)| each.adds && !cleared) {
            if !later.iter().any(|later| later.set.contains_key(member)) {
                self.set
                    .entry(member.clone())
                    .or_default()
                    .insert(entry.dot);
            }
        }
        if !cleared {
            self.add_elements(entry, effect, later);
            self.add_stream(entry, effect, later);
        }
        for (name, field) in effect.map.iter().filter(|_| !cleared) {
            let reset = |later: &&Effect| later.map.get(name).is_some_and(|field| field.resets);
            if !later.iter().any(reset) {
                self.add_field(entry, name, field);
            }
        }
        for (name, member) in effect.sorted_set.iter().filter(|_| !cleared) {
            let reset =
                |later: &&Effect| later.sorted_set.get(name).is_some_and(|each| each.resets);
            if !later.iter().any(reset) {
                self.add_member(entry, name, member);
            }
        }
    }

    /// An element is a register that keeps every value which nothing has observed.
    fn add_elements(&mut self, entry: &Entry, effect: &Effect, later: &[&Effect]) {
        let replaced = |id: &ElementId| {
            let by = |later: &&Effect| {
                later.list.removes.contains(id) || later.list.writes.contains_key(id)
            };
            later.iter().any(by)
        };
        let inserts = effect.list.inserts.iter().map(|(ordinal, value)| {
            let id = (entry.dot, *ordinal);
            (id, Hlc::ZERO, value)
        });
        let writes = effect.list.writes.iter();
        let writes = writes.map(|(id, (hlc, value))| (*id, *hlc, value));
        for (id, hlc, value) in inserts.chain(writes).filter(|(id, ..)| !replaced(id)) {
            let versions = self.list.entry(id).or_default();
            versions.push((entry.dot, hlc, value.clone()));
        }
    }

    fn add_field(&mut self, entry: &Entry, name: &Bytes, field: &FieldEffect) {
        if field.put.is_none() && field.count.is_none() {
            return;
        }
        let state = self.map.entry(name.clone()).or_default();
        if let Some(value) = &field.put {
            state.versions.push((entry.dot, entry.hlc, value.clone()));
        }
        if let Some(count) = field.count {
            *state.counter.entry(entry.dot.replica).or_default() += count;
        }
    }

    /// The members that readers see, if it is a set: those of both rules.
    pub fn members(&self) -> BTreeSet<Bytes> {
        self.set.keys().chain(self.set_rw.keys()).cloned().collect()
    }

    /// The value of the register, if there is one.
    pub fn lww_value(&self) -> Option<&Bytes> {
        self.lww.as_ref()?.2.as_ref()
    }

    /// When the key goes.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.deadline.and_then(|(_, at_ms)| at_ms)
    }

    /// The type that readers see at this time: kinds have an order of precedence.
    pub fn visible(&self, now_ms: u64) -> Option<Type> {
        if self.deadline_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            return None;
        }
        if self.lww_value().is_some() || !self.mv.is_empty() {
            Some(Type::String)
        } else if !self.map.is_empty() {
            Some(Type::Hash)
        } else if !self.set.is_empty() || !self.set_rw.is_empty() {
            Some(Type::Set)
        } else if !self.sorted_set.is_empty() {
            Some(Type::SortedSet)
        } else if !self.list.is_empty() {
            Some(Type::List)
        } else if self.stream.is_live() {
            Some(Type::Stream)
        } else if !self.counter.is_empty() {
            Some(Type::String)
        } else if !self.small.flag_ew.is_empty() || !self.small.flag_dw.is_empty() {
            Some(Type::Flag)
        } else if !self.small.sketches.is_empty() {
            Some(Type::Sketch)
        } else if !self.small.bounded.is_empty() {
            Some(Type::Bounded)
        } else {
            None
        }
    }

    fn register(&self) -> Option<Cow<'_, [u8]>> {
        let only = self.lww_value().map(|value| Cow::Borrowed(&value[..]));
        only.or_else(|| match self.strategy {
            Strategy::JsonSum => sums::read(&self.mv, &self.known),
            strategy => read(&self.mv, strategy),
        })
    }

    /// The same content, read by another strategy.
    pub fn read_by(self, strategy: Strategy) -> KeyState {
        KeyState { strategy, ..self }
    }

    /// What GET answers.
    pub fn string(&self) -> Bytes {
        let register = self.register();
        answer(register.as_deref(), &self.counter).unwrap_or_default()
    }

    /// What INCR starts from.
    pub fn integer(&self) -> Option<i64> {
        integer_of(self.register().as_deref(), &self.counter)
    }

    /// Whether a replica holds exactly this.
    ///
    /// # Errors
    /// Names the first difference.
    pub fn compare(&self, content: &KeyContent) -> Result<(), String> {
        let lww = self.lww.clone();
        let lww = lww.and_then(|(dot, hlc, value)| Some((dot, hlc, value?)));
        same("register-lww", &lww, &content.lww)?;
        same("register-mv", &self.mv, &content.mv)?;
        self.compare_sums(content)?;
        self.small.compare(content)?;
        same("set", &self.set, &by_member(&content.set))?;
        same("set-rw", &self.set_rw, &by_member(&content.set_rw))?;
        let elements = content.list.iter();
        let elements = elements.map(|(name, versions)| (id_of(name), versions.clone()));
        same("list", &self.list, &elements.collect())?;
        same("counter", &self.counter, &counted(&content.counter))?;
        let fields = |field: &FieldState| (field.versions.clone(), field.counter.clone());
        let here: BTreeMap<_, _> = self
            .map
            .iter()
            .map(|(name, field)| (name.clone(), fields(field)))
            .collect();
        let there = content.map.iter().map(|(name, field)| {
            (
                name.clone(),
                (field.versions.clone(), counted(&field.counter)),
            )
        });
        same("map", &here, &there.collect())?;
        self.compare_sorted_set(content)?;
        self.compare_stream(content)?;
        let deadline = self
            .deadline
            .and_then(|(stamp, at_ms)| Some((at_ms?, stamp)));
        same("deadline", &deadline, &content.deadline)
    }
}

fn by_member(members: &BTreeMap<Bytes, Vec<Dot>>) -> set_rw::Members {
    let members = members.iter();
    members
        .map(|(member, dots)| (member.clone(), dots.iter().copied().collect()))
        .collect()
}

/// The element that a replica calls by this name.
pub fn id_of(name: &[u8]) -> ElementId {
    let number = |range: std::ops::Range<usize>| {
        let bytes = name[range].iter().rev();
        bytes.fold(0, |number: u128, byte| number << 8 | u128::from(*byte))
    };
    let replica: [u8; 16] = name[..16]
        .try_into()
        .expect("invariant: a name starts with a replica");
    let dot = Dot::new(ReplicaId::from_bytes(replica), number(36..44) as u64);
    (dot, number(44..48) as u32)
}

/// What readers see of a list element.
pub fn element_value(versions: &[Written]) -> Bytes {
    latest(versions).map(<[u8]>::to_vec).unwrap_or_default()
}

impl FieldState {
    /// What HGET answers.
    pub fn answer(&self) -> Bytes {
        answer(latest(&self.versions), &self.counter).unwrap_or_default()
    }

    /// What HINCRBY starts from.
    pub fn integer(&self) -> Option<i64> {
        integer_of(latest(&self.versions), &self.counter)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{what} is {found:?}, by definition it is {expected:?}"
    ))
}

fn counted(contributions: &[isles_crdt::op::Contribution]) -> BTreeMap<ReplicaId, i128> {
    contributions
        .iter()
        .map(|each| (each.replica, each.value()))
        .collect()
}

/// What a strategy answers for concurrent values.
fn read(versions: &[Written], strategy: Strategy) -> Option<Cow<'_, [u8]>> {
    let stamp = |version: &&Written| (version.1, version.0.replica, version.0.sequence);
    let mut values: Vec<&[u8]> = versions.iter().map(|version| &version.2[..]).collect();
    // Numbers come before everything else, by value; the rest by its bytes.
    values.sort_by_key(|value| (canonical(value).is_none(), canonical(value), *value));
    let value = match strategy {
        Strategy::Fww => {
            let first = versions.iter().min_by_key(stamp);
            first.map(|version| &version.2[..])
        }
        Strategy::Min => values.first().copied(),
        Strategy::Max => values.last().copied(),
        Strategy::Longest => values.into_iter().max_by_key(|value| (value.len(), *value)),
        // No client here writes JSON arrays.
        Strategy::Union if values.len() > 1 => {
            let end: &[u8] = match values.iter().any(|value| value.ends_with(b"\n")) {
                true => b"\n",
                false => b"",
            };
            let lines = values
                .iter()
                .flat_map(|value| value.split(|byte| *byte == b'\n'));
            let mut lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
            lines.sort_by_key(|line| (canonical(line).is_none(), canonical(line), *line));
            lines.dedup();
            return Some(Cow::Owned([&lines.join(&b'\n'), end].concat()));
        }
        _ => latest(versions),
    };
    value.map(Cow::Borrowed)
}

/// Of concurrent values the one with the greatest stamp.
fn latest(versions: &[Written]) -> Option<&[u8]> {
    let stamp = |version: &&Written| (version.1, version.0.replica, version.0.sequence);
    let latest = versions.iter().max_by_key(stamp);
    latest.map(|version| &version.2[..])
}

fn answer(register: Option<&[u8]>, counter: &BTreeMap<ReplicaId, i128>) -> Option<Bytes> {
    if counter.is_empty() {
        return register.map(<[u8]>::to_vec);
    }
    match integer_of(register, counter) {
        Some(sum) => Some(sum.to_string().into_bytes()),
        None => register.map(<[u8]>::to_vec),
    }
}

fn integer_of(register: Option<&[u8]>, counter: &BTreeMap<ReplicaId, i128>) -> Option<i64> {
    let register = register.map_or(Some(0), canonical)?;
    let sum = i128::from(register) + counter.values().sum::<i128>();
    Some(sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// An integer written as Redis writes it.
fn canonical(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}
