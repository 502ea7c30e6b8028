//! A map in which a concurrent update beats a removal.

use core::borrow::Borrow;

use isles_clock::{Dot, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::Merge;
use crate::causal::Causal;
use crate::dots::{DotMap, DotStore};

/// An add-wins map: what is under its keys merges, and a removal takes away of it what it has observed.
///
/// Values are stores of [`dots`](crate::dots), and a [`DotMap`] is one too, so maps nest to any depth.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::dots::{DotFun, DotMap};
/// use isles_crdt::{AwMap, Merge};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut here: AwMap<&str, DotMap<&str, DotFun<u32>>> = AwMap::new();
/// here.update(eu, "cart", |items, dot| items.update("apple", |count| count.write(dot, 1)));
/// let mut there = here.clone();
///
/// here.remove("cart");
/// there.update(us, "cart", |items, dot| items.update("pear", |count| count.write(dot, 2)));
///
/// here.merge(&there);
/// let cart = here.get("cart").expect("the concurrent update wins");
/// assert!(cart.get("apple").is_none()); // it was observed by the removal
/// assert!(cart.get("pear").is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Clone + Deserialize<'de>, S: DotStore + Deserialize<'de>"))]
pub struct AwMap<K, S> {
    causal: Causal<DotMap<K, S>>,
}

impl<K: Ord + Clone, S: DotStore> AwMap<K, S> {
    /// The empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes what is under `key` at `replica`, an empty store where nothing was, with a new dot for what is added.
    pub fn update<R>(
        &mut self,
        replica: ReplicaId,
        key: K,
        change: impl FnOnce(&mut S, Dot) -> R,
    ) -> R {
        self.causal.add(replica, |stores, dot| {
            stores.update(key, |store| change(store, dot))
        })
    }

    /// Removes `key` as far as it was observed here; says whether it was there.
    pub fn remove<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.causal.remove(|stores| stores.remove(key))
    }

    /// What is under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&S>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.causal.store().get(key)
    }

    /// The keys with what is under them, in the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &S)> {
        self.causal.store().iter()
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.causal.store().len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.causal.store().is_empty()
    }
}

impl<K, S> Default for AwMap<K, S> {
    fn default() -> Self {
        Self {
            causal: Causal::default(),
        }
    }
}

impl<K: Ord + Clone, S: DotStore> Merge for AwMap<K, S> {
    fn merge(&mut self, other: &Self) {
        self.causal.merge(&other.causal);
    }
}
