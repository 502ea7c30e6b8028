use isles_clock::{Context, Dot, Everything, Hlc, ReplicaId, VectorClock};
use isles_crdt::op::{Cell, Version};
use proptest::prelude::*;

use crate::delivery::{REPLICAS, Sent, World};

#[derive(Clone, Debug)]
enum Step {
    Write {
        at: usize,
        ms: u8,
    },
    /// With a context that a client got earlier: what this replica had applied before its last operations.
    WriteWithToken {
        at: usize,
        ms: u8,
        missing: usize,
    },
    Remove {
        at: usize,
    },
    Deliver {
        at: usize,
        pick: usize,
    },
}

/// Whether a value is written, and what was observed where that is less than everything applied.
#[derive(Debug)]
struct Op {
    writes: bool,
    token: Option<VectorClock>,
}

impl Sent<Op> {
    fn observed(&self) -> &VectorClock {
        self.op.token.as_ref().unwrap_or(&self.ctx)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    prop_oneof![
        3 => (at.clone(), 0u8..4).prop_map(|(at, ms)| Step::Write { at, ms }),
        1 => (at.clone(), 0u8..4, 1..4usize).prop_map(|(at, ms, missing)| Step::WriteWithToken { at, ms, missing }),
        2 => at.clone().prop_map(|at| Step::Remove { at }),
        6 => (at, any::<usize>()).prop_map(|(at, pick)| Step::Deliver { at, pick }),
    ]
}

/// The value says which write it is from, so that a version can be recognised.
fn version(dot: Dot, hlc: Hlc) -> Version<Dot> {
    Version {
        dot,
        hlc,
        value: dot,
    }
}

fn write(cell: &mut Cell<Dot>, dot: Dot, hlc: Hlc, ctx: &impl Context) {
    let before: Vec<_> = cell.versions().to_vec();
    let replaced = cell.write(version(dot, hlc), ctx);
    let (gone, kept): (Vec<_>, Vec<_>) = before.into_iter().partition(|old| ctx.covers(old.dot));
    assert_eq!(replaced.to_vec(), gone);
    assert_eq!(cell.versions().len(), kept.len() + 1);
}

fn apply(cell: &mut Cell<Dot>, sent: &Sent<Op>) {
    if sent.op.writes {
        write(cell, sent.dot, sent.hlc, sent.observed());
    } else {
        assert_eq!(cell.remove(sent.observed()), !cell.is_empty());
    }
}

/// A value is there while no operation that was applied here had observed it.
fn check(world: &World<Cell<Dot>, Op>, at: usize) {
    let applied: Vec<_> = world.applied_at(at).collect();
    let mut expected: Vec<_> = applied
        .iter()
        .filter(|sent| {
            sent.op.writes
                && !applied
                    .iter()
                    .any(|other| other.observed().covers(sent.dot))
        })
        .map(|sent| version(sent.dot, sent.hlc))
        .collect();
    expected.sort_by_key(|version| version.dot);
    let cell = &world.replicas[at].state;
    assert_eq!(cell.versions(), expected);
    assert_eq!(
        cell.latest(),
        expected
            .iter()
            .max_by_key(|version| (version.stamp(), version.dot))
    );
    assert_eq!(&expected.into_iter().rev().collect::<Cell<_>>(), cell);
}

fn run(steps: &[Step]) {
    let mut world = World::<Cell<Dot>, Op>::new();
    let mut tokens = vec![vec![VectorClock::new()]; REPLICAS];
    for step in steps {
        let at = match *step {
            Step::Write { at, ms } => {
                world.write(at, ms, |cell, dot, hlc| {
                    write(cell, dot, hlc, &Everything);
                    Some(Op {
                        writes: true,
                        token: None,
                    })
                });
                at
            }
            Step::WriteWithToken { at, ms, missing } => {
                let token = tokens[at][tokens[at].len().saturating_sub(missing)].clone();
                world.write(at, ms, |cell, dot, hlc| {
                    write(cell, dot, hlc, &token);
                    Some(Op {
                        writes: true,
                        token: Some(token),
                    })
                });
                at
            }
            Step::Remove { at } => {
                world.write(at, 0, |cell, _, _| {
                    let found = !cell.is_empty();
                    assert!(!cell.remove(&Everything));
                    found.then_some(Op {
                        writes: false,
                        token: None,
                    })
                });
                at
            }
            Step::Deliver { at, pick } => {
                world.deliver(at, pick, &apply);
                at
            }
        };
        tokens[at].push(world.replicas[at].applied.clone());
        check(&world, at);
    }
    world.deliver_all(&apply);
    (0..REPLICAS).for_each(|at| check(&world, at));
}

proptest! {
    #[test]
    fn every_value_that_nobody_observed_is_there(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}

/// F3: with one value per field, a removal of the winner revived the loser at some replicas and not at others.
#[test]
fn removing_the_winner_leaves_the_concurrent_loser() {
    let (a, b) = (
        Dot::new(ReplicaId::from_u128(1), 1),
        Dot::new(ReplicaId::from_u128(2), 1),
    );
    let (winner, loser) = (version(a, Hlc::new(2, 0)), version(b, Hlc::new(1, 0)));
    let nothing = VectorClock::new();
    let saw_winner = VectorClock::from_iter([(a.replica, 1)]);

    let mut removed_first = Cell::new();
    removed_first.write(winner, &nothing);
    removed_first.remove(&saw_winner);
    removed_first.write(loser, &nothing);

    let mut removed_last = Cell::new();
    removed_last.write(winner, &nothing);
    removed_last.write(loser, &nothing);
    assert!(removed_last.remove(&saw_winner));

    assert_eq!(removed_first, removed_last);
    assert_eq!(removed_last.latest(), Some(&loser));
}

#[test]
fn a_second_value_of_one_write_takes_the_place_of_the_first() {
    let dot = Dot::new(ReplicaId::from_u128(1), 1);
    let mut cell = Cell::from(Version {
        dot,
        hlc: Hlc::ZERO,
        value: "first",
    });
    let replaced = cell.write(
        Version {
            dot,
            hlc: Hlc::ZERO,
            value: "second",
        },
        &VectorClock::new(),
    );
    assert_eq!(replaced.len(), 1);
    assert_eq!(
        cell.into_iter()
            .map(|version| version.value)
            .collect::<Vec<_>>(),
        ["second"]
    );
}

#[test]
fn one_version_needs_no_allocation() {
    let dot = |sequence| Dot::new(ReplicaId::from_u128(1), sequence);
    let mut cell = Cell::from(version(dot(1), Hlc::ZERO));
    let replaced = cell.write(version(dot(2), Hlc::ZERO), &Everything);
    assert!(!replaced.spilled());
}
