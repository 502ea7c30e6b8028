use isles_clock::{Context, Dot, Everything, ReplicaId, VectorClock};
use isles_crdt::op::Presence;
use proptest::prelude::*;

use crate::delivery::{REPLICAS, Sent, World};

#[derive(Clone, Debug)]
enum Step {
    Add { at: usize },
    Remove { at: usize },
    Deliver { at: usize, pick: usize },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Add,
    Remove,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    prop_oneof![
        3 => at.clone().prop_map(|at| Step::Add { at }),
        2 => at.clone().prop_map(|at| Step::Remove { at }),
        5 => (at, any::<usize>()).prop_map(|(at, pick)| Step::Deliver { at, pick }),
    ]
}

fn apply(presence: &mut Presence, sent: &Sent<Op>) {
    match sent.op {
        Op::Add => {
            let concurrent = presence.add(sent.dot, &sent.ctx);
            assert_eq!(concurrent, presence.dots().len() > 1);
        }
        Op::Remove => presence.remove(&sent.ctx),
    }
}

fn check(world: &World<Presence, Op>, at: usize) {
    let applied: Vec<_> = world.applied_at(at).collect();
    let observed = |dot| applied.iter().any(|other| other.ctx.covers(dot));
    let adds = applied
        .iter()
        .filter(|sent| sent.op == Op::Add)
        .map(|sent| sent.dot);
    let mut expected: Vec<_> = adds.filter(|dot| !observed(*dot)).collect();
    expected.sort_unstable();
    let presence = &world.replicas[at].state;
    assert_eq!(presence.dots(), expected);
    assert_eq!(presence.is_empty(), expected.is_empty());
    assert_eq!(&expected.into_iter().rev().collect::<Presence>(), presence);
}

fn run(steps: &[Step]) {
    let mut world = World::<Presence, Op>::new();
    for step in steps {
        let at = match *step {
            Step::Add { at } => {
                world.write(at, 0, |presence, dot, _| {
                    assert!(!presence.add(dot, &Everything));
                    Some(Op::Add)
                });
                at
            }
            Step::Remove { at } => {
                world.write(at, 0, |presence, _, _| {
                    let found = !presence.is_empty();
                    presence.remove(&Everything);
                    found.then_some(Op::Remove)
                });
                at
            }
            Step::Deliver { at, pick } => {
                world.deliver(at, pick, &apply);
                at
            }
        };
        check(&world, at);
    }
    world.deliver_all(&apply);
    (0..REPLICAS).for_each(|at| check(&world, at));
}

proptest! {
    #[test]
    fn an_addition_that_nobody_observed_makes_present(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}

/// F22: an addition of what is there already protects it against a concurrent removal.
#[test]
fn adding_again_beats_a_concurrent_removal() {
    let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
    let mut presence = Presence::from(Dot::new(eu, 1));
    let saw_first = VectorClock::from_iter([(eu, 1)]);
    assert!(!presence.add(Dot::new(us, 1), &saw_first));
    presence.remove(&saw_first);
    assert_eq!(presence.dots(), [Dot::new(us, 1)]);
}
