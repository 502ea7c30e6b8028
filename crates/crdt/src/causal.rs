//! A store with the context of everything seen: the state-based form of most types.

use alloc::vec::Vec;

use isles_clock::{Context, Dot, DotContext, Hlc, ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Serialize, Serializer};

use crate::decode::{is_valid, is_valid_context};
use crate::dots::{DotStore, Writer};
use crate::{Crdt, DeltaState, Merge};

/// A store of dots and the context of all dots seen: a state that merges, also by deltas.
///
/// [`AwSet`](crate::AwSet), [`RwSet`](crate::RwSet), [`MvRegister`](crate::MvRegister), [`EwFlag`](crate::EwFlag),
/// [`DwFlag`](crate::DwFlag), [`ResettableCounter`](crate::ResettableCounter) and [`AwMap`](crate::AwMap) are this type
/// around the operation-based type of the same name in [`op`](crate::op). The context is one clock plus what arrived
/// out of order; what is removed leaves nothing behind but its place in it.
///
/// Equal states are equal values, so states can be compared and hashed by their encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Parts<S>",
    bound(deserialize = "S: DotStore + Deserialize<'de>")
)]
pub struct Causal<S> {
    // Invariant: `seen` covers every dot in the store, and the store is a state.
    store: S,
    seen: DotContext,
    // The removals that were dropped here as stable, or where this came from: somebody may hold them still.
    forgotten: VectorClock,
}

/// What one or several updates changed: a fragment of a store, and the context of the dots that the change knows of.
///
/// Join deltas with [`Merge`], apply them with [`DeltaState::apply`], in any order and any number of times. The default
/// is the delta of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    try_from = "DeltaParts<S, DotContext, VectorClock>",
    bound(deserialize = "S: DotStore + Deserialize<'de>")
)]
#[must_use = "a delta that is not sent leaves the other replicas behind"]
pub struct Delta<S> {
    // Invariant: `seen` covers every dot in the fragment. Where the fragment speaks of some keys only, `seen` covers no
    // dot that lies, or lay, under another one.
    fragment: S,
    seen: DotContext,
    forgotten: VectorClock,
}

impl<S: DotStore> Causal<S> {
    /// The state before any update.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The content: the operation-based form of the type.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// All dots seen here.
    #[must_use]
    pub const fn seen(&self) -> &DotContext {
        &self.seen
    }

    /// Drops all residue, as [`forget`](Crdt::forget) does of what is stable.
    ///
    /// It is safe, and only safe, if every update that has come here was seen by *every* replica, and everything that
    /// they had written before they saw it has come *here*.
    pub fn forget_all(&mut self) {
        self.remember(|_| true);
        self.store.forget_all();
    }

    /// Notes which removals are about to be forgotten.
    fn remember(&mut self, is_over: impl Fn(Dot) -> bool) {
        let forgotten = &mut self.forgotten;
        self.store.each_removal(&mut |dot| {
            if is_over(dot) {
                forgotten.observe(dot);
            }
        });
    }

    /// Makes an update for which it does not matter when it is made.
    pub(crate) fn update_at(&mut self, replica: ReplicaId, update: S::Update) -> Delta<S> {
        self.mutate(Stamp::new(Hlc::ZERO, replica), update)
    }
}

impl<S: DotStore> Delta<S> {
    /// Whether applying it changes nothing, anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fragment.is_empty() && self.seen.is_empty() && self.forgotten.is_empty()
    }

    /// Whether it brings nothing, and at most says what is gone. Where a peer lacks nothing, this is so; that it knows
    /// of all that is gone nobody can tell, because a removal has no dot.
    #[must_use]
    pub fn brings_nothing(&self) -> bool {
        let mut brings_nothing = true;
        self.fragment.each_dot(&mut |_| brings_nothing = false);
        brings_nothing
    }

    /// The dots that the change knows of: those it brings, and those it removes.
    #[must_use]
    pub const fn seen(&self) -> &DotContext {
        &self.seen
    }

    /// A delta whose context covers what the fragment brings and `superseded`.
    fn new(fragment: S, superseded: DotContext) -> Self {
        let mut seen = superseded;
        fragment.each_dot(&mut |dot| seen.insert(dot));
        let forgotten = VectorClock::new();
        Self {
            fragment,
            seen,
            forgotten,
        }
    }
}

impl<S: DotStore> Default for Delta<S> {
    fn default() -> Self {
        Self {
            fragment: S::unnamed(),
            seen: DotContext::new(),
            forgotten: VectorClock::new(),
        }
    }
}

impl<S: DotStore> Merge for Causal<S> {
    fn merge(&mut self, other: &Self) {
        self.store.join(&self.seen, &other.store, &other.seen);
        self.seen.merge(&other.seen);
        self.forgotten.merge(&other.forgotten);
    }
}

impl<S: DotStore> Merge for Delta<S> {
    fn merge(&mut self, other: &Self) {
        self.fragment.join(&self.seen, &other.fragment, &other.seen);
        self.seen.merge(&other.seen);
        self.forgotten.merge(&other.forgotten);
    }
}

impl<S: DotStore> Crdt for Causal<S> {
    type Update = S::Update;
    type Value = S::Value;

    fn value(&self) -> S::Value {
        self.store.value()
    }

    fn forget(&mut self, stable: &VectorClock) {
        self.remember(|dot| stable.covers(dot));
        self.store.forget(stable);
    }
}

impl<S: DotStore> DeltaState for Causal<S> {
    type Delta = Delta<S>;
    type Context = DotContext;

    fn mutate(&mut self, at: Stamp, update: S::Update) -> Delta<S> {
        let mut writer = Writer::new(at, &mut self.seen, &self.forgotten);
        let fragment = self.store.mutate(&mut writer, update);
        Delta::new(fragment, writer.into_superseded())
    }

    fn apply(&mut self, delta: &Delta<S>) {
        self.store.join(&self.seen, &delta.fragment, &delta.seen);
        self.seen.merge(&delta.seen);
        self.forgotten.merge(&delta.forgotten);
    }

    fn context(&self) -> DotContext {
        self.seen.clone()
    }

    fn delta_since(&self, theirs: &DotContext) -> Delta<S> {
        let mut kept = Vec::new();
        let fragment = self.store.lacking(theirs, &mut kept);
        kept.sort_unstable();
        Delta {
            fragment,
            seen: without(&self.seen, &kept),
            forgotten: self.forgotten.clone(),
        }
    }
}

/// The context without some of its dots, which are sorted.
///
/// Leaving out what is alive and known to both sides is what makes "everything else in here is gone" true.
fn without(seen: &DotContext, dots: &[Dot]) -> DotContext {
    let mut rest = DotContext::new();
    let prefixes = seen
        .clock()
        .iter()
        .map(|(replica, through)| (replica, 0, through));
    for (replica, mut after, through) in prefixes.chain(seen.runs()) {
        let first = dots.partition_point(|dot| *dot <= Dot::new(replica, after));
        let inside = dots[first..]
            .iter()
            .take_while(|dot| dot.replica == replica && dot.sequence <= through);
        for dot in inside {
            rest.insert_range(replica, after, dot.sequence - 1);
            after = dot.sequence;
        }
        rest.insert_range(replica, after, through);
    }
    rest
}

/// What is read before the invariants are checked.
#[derive(Deserialize)]
struct Parts<S> {
    store: S,
    seen: DotContext,
    forgotten: VectorClock,
}

impl<S: DotStore> TryFrom<Parts<S>> for Causal<S> {
    type Error = &'static str;

    fn try_from(parts: Parts<S>) -> Result<Self, Self::Error> {
        let Parts {
            store,
            seen,
            forgotten,
        } = parts;
        check_contexts(&seen, &forgotten)?;
        if !store.is_state() {
            return Err("a fragment is not a state");
        }
        let dots = distinct_dots(&store)?;
        if !dots.iter().all(|dot| seen.covers(*dot)) {
            return Err("a store holds a dot that its context does not cover");
        }
        Ok(Self {
            store,
            seen,
            forgotten,
        })
    }
}

/// What is written of a delta: of the dots that it knows of only those that the fragment does not say.
#[derive(Serialize, Deserialize)]
struct DeltaParts<S, D, V> {
    fragment: S,
    superseded: D,
    forgotten: V,
}

impl<S: DotStore + Serialize> Serialize for Delta<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut dots = Vec::new();
        self.fragment.each_dot(&mut |dot| dots.push(dot));
        dots.sort_unstable();
        let parts = DeltaParts {
            fragment: &self.fragment,
            superseded: without(&self.seen, &dots),
            forgotten: &self.forgotten,
        };
        parts.serialize(serializer)
    }
}

impl<S: DotStore> TryFrom<DeltaParts<S, DotContext, VectorClock>> for Delta<S> {
    type Error = &'static str;

    fn try_from(parts: DeltaParts<S, DotContext, VectorClock>) -> Result<Self, Self::Error> {
        let DeltaParts {
            fragment,
            superseded,
            forgotten,
        } = parts;
        check_contexts(&superseded, &forgotten)?;
        let dots = distinct_dots(&fragment)?;
        if dots.iter().any(|dot| superseded.covers(*dot)) {
            return Err("a delta brings a dot that it supersedes");
        }
        Ok(Self {
            forgotten,
            ..Self::new(fragment, superseded)
        })
    }
}

/// The dots of a store in order, each of which can have been given to one write.
fn distinct_dots<S: DotStore>(store: &S) -> Result<Vec<Dot>, &'static str> {
    let mut dots = Vec::new();
    store.each_dot(&mut |dot| dots.push(dot));
    dots.sort_unstable();
    if dots.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a store holds a dot in two places");
    }
    if dots.iter().all(|dot| is_valid(*dot)) {
        Ok(dots)
    } else {
        Err("a store holds a dot that nobody wrote")
    }
}

fn check_contexts(seen: &DotContext, forgotten: &VectorClock) -> Result<(), &'static str> {
    let forgotten = DotContext::from(forgotten.clone());
    if is_valid_context(seen) && is_valid_context(&forgotten) {
        Ok(())
    } else {
        Err("a context names a sequence that nobody reaches")
    }
}
