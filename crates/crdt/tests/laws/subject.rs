//! A type under test, in all its forms.

use std::fmt::Debug;

use isles_clock::VectorClock;
use isles_crdt::dots::DotStore;
use isles_crdt::op::OpBased;
use isles_crdt::{
    BoundedCounter, Causal, Crdt, DeltaState, GCounter, GSet, LwwRegister, MaxRegister, Merge,
    MinRegister, PnCounter,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::oracle::{Event, Oracle};

/// What the tests ask of a state or delta, beside its own traits.
pub(crate) trait Plain: Clone + PartialEq + Debug + Serialize + DeserializeOwned {}
impl<T: Clone + PartialEq + Debug + Serialize + DeserializeOwned> Plain for T {}

/// What is stable where everybody has seen everything; a type without dots has nothing to forget by it.
pub(crate) trait Stable {
    fn stable(&self) -> VectorClock {
        VectorClock::new()
    }
}

impl<S: DotStore> Stable for Causal<S> {
    fn stable(&self) -> VectorClock {
        self.seen().clock().clone()
    }
}

impl Stable for GCounter {}
impl Stable for PnCounter {}
impl Stable for BoundedCounter {}
impl<V> Stable for LwwRegister<V> {}
impl<V> Stable for MaxRegister<V> {}
impl<V> Stable for MinRegister<V> {}
impl<T> Stable for GSet<T> {}

/// A type in its three forms with its meaning. One line for the law suite: `type`s and a menu of updates.
pub(crate) trait Subject: Clone + Debug + 'static {
    type Oracle: Oracle<Update: Debug + 'static, Value: PartialEq + Debug>;
    type State: DeltaState<Delta: Plain>
        + Crdt<Update = UpdateOf<Self>, Value = ValueOf<Self>>
        + Stable
        + Plain;
    type Op: OpBased<Op: Plain> + Crdt<Update = UpdateOf<Self>, Value = ValueOf<Self>> + Plain;

    /// A few updates that can get into each other's way, for the explorer.
    fn menu() -> Vec<UpdateOf<Self>>;

    /// All sorts of updates, for random histories.
    fn updates() -> BoxedStrategy<UpdateOf<Self>> {
        proptest::sample::select(Self::menu()).boxed()
    }
}

pub(crate) type UpdateOf<S> = <<S as Subject>::Oracle as Oracle>::Update;
pub(crate) type ValueOf<S> = <<S as Subject>::Oracle as Oracle>::Value;
pub(crate) type DeltaOf<S> = <<S as Subject>::State as DeltaState>::Delta;
pub(crate) type OpOf<S> = <<S as Subject>::Op as OpBased>::Op;

/// What a reader should see.
pub(crate) fn expected<S: Subject>(events: &[Event<UpdateOf<S>>]) -> ValueOf<S> {
    S::Oracle::read(events).unwrap_or_default()
}

pub(crate) fn joined<M: Merge + Clone>(left: &M, right: &M) -> M {
    let mut joined = left.clone();
    joined.merge(right);
    joined
}

pub(crate) fn applied<S: DeltaState + Clone>(state: &S, delta: &S::Delta) -> S {
    let mut applied = state.clone();
    applied.apply(delta);
    applied
}

/// What went wrong, in words; the history that led there is the caller's to add.
pub(crate) type Outcome = Result<(), String>;

pub(crate) fn same<T: PartialEq + Debug>(law: &str, left: &T, right: &T) -> Outcome {
    if left == right {
        Ok(())
    } else {
        Err(format!("{law}:\n  {left:?}\n  {right:?}"))
    }
}
