//! Members in the order of their scores.

use core::borrow::Borrow;
use core::ops::{Range, RangeBounds};

use isles_clock::{ReplicaId, Stamp};
use serde::{Deserialize, Serialize};

use crate::causal::{Causal, Delta};
pub use crate::op::sorted_set::{
    AdditionError, MemberScore, NotANumber, Score, ScoreOp, ScoreUpdate,
};
use crate::{DeltaState, op};

/// A set whose members have scores, and an order by them.
///
/// A score is a base, which is set, and what every replica has added since. Setting takes the place of what it has
/// observed, base and additions; of concurrent bases that with the greatest stamp is read; additions add up, also
/// concurrent ones. A removal takes away what it has observed: a concurrent setting keeps the member, and after a
/// concurrent addition it is there with that addition alone.
///
/// ```text
/// eu: set m 4.1 ---- remove m ------->  m: 2.0
/// us:          \---- add 2.0 to m --->
/// ```
///
/// NaN is no score; an addition that would make one (infinity and minus infinity) is refused. Where concurrent
/// additions make one, the score is read as zero; one beyond the greatest number is read as infinity.
///
/// Scores are rounded once, when they are read. Until then what each replica has added is kept to 32 digits (to 16, where
/// it added infinity), so that an addition of 3 beside one of 1e17 is still there when the large one is reset. What does
/// not fit even there (more than 32 digits below what its replica added before and nobody reset) is refused, never
/// swallowed.
///
/// **Cost.** With *n* members: setting, adding, removing, a member's score and rank, the member at an index, the first of
/// a range of indices or scores, and applying the delta of one of these, all O(log n); merging whole states
/// O((n + m) log n). A member that was removed leaves the marks of the [`op::Ledger`] of its additions, one for each
/// replica whose additions somebody else reset, until [`forget`](crate::Crdt::forget).
///
/// The additions are the resettable counter of [`op::Ledger`]; the rest is the map of Almeida, Shoker and Baquero, *Delta
/// State Replicated Data Types*, 2018, section 7.
///
/// ```
/// use isles_clock::{Hlc, ReplicaId, Stamp};
/// use isles_crdt::sorted_set::Score;
/// use isles_crdt::{DeltaState, SortedSet};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let (mut here, mut there) = (SortedSet::new(), SortedSet::new());
/// there.apply(&here.set(Stamp::new(Hlc::new(1, 0), eu), "ada", Score::from(10)));
///
/// let won = here.add(eu, "ada", Score::from(5))?;
/// let also = there.add(us, "ada", Score::from(2))?; // concurrently
/// here.apply(&also);
/// there.apply(&won);
/// assert_eq!(here.score("ada"), Some(Score::from(17)));
/// assert_eq!(here, there);
/// # Ok::<(), isles_crdt::sorted_set::AdditionError>(())
/// ```
pub type SortedSet<M> = Causal<op::SortedSet<M>>;

/// What is asked of a sorted set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SortedSetUpdate<M> {
    /// Give this member this score.
    Set(M, Score),
    /// Add so much to the score of this member, which is zero where it is not there.
    Add(M, Score),
    /// Remove this member.
    Remove(M),
    /// Remove every member that is here.
    Clear,
}

impl<M: Ord + Clone> SortedSet<M> {
    /// Gives `member` this score, in the place of everything observed here. The time of the stamp decides between
    /// concurrent ones.
    pub fn set(&mut self, at: Stamp, member: M, score: Score) -> Delta<op::SortedSet<M>> {
        self.mutate(at, SortedSetUpdate::Set(member, score))
    }

    /// Adds so much to the score of `member`, which is zero where it is not there.
    ///
    /// # Errors
    /// Where the result would not be a number, or where the addition would be lost beside what this replica has added
    /// before; then nothing has changed.
    pub fn add(
        &mut self,
        replica: ReplicaId,
        member: M,
        by: Score,
    ) -> Result<Delta<op::SortedSet<M>>, AdditionError> {
        self.store().check_addition(replica, &member, by)?;
        Ok(self.update_at(replica, SortedSetUpdate::Add(member, by)))
    }

    /// Removes `member` as far as it was observed here.
    pub fn remove<Q>(&mut self, replica: ReplicaId, member: &Q) -> Delta<op::SortedSet<M>>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        match self.store().key(member).cloned() {
            Some(member) => self.update_at(replica, SortedSetUpdate::Remove(member)),
            None => Delta::default(),
        }
    }

    /// Removes every member that is here.
    pub fn clear(&mut self, replica: ReplicaId) -> Delta<op::SortedSet<M>> {
        self.update_at(replica, SortedSetUpdate::Clear)
    }

    /// The number of members.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.store().len()
    }

    /// Whether there is no member.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.store().is_empty()
    }

    /// The score of a member: O(log n).
    pub fn score<Q>(&self, member: &Q) -> Option<Score>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.store().score(member)
    }

    /// How many members come before this one: O(log n).
    pub fn rank<Q>(&self, member: &Q) -> Option<usize>
    where
        M: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.store().rank(member)
    }

    /// The member at `index` with its score, in the order of scores, then of members: O(log n).
    #[must_use]
    pub fn select(&self, index: usize) -> Option<(&M, Score)> {
        self.store().select(index)
    }

    /// The members at a range of indices, cut at the end of the set: O(log n) for the first.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = (&M, Score)> {
        self.store().range(range)
    }

    /// The indices of the members with these scores: O(log n). Its length is their number.
    pub fn range_of(&self, scores: impl RangeBounds<Score>) -> Range<usize> {
        self.store().range_of(scores)
    }

    /// The members in the order of their scores, then of members.
    pub fn iter(&self) -> impl Iterator<Item = (&M, Score)> {
        self.store().iter()
    }
}
