//! Wrong types: each is a right one with one mistake that someone has made before. The suite must tell.

use std::marker::PhantomData;

use isles_clock::{Context, Dot, DotContext, Everything, Stamp, VectorClock};
use isles_crdt::op::{Increment, OpBased, SetOp, TallyOp};
use isles_crdt::update::{CounterUpdate, FlagUpdate, SetUpdate};
use isles_crdt::{
    AwSet, Crdt, DeltaState, DwFlag, LwwRegister, Merge, PnCounter, ResettableCounter, op,
};
use serde::{Deserialize, Serialize};

use crate::explore::{Scope, explore};
use crate::oracle::{Counter, DisableWins, Elements, EnableWins, Latest, Oracle, SumUpAndDown};
use crate::subject::{Stable, Subject};

/// A right type with a mistake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Wrong<T, M> {
    inner: T,
    mistake: PhantomData<M>,
}

impl<T: Crdt, M: Default> Crdt for Wrong<T, M> {
    type Update = T::Update;
    type Value = T::Value;

    fn value(&self) -> T::Value {
        self.inner.value()
    }
}

/// A mistake of an operation-based type; what is not overridden is right.
trait OpMistake<T: OpBased>: Default {
    fn prepare(inner: &T, at: Stamp, update: T::Update) -> Option<T::Op> {
        inner.prepare(at, update)
    }

    fn effect(inner: &mut T, dot: Dot, ctx: &impl Context, op: T::Op) {
        inner.effect(dot, ctx, op);
    }
}

impl<T: OpBased, M: OpMistake<T>> OpBased for Wrong<T, M> {
    type Op = T::Op;

    fn prepare(&self, at: Stamp, update: T::Update) -> Option<T::Op> {
        M::prepare(&self.inner, at, update)
    }

    fn effect(&mut self, dot: Dot, ctx: &impl Context, op: T::Op) {
        M::effect(&mut self.inner, dot, ctx, op);
    }
}

/// A mistake of a state-based type; what is not overridden is right.
trait StateMistake<T: DeltaState>: Default {
    fn apply(inner: &mut T, delta: &T::Delta) {
        inner.apply(delta);
    }

    fn delta_since(inner: &T, theirs: &T::Context) -> T::Delta {
        inner.delta_since(theirs)
    }
}

impl<T: DeltaState, M: Default> Merge for Wrong<T, M> {
    fn merge(&mut self, other: &Self) {
        self.inner.merge(&other.inner);
    }
}

impl<T: DeltaState, M: StateMistake<T>> DeltaState for Wrong<T, M> {
    type Delta = T::Delta;
    type Context = T::Context;

    fn mutate(&mut self, at: Stamp, update: T::Update) -> T::Delta {
        self.inner.mutate(at, update)
    }

    fn apply(&mut self, delta: &T::Delta) {
        M::apply(&mut self.inner, delta);
    }

    fn context(&self) -> T::Context {
        self.inner.context()
    }

    fn delta_since(&self, theirs: &T::Context) -> T::Delta {
        M::delta_since(&self.inner, theirs)
    }
}

impl<T, M> Stable for Wrong<T, M> {}

/// Declares a wrong type, and a test that it is found.
macro_rules! is_caught {
    ($test:ident, $mistake:ident: $oracle:ty, $state:ty, $op:ty, [$($update:expr),*]) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $mistake;

        impl Subject for $mistake {
            type Oracle = $oracle;
            type State = $state;
            type Op = $op;

            fn menu() -> Vec<<$oracle as Oracle>::Update> {
                vec![$($update),*]
            }
        }

        #[test]
        fn $test() {
            let scope = Scope { writes: 4, updates: 4 };
            let broken = explore::<$mistake>(scope).expect_err("the mistake goes unnoticed");
            println!("{broken}");
        }
    };
}

is_caught!(
    a_removal_that_drops_additions_it_has_not_observed,
    RemovesEverything: Elements<EnableWins>, AwSet<u8>, Wrong<op::AwSet<u8>, RemovesEverything>,
    [SetUpdate::Add(0), SetUpdate::Remove(0)]
);
impl OpMistake<op::AwSet<u8>> for RemovesEverything {
    fn effect(inner: &mut op::AwSet<u8>, dot: Dot, ctx: &impl Context, op: SetOp<u8>) {
        match op {
            SetOp::Remove(_) => inner.effect(dot, &Everything, op),
            _ => inner.effect(dot, ctx, op),
        }
    }
}

is_caught!(
    an_addition_of_what_is_there_that_is_not_sent,
    SkipsSecondAdditions: Elements<EnableWins>, AwSet<u8>, Wrong<op::AwSet<u8>, SkipsSecondAdditions>,
    [SetUpdate::Add(0), SetUpdate::Remove(0)]
);
/// F22.
impl OpMistake<op::AwSet<u8>> for SkipsSecondAdditions {
    fn prepare(inner: &op::AwSet<u8>, at: Stamp, update: SetUpdate<u8>) -> Option<SetOp<u8>> {
        match update {
            SetUpdate::Add(element) if inner.contains(&element) => None,
            update => inner.prepare(at, update),
        }
    }
}

is_caught!(
    a_removal_that_is_forgotten_once_an_addition_has_observed_it,
    ForgetsRemovals: DisableWins, DwFlag, Wrong<op::DwFlag, ForgetsRemovals>,
    [FlagUpdate::Enable, FlagUpdate::Disable]
);
/// F21.
impl OpMistake<op::DwFlag> for ForgetsRemovals {
    fn effect(inner: &mut op::DwFlag, dot: Dot, ctx: &impl Context, op: FlagUpdate) {
        if op == FlagUpdate::Enable {
            inner.reset(ctx);
        }
        inner.effect(dot, ctx, op);
    }
}

is_caught!(
    a_counter_that_restarts_at_zero,
    RestartsAtZero: Counter, ResettableCounter, Wrong<op::Tally, RestartsAtZero>,
    [CounterUpdate::Add(2), CounterUpdate::Reset, CounterUpdate::Add(-2)]
);
/// F4c.
impl OpMistake<op::Tally> for RestartsAtZero {
    fn prepare(inner: &op::Tally, at: Stamp, update: CounterUpdate) -> Option<TallyOp> {
        match update {
            CounterUpdate::Add(by) if inner.value() == 0 => Some(TallyOp::Add(Increment {
                total: by.into(),
                restart: true,
            })),
            update => inner.prepare(at, update),
        }
    }
}

is_caught!(
    a_reset_by_clock,
    ResetsByClock: Counter, ResettableCounter, Wrong<op::Tally, ResetsByClock>,
    [CounterUpdate::Add(2), CounterUpdate::Reset]
);
/// F4a.
impl OpMistake<op::Tally> for ResetsByClock {
    fn effect(inner: &mut op::Tally, dot: Dot, ctx: &impl Context, op: TallyOp) {
        match op {
            TallyOp::Reset(_) => inner.cover(ctx, &[]),
            op => inner.effect(dot, ctx, op),
        }
    }
}

is_caught!(
    a_write_that_wins_because_it_comes_last,
    LastToArrive: Latest, LwwRegister<u8>, Wrong<LwwRegister<u8>, LastToArrive>,
    [0, 1]
);
impl OpMistake<LwwRegister<u8>> for LastToArrive {
    fn effect(inner: &mut LwwRegister<u8>, dot: Dot, ctx: &impl Context, op: (Stamp, u8)) {
        *inner = LwwRegister::new();
        inner.effect(dot, ctx, op);
    }
}

is_caught!(
    a_peer_that_is_taken_to_lack_nothing_because_it_has_seen_every_dot,
    OverlooksRemovals: Elements<EnableWins>, Wrong<AwSet<u8>, OverlooksRemovals>, op::AwSet<u8>,
    [SetUpdate::Add(0), SetUpdate::Remove(0)]
);
impl StateMistake<AwSet<u8>> for OverlooksRemovals {
    fn delta_since(inner: &AwSet<u8>, theirs: &DotContext) -> <AwSet<u8> as DeltaState>::Delta {
        if theirs.dominates(inner.seen()) {
            return Default::default();
        }
        inner.delta_since(theirs)
    }
}

is_caught!(
    a_delta_that_is_taken_for_a_whole_state,
    ReplacesState: SumUpAndDown, Wrong<PnCounter, ReplacesState>, op::PnCounter,
    [1, -1]
);
impl StateMistake<PnCounter> for ReplacesState {
    fn apply(inner: &mut PnCounter, delta: &PnCounter) {
        *inner = delta.clone();
    }
}

is_caught!(
    a_context_that_skips_what_it_has_not_seen,
    FillsHoles: Elements<EnableWins>, Wrong<AwSet<u8>, FillsHoles>, op::AwSet<u8>,
    [SetUpdate::Add(0), SetUpdate::Add(1), SetUpdate::Remove(0)]
);
/// A clock in the place of a context: applying the second delta of a replica loses the first.
impl StateMistake<AwSet<u8>> for FillsHoles {
    fn apply(inner: &mut AwSet<u8>, delta: &<AwSet<u8> as DeltaState>::Delta) {
        inner.apply(delta);
        let through = |context: &DotContext| {
            let prefixes = context.clock().iter();
            let runs = context
                .runs()
                .map(|(replica, _, through)| (replica, through));
            prefixes.chain(runs).collect::<VectorClock>()
        };
        let filled = DotContext::from(through(inner.seen()));
        if filled != *inner.seen() {
            let mut bytes = postcard::to_allocvec(inner.store()).expect("a store has an encoding");
            let rest = (&filled, VectorClock::new());
            bytes.extend(postcard::to_allocvec(&rest).expect("a context has an encoding"));
            *inner = postcard::from_bytes(&bytes).expect("the context covers more than before");
        }
    }
}
