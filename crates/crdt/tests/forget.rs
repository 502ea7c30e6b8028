//! Forgetting what is stable changes no value, now or later, wherever and whenever it is done.

use std::collections::BTreeMap;
use std::fmt::Debug;

use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
use isles_crdt::dots::DotStore;
use isles_crdt::update::{CounterUpdate, FlagUpdate, MapUpdate, SetUpdate};
use isles_crdt::{AwMap, Causal, Crdt, Delta, DeltaState, Merge, op};
use proptest::prelude::*;

const REPLICAS: usize = 3;
const STEPS_MAX: usize = 40;

#[derive(Clone, Debug)]
enum Step<U> {
    Update {
        at: usize,
        update: U,
    },
    Sync {
        to: usize,
        from: usize,
        whole: bool,
    },
    /// Everybody hears everything; then some forget.
    Forget {
        who: [bool; REPLICAS],
    },
    /// One forgets what it can tell to be stable, while other things are on their way.
    ForgetPart {
        at: usize,
    },
    /// An old delta comes once more.
    Again {
        to: usize,
        pick: usize,
    },
}

fn steps<U: Debug + Clone + 'static>(updates: Vec<U>) -> impl Strategy<Value = Vec<Step<U>>> {
    let at = 0..REPLICAS;
    let step = prop_oneof![
        6 => (at.clone(), proptest::sample::select(updates))
            .prop_map(|(at, update)| Step::Update { at, update }),
        4 => (at.clone(), at.clone(), any::<bool>())
            .prop_map(|(to, from, whole)| Step::Sync { to, from, whole }),
        1 => any::<[bool; REPLICAS]>().prop_map(|who| Step::Forget { who }),
        1 => at.clone().prop_map(|at| Step::ForgetPart { at }),
        1 => (at, any::<usize>()).prop_map(|(to, pick)| Step::Again { to, pick }),
    ];
    prop::collection::vec(step, 1..STEPS_MAX)
}

struct Sent<S: DotStore> {
    dot: Dot,
    ctx: VectorClock,
    op: Option<S::Op>,
    delta: Delta<S>,
    /// The last dot that its writer had used after it. An update uses several, or none.
    through: u64,
}

/// A replica that forgets, and one of the same history that never does.
struct Replica<S: DotStore> {
    forgetful: Causal<S>,
    by_op: S,
    control: Causal<S>,
    applied: VectorClock,
    /// Of every update that came here, how many it had made itself before.
    made_before: BTreeMap<Dot, u64>,
}

fn check<S>(steps: &[Step<S::Update>])
where
    S: DotStore<Value: PartialEq + Debug, Op: Clone, Update: Clone> + PartialEq + Debug,
{
    let mut replicas: Vec<Replica<S>> = (0..REPLICAS)
        .map(|_| Replica {
            forgetful: Causal::new(),
            by_op: S::default(),
            control: Causal::new(),
            applied: VectorClock::new(),
            made_before: BTreeMap::new(),
        })
        .collect();
    let mut sent: Vec<Sent<S>> = Vec::new();
    for step in steps {
        match step {
            Step::Update { at, update } => {
                sent.push(replicas[*at].update(*at, update.clone()));
            }
            Step::Sync { to, from, whole } => sync(&mut replicas, &sent, *to, *from, *whole),
            Step::Forget { who } => {
                for turn in 0..2 * REPLICAS {
                    let (to, from) = ((turn + 1) % REPLICAS, turn % REPLICAS);
                    sync(&mut replicas, &sent, to, from, false);
                }
                for (at, _) in who.iter().enumerate().filter(|(_, forgets)| **forgets) {
                    replicas[at].forget();
                }
            }
            Step::ForgetPart { at } => {
                let (dots, updates) = stable(&replicas, &sent, *at);
                replicas[*at].forgetful.forget(&dots);
                replicas[*at].by_op.forget(&updates);
            }
            Step::Again { to, pick } => {
                let old = sent.iter().filter(|sent| {
                    let applied = &replicas[*to].applied;
                    applied.get(sent.dot.replica) >= sent.dot.sequence
                });
                let old: Vec<_> = old.collect();
                if let Some(sent) = old.get(pick % old.len().max(1)) {
                    replicas[*to].forgetful.apply(&sent.delta);
                }
            }
        }
        for replica in &replicas {
            assert_eq!(replica.forgetful.value(), replica.control.value(), "deltas");
            assert_eq!(replica.by_op.value(), replica.control.value(), "operations");
        }
    }
}

fn replica_id(at: usize) -> ReplicaId {
    ReplicaId::from_u128(at as u128 + 1)
}

/// What everybody has, and has nothing on its way to `at` that was made before: as dots, and as updates.
fn stable<S: DotStore>(
    replicas: &[Replica<S>],
    sent: &[Sent<S>],
    at: usize,
) -> (VectorClock, VectorClock) {
    let (mut dots, mut updates) = (VectorClock::new(), VectorClock::new());
    for sent in sent {
        let Dot { replica, sequence } = sent.dot;
        let is_stable = replicas.iter().enumerate().all(|(other, replica)| {
            let made = replica.made_before.get(&sent.dot);
            made.is_some_and(|made| *made <= replicas[at].applied.get(replica_id(other)))
        });
        if is_stable && sequence == updates.get(replica) + 1 {
            updates.observe(sent.dot);
            dots.observe(Dot::new(replica, sent.through));
        }
    }
    (dots, updates)
}

impl<S: DotStore<Op: Clone, Update: Clone>> Replica<S> {
    fn update(&mut self, at: usize, update: S::Update) -> Sent<S> {
        let id = replica_id(at);
        let stamp = Stamp::new(Hlc::ZERO, id);
        let ctx = self.applied.clone();
        let dot = Dot::new(id, ctx.get(id) + 1);
        let op = self.by_op.prepare(stamp, update.clone());
        if let Some(op) = op.clone() {
            self.by_op.effect(dot, &Everything, op);
        }
        let _delta = self.control.mutate(stamp, update.clone());
        let delta = self.forgetful.mutate(stamp, update);
        self.hear(at, dot);
        let through = self.forgetful.seen().greatest(id);
        Sent {
            dot,
            ctx,
            op,
            delta,
            through,
        }
    }

    fn hear(&mut self, at: usize, dot: Dot) {
        let made = self.applied.get(replica_id(at));
        self.made_before.insert(dot, made);
        self.applied.observe(dot);
    }

    fn forget(&mut self) {
        let stable = self.forgetful.seen().clock().clone();
        self.forgetful.forget(&stable);
        self.forgetful.forget_all();
        self.by_op.forget(&self.applied.clone());
        self.by_op.forget_all();
    }
}

fn sync<S: DotStore<Op: Clone, Update: Clone>>(
    replicas: &mut [Replica<S>],
    sent: &[Sent<S>],
    to: usize,
    from: usize,
    whole: bool,
) {
    let (theirs, state, control) = (
        replicas[from].applied.clone(),
        replicas[from].forgetful.clone(),
        replicas[from].control.clone(),
    );
    let replica = &mut replicas[to];
    // The order in which they were sent keeps causality.
    for sent in sent {
        let is_new = |clock: &VectorClock| clock.get(sent.dot.replica) < sent.dot.sequence;
        if is_new(&replica.applied) && !is_new(&theirs) {
            replica.hear(to, sent.dot);
            if let Some(op) = sent.op.clone() {
                replica.by_op.effect(sent.dot, &sent.ctx, op);
            }
            if !whole {
                replica.forgetful.apply(&sent.delta);
            }
        }
    }
    if whole {
        replica.forgetful.merge(&state);
    }
    replica.control.merge(&control);
}

proptest! {
    #[test]
    fn in_flags_where_disabling_wins(steps in steps(vec![FlagUpdate::Enable, FlagUpdate::Disable])) {
        check::<op::DwFlag>(&steps);
    }

    #[test]
    fn in_sets_where_removing_wins(
        steps in steps(vec![SetUpdate::Add(0u8), SetUpdate::Remove(0), SetUpdate::Add(1), SetUpdate::Clear])
    ) {
        check::<op::RwSet<u8>>(&steps);
    }

    #[test]
    fn in_counters(
        steps in steps(vec![CounterUpdate::Add(2), CounterUpdate::Add(-2), CounterUpdate::Reset])
    ) {
        check::<op::ResettableCounter>(&steps);
    }

    #[test]
    fn in_maps_of_flags(
        steps in steps(vec![
            MapUpdate::Update(0u8, FlagUpdate::Enable),
            MapUpdate::Update(0, FlagUpdate::Disable),
            MapUpdate::Remove(0),
        ])
    ) {
        check::<op::AwMap<u8, op::DwFlag>>(&steps);
    }

    #[test]
    fn in_maps_of_sets_where_removing_wins(
        steps in steps(vec![
            MapUpdate::Update(0u8, SetUpdate::Add(0u8)),
            MapUpdate::Update(0, SetUpdate::Remove(0)),
            MapUpdate::Update(0, SetUpdate::Clear),
            MapUpdate::Remove(0),
        ])
    ) {
        check::<op::AwMap<u8, op::RwSet<u8>>>(&steps);
    }

    #[test]
    fn in_maps_of_counters(
        steps in steps(vec![
            MapUpdate::Update(0u8, CounterUpdate::Add(2)),
            MapUpdate::Update(0, CounterUpdate::Add(-2)),
            MapUpdate::Update(1, CounterUpdate::Add(1)),
            MapUpdate::Remove(0),
            MapUpdate::Clear,
        ])
    ) {
        check::<op::AwMap<u8, op::ResettableCounter>>(&steps);
    }
}

/// The removal was forgotten together with the addition that it beat. Where it was not, removing the key took the removal
/// away, and brought the addition back: replicas by operations differed for good.
#[test]
fn not_before_what_was_beaten_is_stable() {
    let (us, ap) = (replica_id(1), replica_id(2));
    let (mut at_us, mut at_ap): (AwMap<u8, op::DwFlag>, _) = (AwMap::new(), AwMap::new());
    let disabled = at_ap.update(ap, 0, FlagUpdate::Disable);
    let _on_its_way = at_us.update(us, 0, FlagUpdate::Enable);
    at_us.apply(&disabled);
    let mut forgetful = at_us.clone();
    forgetful.forget(&VectorClock::from_iter([(ap, 1)]));

    let removed = at_ap.remove(ap, &0);
    at_us.apply(&removed);
    forgetful.apply(&removed);
    assert_eq!(at_us.value(), [(0, true)].into());
    assert_eq!(forgetful.value(), at_us.value());
}
