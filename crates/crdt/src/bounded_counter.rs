//! A counter that is never below zero, though decremented in many places.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use isles_clock::{ReplicaId, Stamp, VectorClock};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Crdt, DeltaState, Merge, decode};

/// A counter whose replicas hold the *rights* to decrement it, in escrow.
///
/// An increment makes rights for the replica that made it, a decrement uses them up, and a transfer hands them to another
/// replica. Each is written by the replica that holds the rights, so no two can use the same one: the sum of all
/// increments is never less than that of all decrements, whatever is cut off from what, and no replica ever asks another
/// one before it decrements. One that has too few rights is refused, and told who has some.
///
/// ```text
/// eu: +10, transfer 4 to us ---- -6 ---------->  0: both could, and a seventh of eu, or fifth of us, is refused
/// us:                       \--------- -4 ----->
/// ```
///
/// For an upper bound take [`spent`](Self::spent), which never exceeds [`granted`](Self::granted): seats sold, of seats
/// that there are. Selling is a decrement, taking one back an increment of as many.
///
/// What a replica knows of the others may be old, but it knows exactly what is its own; so rights are never overrated.
/// Where deltas arrive out of order a decrement may be known before the increment that it used; the value is then read
/// too low, but never below zero.
///
/// **Cost.** With *r* replicas: incrementing O(r), decrementing and transferring O(r + transfers between pairs); deltas
/// and operations carry the one count that moved.
///
/// Balegas et al., *Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants*, 2015.
///
/// ```
/// use isles_clock::ReplicaId;
/// use isles_crdt::bounded_counter::Refusal;
/// use isles_crdt::{BoundedCounter, DeltaState};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (BoundedCounter::new(), BoundedCounter::new());
/// there.apply(&here.increment(eu, 10));
/// there.apply(&here.transfer(eu, us, 4)?);
///
/// let sold = there.decrement(us, 3)?;
/// let refused = there.decrement(us, 2).unwrap_err();
/// assert_eq!(refused, Refusal::NotEnoughRights { missing: 1, holders: vec![(eu, 6)] });
///
/// here.apply(&sold);
/// assert_eq!((here.value(), here.rights(eu), here.rights(us)), (7, 6, 1));
/// # Ok::<(), Refusal>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BoundedCounter {
    // All counts only grow, each by one writer: a replica's grants and what it spent, and the first of a pair's transfers.
    pub(crate) granted: VectorClock,
    pub(crate) spent: VectorClock,
    // Invariant: of two different replicas, and more than zero.
    pub(crate) moved: BTreeMap<(ReplicaId, ReplicaId), u64>,
}

/// What is asked of a [`BoundedCounter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BoundedCounterUpdate {
    /// Add so much, and hold the rights to it.
    Increment(u64),
    /// Take away so much, by rights held here.
    Decrement(u64),
    /// Hand over so many rights.
    Transfer {
        /// To whom.
        to: ReplicaId,
        /// How many.
        rights: u64,
    },
}

/// Why nothing was taken away, or handed over. Nothing has changed; have rights transferred and try again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The replica holds fewer rights than asked for.
    NotEnoughRights {
        /// How many more it would take.
        missing: u64,
        /// Who else holds how many, as far as is known here, those with the most first.
        holders: Vec<(ReplicaId, u64)>,
    },
    /// The replica holds the rights, but what it has used in all would exceed [`u64::MAX`], which its count ends at.
    CountIsFull,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (missing, holders) = match self {
            Self::NotEnoughRights { missing, holders } => (missing, holders),
            Self::CountIsFull => return f.write_str("this replica can use no more rights, ever"),
        };
        match missing {
            1 => f.write_str("1 right is missing here")?,
            missing => write!(f, "{missing} rights are missing here")?,
        }
        for (index, (replica, rights)) in holders.iter().enumerate() {
            let separator = if index == 0 { "; " } else { ", " };
            write!(f, "{separator}{} has {rights}", replica.short())?;
        }
        Ok(())
    }
}

impl core::error::Error for Refusal {}

impl BoundedCounter {
    /// A counter at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was granted less what was spent: never below zero.
    #[must_use]
    pub fn value(&self) -> u128 {
        self.granted().saturating_sub(self.spent())
    }

    /// All increments.
    #[must_use]
    pub fn granted(&self) -> u128 {
        sum(&self.granted)
    }

    /// All decrements, which never exceed what was [`granted`](Self::granted).
    #[must_use]
    pub fn spent(&self) -> u128 {
        sum(&self.spent)
    }

    /// How many rights `replica` holds: exact for oneself, as far as is known here for others. It says [`u64::MAX`] where
    /// there are more.
    #[must_use]
    pub fn rights(&self, replica: ReplicaId) -> u64 {
        let (mut received, mut given) = (0u128, 0u128);
        for ((from, to), rights) in &self.moved {
            if *to == replica {
                received += u128::from(*rights);
            }
            if *from == replica {
                given += u128::from(*rights);
            }
        }
        let had = u128::from(self.granted.get(replica)) + received;
        let rights = had.saturating_sub(given + u128::from(self.spent.get(replica)));
        u64::try_from(rights).unwrap_or(u64::MAX)
    }

    /// Adds `by` at `replica`, which then holds the rights to it. What one replica adds stops at [`u64::MAX`].
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    pub fn increment(&mut self, replica: ReplicaId, by: u64) -> Self {
        let granted = self.granted.get(replica).saturating_add(by);
        self.take_in(Self::with_granted(replica, granted))
    }

    /// Takes away `by` at `replica`.
    ///
    /// # Errors
    /// Where the replica holds fewer rights, or has used [`u64::MAX`] already.
    pub fn decrement(&mut self, replica: ReplicaId, by: u64) -> Result<Self, Refusal> {
        let spent = self.use_rights(replica, by, self.spent.get(replica))?;
        Ok(self.take_in(Self::with_spent(replica, spent)))
    }

    /// Hands over so many rights of `from`, which must be the replica that calls, to another one. To oneself, nothing
    /// happens.
    ///
    /// # Errors
    /// Where the replica holds fewer rights, or has used [`u64::MAX`] already.
    pub fn transfer(
        &mut self,
        from: ReplicaId,
        to: ReplicaId,
        rights: u64,
    ) -> Result<Self, Refusal> {
        let moved = self.moved.get(&(from, to)).copied().unwrap_or_default();
        let moved = self.use_rights(from, rights, moved)?;
        Ok(self.take_in(Self::with_moved(from, to, moved)))
    }

    /// What `total` becomes when so many rights are used, if they are there.
    pub(crate) fn use_rights(
        &self,
        replica: ReplicaId,
        rights: u64,
        total: u64,
    ) -> Result<u64, Refusal> {
        match rights.checked_sub(self.rights(replica)) {
            None | Some(0) => total.checked_add(rights).ok_or(Refusal::CountIsFull),
            Some(missing) => {
                let holders = self.holders(replica);
                Err(Refusal::NotEnoughRights { missing, holders })
            }
        }
    }

    fn holders(&self, except: ReplicaId) -> Vec<(ReplicaId, u64)> {
        let mut holders = self.all_rights();
        holders.retain(|(replica, _)| *replica != except);
        holders
    }

    /// Who holds how many rights, as far as is known here, those with the most first; who has none is left out.
    #[must_use]
    pub fn all_rights(&self) -> Vec<(ReplicaId, u64)> {
        let granted = self.granted.iter().map(|(replica, _)| replica);
        let received = self.moved.keys().map(|(_, to)| *to);
        let mut replicas: Vec<ReplicaId> = granted.chain(received).collect();
        replicas.sort_unstable();
        replicas.dedup();
        let mut holders: Vec<_> = replicas
            .into_iter()
            .map(|replica| (replica, self.rights(replica)))
            .filter(|(_, rights)| *rights > 0)
            .collect();
        holders.sort_by_key(|(replica, rights)| (u64::MAX - rights, *replica));
        holders
    }

    /// Joins one's own change, and returns it as the delta that it is.
    fn take_in(&mut self, change: Self) -> Self {
        self.merge(&change);
        change
    }

    pub(crate) fn with_granted(replica: ReplicaId, count: u64) -> Self {
        Self {
            granted: VectorClock::from_iter([(replica, count)].into_iter().filter(|_| count > 0)),
            ..Self::default()
        }
    }

    pub(crate) fn with_spent(replica: ReplicaId, count: u64) -> Self {
        Self {
            spent: VectorClock::from_iter([(replica, count)].into_iter().filter(|_| count > 0)),
            ..Self::default()
        }
    }

    pub(crate) fn with_moved(from: ReplicaId, to: ReplicaId, count: u64) -> Self {
        let moved = (from != to && count > 0).then_some(((from, to), count));
        Self {
            moved: moved.into_iter().collect(),
            ..Self::default()
        }
    }
}

fn sum(counts: &VectorClock) -> u128 {
    counts.iter().map(|(_, count)| u128::from(count)).sum()
}

impl Merge for BoundedCounter {
    fn merge(&mut self, other: &Self) {
        self.granted.merge(&other.granted);
        self.spent.merge(&other.spent);
        for (pair, theirs) in &other.moved {
            let ours = self.moved.entry(*pair).or_default();
            *ours = (*ours).max(*theirs);
        }
    }
}

impl Crdt for BoundedCounter {
    type Update = BoundedCounterUpdate;
    type Value = u128;

    fn value(&self) -> u128 {
        Self::value(self)
    }
}

impl DeltaState for BoundedCounter {
    type Delta = Self;
    type Context = Self;

    /// What is refused changes nothing, and has the delta of nothing: [`decrement`](Self::decrement) says why.
    fn mutate(&mut self, at: Stamp, update: BoundedCounterUpdate) -> Self {
        match update {
            BoundedCounterUpdate::Increment(by) => self.increment(at.replica, by),
            BoundedCounterUpdate::Decrement(by) => {
                self.decrement(at.replica, by).unwrap_or_default()
            }
            BoundedCounterUpdate::Transfer { to, rights } => {
                self.transfer(at.replica, to, rights).unwrap_or_default()
            }
        }
    }

    fn apply(&mut self, delta: &Self) {
        self.merge(delta);
    }

    fn context(&self) -> Self {
        self.clone()
    }

    fn delta_since(&self, theirs: &Self) -> Self {
        let newer = |ours: &VectorClock, theirs: &VectorClock| {
            let lacking = ours.minus(theirs).into_iter();
            lacking
                .map(|(replica, _, count)| (replica, count))
                .collect()
        };
        let is_newer = |(pair, count): &(&(ReplicaId, ReplicaId), &u64)| {
            theirs.moved.get(*pair).is_none_or(|known| known < *count)
        };
        let moved = self.moved.iter().filter(is_newer);
        Self {
            granted: newer(&self.granted, &theirs.granted),
            spent: newer(&self.spent, &theirs.spent),
            moved: moved.map(|(pair, count)| (*pair, *count)).collect(),
        }
    }
}

/// Rights that one replica handed to another, in all.
#[derive(Serialize, Deserialize)]
struct Moved {
    pair: (ReplicaId, ReplicaId),
    rights: u64,
}

impl Serialize for BoundedCounter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let moved = self.moved.iter().map(|(pair, rights)| Moved {
            pair: *pair,
            rights: *rights,
        });
        let moved: Vec<Moved> = moved.collect();
        (&self.granted, &self.spent, moved).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BoundedCounter {
    /// Refuses transfers out of the order of their pairs, to oneself, and of nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Transfers(Vec<Moved>);

        impl<'de> Deserialize<'de> for Transfers {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                decode::ascending(deserializer, |moved: &Moved| &moved.pair).map(Self)
            }
        }

        let (granted, spent, Transfers(moved)) = Deserialize::deserialize(deserializer)?;
        let is_transfer = |moved: &Moved| moved.pair.0 != moved.pair.1 && moved.rights > 0;
        if !moved.iter().all(is_transfer) {
            let message = "rights were handed to their holder, or none at all";
            return Err(serde::de::Error::custom(message));
        }
        let moved = moved.into_iter().map(|moved| (moved.pair, moved.rights));
        Ok(Self {
            granted,
            spent,
            moved: moved.collect(),
        })
    }
}
