//! `crdts` 7.3.2. It replicates by operations or full states, and has no deltas.

use crdts::{CmRDT, CvRDT, GCounter, GSet, LWWReg, MVReg, Map, Orswot, PNCounter};
use isles_clock::{Hlc, ReplicaId, Stamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::isles::replica;
use crate::subject::Subject;

/// A type of the peer at one replica, with a clock that ticks at every write.
#[derive(Clone)]
pub(crate) struct Crdts<S> {
    at: Stamp,
    state: S,
}

/// How a type of the peer is asked to hold numbers.
pub(crate) trait Numbers: CvRDT + Clone + Serialize + DeserializeOwned {
    fn new() -> Self;

    fn put(&mut self, at: Stamp, n: u64);

    fn remove(&mut self, at: Stamp, n: u64) {
        self.put(at, n);
    }
}

impl Numbers for GCounter<ReplicaId> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, at: Stamp, _: u64) {
        self.apply(self.inc(at.replica));
    }
}

impl Numbers for PNCounter<ReplicaId> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, at: Stamp, _: u64) {
        self.apply(self.inc(at.replica));
    }

    fn remove(&mut self, at: Stamp, _: u64) {
        self.apply(self.dec(at.replica));
    }
}

impl Numbers for LWWReg<u64, Stamp> {
    fn new() -> Self {
        Self {
            val: 0,
            marker: Stamp::new(Hlc::ZERO, replica(0)),
        }
    }

    fn put(&mut self, at: Stamp, n: u64) {
        self.update(n, at);
    }
}

impl Numbers for MVReg<u64, ReplicaId> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, at: Stamp, n: u64) {
        self.apply(self.write(n, self.read_ctx().derive_add_ctx(at.replica)));
    }
}

impl Numbers for GSet<u64> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, _: Stamp, n: u64) {
        self.insert(n);
    }
}

impl Numbers for Orswot<u64, ReplicaId> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, at: Stamp, n: u64) {
        self.apply(self.add(n, self.read_ctx().derive_add_ctx(at.replica)));
    }

    fn remove(&mut self, _: Stamp, n: u64) {
        self.apply(self.rm(n, self.contains(&n).derive_rm_ctx()));
    }
}

impl Numbers for Map<u64, MVReg<u64, ReplicaId>, ReplicaId> {
    fn new() -> Self {
        Self::new()
    }

    fn put(&mut self, at: Stamp, n: u64) {
        let ctx = self.read_ctx().derive_add_ctx(at.replica);
        self.apply(self.update(n, ctx, |register, ctx| register.write(n, ctx)));
    }

    fn remove(&mut self, _: Stamp, n: u64) {
        self.apply(self.rm(n, self.get(&n).derive_rm_ctx()));
    }
}

impl<S: Numbers> Crdts<S> {
    fn tick(&mut self) -> Stamp {
        self.at.hlc = self.at.hlc.next();
        self.at
    }
}

impl<S: Numbers> Subject for Crdts<S> {
    const CRATE: &'static str = "crdts";
    const CONSUMES: bool = true;
    type State = S;

    fn new(index: usize) -> Self {
        Self {
            at: Stamp::new(Hlc::ZERO, replica(index)),
            state: S::new(),
        }
    }

    fn state(&self) -> &S {
        &self.state
    }

    fn put(&mut self, n: u64) {
        let at = self.tick();
        self.state.put(at, n);
    }

    fn remove(&mut self, n: u64) {
        let at = self.tick();
        self.state.remove(at, n);
    }

    fn merge(&mut self, other: &mut Option<Self>) {
        if let Some(other) = other.take() {
            self.state.merge(other.state);
        }
    }
}
