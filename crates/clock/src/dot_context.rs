//! A set of dots that may have holes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Causality, Context, Dot, ReplicaId, VectorClock};

/// Every dot that was ever observed: a clock for the prefixes without holes, and a cloud of what lies beyond them.
///
/// State-based types carry one instead of tombstones: a dot that is in the context but not in the state has been
/// removed. Where writes arrive in order the cloud is empty. Where they do not, the cloud is kept as runs of
/// consecutive dots and each run joins the clock once the hole before it is filled, so that the size is the number of
/// replicas and holes, never the number of dots.
///
/// ```text
/// eu writes 1 2 3 4 5; here arrive 1, then 4 and 5     {eu:1} and a run 4..=5
/// then 2 and 3                                         {eu:5}
/// ```
///
/// Merging is union. This is the causal context of Almeida, Shoker and Baquero, *Delta State Replicated Data Types*,
/// 2018, section 7.
///
/// **Cost.** With *n* replicas and *h* holes: inserting and looking up O(n + log h); merging costs what the *other*
/// side holds, so a small delta is cheap however many holes there are here.
///
/// ```
/// use isles_clock::{Context, Dot, DotContext, ReplicaId};
///
/// let eu = ReplicaId::from_u128(1);
/// let mut seen = DotContext::new();
/// seen.insert(Dot::new(eu, 2));
/// assert!(!seen.covers(Dot::new(eu, 1)));
/// seen.insert(Dot::new(eu, 1));
/// assert_eq!((seen.clock().get(eu), seen.cloud().count()), (2, 0));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DotContext {
    clock: VectorClock,
    // Each run by its first dot, with its last sequence.
    // Invariant: runs neither overlap nor touch each other or the clock, so that equal sets are equal values.
    runs: BTreeMap<Dot, u64>,
}

impl DotContext {
    /// The empty set.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one dot.
    #[inline]
    pub fn insert(&mut self, dot: Dot) {
        self.insert_run(dot, dot.sequence);
    }

    /// Adds the dots of `replica` after `after` and through `through`, however many: what [`runs`](Self::runs) gives.
    #[inline]
    pub fn insert_range(&mut self, replica: ReplicaId, after: u64, through: u64) {
        if after < through {
            self.insert_run(Dot::new(replica, after + 1), through);
        }
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.clock.merge(&other.clock);
        if !self.runs.is_empty() {
            other
                .clock
                .iter()
                .for_each(|(replica, _)| self.absorb(replica));
        }
        for (first, through) in &other.runs {
            self.insert_run(*first, *through);
        }
    }

    /// A dot of `replica` that is greater than all of its dots in the set, which now holds it. Only `replica` itself
    /// may ask, or a dot would be used twice.
    ///
    /// # Panics
    /// When the set holds the last sequence there is. Nobody writes that often; but a context from a stranger may say
    /// so, and is to be refused before it is merged where it names more of `replica` than `replica` wrote.
    pub fn next(&mut self, replica: ReplicaId) -> Dot {
        let sequence = self
            .greatest(replica)
            .checked_add(1)
            .expect("invariant: nobody writes 2^64 times");
        let dot = Dot::new(replica, sequence);
        self.insert(dot);
        dot
    }

    /// The greatest sequence of `replica` in the set, whatever is missing before it; 0 where there is none.
    #[must_use]
    pub fn greatest(&self, replica: ReplicaId) -> u64 {
        self.run_before(Dot::new(replica, u64::MAX))
            .unwrap_or_else(|| self.clock.get(replica))
    }

    /// The part without holes.
    #[inline]
    #[must_use]
    pub const fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// The dots beyond the clock, in order. A stranger's set can hold more of them than one can count in a lifetime:
    /// prefer [`runs`](Self::runs), of which there are never more than were read.
    pub fn cloud(&self) -> impl Iterator<Item = Dot> + '_ {
        self.runs.iter().flat_map(|(first, through)| {
            (first.sequence..=*through).map(|sequence| Dot::new(first.replica, sequence))
        })
    }

    /// What lies beyond the clock, as ranges of sequences: (replica, after, through), in order.
    pub fn runs(&self) -> impl ExactSizeIterator<Item = (ReplicaId, u64, u64)> + '_ {
        self.runs
            .iter()
            .map(|(first, through)| (first.replica, first.sequence - 1, *through))
    }

    /// Whether it holds no dot.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty() && self.runs.is_empty()
    }

    /// Whether it holds every dot that `other` holds.
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        // No run of ours can continue a prefix or a run of ours, so each of theirs lies within a single one or not.
        self.clock.dominates(&other.clock)
            && other.runs.iter().all(|(first, through)| {
                *through <= self.clock.get(first.replica)
                    || self.run_before(*first).is_some_and(|end| *through <= end)
            })
    }

    /// How this set lies to `other`: `Before` when this one is the smaller.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        Causality::from_dominance(self.dominates(other), other.dominates(self))
    }

    /// The end of the last run that starts at `dot` or before it, of the same replica.
    fn run_before(&self, dot: Dot) -> Option<u64> {
        let (first, through) = self.runs.range(..=dot).next_back()?;
        (first.replica == dot.replica).then_some(*through)
    }

    fn insert_run(&mut self, first: Dot, through: u64) {
        let Dot { replica, sequence } = first;
        let prefix = self.clock.get(replica);
        if through <= prefix {
            return;
        }
        if sequence - 1 <= prefix {
            self.clock.observe(Dot::new(replica, through));
            if !self.runs.is_empty() {
                self.absorb(replica);
            }
        } else {
            self.insert_beyond(first, through);
        }
    }

    /// Moves the runs of `replica` that its prefix has reached into the clock.
    fn absorb(&mut self, replica: ReplicaId) {
        loop {
            let reach = Dot::new(replica, self.clock.get(replica).saturating_add(1));
            let reached = self.runs.range(Dot::new(replica, 0)..=reach).next();
            let Some((&first, &through)) = reached else {
                return;
            };
            self.runs.remove(&first);
            self.clock.observe(Dot::new(replica, through));
        }
    }

    /// Adds a run that starts beyond a hole, and joins it with the runs that it overlaps or touches.
    fn insert_beyond(&mut self, mut first: Dot, mut through: u64) {
        let touching = Dot::new(first.replica, first.sequence - 1);
        let before = self.runs.range(..=first).next_back();
        if let Some((&start, &end)) = before
            && start.replica == first.replica
            && end >= touching.sequence
        {
            (first, through) = (start, through.max(end));
        }
        loop {
            let reach = Dot::new(first.replica, through.saturating_add(1));
            let beyond = (Bound::Excluded(first), Bound::Included(reach));
            let Some((&start, &end)) = self.runs.range(beyond).next() else {
                break;
            };
            self.runs.remove(&start);
            through = through.max(end);
        }
        self.runs.insert(first, through);
    }
}

impl Context for DotContext {
    #[inline]
    fn covers(&self, dot: Dot) -> bool {
        self.clock.covers(dot)
            || (!self.runs.is_empty()
                && self.run_before(dot).is_some_and(|end| dot.sequence <= end))
    }
}

impl From<VectorClock> for DotContext {
    fn from(clock: VectorClock) -> Self {
        Self {
            clock,
            runs: BTreeMap::new(),
        }
    }
}

impl Extend<Dot> for DotContext {
    fn extend<I: IntoIterator<Item = Dot>>(&mut self, dots: I) {
        dots.into_iter().for_each(|dot| self.insert(dot));
    }
}

impl FromIterator<Dot> for DotContext {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::new();
        context.extend(dots);
        context
    }
}

/// What is written and read: the clock, then the runs in order.
#[derive(Serialize, Deserialize)]
struct Parts<C, R> {
    clock: C,
    cloud: R,
}

/// A run as it is written: `more` dots follow the first.
#[derive(Serialize, Deserialize)]
struct Run {
    replica: ReplicaId,
    first: u64,
    more: u64,
}

impl Serialize for DotContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let run = |(first, through): (&Dot, &u64)| Run {
            replica: first.replica,
            first: first.sequence,
            more: through - first.sequence,
        };
        let cloud: Vec<Run> = self.runs.iter().map(run).collect();
        let clock = &self.clock;
        Parts { clock, cloud }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DotContext {
    /// Refuses what [`Serialize`] never writes: runs out of order, or that overlap or touch each other or the clock.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Parts::<VectorClock, Vec<Run>>::deserialize(deserializer)?;
        let mut context = Self::from(parts.clock);
        let mut after = None;
        for run in parts.cloud {
            let first = Dot::new(run.replica, run.first);
            let through = run.first.checked_add(run.more);
            let through = through.ok_or_else(|| de::Error::custom("a run of dots never ends"))?;
            let reach = context.clock.get(run.replica).saturating_add(1);
            if run.first <= reach || after.is_some_and(|after| first <= after) {
                return Err(de::Error::custom("runs of dots are out of order or touch"));
            }
            after = Some(Dot::new(run.replica, through.saturating_add(1)));
            context.runs.insert(first, through);
        }
        Ok(context)
    }
}
