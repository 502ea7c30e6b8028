//! Replicas that receive every operation once, after everything its writer had observed, and else in any order.

use std::collections::BTreeMap;

use isles_clock::{Context, Dot, Hlc, ReplicaId, VectorClock};

pub(crate) const REPLICAS: usize = 4;

/// An operation on its way.
#[derive(Debug)]
pub(crate) struct Sent<O> {
    pub(crate) dot: Dot,
    pub(crate) hlc: Hlc,
    /// What its writer had applied.
    pub(crate) ctx: VectorClock,
    pub(crate) op: O,
}

#[derive(Debug)]
pub(crate) struct Replica<S> {
    pub(crate) id: ReplicaId,
    pub(crate) state: S,
    pub(crate) applied: VectorClock,
    /// For each operation applied here, how much this replica had written by then: what an ack would say.
    own_when_applied: BTreeMap<Dot, u64>,
}

#[derive(Debug)]
pub(crate) struct World<S, O> {
    pub(crate) replicas: Vec<Replica<S>>,
    pub(crate) sent: Vec<Sent<O>>,
}

impl<S: Default, O> World<S, O> {
    pub(crate) fn new() -> Self {
        let replica = |index| Replica {
            id: ReplicaId::from_u128(index as u128 + 1),
            state: S::default(),
            applied: VectorClock::new(),
            own_when_applied: BTreeMap::new(),
        };
        Self {
            replicas: (0..REPLICAS).map(replica).collect(),
            sent: Vec::new(),
        }
    }

    /// Writes at one replica; `execute` changes its state and returns what to send, if it did anything.
    pub(crate) fn write(
        &mut self,
        at: usize,
        ms: u8,
        execute: impl FnOnce(&mut S, Dot, Hlc) -> Option<O>,
    ) {
        let replica = &mut self.replicas[at];
        let dot = Dot::new(replica.id, replica.applied.get(replica.id) + 1);
        let hlc = Hlc::new(u64::from(ms), 0);
        if let Some(op) = execute(&mut replica.state, dot, hlc) {
            self.sent.push(Sent {
                dot,
                hlc,
                ctx: replica.applied.clone(),
                op,
            });
            replica.note(dot);
        }
    }

    /// Delivers one of the operations that are ready at a replica; says whether there was one.
    pub(crate) fn deliver(
        &mut self,
        at: usize,
        pick: usize,
        apply: &impl Fn(&mut S, &Sent<O>),
    ) -> bool {
        let replica = &mut self.replicas[at];
        let is_ready = |sent: &&Sent<O>| {
            !replica.applied.covers(sent.dot) && replica.applied.dominates(&sent.ctx)
        };
        let ready: Vec<_> = self.sent.iter().filter(is_ready).collect();
        let Some(sent) = ready.get(pick % ready.len().max(1)) else {
            return false;
        };
        apply(&mut replica.state, sent);
        replica.note(sent.dot);
        true
    }

    pub(crate) fn deliver_all(&mut self, apply: &impl Fn(&mut S, &Sent<O>)) {
        for at in 0..REPLICAS {
            // A different one of those that are ready each time, so that replicas differ in order.
            while self.deliver(at, at, apply) {}
        }
        assert!(
            self.replicas
                .iter()
                .all(|replica| replica.applied == self.replicas[0].applied)
        );
    }

    /// What a replica has applied.
    pub(crate) fn applied_at(&self, at: usize) -> impl Iterator<Item = &Sent<O>> {
        self.sent
            .iter()
            .filter(move |sent| self.replicas[at].applied.covers(sent.dot))
    }

    /// Whether a replica knows that everybody has applied `dot`, and holds all that they had written before they did.
    pub(crate) fn is_stable(&self, at: usize, dot: Dot) -> bool {
        let here = &self.replicas[at].applied;
        self.replicas.iter().all(|member| {
            member
                .own_when_applied
                .get(&dot)
                .is_some_and(|own| *own <= here.get(member.id))
        })
    }
}

impl<S> Replica<S> {
    fn note(&mut self, dot: Dot) {
        self.applied.observe(dot);
        self.own_when_applied.insert(dot, self.applied.get(self.id));
    }
}
