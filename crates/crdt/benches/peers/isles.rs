//! This crate.

use isles_clock::{Hlc, ReplicaId, Stamp};
use isles_crdt::update::{MapUpdate, RegisterUpdate, SetUpdate};
use isles_crdt::{
    AwMap, AwSet, DeltaState, GCounter, GSet, LwwRegister, MvRegister, PnCounter, op,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::subject::{Deltas, Subject};

/// A replica's id: spread as random ones are.
pub(crate) fn replica(index: usize) -> ReplicaId {
    ReplicaId::from_u128(
        (index as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
    )
}

/// A type of ours at one replica, with a clock that ticks at every write.
#[derive(Clone)]
pub(crate) struct Isles<S> {
    at: Stamp,
    state: S,
}

/// How a type is asked to hold numbers.
pub(crate) trait Numbers:
    DeltaState<Delta: Serialize + Clone> + Clone + Serialize + DeserializeOwned
{
    fn put(n: u64) -> Self::Update;

    /// Where the type cannot remove, it puts.
    fn remove(n: u64) -> Self::Update {
        Self::put(n)
    }
}

impl Numbers for GCounter {
    fn put(_: u64) -> u64 {
        1
    }
}

impl Numbers for PnCounter {
    fn put(_: u64) -> i64 {
        1
    }

    fn remove(_: u64) -> i64 {
        -1
    }
}

impl Numbers for LwwRegister<u64> {
    fn put(n: u64) -> u64 {
        n
    }
}

impl Numbers for MvRegister<u64> {
    fn put(n: u64) -> RegisterUpdate<u64> {
        RegisterUpdate::Write(n)
    }
}

impl Numbers for GSet<u64> {
    fn put(n: u64) -> u64 {
        n
    }
}

impl Numbers for AwSet<u64> {
    fn put(n: u64) -> SetUpdate<u64> {
        SetUpdate::Add(n)
    }

    fn remove(n: u64) -> SetUpdate<u64> {
        SetUpdate::Remove(n)
    }
}

impl Numbers for AwMap<u64, op::MvRegister<u64>> {
    fn put(n: u64) -> MapUpdate<u64, RegisterUpdate<u64>> {
        MapUpdate::Update(n, RegisterUpdate::Write(n))
    }

    fn remove(n: u64) -> MapUpdate<u64, RegisterUpdate<u64>> {
        MapUpdate::Remove(n)
    }
}

impl<S: Numbers> Isles<S> {
    fn tick(&mut self) -> Stamp {
        self.at.hlc = self.at.hlc.next();
        self.at
    }
}

impl<S: Numbers> Subject for Isles<S> {
    const CRATE: &'static str = "isles";
    type State = S;

    fn new(index: usize) -> Self {
        Self {
            at: Stamp::new(Hlc::ZERO, replica(index)),
            state: S::default(),
        }
    }

    fn state(&self) -> &S {
        &self.state
    }

    fn put(&mut self, n: u64) {
        drop(self.put_delta(n));
    }

    fn remove(&mut self, n: u64) {
        drop(self.remove_delta(n));
    }

    fn merge(&mut self, other: &mut Option<Self>) {
        if let Some(other) = other {
            self.state.merge(&other.state);
        }
    }
}

impl<S: Numbers> Deltas for Isles<S> {
    type Delta = S::Delta;
    type Context = S::Context;

    fn put_delta(&mut self, n: u64) -> S::Delta {
        let at = self.tick();
        self.state.mutate(at, S::put(n))
    }

    fn remove_delta(&mut self, n: u64) -> S::Delta {
        let at = self.tick();
        self.state.mutate(at, S::remove(n))
    }

    fn apply(&mut self, delta: &S::Delta) {
        self.state.apply(delta);
    }

    fn context(&self) -> S::Context {
        self.state.context()
    }

    fn delta_since(&self, theirs: &S::Context) -> S::Delta {
        self.state.delta_since(theirs)
    }
}
