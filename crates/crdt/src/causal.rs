//! A store of dots with what its replica has seen: the part that set, map and register share.

use isles_clock::{Context, Dot, DotContext, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::Merge;
use crate::dots::DotStore;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Parts<S>",
    bound(deserialize = "S: DotStore + Deserialize<'de>")
)]
pub(crate) struct Causal<S> {
    // Invariant: `seen` covers every dot in the store.
    store: S,
    seen: DotContext,
}

impl<S: DotStore> Causal<S> {
    pub(crate) const fn store(&self) -> &S {
        &self.store
    }

    /// Changes the store with a new dot of `replica`.
    pub(crate) fn add<R>(
        &mut self,
        replica: ReplicaId,
        change: impl FnOnce(&mut S, Dot) -> R,
    ) -> R {
        let dot = self.seen.next(replica);
        change(&mut self.store, dot)
    }

    /// Removes from the store, for which no dot is needed.
    pub(crate) fn remove<R>(&mut self, change: impl FnOnce(&mut S) -> R) -> R {
        change(&mut self.store)
    }
}

impl<S: DotStore> Merge for Causal<S> {
    fn merge(&mut self, other: &Self) {
        self.store.join(&self.seen, &other.store, &other.seen);
        self.seen.merge(&other.seen);
    }
}

/// What is read before the invariant is checked.
#[derive(Deserialize)]
struct Parts<S> {
    store: S,
    seen: DotContext,
}

impl<S: DotStore> TryFrom<Parts<S>> for Causal<S> {
    type Error = &'static str;

    fn try_from(Parts { store, seen }: Parts<S>) -> Result<Self, Self::Error> {
        let mut covered = true;
        store.each_dot(&mut |dot| covered &= seen.covers(dot));
        if covered {
            Ok(Self { store, seen })
        } else {
            Err("a store holds a dot that its context does not cover")
        }
    }
}
