//! A map in which a concurrent update beats a removal.

use core::borrow::Borrow;

use isles_clock::ReplicaId;

use crate::causal::{Causal, Delta};
use crate::dots::DotStore;
use crate::op;
use crate::update::MapUpdate;

/// An add-wins map: what is under its keys merges, and a removal takes away of it what it has observed.
///
/// ```text
/// eu: k = {v} ---- remove k ---------->  k = {w}: the removal had not observed w
/// us:         \--- add w under k ----->
/// ```
///
/// Under a key lies an operation-based type of [`op`]: a register, flag, set, counter or map, and so on to any
/// depth. They share one context, that of the map, so that nesting costs nothing of it.
///
/// **Cost.** With *n* keys: an update, its delta, and applying that O(log n) plus the cost of what is under the key;
/// removing a key O(what is under it); merging two states O(n + m log n); what a peer lacks O(everything). Nothing is
/// left of a removed key, except under it what the type there says it keeps.
///
/// Almeida, Shoker and Baquero, *Delta State Replicated Data Types*, 2018, section 7.4.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::update::SetUpdate::Add;
/// use isles_crdt::{AwMap, DeltaState, op};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut here: AwMap<&str, op::AwSet<&str>> = AwMap::new();
/// let mut there = AwMap::new();
/// there.apply(&here.update(eu, "cart", Add("apple")));
///
/// let removal = here.remove(eu, "cart");
/// let update = there.update(us, "cart", Add("pear")); // concurrently
/// here.apply(&update);
/// there.apply(&removal);
///
/// let cart = here.get("cart").expect("the concurrent update wins");
/// assert!(cart.iter().eq(&["pear"])); // the apple was observed by the removal
/// assert_eq!(here, there);
/// ```
///
/// Deeper, an update is an update in an update:
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::update::{CounterUpdate::Add, MapUpdate::Update};
/// use isles_crdt::{AwMap, op};
///
/// let eu = ReplicaId::from_u128(1);
/// let mut visits: AwMap<&str, op::AwMap<&str, op::ResettableCounter>> = AwMap::new();
/// let _delta = visits.update(eu, "example.org", Update("/index.html", Add(1)));
/// let _delta = visits.update(eu, "example.org", Update("/index.html", Add(1)));
///
/// let site = visits.get("example.org").expect("it was updated");
/// assert_eq!(site.get("/index.html").map(|page| page.value()), Some(2));
/// ```
pub type AwMap<K, S> = Causal<op::AwMap<K, S>>;

impl<K: Ord + Clone, S: DotStore> AwMap<K, S> {
    /// Updates what is under `key` at `replica`; it starts empty.
    ///
    /// Registers that are read as the latest value want to know the time:
    /// [`mutate`](crate::DeltaState::mutate) takes a stamp.
    pub fn update(
        &mut self,
        replica: ReplicaId,
        key: K,
        update: S::Update,
    ) -> Delta<op::AwMap<K, S>> {
        self.update_at(replica, MapUpdate::Update(key, update))
    }

    /// Removes `key` as far as it was observed here.
    pub fn remove<Q>(&mut self, replica: ReplicaId, key: &Q) -> Delta<op::AwMap<K, S>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self.store().key(key).cloned() {
            Some(key) => self.update_at(replica, MapUpdate::Remove(key)),
            None => Delta::default(),
        }
    }

    /// Removes every key as far as it was observed here.
    pub fn clear(&mut self, replica: ReplicaId) -> Delta<op::AwMap<K, S>> {
        self.update_at(replica, MapUpdate::Clear)
    }

    /// What is under `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&S>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.store().get(key)
    }

    /// The keys with what is under them, in the order of keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &S)> {
        self.store().iter()
    }

    /// The number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.store().len()
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.store().is_empty()
    }
}
