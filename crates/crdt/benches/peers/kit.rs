//! `crdt-kit` 0.5.1. Its replicas have ids of 8 bytes, and its states carry their own.

use crdt_kit::clock::HybridTimestamp;
use crdt_kit::{AWMap, DeltaCrdt, GCounter, GSet, LWWRegister, MVRegister, ORSet, PNCounter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::subject::{Deltas, Subject};

/// A type of the peer; those that are told the time keep it here.
#[derive(Clone)]
pub(crate) struct Kit<S> {
    now: HybridTimestamp,
    state: S,
}

/// How a type of the peer is asked to hold numbers.
pub(crate) trait Numbers:
    DeltaCrdt<Delta: Serialize + Clone> + Clone + Serialize + DeserializeOwned
{
    fn new(id: u64) -> Self;

    fn put(&mut self, n: u64, now: HybridTimestamp);

    fn remove(&mut self, n: u64, now: HybridTimestamp) {
        self.put(n, now);
    }
}

impl Numbers for GCounter {
    fn new(id: u64) -> Self {
        Self::new(id)
    }

    fn put(&mut self, _: u64, _: HybridTimestamp) {
        self.increment();
    }
}

impl Numbers for PNCounter {
    fn new(id: u64) -> Self {
        Self::new(id)
    }

    fn put(&mut self, _: u64, _: HybridTimestamp) {
        self.increment();
    }

    fn remove(&mut self, _: u64, _: HybridTimestamp) {
        self.decrement();
    }
}

impl Numbers for LWWRegister<u64> {
    fn new(_: u64) -> Self {
        Self::with_timestamp(0, HybridTimestamp::zero())
    }

    fn put(&mut self, n: u64, now: HybridTimestamp) {
        self.set_with_timestamp(n, now);
    }
}

impl Numbers for MVRegister<u64> {
    fn new(id: u64) -> Self {
        Self::new(id)
    }

    fn put(&mut self, n: u64, _: HybridTimestamp) {
        self.set(n);
    }
}

impl Numbers for GSet<u64> {
    fn new(_: u64) -> Self {
        Self::new()
    }

    fn put(&mut self, n: u64, _: HybridTimestamp) {
        self.insert(n);
    }
}

impl Numbers for ORSet<u64> {
    fn new(id: u64) -> Self {
        Self::new(id)
    }

    fn put(&mut self, n: u64, _: HybridTimestamp) {
        self.insert(n);
    }

    fn remove(&mut self, n: u64, _: HybridTimestamp) {
        Self::remove(self, &n);
    }
}

impl Numbers for AWMap<u64, u64> {
    fn new(id: u64) -> Self {
        Self::new(id)
    }

    fn put(&mut self, n: u64, _: HybridTimestamp) {
        self.insert(n, n);
    }

    fn remove(&mut self, n: u64, _: HybridTimestamp) {
        Self::remove(self, &n);
    }
}

impl<S: Numbers> Kit<S> {
    fn tick(&mut self) -> HybridTimestamp {
        self.now.physical += 1;
        self.now
    }
}

impl<S: Numbers> Subject for Kit<S> {
    const CRATE: &'static str = "crdt-kit";
    type State = S;

    fn new(index: usize) -> Self {
        // Spread as random ids are.
        let id = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let now = HybridTimestamp {
            node_id: index as u16,
            ..HybridTimestamp::zero()
        };
        Self {
            now,
            state: S::new(id),
        }
    }

    fn state(&self) -> &S {
        &self.state
    }

    fn put(&mut self, n: u64) {
        let now = self.tick();
        self.state.put(n, now);
    }

    fn remove(&mut self, n: u64) {
        let now = self.tick();
        self.state.remove(n, now);
    }

    fn merge(&mut self, other: &mut Option<Self>) {
        if let Some(other) = other {
            self.state.merge(&other.state);
        }
    }
}

impl<S: Numbers> Deltas for Kit<S> {
    type Delta = S::Delta;
    /// Here it is the whole state.
    type Context = S;

    fn put_delta(&mut self, n: u64) -> S::Delta {
        let before = self.state.clone();
        self.put(n);
        self.state.delta(&before)
    }

    fn remove_delta(&mut self, n: u64) -> S::Delta {
        let before = self.state.clone();
        self.remove(n);
        self.state.delta(&before)
    }

    fn apply(&mut self, delta: &S::Delta) {
        self.state.apply_delta(delta);
    }

    fn context(&self) -> S {
        self.state.clone()
    }

    fn delta_since(&self, theirs: &S) -> S::Delta {
        self.state.delta(theirs)
    }
}
