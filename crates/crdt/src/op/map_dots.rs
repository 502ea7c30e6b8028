//! The map as a store that joins.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use isles_clock::{Dot, DotContext};
use serde::{Deserialize, Deserializer};

use super::Nested;
use super::map::{Map, Reach};
use crate::decode;
use crate::dots::{DotStore, Writer};
use crate::update::MapUpdate;

impl<K: Ord + Clone, S: DotStore> Map<K, S> {
    /// The fragment that speaks of one key.
    pub(super) fn named(key: K, child: S) -> Self {
        Self {
            reach: Reach::Named,
            live: usize::from(child.is_live()),
            children: BTreeMap::from([(key, child)]),
        }
    }

    /// The fragment of an update under one key, which may have changed nothing.
    fn changed(key: K, child: S, writer: &Writer<'_>) -> Self {
        if child.is_empty() && !writer.has_superseded() {
            return Self::unnamed();
        }
        Self::named(key, child)
    }

    /// Adds what a fragment says of other keys than this one.
    pub(super) fn append(&mut self, other: Self) {
        // Not `BTreeMap::append`, which goes through all that is here.
        self.children.extend(other.children);
        self.live += other.live;
    }

    /// Joins what both maps say of one key.
    fn join_key(&mut self, key: &K, seen: &DotContext, other: &S, theirs: &DotContext) {
        let is_state = self.reach == Reach::All;
        if let Some(child) = self.children.get_mut(key) {
            self.live -= usize::from(child.is_live());
            child.join(seen, other, theirs);
            self.live += usize::from(child.is_live());
            if is_state && child.is_empty() {
                self.children.remove(key);
            }
            return;
        }
        let mut child = if is_state { S::default() } else { S::unnamed() };
        child.join(seen, other, theirs);
        if !is_state || !child.is_empty() {
            self.live += usize::from(child.is_live());
            self.children.insert(key.clone(), child);
        }
    }

    /// Joins with a map that speaks of all keys: one walk through both.
    fn join_all(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        let nothing = S::default();
        let mut ahead = other.children.iter().peekable();
        let mut unmatched = Vec::new();
        self.change_all(|key, child| {
            while let Some(entry) = ahead.next_if(|(other, _)| *other < key) {
                unmatched.push(entry);
            }
            let counterpart = ahead.next_if(|(other, _)| *other == key);
            child.join(
                seen,
                counterpart.map_or(&nothing, |(_, child)| child),
                theirs,
            );
        });
        for (key, child) in unmatched.into_iter().chain(ahead) {
            self.join_key(key, seen, child, theirs);
        }
    }
}

impl<K: Ord + Clone, S: DotStore> DotStore for Map<K, S> {
    fn unnamed() -> Self {
        Self {
            reach: Reach::Named,
            ..Self::default()
        }
    }

    fn is_state(&self) -> bool {
        let is_state = |child: &S| !child.is_empty() && child.is_state();
        self.reach == Reach::All && self.children.values().all(is_state)
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.children
            .values()
            .for_each(|child| child.each_dot(visit));
    }

    fn each_removal(&self, visit: &mut dyn FnMut(Dot)) {
        let children = self.children.values();
        children.for_each(|child| child.each_removal(visit));
    }

    fn join(&mut self, seen: &DotContext, other: &Self, theirs: &DotContext) {
        if other.reach == Reach::All {
            self.reach = Reach::All;
            self.join_all(seen, other, theirs);
            return;
        }
        for (key, child) in &other.children {
            self.join_key(key, seen, child, theirs);
        }
    }

    fn mutate(&mut self, writer: &mut Writer<'_>, update: Self::Update) -> Self {
        match update {
            MapUpdate::Update(key, update) => {
                let fragment = self.change(key.clone(), |child| child.mutate(writer, update));
                Self::changed(key, fragment, writer)
            }
            MapUpdate::Remove(key) => {
                let Entry::Occupied(mut entry) = self.children.entry(key.clone()) else {
                    return Self::unnamed();
                };
                self.live -= usize::from(entry.get().is_live());
                let fragment = entry.get_mut().wipe(writer);
                if entry.get().is_empty() {
                    entry.remove();
                }
                Self::changed(key, fragment, writer)
            }
            MapUpdate::Clear => self.wipe(writer),
        }
    }

    fn wipe(&mut self, writer: &mut Writer<'_>) -> Self {
        let mut fragment = Self::default();
        self.change_all(|key, child| {
            let part = child.wipe(writer);
            if !part.is_empty() {
                fragment.live += usize::from(part.is_live());
                fragment.children.insert(key.clone(), part);
            }
        });
        fragment
    }

    fn lacking(&self, theirs: &DotContext, kept: &mut Vec<Dot>) -> Self {
        let mut fragment = Self::default();
        for (key, child) in &self.children {
            let part = child.lacking(theirs, kept);
            if !part.is_empty() {
                fragment.live += usize::from(part.is_live());
                fragment.children.insert(key.clone(), part);
            }
        }
        fragment
    }
}

impl<'de, K, S> Deserialize<'de> for Map<K, S>
where
    K: Ord + Deserialize<'de>,
    S: Nested + Deserialize<'de>,
{
    /// Refuses keys out of order, or twice. It takes fragments too: [`DotStore::is_state`] tells them apart.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(bound = "K: Ord + Deserialize<'de>, S: Deserialize<'de>")]
        struct Parts<K, S> {
            reach: Reach,
            #[serde(deserialize_with = "decode::ascending_pairs")]
            children: Vec<(K, S)>,
        }
        let Parts { reach, children } = Parts::<K, S>::deserialize(deserializer)?;
        let live = children.iter().filter(|(_, child)| child.is_live()).count();
        Ok(Self {
            reach,
            children: children.into_iter().collect(),
            live,
        })
    }
}
