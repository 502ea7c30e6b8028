//! Random histories on three replicas, run in all three ways at once and held against the oracle after every step.

use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
use isles_crdt::op::OpBased;
use isles_crdt::{Crdt, DeltaState, Merge};
use proptest::prelude::*;

use crate::oracle::Event;
use crate::subject::{
    DeltaOf, OpOf, Outcome, Plain, Stable, Subject, UpdateOf, applied, expected, joined, same,
};

pub(crate) const REPLICAS: usize = 3;
const STEPS_MAX: usize = 24;

#[derive(Clone, Debug)]
pub(crate) enum Step<U> {
    Update {
        at: usize,
        update: U,
        /// What the writer's clock says; clocks differ.
        ms: u64,
    },
    /// A replica receives what another one has, or a part of it in causal order.
    Sync { to: usize, from: usize, way: Way },
    /// Everybody hears everything; then some forget what is stable.
    Forget { who: [bool; REPLICAS] },
}

/// How deltas travel in a [`Step::Sync`]. Full states and operations have one way each.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// One by one, in some order, some of them twice, mixed with old ones.
    Shuffled(u64),
    /// Joined with each other, in some order.
    Grouped(u64),
    /// Lost, and replaced by what the peer says is lacking.
    Lost,
    /// All of that, joined into one in some order: deltas of updates, new and old, what this peer says is lacking, and
    /// what others once said that they lacked.
    Mixed(u64),
}

pub(crate) fn steps<S: Subject>() -> impl Strategy<Value = Vec<Step<UpdateOf<S>>>> {
    let way = prop_oneof![
        any::<u64>().prop_map(Way::Shuffled),
        any::<u64>().prop_map(Way::Grouped),
        Just(Way::Lost),
        any::<u64>().prop_map(Way::Mixed),
    ];
    let step = prop_oneof![
        6 => (0..REPLICAS, S::updates(), 0..4u64)
            .prop_map(|(at, update, ms)| Step::Update { at, update, ms }),
        4 => (0..REPLICAS, 0..REPLICAS, way)
            .prop_map(|(to, from, way)| Step::Sync { to, from, way }),
        1 => any::<[bool; REPLICAS]>().prop_map(|who| Step::Forget { who }),
    ];
    prop::collection::vec(step, 1..STEPS_MAX)
}

/// One replica in its three forms.
#[derive(Clone, Debug)]
struct Replica<S: Subject> {
    /// Changed by whole states only.
    full: S::State,
    /// Changed by deltas only.
    by_delta: S::State,
    by_op: S::Op,
    seen: u64,
}

/// An update in its forms on the way.
struct Sent<S: Subject> {
    event: Event<UpdateOf<S>>,
    delta: DeltaOf<S>,
    op: Option<OpOf<S>>,
    ctx: VectorClock,
}

struct World<S: Subject> {
    replicas: Vec<Replica<S>>,
    sent: Vec<Sent<S>>,
    /// What replicas were, each with what it had seen.
    past: Vec<(S::State, u64)>,
    /// Whether anybody has forgotten. What was forgotten leaves early in some forms and late in others, so that from
    /// then on their values are compared, and no longer their bytes.
    is_forgetful: bool,
}

/// Runs a history; the error says which law does not hold.
pub(crate) fn check<S: Subject>(steps: &[Step<UpdateOf<S>>]) -> Outcome {
    let mut world = World::<S>::new();
    for step in steps {
        let at = match step {
            Step::Update { at, update, ms } => world.update(*at, update, *ms)?,
            Step::Sync { to, from, way } => world.sync(*to, *from, way)?,
            Step::Forget { who } => world.forget(who)?,
        };
        world.check(at)?;
        let replica = &world.replicas[at];
        world.past.push((replica.by_delta.clone(), replica.seen));
    }
    let states: Vec<_> = world.past.iter().map(|(state, _)| state.clone()).collect();
    check_laws(&states)?;
    world.check_deltas(&states)?;
    for to in 0..REPLICAS {
        for from in 0..REPLICAS {
            world.sync(to, from, &Way::Lost)?;
        }
    }
    world.sync(0, REPLICAS - 1, &Way::Shuffled(7))?;
    (0..REPLICAS).try_for_each(|at| world.check(at))
}

pub(crate) fn replica_id(at: usize) -> ReplicaId {
    ReplicaId::from_u128(at as u128 + 1)
}

impl<S: Subject> World<S> {
    fn new() -> Self {
        let replica = Replica {
            full: S::State::default(),
            by_delta: S::State::default(),
            by_op: S::Op::default(),
            seen: 0,
        };
        Self {
            replicas: vec![replica; REPLICAS],
            sent: Vec::new(),
            past: vec![(S::State::default(), 0)],
            is_forgetful: false,
        }
    }

    fn update(&mut self, at: usize, update: &UpdateOf<S>, ms: u64) -> Result<usize, String> {
        let bit = self.sent.len() as u32;
        let ctx = self.clock(self.replicas[at].seen);
        let stamp = Stamp::new(Hlc::new(ms, 0), replica_id(at));
        let dot = Dot::new(replica_id(at), ctx.get(replica_id(at)) + 1);

        let replica = &mut self.replicas[at];
        let before = replica.by_delta.clone();
        let delta = replica.by_delta.mutate(stamp, update.clone());
        let after = &replica.by_delta;
        same(
            "a delta is the whole change",
            &applied(&before, &delta),
            after,
        )?;
        same("a change is inflationary", &joined(&before, after), after)?;
        let full_delta = replica.full.mutate(stamp, update.clone());
        if !self.is_forgetful {
            same("the same update makes the same delta", &full_delta, &delta)?;
        }

        let op = replica.by_op.prepare(stamp, update.clone());
        if let Some(op) = op.clone() {
            replica.by_op.effect(dot, &Everything, op);
        }
        let event = Event {
            at: stamp,
            update: update.clone(),
            bit,
            seen: replica.seen,
            removed_by: 0,
        };
        replica.seen |= 1 << bit;
        self.sent.push(Sent {
            event,
            delta,
            op,
            ctx,
        });
        Ok(at)
    }

    fn sync(&mut self, to: usize, from: usize, way: &Way) -> Result<usize, String> {
        let source = self.replicas[from].clone();
        let missing: Vec<usize> = (0..self.sent.len())
            .filter(|index| (source.seen & !self.replicas[to].seen) >> index & 1 == 1)
            .collect();

        let replica = &mut self.replicas[to];
        replica.full.merge(&source.full);
        // Events are numbered in an order that keeps causality; concurrent ones are swapped where that is possible.
        for index in causal_order(&missing, &self.sent) {
            let sent = &self.sent[index];
            let dot = Dot::new(
                sent.event.at.replica,
                sent.ctx.get(sent.event.at.replica) + 1,
            );
            if let Some(op) = sent.op.clone() {
                replica.by_op.effect(dot, &sent.ctx, op);
            }
        }
        match way {
            Way::Shuffled(seed) => {
                let old = (0..self.sent.len()).filter(|index| replica.seen >> index & 1 == 1);
                let again: Vec<usize> = missing.iter().copied().chain(old).collect();
                let order = shuffled(&[missing.as_slice(), again.as_slice()].concat(), *seed);
                for index in order {
                    replica.by_delta.apply(&self.sent[index].delta);
                }
            }
            Way::Grouped(seed) => {
                let mut group = DeltaOf::<S>::default();
                for index in shuffled(&missing, *seed) {
                    group.merge(&self.sent[index].delta);
                }
                replica.by_delta.apply(&group);
            }
            Way::Lost => {
                let lacking = source.by_delta.delta_since(&replica.by_delta.context());
                replica.by_delta.apply(&lacking);
            }
            Way::Mixed(seed) => self.mix(to, &source, &missing, *seed)?,
        }
        self.replicas[to].seen |= source.seen;
        Ok(to)
    }

    /// Everything that `to` lacks of `source`, several times over, one by one and joined.
    fn mix(&mut self, to: usize, source: &Replica<S>, missing: &[usize], seed: u64) -> Outcome {
        let replica = &self.replicas[to];
        let allowed = replica.seen | source.seen;
        let is_allowed = |(_, seen): &&(S::State, u64)| seen & !allowed == 0;
        let past: Vec<_> = self.past.iter().filter(is_allowed).collect();

        let context = replica.by_delta.context();
        let mut parts = vec![source.by_delta.delta_since(&context)];
        parts.extend(missing.iter().map(|index| self.sent[*index].delta.clone()));
        for (number, (state, _)) in sample(&past).into_iter().enumerate() {
            let (other, _) = past[(seed as usize + number) % past.len()];
            parts.push(state.delta_since(&other.context()));
            parts.push(state.delta_since(&context));
            parts.push(replica.by_delta.delta_since(&other.context()));
        }
        let order = shuffled(&(0..parts.len()).collect::<Vec<_>>(), seed);
        let (mut one_by_one, mut group) = (replica.by_delta.clone(), DeltaOf::<S>::default());
        for index in order {
            one_by_one.apply(&parts[index]);
            group.merge(&parts[index]);
        }
        check_laws(&parts)?;
        check_encoding(&group)?;
        self.replicas[to].by_delta.apply(&group);
        let together = &self.replicas[to].by_delta;
        same("what is lacking joins", together, &one_by_one)
    }

    fn forget(&mut self, who: &[bool; REPLICAS]) -> Result<usize, String> {
        for turn in 0..2 * REPLICAS {
            let (to, from) = ((turn + 1) % REPLICAS, turn % REPLICAS);
            self.sync(to, from, &Way::Grouped(turn as u64))?;
        }
        let clock = self.clock(self.replicas[0].seen);
        for at in (0..REPLICAS).filter(|at| who[*at]) {
            let replica = &mut self.replicas[at];
            replica.full.forget(&replica.full.stable());
            replica.by_delta.forget(&replica.by_delta.stable());
            replica.by_op.forget(&clock);
            self.check(at)?;
        }
        self.is_forgetful = true;
        Ok(0)
    }

    /// All three forms of a replica say what the oracle says.
    fn check(&self, at: usize) -> Outcome {
        let replica = &self.replicas[at];
        let events: Vec<_> = self.events(replica.seen);
        let expected = expected::<S>(&events);
        same("full state and meaning", &replica.full.value(), &expected)?;
        same(
            "delta state and meaning",
            &replica.by_delta.value(),
            &expected,
        )?;
        same("operations and meaning", &replica.by_op.value(), &expected)?;
        if !self.is_forgetful {
            same("full state and deltas", &replica.full, &replica.by_delta)?;
        }
        check_encoding(&replica.full)?;
        check_encoding(&replica.by_op)
    }

    /// The laws among deltas, and of deltas with states; also in orders that are not causal.
    fn check_deltas(&self, states: &[S::State]) -> Outcome {
        let deltas: Vec<_> = self.sent.iter().map(|sent| sent.delta.clone()).collect();
        check_laws(&deltas)?;
        deltas.iter().try_for_each(check_encoding)?;

        let all: Vec<usize> = (0..deltas.len()).collect();
        let some = &shuffled(&all, 3)[..deltas.len() / 2];
        for indices in [all.as_slice(), some] {
            let there = |order: Vec<usize>| {
                let apply = |state: S::State, index: usize| applied(&state, &deltas[index]);
                order.into_iter().fold(S::State::default(), apply)
            };
            let (one, other) = (there(shuffled(indices, 1)), there(shuffled(indices, 2)));
            same("deltas apply in any order", &one, &other)?;
        }
        for state in sample(states) {
            for a in sample(&deltas) {
                for b in sample(&deltas) {
                    let (one_by_one, together) = (
                        applied(&applied(state, a), b),
                        applied(state, &joined(a, b)),
                    );
                    same("deltas join", &one_by_one, &together)?;
                }
            }
            for other in sample(states) {
                let lacking = other.delta_since(&state.context());
                let (pulled, merged) = (applied(state, &lacking), joined(state, other));
                same("what a peer lacks", &pulled.value(), &merged.value())?;
                if !self.is_forgetful {
                    same("what a peer lacks", &pulled, &merged)?;
                }
            }
        }
        Ok(())
    }

    fn events(&self, seen: u64) -> Vec<Event<UpdateOf<S>>> {
        let events = self.sent.iter().map(|sent| sent.event.clone());
        events.filter(|event| seen >> event.bit & 1 == 1).collect()
    }

    /// The clock of a causally closed set of events. Updates that made no operation count too.
    fn clock(&self, seen: u64) -> VectorClock {
        let mut clock = VectorClock::new();
        for event in self.events(seen) {
            let replica = event.at.replica;
            clock.set(replica, clock.get(replica) + 1);
        }
        clock
    }
}

/// Reversed where nothing stands against it.
fn causal_order<S: Subject>(missing: &[usize], sent: &[Sent<S>]) -> Vec<usize> {
    let mut left = missing.to_vec();
    let mut order = Vec::new();
    while !left.is_empty() {
        let is_ready = |index: &usize| {
            left.iter()
                .all(|other| !sent[*index].event.saw(&sent[*other].event))
        };
        let last = left
            .iter()
            .rposition(is_ready)
            .expect("causality has no cycles");
        order.push(left.remove(last));
    }
    order
}

fn shuffled(indices: &[usize], seed: u64) -> Vec<usize> {
    let mut order = indices.to_vec();
    let mut state = seed | 1;
    for last in (1..order.len()).rev() {
        // A xorshift: good enough to shuffle, and the same everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    order
}

/// A few, recent and old ones.
fn sample<T>(all: &[T]) -> Vec<&T> {
    all.iter().rev().step_by(1 + all.len() / 4).collect()
}

/// Every triple of some states, or deltas.
fn check_laws<M: Merge + Plain>(all: &[M]) -> Outcome {
    let sample = sample(all);
    for &a in &sample {
        same("idempotent", &joined(a, a), a)?;
        for &b in &sample {
            let ab = joined(a, b);
            same("commutative", &ab, &joined(b, a))?;
            same("an upper bound", &joined(&ab, b), &ab)?;
            for &c in &sample {
                same("associative", &joined(&ab, c), &joined(a, &joined(b, c)))?;
            }
        }
    }
    Ok(())
}

fn check_encoding<T: Plain>(value: &T) -> Outcome {
    let bytes = postcard::to_allocvec(value).map_err(|error| error.to_string())?;
    let decoded: T = postcard::from_bytes(&bytes).map_err(|error| format!("{error}: {value:?}"))?;
    same("what is written can be read", &decoded, value)
}
