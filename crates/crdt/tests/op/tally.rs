//! Counters with transactions, resets, expiry, and replicas that drop what they need no more at different times.

use isles_clock::{Context, Dot, Everything, ReplicaId};
use isles_crdt::op::{Increment, Reset, Tally};
use proptest::prelude::*;

use crate::delivery::{REPLICAS, Sent, World};

#[derive(Clone, Copy, Debug)]
enum Command {
    Add(i8),
    Reset,
}

#[derive(Clone, Debug)]
enum Step {
    /// One entry; two commands in it are one operation.
    Write {
        at: usize,
        commands: Vec<Command>,
    },
    Deliver {
        at: usize,
        pick: usize,
    },
    DeliverAll,
    /// The counter's deadline passes, everywhere at the same moment.
    Expire,
    /// A replica drops covered contributions if everything it has applied is stable.
    Collect {
        at: usize,
    },
    /// A replica drops the whole counter if it is hidden and nothing older can arrive any more.
    Drop {
        at: usize,
    },
}

/// The net effect of an entry.
#[derive(Clone, Debug, Default)]
struct Op {
    lifetime: u32,
    create: bool,
    resets: Option<Vec<Reset>>,
    increment: Option<Increment>,
    /// For the oracle only: what the increments that the entry does not take back itself add up to.
    by: i128,
}

#[derive(Debug, Default)]
struct Key {
    tally: Tally,
    /// The last lifetime, counted in deadlines passed, in which a creation was applied here.
    created: u32,
    dropped: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..REPLICAS;
    let command = prop_oneof![3 => (-3i8..10).prop_map(Command::Add), 1 => Just(Command::Reset)];
    prop_oneof![
        10 => (at.clone(), prop::collection::vec(command, 1..4)).prop_map(|(at, commands)| Step::Write { at, commands }),
        14 => (at.clone(), any::<usize>()).prop_map(|(at, pick)| Step::Deliver { at, pick }),
        2 => Just(Step::DeliverAll),
        2 => Just(Step::Expire),
        3 => at.clone().prop_map(|at| Step::Collect { at }),
        3 => at.prop_map(|at| Step::Drop { at }),
    ]
}

impl Key {
    fn is_hidden(&self, lifetime: u32) -> bool {
        self.created < lifetime
    }

    /// Executes commands one by one, as a writer does, while their net effect is collected.
    fn execute(&mut self, lifetime: u32, dot: Dot, commands: &[Command]) -> Option<Op> {
        let mut op = Op {
            lifetime,
            ..Op::default()
        };
        let mut did = false;
        for command in commands {
            match command {
                Command::Add(by) => {
                    self.create_if_absent(&mut op);
                    self.add(dot, i128::from(*by), &mut op);
                    did = true;
                }
                Command::Reset if self.is_hidden(lifetime) || self.tally.all_covered() => {}
                Command::Reset => {
                    self.reset(&mut op);
                    did = true;
                }
            }
        }
        did.then_some(op)
    }

    fn create_if_absent(&mut self, op: &mut Op) {
        if self.is_hidden(op.lifetime) || self.tally.all_covered() {
            let held = self.tally.resets();
            self.tally.cover(&Everything, &held);
            op.create = true;
            op.note_resets(&held);
            (self.created, self.dropped) = (op.lifetime, false);
        }
    }

    fn add(&mut self, dot: Dot, by: i128, op: &mut Op) {
        let increment = self.tally.next(dot.replica, by);
        self.tally.apply(dot, increment);
        op.increment = Some(
            op.increment
                .map_or(increment, |earlier| earlier.then(increment)),
        );
        op.by += by;
    }

    fn reset(&mut self, op: &mut Op) {
        let held = self.tally.resets();
        self.tally.reset(&held);
        op.note_resets(&held);
        (op.increment, op.by) = (None, 0);
    }

    fn apply(&mut self, sent: &Sent<Op>) {
        let resets = sent.op.resets.as_deref().unwrap_or_default();
        if sent.op.create {
            self.tally.cover(&sent.ctx, resets);
            if self.created < sent.op.lifetime {
                (self.created, self.dropped) = (sent.op.lifetime, false);
            }
        } else {
            self.tally.reset(resets);
        }
        if let Some(increment) = sent.op.increment {
            self.tally.apply(sent.dot, increment);
        }
    }

    /// What replicas compare: each live contribution by its last increment and what it adds.
    fn summed(&self) -> Vec<(ReplicaId, u64, i128)> {
        self.tally
            .uncovered()
            .map(|each| (each.replica, each.sequence, each.value()))
            .collect()
    }
}

impl Op {
    fn note_resets(&mut self, more: &[Reset]) {
        let resets = self.resets.get_or_insert_default();
        resets.retain(|old| more.iter().all(|new| new.replica != old.replica));
        resets.extend_from_slice(more);
    }
}

struct Run {
    world: World<Key, Op>,
    lifetime: u32,
}

impl Run {
    fn step(&mut self, step: &Step) {
        let Self { world, lifetime } = self;
        match step {
            Step::Write { at, commands } => {
                world.write(*at, 0, |key, dot, _| key.execute(*lifetime, dot, commands))
            }
            Step::Deliver { at, pick } => drop(world.deliver(*at, *pick, &Key::apply)),
            Step::DeliverAll => world.deliver_all(&Key::apply),
            Step::Expire => *lifetime += 1,
            Step::Collect { at } if self.is_row_stable(*at) => {
                self.world.replicas[*at].state.tally.drop_covered()
            }
            Step::Drop { at } if self.may_drop(*at) => {
                let key = &mut self.world.replicas[*at].state;
                (key.tally, key.dropped) = (Tally::new(), true);
            }
            Step::Collect { .. } | Step::Drop { .. } => {}
        }
    }

    fn is_row_stable(&self, at: usize) -> bool {
        self.world
            .applied_at(at)
            .all(|sent| self.world.is_stable(at, sent.dot))
    }

    /// Stable by acks whose promise has passed the deadline: nothing of an earlier lifetime is on its way to here.
    fn may_drop(&self, at: usize) -> bool {
        let here = &self.world.replicas[at];
        let nothing_older_comes = self
            .world
            .sent
            .iter()
            .all(|sent| sent.op.lifetime == self.lifetime || here.applied.covers(sent.dot));
        here.state.is_hidden(self.lifetime) && nothing_older_comes && self.is_row_stable(at)
    }

    /// The sum of all increments applied here, but for those that a reset or creation applied here had observed.
    fn check(&self, at: usize) {
        let key = &self.world.replicas[at].state;
        if key.dropped {
            assert!(key.tally.is_empty());
            return;
        }
        let applied: Vec<_> = self
            .world
            .applied_at(at)
            .map(|sent| (sent, sent.op.resets.is_some()))
            .collect();
        let is_reset = |dot| {
            applied
                .iter()
                .any(|(other, resets)| *resets && other.ctx.covers(dot))
        };
        let expected: i128 = applied
            .iter()
            .filter(|(sent, _)| !is_reset(sent.dot))
            .map(|(sent, _)| sent.op.by)
            .sum();
        assert_eq!(key.tally.value(), expected);
        assert_eq!(
            &key.tally
                .contributions()
                .iter()
                .rev()
                .copied()
                .collect::<Tally>(),
            &key.tally
        );
    }
}

fn run(steps: &[Step]) {
    let mut run = Run {
        world: World::new(),
        lifetime: 0,
    };
    for step in steps {
        run.step(step);
        (0..REPLICAS).for_each(|at| run.check(at));
    }
    run.world.deliver_all(&Key::apply);
    (0..REPLICAS).for_each(|at| run.check(at));
    let alive = run
        .world
        .replicas
        .iter()
        .filter(|replica| !replica.state.dropped);
    let sums: Vec<_> = alive.map(|replica| replica.state.summed()).collect();
    assert!(sums.windows(2).all(|pair| pair[0] == pair[1]), "{sums:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn counts_are_exact(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
