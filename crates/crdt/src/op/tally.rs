//! A counter that can be reset.

use isles_clock::{Context, Dot, ReplicaId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::human;

/// What one replica has added to a [`Tally`], and how much of it was reset.
///
/// Operations carry running totals, never differences, so that a receiver that was given a copy of the state cannot
/// count one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Contribution {
    /// Whose it is.
    pub replica: ReplicaId,
    /// That replica's last increment.
    pub sequence: u64,
    /// The running total after it.
    #[serde(with = "human::total")]
    pub total: i128,
    /// The increment through which it was reset.
    pub reset_sequence: u64,
    /// The running total that was reset.
    #[serde(with = "human::total")]
    pub reset_total: i128,
}

impl Contribution {
    /// Whether everything in it was reset. A difference of zero does not say so: -3 after a reset of 3 is zero too,
    /// and must not be restarted.
    #[inline]
    #[must_use]
    pub const fn covered(&self) -> bool {
        self.sequence == self.reset_sequence
    }

    /// What it adds to the counter.
    #[inline]
    #[must_use]
    pub const fn value(&self) -> i128 {
        self.total.wrapping_sub(self.reset_total)
    }

    /// The entry that last added to it.
    #[must_use]
    pub fn dot(&self) -> Dot {
        Dot::new(self.replica, self.sequence)
    }

    /// What takes away exactly this much of it.
    #[must_use]
    pub fn as_reset(&self) -> Reset {
        Reset {
            replica: self.replica,
            sequence: self.sequence,
            total: self.total,
        }
    }

    /// Resets move forward only: of two concurrent ones the later increment counts. One that names more than is here
    /// covers what is here: its writer had reset an increment of the same entry, which was never sent.
    fn reset(&mut self, sequence: u64, total: i128) {
        let (sequence, total) = if sequence < self.sequence {
            (sequence, total)
        } else {
            (self.sequence, self.total)
        };
        if sequence > self.reset_sequence {
            (self.reset_sequence, self.reset_total) = (sequence, total);
        }
    }
}

/// What a reset takes away of one contribution: everything through `sequence`, where the running total was `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reset {
    /// Whose contribution.
    pub replica: ReplicaId,
    /// The last increment that the resetting writer had observed.
    pub sequence: u64,
    /// The running total after it.
    #[serde(with = "human::total")]
    pub total: i128,
}

/// What the operation of an increment carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Increment {
    /// The writer's running total after the increment.
    #[serde(with = "human::total")]
    pub total: i128,
    /// Whether the total starts anew, from zero just before this increment.
    pub restart: bool,
}

impl Increment {
    /// What the operation must carry when `later` follows in the same entry, with no reset between them. Taking the
    /// later one alone would lose a restart.
    #[inline]
    #[must_use]
    pub const fn then(self, later: Self) -> Self {
        Self {
            total: later.total,
            restart: self.restart || later.restart,
        }
    }
}

/// A counter for operations alone: one [`Contribution`] per replica, in the order of replicas.
///
/// It is the [`Ledger`](super::Ledger) without the dots of resets, in less memory, for a store that keeps very many of
/// them and delivers every operation after its causes. It does not merge.
///
/// All increments survive concurrency, and a reset takes away exactly the increments it had observed. A contribution
/// that was reset completely stays as residue until nothing concurrent can arrive; then
/// [`drop_covered`](Self::drop_covered) may take it. A single contribution needs no allocation.
///
/// ```text
/// eu: +5 ---- reset ------->  3: the reset had not observed +3
/// us:    \--- +3 ---------->
/// ```
///
/// **Cost.** With *r* replicas that have added: everything O(r).
///
/// Shapiro, Preguiça, Baquero and Zawirski, *A comprehensive study of Convergent and Commutative Replicated Data Types*,
/// 2011, has the counter of one entry per replica (specification 7); resets by what they observed are our addition.
///
/// ```
/// use isles_clock::{Dot, ReplicaId};
/// use isles_crdt::op::Tally;
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let mut tally = Tally::new();
/// tally.apply(Dot::new(eu, 1), tally.next(eu, 5));
/// let observed = tally.resets(); // us resets here…
/// tally.apply(Dot::new(us, 1), tally.next(us, 2)); // …but not this
/// tally.reset(&observed);
/// assert_eq!(tally.value(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    // Invariant: sorted by replica, each at most once.
    contributions: SmallVec<[Contribution; 1]>,
}

impl Tally {
    /// A counter that nobody has touched.
    #[inline]
    pub fn new() -> Self {
        Self::default()
    }

    /// The sum of what the contributions add, wrapping in 128 bits.
    #[inline]
    pub fn value(&self) -> i128 {
        self.contributions
            .iter()
            .fold(0, |sum, each| sum.wrapping_add(each.value()))
    }

    /// The contribution of `replica`.
    #[inline]
    pub fn own(&self, replica: ReplicaId) -> Option<&Contribution> {
        self.contributions
            .iter()
            .find(|each| each.replica == replica)
    }

    /// Every contribution that was not reset completely, in the order of replicas.
    pub fn uncovered(&self) -> impl Iterator<Item = &Contribution> {
        self.contributions.iter().filter(|each| !each.covered())
    }

    /// Every contribution, in the order of replicas.
    #[inline]
    pub fn contributions(&self) -> &[Contribution] {
        &self.contributions
    }

    /// What the operation must carry when `replica` adds `by` here. The total starts anew if and only if the replica
    /// has no contribution or a covered one: others may have dropped that one already.
    #[inline]
    pub fn next(&self, replica: ReplicaId, by: i128) -> Increment {
        match self.own(replica) {
            Some(own) if !own.covered() => Increment {
                total: own.total.wrapping_add(by),
                restart: false,
            },
            _ => Increment {
                total: by,
                restart: true,
            },
        }
    }

    /// Applies the increment `dot`.
    #[inline]
    pub fn apply(&mut self, dot: Dot, increment: Increment) {
        match self.position(dot.replica) {
            Ok(index) => {
                let own = &mut self.contributions[index];
                (own.sequence, own.total) = (dot.sequence, increment.total);
                if increment.restart {
                    (own.reset_sequence, own.reset_total) = (before(dot), 0);
                }
            }
            Err(index) => self.contributions.insert(
                index,
                Contribution {
                    replica: dot.replica,
                    sequence: dot.sequence,
                    total: increment.total,
                    reset_sequence: before(dot),
                    reset_total: 0,
                },
            ),
        }
    }

    /// Takes away what a reset had observed. What it names of a contribution that is absent is ignored: that one was
    /// reset completely, and dropped.
    pub fn reset(&mut self, resets: &[Reset]) {
        for reset in resets {
            if let Ok(index) = self.position(reset.replica) {
                self.contributions[index].reset(reset.sequence, reset.total);
            }
        }
    }

    /// What the operation of a reset must carry when it is made here: every uncovered contribution as it is now.
    pub fn resets(&self) -> SmallVec<[Reset; 1]> {
        self.uncovered().map(Contribution::as_reset).collect()
    }

    /// Applies the creation of a key whose writer held no live counter, or one that had expired.
    ///
    /// `except` lists what the writer still held uncovered, and is reset as listed. Every other contribution that the
    /// writer had observed was covered there, or dropped: it becomes covered here as it stands.
    pub fn cover(&mut self, ctx: &impl Context, except: &[Reset]) {
        for each in &mut self.contributions {
            match except.iter().find(|reset| reset.replica == each.replica) {
                Some(reset) => each.reset(reset.sequence, reset.total),
                None if ctx.covers(each.dot()) => each.reset(each.sequence, each.total),
                None => {}
            }
        }
    }

    /// Drops covered contributions. Only safe once every operation on the counter is stable.
    pub fn drop_covered(&mut self) {
        self.contributions.retain(|each| !each.covered());
    }

    /// Whether there is no contribution, not even a covered one.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.contributions.is_empty()
    }

    /// Whether nothing is left that was not reset, so that the counter is absent to a reader.
    #[inline]
    pub fn all_covered(&self) -> bool {
        self.contributions.iter().all(Contribution::covered)
    }

    /// Puts a contribution in the place of the one of its replica.
    fn insert(&mut self, contribution: Contribution) {
        match self.position(contribution.replica) {
            Ok(index) => self.contributions[index] = contribution,
            Err(index) => self.contributions.insert(index, contribution),
        }
    }

    fn position(&self, replica: ReplicaId) -> Result<usize, usize> {
        self.contributions
            .binary_search_by_key(&replica, |each| each.replica)
    }
}

/// The place just before an increment, through which a total that starts with it counts as reset.
fn before(dot: Dot) -> u64 {
    dot.sequence.saturating_sub(1)
}

impl FromIterator<Contribution> for Tally {
    /// A counter with these contributions, as read back from where they were stored. The last one counts where a
    /// replica comes more than once.
    fn from_iter<I: IntoIterator<Item = Contribution>>(contributions: I) -> Self {
        let mut tally = Self::new();
        contributions
            .into_iter()
            .for_each(|each| tally.insert(each));
        tally
    }
}
