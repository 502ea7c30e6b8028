//! Every interleaving of a few writes and their deliveries, on three replicas.
//!
//! A world is known by what matters: each replica's writes, with what each had seen, and what each replica has seen.
//! Interleavings that lead to the same world must lead to the same states, which is checked by a fingerprint; then each
//! world need be visited only once, and all interleavings are covered.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use isles_clock::{Dot, Everything, Hlc, Stamp, VectorClock};
use isles_crdt::op::OpBased;
use isles_crdt::{Crdt, DeltaState};

use crate::history::{REPLICAS, replica_id};
use crate::oracle::Event;
use crate::subject::{DeltaOf, OpOf, Outcome, Subject, UpdateOf, applied, expected, joined, same};

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) writes: usize,
    /// How many of the subject's menu are tried.
    pub(crate) updates: usize,
}

/// What is explored of every type: all of four writes with two updates (55 661 worlds, 149 494 steps between them), and
/// of three with four (21 825 worlds).
pub(crate) const SCOPES: [Scope; 2] = [
    Scope {
        writes: 4,
        updates: 2,
    },
    Scope {
        writes: 3,
        updates: 4,
    },
];

/// In how large a world every two pulls and deltas are joined: beyond, it takes too long.
const PULLED_WRITES_MAX: usize = 3;

/// What was covered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) worlds: usize,
    pub(crate) steps: usize,
}

/// Explores all interleavings; the error is the first history that breaks a law, or the meaning.
///
/// Replicas are named in the order of their first writes. That is the one symmetry used: an order of names decides
/// nothing but ties.
pub(crate) fn explore<S: Subject>(scope: Scope) -> Result<Coverage, String> {
    let mut menu = S::menu();
    menu.truncate(scope.updates);
    let mut explorer = Explorer::<S> {
        writes_max: scope.writes,
        menu,
        known: HashMap::new(),
        coverage: Coverage::default(),
    };
    let mut world = World::new();
    explorer
        .visit(&mut world)
        .map_err(|broken| format!("{broken}\nafter {:#?}", world.describe()))?;
    explorer.coverage.worlds = explorer.known.len();
    Ok(explorer.coverage)
}

struct Explorer<S: Subject> {
    writes_max: usize,
    menu: Vec<UpdateOf<S>>,
    known: HashMap<Key, u64>,
    coverage: Coverage,
}

/// What two interleavings have to share to be the same: writes by place, each with its number in the menu and what its
/// writer had seen; and what every replica has seen.
type Key = (Vec<(u32, usize, u64)>, [u64; REPLICAS]);

#[derive(Clone)]
struct World<S: Subject> {
    replicas: [Replica<S>; REPLICAS],
    sent: Vec<Sent<S>>,
}

#[derive(Clone)]
struct Replica<S: Subject> {
    state: S::State,
    ops: S::Op,
    seen: u64,
}

#[derive(Clone)]
struct Sent<S: Subject> {
    event: Event<UpdateOf<S>>,
    number: usize,
    dot: Dot,
    ctx: VectorClock,
    delta: DeltaOf<S>,
    op: Option<OpOf<S>>,
}

impl<S: Subject> Explorer<S> {
    /// On an error `world` is left as it was when it came to it.
    fn visit(&mut self, world: &mut World<S>) -> Outcome {
        let (key, fingerprint) = (world.key(), world.fingerprint());
        if let Some(other) = self.known.get(&key) {
            return same("all ways lead to the same states", &fingerprint, other);
        }
        self.known.insert(key, fingerprint);
        world.check()?;
        for at in 0..REPLICAS {
            self.write(world, at)?;
            self.deliver(world, at)?;
        }
        Ok(())
    }

    fn write(&mut self, world: &mut World<S>, at: usize) -> Outcome {
        let is_named = at == 0 || world.writes_of(at - 1) > 0;
        if world.sent.len() == self.writes_max || !is_named {
            return Ok(());
        }
        for number in 0..self.menu.len() {
            let before = world.replicas[at].clone();
            world.write(at, number, self.menu[number].clone());
            self.coverage.steps += 1;
            self.visit(world)?;
            world.sent.pop();
            world.replicas[at] = before;
        }
        Ok(())
    }

    fn deliver(&mut self, world: &mut World<S>, to: usize) -> Outcome {
        for index in 0..world.sent.len() {
            if world.is_ready(index, to) {
                let before = world.replicas[to].clone();
                world.deliver(index, to);
                self.coverage.steps += 1;
                self.visit(world)?;
                world.replicas[to] = before;
            }
        }
        Ok(())
    }
}

impl<S: Subject> World<S> {
    fn new() -> Self {
        let replica = || Replica {
            state: S::State::default(),
            ops: S::Op::default(),
            seen: 0,
        };
        Self {
            replicas: std::array::from_fn(|_| replica()),
            sent: Vec::new(),
        }
    }

    fn writes_of(&self, at: usize) -> usize {
        self.sent
            .iter()
            .filter(|sent| sent.dot.replica == replica_id(at))
            .count()
    }

    /// Everything about a write depends on its writer and what that one has seen, never on when others wrote.
    fn write(&mut self, at: usize, number: usize, update: UpdateOf<S>) {
        let (id, place) = (replica_id(at), self.writes_of(at));
        let ctx = self.clock(self.replicas[at].seen);
        let stamp = Stamp::new(Hlc::new(place as u64, 0), id);
        let dot = Dot::new(id, place as u64 + 1);
        let replica = &mut self.replicas[at];
        let event = Event {
            at: stamp,
            update: update.clone(),
            bit: (at * 8 + place) as u32,
            seen: replica.seen,
            removed_by: 0,
        };
        let op = replica.ops.prepare(stamp, update.clone());
        if let Some(op) = op.clone() {
            replica.ops.effect(dot, &Everything, op);
        }
        let delta = replica.state.mutate(stamp, update);
        replica.seen |= 1 << event.bit;
        self.sent.push(Sent {
            event,
            number,
            dot,
            ctx,
            delta,
            op,
        });
    }

    fn is_ready(&self, index: usize, to: usize) -> bool {
        let (event, seen) = (&self.sent[index].event, self.replicas[to].seen);
        seen >> event.bit & 1 == 0 && event.seen & !seen == 0
    }

    fn deliver(&mut self, index: usize, to: usize) {
        let (sent, replica) = (&self.sent[index], &mut self.replicas[to]);
        replica.state.apply(&sent.delta);
        if let Some(op) = sent.op.clone() {
            replica.ops.effect(sent.dot, &sent.ctx, op);
        }
        replica.seen |= 1 << sent.event.bit;
    }

    /// Every replica, and every two of them merged, say what the oracle says; what a peer lacks is what a merge brings.
    fn check(&self) -> Outcome {
        for replica in &self.replicas {
            let expected = expected::<S>(&self.events(replica.seen));
            same("deltas and meaning", &replica.state.value(), &expected)?;
            same("operations and meaning", &replica.ops.value(), &expected)?;
        }
        for to in &self.replicas {
            for from in &self.replicas {
                let lacking = from.state.delta_since(&to.state.context());
                let merged = joined(&to.state, &from.state);
                same("what a peer lacks", &applied(&to.state, &lacking), &merged)?;
                let expected = expected::<S>(&self.events(to.seen | from.seen));
                same("full states and meaning", &merged.value(), &expected)?;
            }
        }
        self.check_pulls()?;
        self.check_orders()
    }

    /// What a peer lacks joins with every delta, and with what it lacks of somebody else.
    fn check_pulls(&self) -> Outcome {
        if self.sent.len() > PULLED_WRITES_MAX {
            return Ok(());
        }
        for to in &self.replicas {
            let context = to.state.context();
            let pulls = self.replicas.iter();
            let pulls: Vec<_> = pulls.map(|from| from.state.delta_since(&context)).collect();
            let deltas = self.sent.iter().map(|sent| &sent.delta);
            for one in &pulls {
                let before = applied(&to.state, one);
                for other in pulls.iter().chain(deltas.clone()) {
                    let together = joined(one, other);
                    same(
                        "deltas join in either order",
                        &together,
                        &joined(other, one),
                    )?;
                    let (one_by_one, together) =
                        (applied(&before, other), applied(&to.state, &together));
                    same("what is lacking joins", &together, &one_by_one)?;
                }
            }
        }
        Ok(())
    }

    /// A stranger takes in all deltas in any order, also against causality: forwards, backwards, and turned.
    fn check_orders(&self) -> Outcome {
        let through = |order: &mut dyn Iterator<Item = usize>| {
            order.fold(S::State::default(), |state, index| {
                applied(&state, &self.sent[index].delta)
            })
        };
        let count = self.sent.len();
        let forwards = through(&mut (0..count));
        for turn in 0..count {
            let mut turned = (0..count).map(|index| (index + turn) % count);
            same("deltas in any order", &through(&mut turned), &forwards)?;
            let mut backwards = (0..count).rev().map(|index| (index + turn) % count);
            same("deltas in any order", &through(&mut backwards), &forwards)?;
        }
        Ok(())
    }

    fn events(&self, seen: u64) -> Vec<Event<UpdateOf<S>>> {
        let events = self.sent.iter().map(|sent| &sent.event);
        let events = events.filter(|event| seen >> event.bit & 1 == 1);
        events.cloned().collect()
    }

    fn clock(&self, seen: u64) -> VectorClock {
        let dots = self
            .sent
            .iter()
            .filter(|sent| seen >> sent.event.bit & 1 == 1);
        dots.map(|sent| (sent.dot.replica, sent.dot.sequence))
            .collect()
    }

    fn key(&self) -> Key {
        let write = |sent: &Sent<S>| (sent.event.bit, sent.number, sent.event.seen);
        let mut writes: Vec<_> = self.sent.iter().map(write).collect();
        writes.sort_unstable();
        (writes, std::array::from_fn(|at| self.replicas[at].seen))
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for replica in &self.replicas {
            let forms = (&replica.state, &replica.ops);
            let bytes = postcard::to_allocvec(&forms).expect("states have an encoding");
            bytes.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn describe(&self) -> Vec<String> {
        let write = |sent: &Sent<S>| {
            let Event {
                update, seen, bit, ..
            } = &sent.event;
            let saw = (0..u64::BITS).filter(|bit| seen >> bit & 1 == 1);
            format!(
                "{bit}: {update:?}, having seen {:?}",
                saw.collect::<Vec<_>>()
            )
        };
        self.sent.iter().map(write).collect()
    }
}
