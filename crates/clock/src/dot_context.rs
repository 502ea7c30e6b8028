//! A set of dots that may have holes.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Context, Dot, ReplicaId, VectorClock};

/// Every dot that was ever observed: a clock for the prefixes without holes, and a cloud of the dots beyond.
///
/// State-based types carry one instead of tombstones: a dot that is in the context but not in the state has been
/// removed. Where writes arrive in order the cloud is empty.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct DotContext {
    clock: VectorClock,
    // Invariant: no dot is covered by the clock or next to what it covers, so that equal sets are equal values.
    cloud: BTreeSet<Dot>,
}

impl DotContext {
    /// The empty set.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: VectorClock::new(),
            cloud: BTreeSet::new(),
        }
    }

    /// Adds one dot.
    pub fn insert(&mut self, dot: Dot) {
        if self.covers(dot) {
            return;
        }
        if dot.sequence - 1 == self.clock.get(dot.replica) {
            self.clock.observe(dot);
            self.absorb(dot.replica);
        } else {
            self.cloud.insert(dot);
        }
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        self.clock.merge(&other.clock);
        self.cloud.extend(&other.cloud);
        self.compact();
    }

    /// A dot of `replica` that is greater than all of its dots in the set, which now holds it. Only `replica` itself
    /// may ask, or a dot would be used twice.
    ///
    /// # Panics
    /// When the set holds the last sequence there is.
    pub fn next(&mut self, replica: ReplicaId) -> Dot {
        let greatest = self
            .of(replica)
            .next_back()
            .map_or(self.clock.get(replica), |dot| dot.sequence);
        let sequence = greatest
            .checked_add(1)
            .expect("invariant: nobody writes 2^64 times");
        let dot = Dot::new(replica, sequence);
        self.insert(dot);
        dot
    }

    /// The part without holes.
    #[inline]
    #[must_use]
    pub const fn clock(&self) -> &VectorClock {
        &self.clock
    }

    /// The dots beyond the clock, in order.
    pub fn cloud(&self) -> impl Iterator<Item = Dot> + '_ {
        self.cloud.iter().copied()
    }

    /// Whether it holds no dot.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clock.is_empty() && self.cloud.is_empty()
    }

    fn of(&self, replica: ReplicaId) -> impl DoubleEndedIterator<Item = Dot> + '_ {
        self.cloud
            .range(Dot::new(replica, 0)..=Dot::new(replica, u64::MAX))
            .copied()
    }

    /// Moves dots of `replica` that now continue its prefix into the clock.
    fn absorb(&mut self, replica: ReplicaId) {
        let mut next = Dot::new(replica, self.clock.get(replica).saturating_add(1));
        while self.cloud.remove(&next) {
            self.clock.observe(next);
            next.sequence = next.sequence.saturating_add(1);
        }
    }

    /// Restores the invariant in one pass: the dots of a replica come in the order of their sequences.
    fn compact(&mut self) {
        let clock = &mut self.clock;
        self.cloud.retain(|&dot| {
            let continued = clock.get(dot.replica).saturating_add(1);
            if dot.sequence == continued {
                clock.observe(dot);
            }
            dot.sequence > continued
        });
    }
}

impl Context for DotContext {
    #[inline]
    fn covers(&self, dot: Dot) -> bool {
        self.clock.covers(dot) || (!self.cloud.is_empty() && self.cloud.contains(&dot))
    }
}

impl From<VectorClock> for DotContext {
    fn from(clock: VectorClock) -> Self {
        Self {
            clock,
            cloud: BTreeSet::new(),
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

/// What is read before the invariant is checked.
#[derive(Deserialize)]
struct Parts {
    clock: VectorClock,
    cloud: BTreeSet<Dot>,
}

impl TryFrom<Parts> for DotContext {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let beyond = |dot: &Dot| dot.sequence - 1 > parts.clock.get(dot.replica);
        if parts.cloud.iter().any(|dot| dot.sequence == 0) {
            return Err("a dot has sequence 0");
        }
        if !parts.cloud.iter().all(beyond) {
            return Err("a dot context repeats a dot that its clock covers, or could");
        }
        Ok(Self {
            clock: parts.clock,
            cloud: parts.cloud,
        })
    }
}
