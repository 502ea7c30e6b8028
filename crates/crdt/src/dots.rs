//! What set, map and register are made of: stores of dots.
//!
//! A store holds dots, each with what its write brought. It never holds tombstones: a dot that the
//! [`DotContext`] beside it covers, and the store does not hold, has been removed. This is the scheme of Almeida,
//! Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7.
//!
//! [`DotSet`] is presence, [`DotFun`] is values, [`DotMap`] nests stores under keys. One context serves the whole
//! nest, so a map of maps of sets costs no more of it than a set.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use core::borrow::Borrow;

use isles_clock::{Context, Dot, DotContext};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize};

/// A store of dots that can be joined with another one, given what either side has seen.
pub trait DotStore: Default {
    /// Whether it holds no dot: everything was removed, or nothing was ever there.
    fn is_empty(&self) -> bool;

    /// Calls `visit` with every dot it holds.
    fn each_dot(&self, visit: &mut dyn FnMut(Dot));

    /// Keeps the dots that both hold, and of the dots that one holds those that the other has not seen.
    fn join(&mut self, seen: &DotContext, other: &Self, other_seen: &DotContext);
}

/// The dots that make something present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DotSet {
    dots: BTreeSet<Dot>,
}

impl DotSet {
    /// Makes it present by `dot`, in the place of the dots observed so far.
    pub fn add(&mut self, dot: Dot) {
        self.dots.clear();
        self.dots.insert(dot);
    }

    /// Makes it absent.
    pub fn clear(&mut self) {
        self.dots.clear();
    }
}

impl DotStore for DotSet {
    fn is_empty(&self) -> bool {
        self.dots.is_empty()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.dots.iter().copied().for_each(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, other_seen: &DotContext) {
        self.dots
            .retain(|dot| other.dots.contains(dot) || !other_seen.covers(*dot));
        self.dots
            .extend(other.dots.iter().filter(|dot| !seen.covers(**dot)));
    }
}

/// Values by the dots that brought them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DotFun<V> {
    values: BTreeMap<Dot, V>,
}

impl<V> DotFun<V> {
    /// Writes `value` by `dot`, in the place of the values observed so far.
    pub fn write(&mut self, dot: Dot, value: V) {
        self.values.clear();
        self.values.insert(dot, value);
    }

    /// Removes every value.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// The values, in the order of their dots. There are several where writes were concurrent.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.values.values()
    }

    /// The values with the writes that brought them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Dot, &V)> {
        self.values.iter().map(|(dot, value)| (*dot, value))
    }
}

impl<V> Default for DotFun<V> {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
        }
    }
}

impl<V: Clone> DotStore for DotFun<V> {
    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.values.keys().copied().for_each(visit);
    }

    fn join(&mut self, seen: &DotContext, other: &Self, other_seen: &DotContext) {
        self.values
            .retain(|dot, _| other.values.contains_key(dot) || !other_seen.covers(*dot));
        let unseen = other.values.iter().filter(|(dot, _)| !seen.covers(**dot));
        self.values
            .extend(unseen.map(|(dot, value)| (*dot, value.clone())));
    }
}

/// Stores under keys; a key is present while its store holds a dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct DotMap<K, S> {
    // Invariant: no store is empty.
    stores: BTreeMap<K, S>,
}

impl<K: Ord, S: DotStore> DotMap<K, S> {
    /// Changes what is under `key`, an empty store where nothing was.
    pub fn update<R>(&mut self, key: K, change: impl FnOnce(&mut S) -> R) -> R {
        let mut entry = match self.stores.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(S::default()),
        };
        let result = change(entry.get_mut());
        if entry.get().is_empty() {
            entry.remove();
        }
        result
    }

    /// Removes `key` with all that is under it; says whether it was there.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.stores.remove(key).is_some()
    }

    /// Removes every key.
    pub fn clear(&mut self) {
        self.stores.clear();
    }

    /// What is under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&S>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.stores.get(key)
    }

    /// The keys with what is under them, in the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &S)> {
        self.stores.iter()
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.stores.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }
}

impl<K, S> Default for DotMap<K, S> {
    fn default() -> Self {
        Self {
            stores: BTreeMap::new(),
        }
    }
}

impl<'de, K, S> Deserialize<'de> for DotMap<K, S>
where
    K: Ord + Deserialize<'de>,
    S: DotStore + Deserialize<'de>,
{
    /// Refuses a key with nothing under it, which [`Serialize`] never writes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stores = BTreeMap::<K, S>::deserialize(deserializer)?;
        if stores.values().any(DotStore::is_empty) {
            return Err(de::Error::custom("a map of dots has nothing under a key"));
        }
        Ok(Self { stores })
    }
}

impl<K: Ord + Clone, S: DotStore> DotStore for DotMap<K, S> {
    fn is_empty(&self) -> bool {
        self.stores.is_empty()
    }

    fn each_dot(&self, visit: &mut dyn FnMut(Dot)) {
        self.stores.values().for_each(|store| store.each_dot(visit));
    }

    fn join(&mut self, seen: &DotContext, other: &Self, other_seen: &DotContext) {
        let nothing = S::default();
        self.stores.retain(|key, store| {
            store.join(seen, other.stores.get(key).unwrap_or(&nothing), other_seen);
            !store.is_empty()
        });
        for (key, theirs) in &other.stores {
            if !self.stores.contains_key(key) {
                let mut store = S::default();
                store.join(seen, theirs, other_seen);
                if !store.is_empty() {
                    self.stores.insert(key.clone(), store);
                }
            }
        }
    }
}
