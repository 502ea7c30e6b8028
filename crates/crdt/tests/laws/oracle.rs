//! What each type means, in about ten lines each: a reader's value from the events alone.

use std::collections::{BTreeMap, BTreeSet};

use isles_clock::Stamp;
use isles_crdt::update::{CounterUpdate, FlagUpdate, MapUpdate, RegisterUpdate, SetUpdate};

/// One update of a history, and which others its writer had seen.
#[derive(Clone, Debug)]
pub(crate) struct Event<U> {
    pub(crate) at: Stamp,
    pub(crate) update: U,
    /// Its place in the sets below.
    pub(crate) bit: u32,
    /// Causally closed: with an event, what its writer had seen.
    pub(crate) seen: u64,
    /// Which removals of a key above have seen it, and so done away with it.
    pub(crate) removed_by: u64,
}

impl<U> Event<U> {
    pub(crate) fn saw<V>(&self, other: &Event<V>) -> bool {
        self.seen >> other.bit & 1 == 1
    }

    fn with<V>(&self, update: V) -> Event<V> {
        Event {
            at: self.at,
            update,
            bit: self.bit,
            seen: self.seen,
            removed_by: self.removed_by,
        }
    }
}

/// The meaning of a type.
pub(crate) trait Oracle {
    type Update: Clone;
    type Value: Default;

    /// What a reader sees who has these events, a causally closed set; `None` where a map would not have the key.
    fn read(events: &[Event<Self::Update>]) -> Option<Self::Value>;
}

/// The events that none of these has both seen and, by `beats`, done away with; nor the removal of a key above.
fn surviving<U: Clone>(events: &[Event<U>], beats: impl Fn(&U, &U) -> bool) -> Vec<Event<U>> {
    let is_left = |event: &&Event<U>| {
        let mut later = events.iter().filter(|later| later.saw(event));
        event.removed_by == 0 && !later.any(|later| beats(&later.update, &event.update))
    };
    events.iter().filter(is_left).cloned().collect()
}

pub(crate) struct SumUp;
impl Oracle for SumUp {
    type Update = u64;
    type Value = u128;

    fn read(events: &[Event<u64>]) -> Option<u128> {
        Some(events.iter().map(|event| u128::from(event.update)).sum())
    }
}

pub(crate) struct SumUpAndDown;
impl Oracle for SumUpAndDown {
    type Update = i64;
    type Value = i128;

    fn read(events: &[Event<i64>]) -> Option<i128> {
        Some(events.iter().map(|event| i128::from(event.update)).sum())
    }
}

/// The increments that no reset has seen.
pub(crate) struct Counter;
impl Oracle for Counter {
    type Update = CounterUpdate;
    type Value = i128;

    fn read(events: &[Event<CounterUpdate>]) -> Option<i128> {
        let left = surviving(events, |later, _| *later == CounterUpdate::Reset);
        let amounts = left.iter().filter_map(|event| match event.update {
            CounterUpdate::Add(by) => Some(i128::from(by)),
            CounterUpdate::Reset => None,
        });
        amounts.reduce(|sum, by| sum + by)
    }
}

pub(crate) struct Greatest;
impl Oracle for Greatest {
    type Update = u8;
    type Value = Option<u8>;

    fn read(events: &[Event<u8>]) -> Option<Option<u8>> {
        Some(events.iter().map(|event| event.update).max())
    }
}

pub(crate) struct Smallest;
impl Oracle for Smallest {
    type Update = u8;
    type Value = Option<u8>;

    fn read(events: &[Event<u8>]) -> Option<Option<u8>> {
        Some(events.iter().map(|event| event.update).min())
    }
}

/// The greatest stamp, where a write is later than what it has seen.
pub(crate) struct Latest;
impl Oracle for Latest {
    type Update = u8;
    type Value = Option<u8>;

    fn read(events: &[Event<u8>]) -> Option<Option<u8>> {
        let mut events = events.to_vec();
        events.sort_by_key(|event| event.seen.count_ones());
        let mut stamped: Vec<Event<u8>> = Vec::new();
        for mut event in events {
            let seen = stamped.iter().filter(|earlier| event.saw(earlier));
            let least = seen.map(|earlier| earlier.at.hlc.next()).max();
            event.at.hlc = event.at.hlc.max(least.unwrap_or_default());
            stamped.push(event);
        }
        Some(
            stamped
                .iter()
                .max_by_key(|event| event.at)
                .map(|event| event.update),
        )
    }
}

/// The writes that no update has seen.
pub(crate) struct Siblings;
impl Oracle for Siblings {
    type Update = RegisterUpdate<u8>;
    type Value = Vec<u8>;

    fn read(events: &[Event<RegisterUpdate<u8>>]) -> Option<Vec<u8>> {
        let mut left = surviving(events, |_, _| true);
        left.sort_by_key(|event| (event.at.replica, event.bit));
        let values = left.iter().filter_map(|event| match event.update {
            RegisterUpdate::Write(value) => Some(value),
            RegisterUpdate::Clear => None,
        });
        Some(values.collect()).filter(|values: &Vec<u8>| !values.is_empty())
    }
}

pub(crate) struct Union;
impl Oracle for Union {
    type Update = u8;
    type Value = BTreeSet<u8>;

    fn read(events: &[Event<u8>]) -> Option<BTreeSet<u8>> {
        Some(events.iter().map(|event| event.update).collect())
    }
}

/// Up if someone raised it whom nobody who lowered it has seen.
pub(crate) struct EnableWins;
impl Oracle for EnableWins {
    type Update = FlagUpdate;
    type Value = bool;

    fn read(events: &[Event<FlagUpdate>]) -> Option<bool> {
        let left = surviving(events, |later, _| *later == FlagUpdate::Disable);
        let is_up = left.iter().any(|event| event.update == FlagUpdate::Enable);
        is_up.then_some(true)
    }
}

/// Up if someone raised it who has seen all who lowered it.
pub(crate) struct DisableWins;
impl Oracle for DisableWins {
    type Update = FlagUpdate;
    type Value = bool;

    fn read(events: &[Event<FlagUpdate>]) -> Option<bool> {
        let (up, down): (Vec<_>, Vec<_>) = surviving(events, |_, _| false)
            .into_iter()
            .partition(|event| event.update == FlagUpdate::Enable);
        let has_seen_all = |raised: &Event<_>| down.iter().all(|lowered| raised.saw(lowered));
        up.iter().any(has_seen_all).then_some(true)
    }
}

/// One flag for each element. Clearing lowers the flags that were up where it was asked for.
pub(crate) struct Elements<F>(F);
impl<F: Oracle<Update = FlagUpdate, Value = bool>> Oracle for Elements<F> {
    type Update = SetUpdate<u8>;
    type Value = BTreeSet<u8>;

    fn read(events: &[Event<SetUpdate<u8>>]) -> Option<BTreeSet<u8>> {
        let is_there = |element: &u8| F::read(&flag_of(*element, events, &F::read)).is_some();
        let there: BTreeSet<u8> = elements_of(events).filter(is_there).collect();
        Some(there).filter(|there| !there.is_empty())
    }
}

fn elements_of(events: &[Event<SetUpdate<u8>>]) -> impl Iterator<Item = u8> {
    events.iter().filter_map(|event| match event.update {
        SetUpdate::Add(element) | SetUpdate::Remove(element) => Some(element),
        SetUpdate::Clear => None,
    })
}

/// What the events did to one element.
fn flag_of(
    element: u8,
    events: &[Event<SetUpdate<u8>>],
    read: &impl Fn(&[Event<FlagUpdate>]) -> Option<bool>,
) -> Vec<Event<FlagUpdate>> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.seen.count_ones());
    let mut flag: Vec<Event<FlagUpdate>> = Vec::new();
    for event in events {
        let update = match event.update {
            SetUpdate::Add(other) if other == element => FlagUpdate::Enable,
            SetUpdate::Remove(other) if other == element => FlagUpdate::Disable,
            SetUpdate::Clear => {
                if read(&seen_by(&event, &flag)).is_none() {
                    continue;
                }
                FlagUpdate::Disable
            }
            _ => continue,
        };
        flag.push(event.with(update));
    }
    flag
}

/// The events as the writer of a later one saw them.
pub(crate) fn seen_by<U: Clone, V>(writer: &Event<V>, events: &[Event<U>]) -> Vec<Event<U>> {
    let seen = events.iter().filter(|event| writer.saw(event)).cloned();
    let seen = seen.map(|event| Event {
        removed_by: event.removed_by & writer.seen,
        ..event
    });
    seen.collect()
}

/// Under each key what the updates of the key mean that no removal of it has seen.
pub(crate) struct Keys<C>(C);
impl<C: Oracle> Oracle for Keys<C> {
    type Update = MapUpdate<u8, C::Update>;
    type Value = BTreeMap<u8, C::Value>;

    fn read(events: &[Event<Self::Update>]) -> Option<Self::Value> {
        let mut map = BTreeMap::new();
        for key in 0..4 {
            if let Some(value) = C::read(&under(key, events)) {
                map.insert(key, value);
            }
        }
        Some(map).filter(|map| !map.is_empty())
    }
}

fn under<U: Clone>(key: u8, events: &[Event<MapUpdate<u8, U>>]) -> Vec<Event<U>> {
    let removes = |update: &MapUpdate<u8, U>| match update {
        MapUpdate::Update(..) => false,
        MapUpdate::Remove(other) => *other == key,
        MapUpdate::Clear => true,
    };
    let removals: Vec<_> = events
        .iter()
        .filter(|event| removes(&event.update))
        .collect();
    let here = events.iter().filter_map(|event| match &event.update {
        MapUpdate::Update(other, update) if *other == key => {
            let mut event = event.with(update.clone());
            let by = removals.iter().filter(|removal| removal.saw(&event));
            event.removed_by |= by.fold(0, |bits, removal| bits | 1 << removal.bit);
            Some(event)
        }
        _ => None,
    });
    here.collect()
}
