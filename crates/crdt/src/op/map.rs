//! Stores under keys.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::borrow::Borrow;

use isles_clock::{Context, Dot, Stamp, VectorClock};
use serde::{Deserialize, Serialize, Serializer};

use super::{Nested, OpBased};
use crate::Crdt;
use crate::update::MapUpdate;

/// A map whose values are themselves replicated; a key is present while there is anything to read under it.
///
/// An update of what is under a key beats a concurrent removal of the key, and a removal takes away what it had
/// observed, down to the bottom of the nest.
///
/// **Cost.** With *n* keys: finding, updating and removing one O(log n) beside what is done under it; clearing, and the
/// value, O(n).
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7.
///
/// ```text
/// eu: update k ---- remove k ------->  k holds v only: the removal had not observed it
/// us:         \--- put v under k --->
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(bound(serialize = "K: Serialize, S: Serialize"))]
pub struct Map<K, S> {
    pub(super) reach: Reach,
    // Invariant: where it speaks of all keys, nothing under a key is empty.
    #[serde(serialize_with = "pairs")]
    pub(super) children: BTreeMap<K, S>,
    /// How many of the children a reader sees; the others hold residue only.
    #[serde(skip)]
    pub(super) live: usize,
}

/// Not as a map: see [`decode`](crate::decode).
fn pairs<K: Serialize, S: Serialize, Z: Serializer>(
    children: &BTreeMap<K, S>,
    serializer: Z,
) -> Result<Z::Ok, Z::Error> {
    serializer.collect_seq(children)
}

/// Which keys a map speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Reach {
    /// Of all: one that is not listed has nothing under it. Every state is of this kind.
    #[default]
    All,
    /// Of those that it lists, if only to say that nothing is left under them.
    Named,
}

/// What the operation on a [`Map`] carries; `O` and `L` are the operation and the list of what is under its keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapOp<K, O, L> {
    /// An operation on what is under a key.
    Update(K, O),
    /// What the writer had observed under a key is taken away.
    Remove(K, Option<L>),
    /// What the writer had observed under every key is taken away; some keys list what that was.
    Clear(Vec<(K, L)>),
}

impl<K: Ord + Clone, S: Nested> Map<K, S> {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&S>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.children.get(key).filter(|child| child.is_live())
    }

    /// The keys with what is under them, in the order of keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &S)> {
        self.children.iter().filter(|(_, child)| child.is_live())
    }

    /// The number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The key itself, where there is anything under it, if only residue.
    pub(crate) fn key<Q>(&self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.children.get_key_value(key).map(|(key, _)| key)
    }

    /// Whether there is anything under `key`, if only residue.
    pub(super) fn holds<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.children.contains_key(key)
    }

    /// Changes what is under `key`, which is empty where nothing was, and keeps the invariants.
    pub(super) fn change<R>(&mut self, key: K, change: impl FnOnce(&mut S) -> R) -> R {
        match self.children.entry(key) {
            Entry::Vacant(entry) => {
                let mut child = S::default();
                let result = change(&mut child);
                if !child.is_empty() {
                    self.live += usize::from(child.is_live());
                    entry.insert(child);
                }
                result
            }
            Entry::Occupied(mut entry) => {
                let child = entry.get_mut();
                self.live -= usize::from(child.is_live());
                let result = change(child);
                self.live += usize::from(child.is_live());
                if child.is_empty() {
                    entry.remove();
                }
                result
            }
        }
    }

    /// Changes everything that is under any key, and keeps the invariants.
    pub(super) fn change_all(&mut self, mut change: impl FnMut(&K, &mut S)) {
        let mut live = 0;
        self.children.retain(|key, child| {
            change(key, child);
            live += usize::from(child.is_live());
            !child.is_empty()
        });
        self.live = live;
    }
}

impl<K, S> Default for Map<K, S> {
    fn default() -> Self {
        Self {
            reach: Reach::All,
            children: BTreeMap::new(),
            live: 0,
        }
    }
}

impl<K: Ord + Clone, S: Nested> Crdt for Map<K, S> {
    type Update = MapUpdate<K, S::Update>;
    type Value = BTreeMap<K, S::Value>;

    fn value(&self) -> Self::Value {
        self.iter()
            .map(|(key, child)| (key.clone(), child.value()))
            .collect()
    }

    fn forget(&mut self, stable: &VectorClock) {
        self.change_all(|_, child| child.forget(stable));
    }
}

impl<K: Ord + Clone, S: Nested> OpBased for Map<K, S> {
    type Op = MapOp<K, S::Op, S::Listed>;

    fn prepare(&self, at: Stamp, update: Self::Update) -> Option<Self::Op> {
        match update {
            MapUpdate::Update(key, update) => {
                let op = match self.children.get(&key) {
                    Some(child) => child.prepare(at, update),
                    None => S::default().prepare(at, update),
                }?;
                Some(MapOp::Update(key, op))
            }
            MapUpdate::Remove(key) => {
                let listed = self.children.get(&key)?.prepare_removal();
                Some(MapOp::Remove(key, listed))
            }
            MapUpdate::Clear if self.children.is_empty() => None,
            MapUpdate::Clear => Some(MapOp::Clear(self.list())),
        }
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: Self::Op) {
        match op {
            MapOp::Update(key, op) => self.change(key, |child| child.effect(dot, ctx, op)),
            MapOp::Remove(key, listed) => {
                self.change(key, |child| child.remove_observed(ctx, listed.as_ref()));
            }
            MapOp::Clear(listed) => self.remove_observed(ctx, Some(&listed)),
        }
    }
}

impl<K: Ord + Clone, S: Nested> Map<K, S> {
    /// What the removal of every key has to list, in the order of keys.
    fn list(&self) -> Vec<(K, S::Listed)> {
        let listed = |(key, child): (&K, &S)| Some((key.clone(), child.prepare_removal()?));
        self.children.iter().filter_map(listed).collect()
    }
}

impl<K: Ord + Clone, S: Nested> Nested for Map<K, S> {
    type Listed = Vec<(K, S::Listed)>;

    fn is_live(&self) -> bool {
        self.live > 0
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    fn prepare_removal(&self) -> Option<Self::Listed> {
        let listed = self.list();
        (!listed.is_empty()).then_some(listed)
    }

    fn forget_all(&mut self) {
        self.change_all(|_, child| child.forget_all());
    }

    fn remove_observed(&mut self, ctx: &impl Context, listed: Option<&Self::Listed>) {
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        self.change_all(|key, child| {
            let place = listed.binary_search_by(|(other, _)| other.cmp(key));
            child.remove_observed(ctx, place.ok().map(|index| &listed[index].1));
        });
    }
}
