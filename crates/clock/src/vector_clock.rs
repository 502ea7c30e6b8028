//! A prefix of every replica's writes.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::{Context, Dot, ReplicaId};

/// Clocks of up to this many replicas need no allocation.
const INLINE_REPLICAS: usize = 4;
/// Up to here comparing every entry is faster than bisecting.
const SCAN_REPLICAS_MAX: usize = 16;

/// How two clocks lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Causality {
    /// Both cover the same writes.
    Equal,
    /// The first covers some of the writes of the second, and no others.
    Before,
    /// The first covers all the writes of the second, and more.
    After,
    /// Each covers writes that the other does not.
    Concurrent,
}

impl Causality {
    /// The partial order: `None` where the two are concurrent.
    #[inline]
    #[must_use]
    pub const fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Equal => Some(Ordering::Equal),
            Self::Before => Some(Ordering::Less),
            Self::After => Some(Ordering::Greater),
            Self::Concurrent => None,
        }
    }

    /// What two sets are to each other of which it is known whether each holds all of the other.
    #[inline]
    pub(crate) const fn from_dominance(ours: bool, theirs: bool) -> Self {
        match (ours, theirs) {
            (true, true) => Self::Equal,
            (false, true) => Self::Before,
            (true, false) => Self::After,
            (false, false) => Self::Concurrent,
        }
    }
}

/// For each replica, the sequence through which its writes are covered.
///
/// Replicas of which nothing is covered are not listed, so equal sets of writes are equal clocks. Merging is the least
/// upper bound, [`intersect`](Self::intersect) the greatest lower one: both are commutative, associative and
/// idempotent.
///
/// ```text
/// eu: {eu:3 us:1} ──┐ compare: Concurrent, each has writes that the other lacks
/// us: {eu:2 us:4} ──┘ merge:   {eu:3 us:4}, after which us's copy is Before
/// ```
///
/// **Cost.** Clocks of four replicas or fewer live without allocation. With *n* and *m* replicas, comparing, merging
/// and subtracting are one pass, O(n + m); looking one up is a short scan, and O(log n) beyond sixteen replicas.
///
/// **Papers.** Fidge, *Timestamps in Message-Passing Systems That Preserve the Partial Ordering*, 1988; Mattern,
/// *Virtual Time and Global States of Distributed Systems*, 1989; as a set of writes rather than of events: Parker et
/// al., *Detection of Mutual Inconsistency in Distributed Systems*, 1983.
///
/// ```
/// use isles_clock::{Causality, ReplicaId, VectorClock};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut ours = VectorClock::new();
/// ours.next(eu);
/// let mut theirs = ours.clone();
/// theirs.next(us);
/// assert!(ours < theirs);
/// ours.next(eu);
/// assert_eq!(ours.compare(&theirs), Causality::Concurrent);
/// ours.merge(&theirs);
/// assert!(ours.dominates(&theirs));
/// ```
#[derive(Default, PartialEq, Eq, Hash)]
pub struct VectorClock {
    // Invariant: sorted by replica, each at most once, no sequence is zero.
    entries: SmallVec<[(ReplicaId, u64); INLINE_REPLICAS]>,
}

impl VectorClock {
    /// The clock that covers nothing.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: SmallVec::new(),
        }
    }

    /// The sequence through which writes of `replica` are covered; 0 where none is.
    #[inline]
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> u64 {
        self.find(replica).map_or(0, |index| self.entries[index].1)
    }

    /// Covers `dot` and everything its replica wrote before.
    #[inline]
    pub fn observe(&mut self, dot: Dot) {
        // The common case by far is a replica that is listed already.
        if let Some(listed) = self.get_mut(dot.replica) {
            *listed = dot.sequence.max(*listed);
        } else {
            self.set(dot.replica, dot.sequence);
        }
    }

    /// The next write of `replica`, which the clock now covers. Only `replica` itself may ask, or a dot would be used
    /// twice.
    ///
    /// # Panics
    /// When the last sequence there is has been used. Nobody writes that often; but a clock from a stranger may say
    /// so, and is to be refused before it is merged where it names more of `replica` than `replica` wrote.
    pub fn next(&mut self, replica: ReplicaId) -> Dot {
        let Some(listed) = self.get_mut(replica) else {
            self.set(replica, 1);
            return Dot::new(replica, 1);
        };
        let next = listed.checked_add(1);
        *listed = next.expect("invariant: nobody writes 2^64 times");
        Dot::new(replica, *listed)
    }

    /// Covers writes of `replica` through exactly `sequence`, also where that is less than before; 0 removes it.
    pub fn set(&mut self, replica: ReplicaId, sequence: u64) {
        match (self.position(replica), sequence) {
            (Ok(index), 0) => drop(self.entries.remove(index)),
            (Ok(index), _) => self.entries[index].1 = sequence,
            (Err(_), 0) => {}
            (Err(index), _) => self.entries.insert(index, (replica, sequence)),
        }
    }

    /// Forgets `replica`; returns what was covered of it.
    pub fn remove(&mut self, replica: ReplicaId) -> Option<u64> {
        self.position(replica)
            .ok()
            .map(|index| self.entries.remove(index).1)
    }

    /// Covers what either covers.
    pub fn merge(&mut self, other: &Self) {
        if !self.raise(other) {
            self.entries = self
                .pairs(other)
                .map(|(replica, ours, theirs)| (replica, ours.max(theirs)))
                .collect();
        }
    }

    /// Covers only what both cover: what is stable when every replica reports how far it has come.
    pub fn intersect(&mut self, other: &Self) {
        self.entries = self
            .pairs(other)
            .map(|(replica, ours, theirs)| (replica, ours.min(theirs)))
            .filter(|(_, sequence)| *sequence > 0)
            .collect();
    }

    /// How this clock lies to `other`: `Before` when this one is the smaller.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Causality {
        let (mut ours_holds, mut theirs_holds) = (true, true);
        for (_, ours, theirs) in self.pairs(other) {
            ours_holds &= ours >= theirs;
            theirs_holds &= theirs >= ours;
        }
        Causality::from_dominance(ours_holds, theirs_holds)
    }

    /// Whether this clock covers everything that `other` covers.
    #[inline]
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        let mut ours = self.iter();
        other.iter().all(|(replica, sequence)| {
            let candidate = ours.find(|(candidate, _)| *candidate >= replica);
            candidate.is_some_and(|(found, listed)| found == replica && listed >= sequence)
        })
    }

    /// What this clock covers and `other` does not, as ranges of sequences: (replica, after, through).
    #[must_use]
    pub fn minus(&self, other: &Self) -> Vec<(ReplicaId, u64, u64)> {
        self.pairs(other)
            .filter(|(_, ours, theirs)| ours > theirs)
            .map(|(replica, ours, theirs)| (replica, theirs, ours))
            .collect()
    }

    /// Every replica of which something is covered, with the sequence through which it is, in the order of replicas.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, u64)> + '_ {
        self.entries.iter().copied()
    }

    /// The number of replicas of which something is covered.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is covered.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every replica that either lists, with what this clock covers of it and what `other` does.
    #[inline]
    pub(crate) fn pairs<'a>(&'a self, other: &'a Self) -> Pairs<'a> {
        let (ours, theirs) = (self.entries.as_slice(), other.entries.as_slice());
        Pairs { ours, theirs }
    }

    /// Appends an entry; says whether it could be, that is, came after all others and was not 0.
    #[must_use]
    pub(crate) fn push(&mut self, replica: ReplicaId, sequence: u64) -> bool {
        let fits = sequence > 0 && self.entries.last().is_none_or(|last| last.0 < replica);
        if fits {
            self.entries.push((replica, sequence));
        }
        fits
    }

    /// Raises the replicas that both list; says whether those were all that `other` lists.
    fn raise(&mut self, other: &Self) -> bool {
        let mut ours = self.entries.iter_mut();
        other.iter().all(|(replica, sequence)| {
            match ours.find(|(candidate, _)| *candidate >= replica) {
                Some((found, listed)) if *found == replica => {
                    *listed = sequence.max(*listed);
                    true
                }
                _ => false,
            }
        })
    }

    #[inline]
    fn get_mut(&mut self, replica: ReplicaId) -> Option<&mut u64> {
        let index = self.find(replica)?;
        Some(&mut self.entries[index].1)
    }

    #[inline]
    fn find(&self, replica: ReplicaId) -> Option<usize> {
        if self.entries.len() <= SCAN_REPLICAS_MAX {
            self.entries.iter().position(|entry| entry.0 == replica)
        } else {
            self.position(replica).ok()
        }
    }

    fn position(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&replica, |entry| entry.0)
    }
}

/// Two clocks side by side.
pub(crate) struct Pairs<'a> {
    ours: &'a [(ReplicaId, u64)],
    theirs: &'a [(ReplicaId, u64)],
}

impl Iterator for Pairs<'_> {
    type Item = (ReplicaId, u64, u64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match (self.ours, self.theirs) {
            // First, because the replicas of a cluster are mostly the same on both sides.
            ([(replica, ours), our_rest @ ..], [(same, theirs), their_rest @ ..])
                if replica == same =>
            {
                (self.ours, self.theirs) = (our_rest, their_rest);
                Some((*replica, *ours, *theirs))
            }
            ([(replica, ours), rest @ ..], theirs)
                if theirs.first().is_none_or(|(other, _)| replica < other) =>
            {
                self.ours = rest;
                Some((*replica, *ours, 0))
            }
            (_, [(replica, theirs), rest @ ..]) => {
                self.theirs = rest;
                Some((*replica, 0, *theirs))
            }
            (_, []) => None,
        }
    }
}

impl Context for VectorClock {
    #[inline]
    fn covers(&self, dot: Dot) -> bool {
        dot.sequence <= self.get(dot.replica)
    }
}

impl Clone for VectorClock {
    /// One copy of memory, which deriving would make entry by entry.
    #[inline]
    fn clone(&self) -> Self {
        let entries = SmallVec::from_slice(&self.entries);
        Self { entries }
    }
}

impl PartialOrd for VectorClock {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.compare(other).ordering()
    }
}

impl FromIterator<(ReplicaId, u64)> for VectorClock {
    /// The greatest sequence counts where a replica comes more than once.
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut clock = Self::new();
        clock.extend(entries);
        clock
    }
}

impl Extend<(ReplicaId, u64)> for VectorClock {
    fn extend<I: IntoIterator<Item = (ReplicaId, u64)>>(&mut self, entries: I) {
        for (replica, sequence) in entries {
            self.observe(Dot::new(replica, sequence));
        }
    }
}

impl fmt::Display for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (replica, sequence)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{}", Dot::new(replica, sequence))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for VectorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for VectorClock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VectorClock {
    /// Refuses what [`Serialize`] never writes: replicas out of order or twice, and sequence 0.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = VectorClock;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs of a replica and a sequence above 0, in the order of replicas")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<VectorClock, A::Error> {
        // The announced length is not trusted: memory grows with the pairs that are really there.
        let mut clock = VectorClock::new();
        while let Some((replica, sequence)) = pairs.next_element()? {
            if !clock.push(replica, sequence) {
                let refused =
                    "a vector clock lists a replica out of order, twice, or at sequence 0";
                return Err(de::Error::custom(refused));
            }
        }
        Ok(clock)
    }
}
